import { usage } from './arguments'
import { CliError, ExitCode } from './exit-code'

/** Longer than any answer to a recommendation should take. */
const LONGEST_MS = 30_000
const SHOWN = 200

export interface Delivery {
  readonly url: URL
  readonly token: string | undefined
}

/** Where a result is to be posted. The token comes from the environment: arguments can be seen by others on the machine. */
export function deliveryOf(post: string | undefined, tokenEnv: string | undefined): Delivery | undefined {
  if (post === undefined) {
    if (tokenEnv !== undefined) throw usage('--token-env is for --post, which is missing')
    return undefined
  }
  if (!URL.canParse(post)) throw usage('--post: must be a URL, as https://example.org/recommendations')
  const url = new URL(post)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw usage('--post: must begin with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw usage('--post: must hold no credentials; name the variable that has a token by --token-env')
  const token = tokenEnv === undefined ? undefined : process.env[tokenEnv]
  if (tokenEnv !== undefined && !token)
    throw new CliError(ExitCode.INPUT, `--token-env: the environment has no ${tokenEnv}`)
  return { url, token }
}

/** Posts JSON, once. Follows no redirect, which could carry the token elsewhere. */
export async function deliver({ url, token }: Delivery, json: string): Promise<void> {
  const where = `${url.origin}${url.pathname}`
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      body: json,
      redirect: 'error',
      signal: AbortSignal.timeout(LONGEST_MS),
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    })
  } catch (error) {
    const { cause, message } = error as Error
    throw undelivered(where, cause instanceof Error ? cause.message || message : message)
  }
  if (response.ok) {
    await response.body?.cancel()
    return
  }
  // As JSON: an answer may hold anything, also what a terminal would obey.
  const reader = response.body?.getReader()
  const piece = await reader?.read().catch(() => undefined)
  await reader?.cancel().catch(() => {})
  const text = new TextDecoder().decode(piece?.value).slice(0, SHOWN)
  throw undelivered(where, `it answered ${response.status}${text && `: ${JSON.stringify(text)}`}`)
}

function undelivered(where: string, why: string): CliError {
  return new CliError(ExitCode.UNDELIVERED, `--post ${where}: ${why}`)
}
