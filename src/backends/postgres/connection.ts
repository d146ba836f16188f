import { createHash } from 'node:crypto'

/** Cells are text and double precision only; a driver may answer a number as text. */
export type Cell = string | number | null
export type Row = readonly Cell[]

/** One statement with parameters, prepared on each connection that runs it. */
export class Statement {
  readonly text: string
  readonly name: string

  constructor(text: string) {
    this.text = text
    this.name = `foreshard_${createHash('sha1').update(text).digest('hex').slice(0, 16)}`
  }

  /** A call of one of our functions. */
  static calling(name: string, parameters: number): Statement {
    const list = Array.from({ length: parameters }, (_, i) => `$${i + 1}`).join(', ')
    return new Statement(`select * from ${name}(${list})`)
  }
}

/** A database of a Postgres server, whatever library speaks to it. */
export interface PostgresConnection {
  /** Statements that can be under way at a time. */
  readonly lanes: number
  /** Whether the server is a part of this process. */
  readonly embedded: boolean
  /**
   * Runs a statement in a transaction of its own, once, on a connection that `admit` has let pass.
   * @throws NotSent, what `admit` threw, Refused, or anything else where the outcome is not known.
   */
  run(statement: Statement, parameters: readonly Cell[], timeoutMs: number, admit?: Admission): Promise<Row[]>
  /** Runs several statements without parameters in one transaction. */
  script(sql: string): Promise<void>
  /** Listens to a channel, without a message after some may have been missed; resolves with what ends it, or with undefined where no connection can be spared for it. */
  listen(channel: string, listener: (message?: string) => void): Promise<(() => Promise<void>) | undefined>
}

/** Looks at a connection before anything else is sent on it; `look` runs a statement there. */
export type Admission = (connection: object, look: (statement: Statement) => Promise<Row[]>) => Promise<void>

/** The statement was never sent: there was no connection. */
export class NotSent extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message || cause.name : String(cause), { cause })
    this.name = 'NotSent'
  }
}

/** What the server answered instead of a result: the transaction was rolled back, nothing has happened. */
export class Refused extends Error {
  /** SQLSTATE. */
  readonly code: string

  constructor(code: string, cause: Error) {
    super(cause.message, { cause })
    this.name = 'Refused'
    this.code = code
  }
}

/** Times that a transaction is tried that lost against others: it has had no effect. */
const TRIES = 10
/** SQLSTATE: serialisation failure, deadlock. */
const LOST_A_RACE = ['40001', '40P01']

/** Runs what is one transaction, again where it lost against another. */
export async function retried<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++)
    try {
      return await run()
    } catch (error) {
      const lost = error instanceof Refused && LOST_A_RACE.includes(error.code)
      if (!lost || attempt === TRIES) throw error
    }
}
