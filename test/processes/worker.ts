import { type Clock, seededRandom, systemClock } from '../../src/clock'
import { isForeshardError } from '../../src/errors'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import type { ReshardingOptions } from '../../src/router/resharding-options'
import { ShardRouter } from '../../src/router/router'
import { type Connected, connectTo, type Places } from './places'
import { Recorder } from './recorder'

/** A process with a router of its own, which does what its parent says, and now and then something on its own. */

export interface WorkerOptions {
  readonly name: string
  readonly places: Places
  readonly buckets: number
  readonly record: string
  readonly leaseMs: number
  readonly outageMs: number
  /** Its clock is so far from the machine's. */
  readonly offsetMs: number
}

/** What a resharding is asked for with. */
export interface Wish {
  readonly map: readonly (readonly [SegmentId, ShardId])[]
  readonly merge?: readonly SegmentId[]
  readonly options?: ReshardingOptions
  /** The process kills itself here. */
  readonly dieAt?: string
  /** It stops itself here, until it is woken. */
  readonly sleepAt?: string
  /** The resharding waits here, when it comes here first, until the process is told to go on. */
  readonly haltAt?: string
  /** It cancels the resharding here. */
  readonly cancelAt?: string
  /** Writes to this key before the first cutovers, so that writes are held at last. */
  readonly disturb?: string
}

export type Command =
  | { readonly what: 'open'; readonly options: WorkerOptions }
  /** Operations on these keys until it is told otherwise; on none it rests. */
  | {
      readonly what: 'load'
      readonly keys: readonly string[]
      readonly pauseMs: number
      readonly ttl: boolean
    }
  | { readonly what: 'reshard'; readonly wish: Wish }
  | { readonly what: 'rollback'; readonly retainMs?: number }
  | { readonly what: 'addShard'; readonly shard: ShardId; readonly port: number }
  | { readonly what: 'drainShard'; readonly shard: ShardId }
  /** Its clock goes on from so much earlier or later. */
  | { readonly what: 'jump'; readonly ms: number }
  | { readonly what: 'read'; readonly keys: readonly string[] }
  | { readonly what: 'locate'; readonly key: string }
  /** Ends when a resharding waits where it was to halt. */
  | { readonly what: 'halted' | 'goOn' }
  | { readonly what: 'placement' | 'progress' | 'rescued' | 'close' }

const STRANDS = 2

class Worker {
  readonly #options: WorkerOptions
  readonly #connected: Connected
  readonly #router: ShardRouter
  readonly #recorder: Recorder
  readonly #rescued: unknown[]
  #load: Extract<Command, { what: 'load' }> = { what: 'load', keys: [], pauseMs: 20, ttl: false }
  #strands: Promise<void>[] = []
  #halted = Promise.resolve()
  #goOn = () => {}
  #operations = 0
  #closed = false

  private constructor(options: WorkerOptions, connected: Connected, router: ShardRouter, rescued: unknown[]) {
    this.#options = options
    this.#connected = connected
    this.#router = router
    this.#rescued = rescued
    this.#recorder = new Recorder(options.record)
    this.#strands = Array.from({ length: STRANDS }, (_, strand) => this.#operate(`${options.name}.${strand}`))
  }

  static async open(options: WorkerOptions): Promise<Worker> {
    const connected = await connectTo(options.places)
    const { name, buckets, leaseMs, outageMs } = options
    offsetMs = options.offsetMs
    const router = await ShardRouter.open({
      shards: connected.shards,
      topology: connected.topology,
      buckets,
      clock,
      pollMs: 200,
      migrator: {
        holder: name,
        leaseMs,
        outageMs,
        pollMs: 150,
        maxHoldMs: 500,
        batchKeys: 4,
        failpoint: (step) => reached(step),
      },
    })
    const rescued: unknown[] = []
    router.on('rescued', (report) => rescued.push(report))
    return new Worker(options, connected, router, rescued)
  }

