import type { NativeAccess } from './command-router'

interface Session {
  readonly pages: AsyncGenerator<{ readonly bucketId: number; readonly keys: readonly string[] }>
  /** The bucket of the last page, where a listing that begins anew would have to begin. */
  bucketId: number
  page: number
  /** What was listed but not yet given. */
  rest: string[]
  /** The last cursor that was asked with, and what it was answered: asked again, it is answered the same. */
  asked: string
  answer: Promise<ScanPage>
  done: boolean
}

export interface ScanPage {
  readonly cursor: string
  readonly keys: readonly string[]
}

/** Scans that may be under way at once; of more the one that was asked longest ago begins its bucket again. */
const SESSIONS = 1024
/** A cursor is made of the number of a session, the number of a page and a bucket: 53 bits. */
const BUCKETS = 2 ** 20
const PAGES = 2 ** 12
const NAMES = 2 ** 20

/**
 * SCAN over all shards. A scan is a listing of the router, which gives each key once also while segments move; its cursor
 * names it. A cursor that is not known here any more, or comes from another process, goes on at the beginning of its
 * bucket: keys of that bucket may come again, none is missed.
 */
export class ScanSessions {
  readonly #access: NativeAccess
  readonly #sessions = new Map<number, Session>()

  constructor(access: NativeAccess) {
    this.#access = access
  }

  /** `cursor`: a number that was given, or 0. */
  page(cursor: string, count: number): Promise<ScanPage> {
    const given = Number(cursor)
    let name = Math.floor(given / BUCKETS / PAGES)
    let session = given === 0 ? undefined : this.#sessions.get(name)
    if (session?.asked === cursor) return session.answer
    if (!session || cursorOf(name, session) !== cursor) {
      do name = 1 + Math.floor(this.#access.random() * (NAMES - 1))
      while (this.#sessions.has(name))
      const bucketId = given % BUCKETS
      session = {
        pages: this.#access.keys(bucketId),
        bucketId,
        page: 0,
        rest: [],
        asked: '',
        answer: Promise.resolve({ cursor, keys: [] }),
        done: false,
      }
    }
    // The one that was used last is the last to go.
    this.#sessions.delete(name)
    this.#sessions.set(name, session)
    if (this.#sessions.size > SESSIONS) {
      const [oldest] = this.#sessions.keys()
      this.#end(oldest!)
    }
    session.asked = cursor
    session.answer = this.#next(name, session, count)
    session.answer.catch(() => this.#end(name))
    return session.answer
  }

  async #next(name: number, session: Session, count: number): Promise<ScanPage> {
    const { rest } = session
    while (rest.length < count && !session.done) {
      const { done, value } = await session.pages.next()
      if (done) session.done = true
      else {
        session.bucketId = value.bucketId
        rest.push(...value.keys)
      }
    }
    const keys = rest.splice(0, count)
    session.page = (session.page + 1) % PAGES
    if (session.done && rest.length === 0) {
      this.#sessions.delete(name)
      return { cursor: '0', keys }
    }
    return { cursor: cursorOf(name, session), keys }
  }

  #end(name: number): void {
    const session = this.#sessions.get(name)
    this.#sessions.delete(name)
    session?.pages.return(undefined).catch(() => {})
  }

  close(): void {
    for (const name of [...this.#sessions.keys()]) this.#end(name)
  }
}

function cursorOf(name: number, { bucketId, page }: Session): string {
  return String((name * PAGES + page) * BUCKETS + bucketId)
}
