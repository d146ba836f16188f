import { EventEmitter } from 'node:events'
import type { ChainableCommander, RedisCommander } from 'ioredis'
import { invalid, shown } from '../../../errors'
import { checkFields, type Fields } from '../../../options'
import { type Entry, Session } from './batch'
import {
  addCommandMethods,
  addScriptMethods,
  type Callback,
  type Commanding,
  METHODS,
  type ScriptDefinition,
  withCallback,
} from './command-methods'
import type { CommandRouter } from './command-router'
import { Executor } from './executor'
import type { Argument } from './key-places'
import { isBatch, Pipeline } from './pipeline'
import { ScanStream, type ScanStreamOptions } from './scan-stream'
import { waitersOf } from './waiters'

export interface ShardedRedisOptions {
  /** Begins every key that a command names, as ioredis' option does; not those of patterns and replies. */
  keyPrefix?: string
  /** Scripts that become methods, as ioredis' option does. */
  scripts?: Readonly<Record<string, ScriptDefinition>>
}

const FIELDS: Fields<ShardedRedisOptions> = { keyPrefix: true, scripts: true }

/** What an ioredis client can do, less what concerns a connection or one server: that is refused with NOT_SUPPORTED. */
export interface ShardedRedis extends RedisCommander<{ type: 'default' }>, EventEmitter {
  /** 'ready' until it is closed, then 'end'. */
  readonly status: string
  readonly options: { readonly keyPrefix: string }
  readonly isCluster: boolean
  pipeline(commands?: unknown[][]): ChainableCommander
  /** A transaction, its keys all of one tag. `pipeline: false`: each command is answered QUEUED, and exec ends it. */
  multi(options: { pipeline: false }): Promise<'OK'>
  multi(options?: { pipeline: true }): ChainableCommander
  multi(commands?: unknown[][]): ChainableCommander
  defineCommand(name: string, definition: ScriptDefinition): void
  scanStream(options?: ScanStreamOptions): ScanStream
  scanBufferStream(options?: ScanStreamOptions): ScanStream
  hscanStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  hscanBufferStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  sscanStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  sscanBufferStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  zscanStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  zscanBufferStream(key: string | Buffer, options?: ScanStreamOptions): ScanStream
  /** Resolves at once: the router's clients are connected. */
  connect(callback?: Callback): Promise<void>
  /** Ends this client: what waits in it rejects. The router and its clients stay as they are. */
  disconnect(): void
  /** Another client of the same router. */
  duplicate(options?: ShardedRedisOptions): ShardedRedis
  getBuiltinCommands(): string[]
  sendCommand(command: ForeignCommand): Promise<unknown>
}

/** A Command of ioredis. */
interface ForeignCommand {
  readonly name: string
  readonly args: readonly unknown[]
  readonly promise: Promise<unknown>
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * A router in the shape of an ioredis client: commands go where their keys are, inside the fence, also while segments
 * move. docs/redis-commands.md says for each command what becomes of it. Redis' error replies are ReplyErrors with the
 * server's words; what concerns shards is a ForeshardError: SHARD_UNAVAILABLE, OUTCOME_UNKNOWN, KEYS_APART for keys of
 * different tags in one command, NOT_SUPPORTED for what has no meaning here.
 * @throws NOT_SUPPORTED where a shard is no redisStore; INVALID_ARGUMENT naming the option.
 */
export function shardedRedis(router: CommandRouter, options: ShardedRedisOptions = {}): ShardedRedis {
  if (typeof router?.nativeCommands !== 'function')
    throw invalid('router', `must be a ShardRouter, not ${shown(router)}`)
  checkFields(options, FIELDS, 'options')
  const { keyPrefix = '', scripts = {} } = options
  if (typeof keyPrefix !== 'string')
    throw invalid('options.keyPrefix', `must be a string, not ${shown(keyPrefix)}`)
  return new Client(router, keyPrefix, scripts) as unknown as ShardedRedis
}

class Client extends EventEmitter implements Commanding {
  readonly options: { readonly keyPrefix: string }
  readonly isCluster = false
  status = 'ready'
  readonly #router: CommandRouter
  readonly #executor: Executor
  readonly #session: Session
  readonly #scripts = new Map<string, ScriptDefinition>()