  async do(command: Command): Promise<unknown> {
    const router = this.#router
    switch (command.what) {
      case 'load':
        this.#load = command
        return undefined
      case 'reshard':
        return this.#reshard(command.wish)
      case 'rollback': {
        const rollback = await router.rollback({ retainMs: command.retainMs ?? 300 })
        return rollback.accepted ? rollback.done : rollback
      }
      case 'addShard': {
        const { places } = this.#options
        const { shards } = await connectTo({ ...places, shards: { [command.shard]: command.port } })
        const answer = await router.addShard(command.shard, shards[command.shard]!, { retainMs: 300 })
        return answer.accepted ? answer.done : answer
      }
      case 'drainShard':
        return router.drainShard(command.shard)
      case 'jump':
        offsetMs += command.ms
        return undefined
      case 'read':
        return void (await router.getMany(command.keys))
      case 'locate':
        return router.locate(command.key)
      case 'placement':
        return [...router.placement.segments()].map(({ segment, shard }) => [segment, shard])
      case 'halted':
        return this.#halted
      case 'goOn':
        return this.#goOn()
      case 'progress':
        return router.monitorReshardingProgress()
      case 'rescued':
        return this.#rescued.splice(0)
      case 'close':
        return this.#close()
    }
  }

  async #reshard({
    map,
    merge = [],
    options = {},
    dieAt,
    sleepAt,
    haltAt,
    cancelAt,
    disturb,
  }: Wish): Promise<unknown> {
    let tellHalted = () => {}
    this.#halted = new Promise((resolve) => {
      tellHalted = resolve
    })
    let disturbances = 0
    let cancel = async () => {}
    let asleep = false
    let hasHalted = false
    act = async (step) => {
      if (step === dieAt) process.kill(process.pid, 'SIGKILL')
      if (step === sleepAt && !asleep) {
        asleep = true
        process.kill(process.pid, 'SIGSTOP')
      }
      if (step === haltAt && !hasHalted) {
        hasHalted = true
        await new Promise<void>((goOn) => {
          this.#goOn = goOn
          tellHalted()
        })
      }
      if (step === cancelAt) await cancel()
      if (disturb && step === 'cutover:before' && ++disturbances <= 4)
        await this.#recorder.set(`${this.#options.name}.mover`, this.#router, disturb, this.#value())
    }
    const resharding = await this.#router.requestResharding(1, new Map(map), {
      retainMs: 300,
      ...options,
      merge,
    })
    if (!resharding.accepted) return resharding
    cancel = () => resharding.cancel()
    return resharding.done
  }

  async #operate(strand: string): Promise<void> {
    const random = seededRandom(hash(strand))
    const recorder = this.#recorder
    while (!this.#closed) {
      const { keys, pauseMs, ttl } = this.#load
      await systemClock.sleep(pauseMs * (0.5 + random()))
      if (keys.length === 0) continue
      // What expires is one key's alone: an update would keep the expiry of what it read.
      const [lasting, mortal] = ttl ? [keys.slice(0, -1), keys.at(-1)!] : [keys, undefined]
      const key = lasting[Math.floor(random() * lasting.length)]!
      const roll = random()
      if (roll < 0.35) await recorder.get(strand, this.#router, key)
      else if (roll < 0.65) await recorder.set(strand, this.#router, key, this.#value())
      else if (roll < 0.75) await recorder.delete(strand, this.#router, key)
      else if (roll < 0.9) await recorder.update(strand, this.#router, key, this.#value())
      else if (roll < 0.97 || !mortal) {
        const some = keys.filter(() => random() < 0.3)
        if (some.length > 0) await recorder.getMany(strand, this.#router, some)
      } else await recorder.set(strand, this.#router, mortal, this.#value(), 100 + Math.floor(random() * 400))
    }
  }

  #value(): string {
    return `${this.#options.name}:${++this.#operations}`
  }

  async #close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#strands)
    await this.#router.close()
    await this.#connected.end()
    this.#recorder.close()
  }
}

let act: (step: string) => Promise<void> = async () => {}
function reached(step: string): Promise<void> {
  return act(step)
}

let offsetMs = 0
const clock: Clock = { ...systemClock, now: () => systemClock.now() + offsetMs }

function hash(text: string): number {
  let h = 7
  for (const c of text) h = (h * 31 + c.charCodeAt(0)) | 0
  return h >>> 0
}

let worker: Promise<Worker> | undefined
process.on('message', ({ id, command }: { id: number; command: Command }) => {
  if (command.what === 'open') worker = Worker.open(command.options)
  worker!
    .then((it) => (command.what === 'open' ? undefined : it.do(command)))
    .then(
      (answer) => process.send!({ id, answer }),
      (error) =>
        process.send!({
          id,
          error: isForeshardError(error) ? `${error.code}: ${error.message}` : error.stack,
        }),
    )
})
process.on('disconnect', () => process.exit())
