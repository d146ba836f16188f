import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, shown } from '../errors'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT'
  /** Below the service's URL: `/v1/predict`. */
  readonly path: string
  readonly body?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs: number
  /** Of the answer. */
  readonly mostBytes: number
}

const LONGEST_MESSAGE = 500

/**
 * Asks a service, once. Follows no redirect, waits no longer and reads no more than it is told, and says in errors neither the token
 * nor what was sent.
 */
export class Transport {
  readonly #url: string
  readonly #token: string | undefined
  readonly #fetch: Fetch
  readonly #clock: Clock

  constructor(url: string, token: string | undefined, fetch: Fetch, clock: Clock) {
    this.#url = url
    this.#token = token
    this.#fetch = fetch
    this.#clock = clock
  }

  /**
   * The answer's JSON, undefined for an empty one.
   * @throws PREDICTOR_UNAVAILABLE where another try may help; the code that the service gave otherwise.
   */
  async call(call: Call): Promise<unknown> {
    const over = new AbortController()
    const done = new AbortController()
    this.#clock.sleep(call.timeoutMs, done.signal).then(
      () => over.abort(unavailable(`did not answer within ${call.timeoutMs} ms`)),
      () => {},
    )
    // A fetch that does not heed its signal must not be waited for.
    const late = new Promise<never>((_, reject) => {
      over.signal.addEventListener('abort', () => reject(over.signal.reason), { once: true })
    })
    late.catch(() => {})
    try {
      const answer = this.#ask(call, over.signal)
      answer.catch(() => {})
      return await Promise.race([answer, late])
    } catch (error) {
      if (error instanceof ForeshardError) throw error
      throw unavailable(`cannot be reached (${reasonOf(error)})`)
    } finally {
      done.abort()
    }
  }

  async #ask(
    { method = 'GET', path, body, headers, mostBytes }: Call,
    signal: AbortSignal,
  ): Promise<unknown> {
    const response = await this.#fetch(`${this.#url}${path}`, {
      method,
      body: body as never,
      headers: {
        ...headers,
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      redirect: 'manual',
      signal,
    })
    const { status } = response
    if (status === 0 || (status >= 300 && status < 400)) {
      await response.body?.cancel()
      throw unavailable('answers with a redirect, which is not followed; give the URL where it is')
    }
    const text = await textOf(response, mostBytes)
    if (status >= 200 && status < 300) return text === '' ? undefined : parsed(text)
    throw refusalOf(status, text)
  }
}

async function textOf(response: Response, mostBytes: number): Promise<string> {
  if (!response.body) return ''
  const pieces: Uint8Array[] = []
  let bytes = 0
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(pieces).toString('utf8')
    bytes += value.byteLength
    if (bytes > mostBytes) {
      reader.cancel().catch(() => {})
      throw new ForeshardError(
        ErrorCode.TOO_LARGE,
        `the service's answer is larger than ${mostBytes} bytes`,
        {
          field: 'answer',
        },
      )
    }
    pieces.push(value)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw strange()
  }
}

/** What answers there is no service of this kind, or of another version. */
export function strange(): ForeshardError {
  return new ForeshardError(
    ErrorCode.FAILED,
    "the answer is none of a predictor's service; is the URL right?",
    {
      field: 'answer',
    },
  )
}

function refusalOf(status: number, text: string): ForeshardError {
  let problem: { code?: unknown; message?: unknown; field?: unknown } | null = null
  try {
    problem = JSON.parse(text)
  } catch {}
  const said =
    typeof problem?.message === 'string' ? problem.message.slice(0, LONGEST_MESSAGE) : `status ${status}`
  if (status === 408 || status === 429 || status >= 500) return unavailable(`answers ${status}: ${said}`)
  const code = Object.values(ErrorCode).find((known) => known === problem?.code)
  if (code === undefined)
    return new ForeshardError(ErrorCode.FAILED, `the service answers ${status}: ${said}`)
  return new ForeshardError(code, said, {
    field: typeof problem?.field === 'string' ? problem.field.slice(0, LONGEST_MESSAGE) : undefined,
  })
}

function unavailable(what: string): ForeshardError {
  return new ForeshardError(ErrorCode.PREDICTOR_UNAVAILABLE, `the predictor's service ${what}`)
}

/** The name of what happened, never its text: a client of the application's own may put anything there. */
function reasonOf(error: unknown): string {
  const { cause, name } = (error ?? {}) as { cause?: { code?: unknown }; name?: unknown }
  const code = (error as { code?: unknown } | null)?.code ?? cause?.code
  const text = typeof code === 'string' ? code : typeof name === 'string' ? name : shown(error)
  return /^[A-Za-z0-9_]{1,64}$/.test(text) ? text : 'an error'
}
