/** Requests to where the page came from. The token stays in this tab, and goes into a header, never into an address. */

const TOKEN = 'foreshard-token'
const base = new URL(location.pathname.endsWith('/') ? '.' : `${location.pathname}/`, location.href)

export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? '',
  set: (value: string) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token.get() !== '') headers.set('Authorization', `Bearer ${token.get()}`)
  const response = await fetch(new URL(path, base), { ...init, headers })
  if (response.ok) return response
  const problem = (await response.json().catch(() => ({}))) as { message?: string }
  throw new Refused(response.status, problem.message ?? `the server answered ${response.status}`)
}

export async function read<T>(path: string): Promise<T> {
  return (await (await ask(path)).json()) as T
}

export async function act(path: string): Promise<{ done: boolean; text: string }> {
  const response = await ask(path, { method: 'POST', headers: { 'Foreshard-Action': '1' } })
  return (await response.json()) as { done: boolean; text: string }
}

/** Server-sent events by fetch: EventSource cannot send a token. Returns when the stream ends. */
export async function follow<T>(path: string, onData: (data: T) => void, signal: AbortSignal): Promise<void> {
  const response = await ask(path, { signal })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + value).split('\n\n')
    rest = events.pop()!
    for (const event of events) if (event.startsWith('data: ')) onData(JSON.parse(event.slice(6)) as T)
  }
}
