import { createHash } from 'node:crypto'
import type { Argument, RedisConnection, Reply } from './connection'
import { failureOf } from './failure'

/** A script of ours: called by its digest, and sent in full only to a server that does not have it. */
export class Script {
  readonly #source: string
  readonly #sha: string

  constructor(source: string) {
    this.#source = source
    this.#sha = createHash('sha1').update(source).digest('hex')
  }

  async run(
    connection: RedisConnection,
    keys: readonly Argument[],
    args: readonly Argument[],
  ): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await connection.send(['EVALSHA', this.#sha, ...rest])
    } catch (error) {
      if (failureOf(error) !== 'no script') throw error
      return connection.send(['EVAL', this.#source, ...rest])
    }
  }
}
