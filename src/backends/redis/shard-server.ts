import type { Clock } from '../../clock'
import { ErrorCode, ForeshardError, shown } from '../../errors'
import { OWN_PREFIX } from '../../placement/key'
import type { ShardBinding } from '../../shard-store'
import type { Argument, RedisConnection, Reply } from './connection'
import { failureOf } from './failure'
import { BIND_LUA } from './lua/bind'
import { connected } from './patience'
import { OtherRun, Script } from './script'
import { checkServer, reportOf, type ServerReport } from './server-report'

const BIND = new Script(BIND_LUA)
/** Of the records of a shard, described in lua/fence.ts. A database of another format is refused, never guessed at. */
const FORMAT = '1'
/** The one key whose name does not begin with the prefix: it remembers the prefix. */
const MARKER = OWN_PREFIX

/** What a server says of a script that it cannot compile. */
export class UncompilableScript extends Error {}

export interface ShardServerOptions {
  readonly prefix: string
  readonly cache: boolean
  readonly clock: Clock | undefined
  readonly newId: () => string
}

/** The server of a shard: runs scripts on it, as long as it is known to be the one that was bound. */
export class ShardServer {
  readonly shardKey: string
  readonly expiriesKey: string
  readonly #connection: RedisConnection
  readonly #options: ShardServerOptions
  readonly #bucketKeys: string[] = []
  #shard = ''
  #id = ''
  /** The life of the server in which it was bound; '' when that is over. */
  #run = ''
  /** Of the connection, when the server was last looked at. */
  #life = -1
  #looking: Promise<void> | undefined

  constructor(connection: RedisConnection, options: ShardServerOptions) {
    this.#connection = connection
    this.#options = options
    this.shardKey = `${options.prefix}shard`
    this.expiriesKey = `${options.prefix}expiries`
  }

  /** The hash of a bucket. Interned: the same string every time. */
  bucketKey(bucketId: number): string {
    this.#bucketKeys[bucketId] ??= `${this.#options.prefix}b:${bucketId}`
    return this.#bucketKeys[bucketId]
  }

  /** What scripts take for the time: '' lets them ask the server. */
  get time(): string {
    const { clock } = this.#options
    return clock ? String(Math.floor(clock.now())) : ''
  }

