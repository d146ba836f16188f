import { createHash } from 'node:crypto'
import type { Argument, RedisConnection, Reply } from './connection'
import { failureOf } from './failure'

/** Servers, and lives of them, whose scripts are kept ready. */
const LIVES = 256
/** What a script answers on another server than the one that it was made for. */
const ELSEWHERE = 'FORESHARD_OTHER_RUN'

/** The server is not the one that the script was made for: it was restarted, or another one took its place. */
export class OtherRun extends Error {
  constructor() {
    super('the server was restarted or failed over')
    this.name = 'OtherRun'
  }
}

/** A script of ours: called by its digest, and sent in full only to a server that does not have it. */
export class Script {
  readonly #source: string
  /** By the life of the server that it is for. */
  readonly #made = new Map<string, { readonly text: string; readonly sha: string }>()

  constructor(source: string) {
    this.#source = source
  }

  /**
   * `run`: the server's run_id. The script is then one of its own for each life of a server: one that was restarted does not
   * have it, and whoever sends it in full has the server compare first. So nothing that was meant for the server as
   * it was is ever carried out by what it has become, whatever the client does when it reconnects.
   * @throws OtherRun, without effect.
   */
  async run(
    connection: RedisConnection,
    keys: readonly Argument[],
    args: readonly Argument[],
    run = '',
  ): Promise<Reply> {
    const { text, sha } = this.#for(run)
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await connection.send(['EVALSHA', sha, ...rest])
    } catch (error) {
      if (failureOf(error) !== 'no script') throw error
    }
    try {
      return await connection.send(['EVAL', text, ...rest, ...(run === '' ? [] : [markOf(run)])])
    } catch (error) {
      throw error instanceof Error && error.message.includes(ELSEWHERE) ? new OtherRun() : error
    }
  }

  #for(run: string) {
    let made = this.#made.get(run)
    if (made) return made
    const text = run === '' ? this.#source : withComparison(run, this.#source)
    made = { text, sha: createHash('sha1').update(text).digest('hex') }
    if (this.#made.size === LIVES) this.#made.clear()
    this.#made.set(run, made)
    return made
  }
}

/** The last argument of a script that was sent in full. */
function markOf(run: string): string {
  return `\0run ${run}`
}

/** On the line where the source begins, so that its lines keep their numbers; after the flags, if it declares some. */
function withComparison(run: string, source: string): string {
  const flags = /^#![^\n]*\n/.exec(source)?.[0] ?? ''
  const comparison =
    `if ARGV[#ARGV] == '\\0run ${run}' then ARGV[#ARGV] = nil ` +
    `if not string.find(redis.call('INFO', 'server'), 'run_id:${run}', 1, true) then ` +
    `return redis.error_reply('${ELSEWHERE}') end end `
  return flags + comparison + source.slice(flags.length)
}