  constructor(router: CommandRouter, keyPrefix: string, scripts: Readonly<Record<string, ScriptDefinition>>) {
    super()
    this.options = { keyPrefix }
    this.#router = router
    const access = router.nativeCommands('redis')
    this.#executor = new Executor(access, waitersOf(router), keyPrefix)
    this.#session = new Session(this.#executor)
    for (const [name, definition] of Object.entries(scripts)) this.defineCommand(name, definition)
    access.signal.addEventListener('abort', () => this.#end(), { once: true })
    // Whoever listens does so after this.
    process.nextTick(() => {
      if (this.status !== 'ready') return
      this.emit('connect')
      this.emit('ready')
    })
  }

  issue(entry: Entry, callback: Callback | undefined): Promise<unknown> {
    const ended = this.#ended()
    return withCallback(ended ? Promise.reject(ended) : this.#session.run(entry), callback)
  }

  pipeline(commands?: unknown): Pipeline {
    const pipeline = this.#pipeline(false)
    return isBatch(commands) ? pipeline.addBatch(commands) : pipeline
  }

  /** A transaction: sent when exec is called; with `{ pipeline: false }` each command is answered QUEUED before. */
  multi(commands?: unknown, options?: { pipeline?: boolean }): Pipeline | Promise<unknown> {
    const given = options === undefined && !isBatch(commands) ? (commands as typeof options) : options
    if (given?.pipeline === false) return this.issue({ name: 'multi', args: [], encoding: 'utf8' }, undefined)
    const pipeline = this.#pipeline(true)
    return isBatch(commands) ? pipeline.addBatch(commands) : pipeline
  }

  exec(callback?: Callback): Promise<unknown> {
    const running = this.issue({ name: 'exec', args: [], encoding: 'utf8' }, undefined) as Promise<unknown[]>
    const wrapped = running.then((results) => results.map((it) => (it instanceof Error ? [it] : [null, it])))
    return withCallback<unknown>(wrapped, callback)
  }

  #pipeline(transaction: boolean): Pipeline {
    const owner = { executor: this.#executor, scripts: this.#scripts, ended: () => this.#ended() }
    return new Pipeline(owner, this.options, transaction)
  }

  defineCommand(name: string, definition: ScriptDefinition): void {
    const { lua, numberOfKeys } = definition ?? {}
    if (typeof lua !== 'string') throw invalid('definition.lua', 'must be the text of a script')
    if (numberOfKeys !== undefined && !(Number.isSafeInteger(numberOfKeys) && numberOfKeys >= 0))
      throw invalid('definition.numberOfKeys', `must be a whole number, not ${shown(numberOfKeys)}`)
    this.#executor.define(lua)
    this.#scripts.set(name, definition)
    addScriptMethods(this, name, definition)
  }

  async sendCommand(command: ForeignCommand): Promise<unknown> {
    const args = command.args.map((it): Argument => (Buffer.isBuffer(it) ? it : String(it)))
    this.issue({ name: command.name, args, encoding: null }, undefined).then(
      (value) => command.resolve(value),
      (error: Error) => command.reject(error),
    )
    return command.promise
  }

  getBuiltinCommands(): string[] {
    return [...METHODS]
  }

  async connect(callback?: Callback): Promise<void> {
    return withCallback(Promise.resolve(), callback as (error: Error | null) => void)
  }

  quit(callback?: Callback): Promise<unknown> {
    const ended = this.#ended()
    const quitting = ended ? Promise.reject(ended) : Promise.resolve('OK')
    this.#end()
    return withCallback<unknown>(quitting, callback)
  }

  disconnect(): void {
    this.#end()
  }

  end(): void {
    this.#end()
  }

  duplicate({ keyPrefix = this.options.keyPrefix }: ShardedRedisOptions = {}): ShardedRedis {
    const scripts = Object.fromEntries(this.#scripts)
    return new Client(this.#router, keyPrefix, scripts) as unknown as ShardedRedis
  }

  #ended(): Error | undefined {
    return this.status === 'end' ? new Error('Connection is closed.') : undefined
  }

  #end(): void {
    if (this.status === 'end') return
    this.status = 'end'
    this.#executor.close(new Error('Connection is closed.'))
    process.nextTick(() => {
      this.emit('close')
      this.emit('end')
    })
  }
}

addCommandMethods(Client.prototype)

for (const command of ['scan', 'hscan', 'sscan', 'zscan'])
  for (const form of ['', 'Buffer']) {
    type Self = Record<string, (...args: unknown[]) => never>
    const value = function (this: Self, ...args: [unknown?, unknown?]) {
      const [key, options] = command === 'scan' ? [undefined, args[0]] : args
      const scan = (given: unknown[]) => this[`${command}${form}`]!(...given)
      return new ScanStream(
        scan as never,
        key as string | undefined,
        options as ScanStreamOptions | undefined,
      )
    }
    Object.defineProperty(Client.prototype, `${command}${form}Stream`, { value, configurable: true })
  }