  async bind({
    topologyId,
    shard,
    buckets,
  }: ShardBinding): Promise<{ incarnation: string; buckets: number }> {
    this.#shard ||= shard
    await this.#connect()
    const { lives } = this.#connection
    const report = await this.#report()
    checkServer(report, this.#options.cache)
    this.#life = lives
    const { prefix, newId } = this.#options
    const given = [topologyId, shard, String(buckets), newId(), prefix, FORMAT]
    const found = (await this.#send(BIND, [this.shardKey, MARKER], given, report.runId)) as Reply[]
    if (found.length === 1)
      throw new ForeshardError(
        ErrorCode.SHARD_MISMATCH,
        `this database is a shard already, with the prefix ${JSON.stringify(String(found[0]))}; one database is one ` +
          'shard: give that prefix, or select another database',
        { field: 'options.prefix', shard },
      )
    if (String(found[4]) !== FORMAT)
      throw new ForeshardError(
        ErrorCode.SHARD_MISMATCH,
        `this database has format ${shown(String(found[4]))}, this version of foreshard reads format ${FORMAT}; update it`,
        { field: 'format', shard },
      )
    const stored: Readonly<Record<string, string>> = {
      topologyId: String(found[0]),
      shard: String(found[1]),
      buckets: String(found[2]),
    }
    for (const [field, wanted] of Object.entries({ topologyId, shard, buckets: String(buckets) }))
      if (stored[field] !== wanted)
        throw new ForeshardError(
          ErrorCode.SHARD_MISMATCH,
          `this database belongs to ${field} ${JSON.stringify(stored[field])}, not to ${JSON.stringify(wanted)}; ` +
            'open it as what it is, or give an empty one',
          { field, shard },
        )
    this.#shard = shard
    this.#id = String(found[3])
    this.#run = report.runId
    return { incarnation: this.incarnation, buckets }
  }

  /** The data's own name and the life of the server: it differs after every restart. */
  get incarnation(): string {
    return `${this.#id}.${this.#run}`
  }

  /**
   * Runs a script once, on the server as it was when it was bound.
   * @throws SHARD_UNAVAILABLE, SHARD_FULL and SHARD_MISMATCH (it was restarted since) when it certainly had no effect;
   *   anything else when that is not known.
   */
  run(script: Script, keys: readonly Argument[], args: readonly Argument[]): Promise<Reply> {
    if (this.#run === '') return Promise.reject(this.restarted())
    if (!this.#connection.ready) return Promise.reject(this.#unavailable('is not connected'))
    if (this.#life !== this.#connection.lives)
      return this.#lookAgain().then(() => this.run(script, keys, args))
    return this.#send(script, keys, args, this.#run)
  }

  /** After a reconnection: what the server may not be it may have become. @throws NOT_SUPPORTED, SHARD_UNAVAILABLE */
  #lookAgain(): Promise<void> {
    this.#looking ??= this.#report()
      .then((report) => {
        checkServer(report, this.#options.cache)
        this.#life = this.#connection.lives
      })
      .finally(() => {
        this.#looking = undefined
      })
    return this.#looking
  }

  /**
   * Has the server compile a script, without running it. The answer to one that does not compile is
   * UncompilableScript with the server's words.
   */
  async compile(text: string): Promise<void> {
    if (!this.#connection.ready) throw this.#unavailable('is not connected')
    try {
      await this.#connection.send(['SCRIPT', 'LOAD', text])
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (/compiling script|shebang|script flag|engine/i.test(message)) throw new UncompilableScript(message)
      // Nothing was asked but whether it compiles.
      throw this.#unavailable(`does not answer: ${message}`, error)
    }
  }

  /** Waits until so many replicas have what was written. @throws a failure of unknown outcome where they have not. */
  async replicated(count: number, timeoutMs: number): Promise<void> {
    const reached = Number(await this.#connection.send(['WAIT', String(count), String(timeoutMs)]))
    if (reached >= count) return
    throw new Error(
      `shard ${this.#shard}: ${reached} of ${count} replicas confirmed the step within ${timeoutMs} ms; it may be lost in a failover`,
    )
  }

  async #send(
    script: Script,
    keys: readonly Argument[],
    args: readonly Argument[],
    run: string,
  ): Promise<Reply> {
    try {
      return await script.run(this.#connection, keys, args, run)
    } catch (error) {
      if (!(error instanceof OtherRun)) throw this.#meaning(error)
      if (this.#run === run) this.#run = ''
      throw this.restarted(error)
    }
  }

  /** The error of what was not sent because of that. */
  restarted(cause?: unknown): ForeshardError {
    return new ForeshardError(
      ErrorCode.SHARD_MISMATCH,
      `shard ${this.#shard} was restarted or failed over; it serves when its fences have been compared`,
      { shard: this.#shard, cause },
    )
  }

  #meaning(error: unknown): unknown {
    const failure = failureOf(error)
    const message = error instanceof Error ? error.message : String(error)
    if (failure === 'unavailable') return this.#unavailable(`refuses: ${message}`, error)
    if (failure !== 'full') return error
    return new ForeshardError(ErrorCode.SHARD_FULL, `shard ${this.#shard} has no memory left: ${message}`, {
      shard: this.#shard,
      cause: error,
    })
  }

  #unavailable(why: string, cause?: unknown): ForeshardError {
    const { SHARD_UNAVAILABLE } = ErrorCode
    return new ForeshardError(SHARD_UNAVAILABLE, `shard ${this.#shard} ${why}`, { shard: this.#shard, cause })
  }

  /** Waits for a client that is connecting. */
  async #connect(): Promise<void> {
    try {
      await connected(this.#connection)
    } catch (error) {
      throw this.#unavailable(`is not connected: ${(error as Error).message}`, error)
    }
  }

  async #report(): Promise<ServerReport> {
    try {
      return await reportOf(this.#connection)
    } catch (error) {
      // Nothing was asked but what the server is.
      throw this.#unavailable(`does not answer: ${(error as Error).message}`, error)
    }
  }
}
