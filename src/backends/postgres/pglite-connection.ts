import { type Cell, type PostgresConnection, Refused, type Row, type Statement } from './connection'

/** As much of a PGlite as is used. */
export interface Pglite {
  readonly ready: boolean
  readonly closed: boolean
  readonly waitReady: Promise<void>
  query(text: string, parameters: unknown[], options: object): Promise<{ rows: unknown[] }>
  exec(sql: string): Promise<unknown>
  listen(channel: string, listener: (message?: string) => void): Promise<() => Promise<void>>
}

export function isPglite(client: object): client is Pglite {
  const { query, exec, listen, waitReady } = client as Partial<Pglite>
  return (
    typeof query === 'function' &&
    typeof exec === 'function' &&
    typeof listen === 'function' &&
    waitReady instanceof Promise
  )
}

/** Postgres inside of this process: one connection, one statement after the other. */
export class PgliteConnection implements PostgresConnection {
  readonly lanes = 1
  readonly embedded = true
  readonly #pglite: Pglite

  constructor(pglite: Pglite) {
    this.#pglite = pglite
  }

  /** There is but one connection, and it lives as long as its database: nothing to admit. */
  async run({ text }: Statement, parameters: readonly Cell[]): Promise<Row[]> {
    return this.#meaning(async () => {
      const { rows } = await this.#pglite.query(text, [...parameters], { rowMode: 'array' })
      return rows as Row[]
    })
  }

  async script(sql: string): Promise<void> {
    await this.#meaning(() => this.#pglite.exec(sql))
  }

  listen(channel: string, listener: (message?: string) => void): Promise<() => Promise<void>> {
    return this.#pglite.listen(`"${channel}"`, listener)
  }

  async #meaning<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      const { code } = error as { code?: unknown }
      // There is no connection that could be lost after a commit.
      if (error instanceof Error && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code))
        throw new Refused(code, error)
      throw error
    }
  }
}
