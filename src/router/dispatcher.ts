import { type OperationContext, operationChannel } from '../channels'
import { type Clock, elapsed, type Random } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'
import { isTagSegment } from '../placement/segment'
import type { Done, Operation, Refusal } from '../shard-store'
import type { RouterEmitter } from './events'
import { Latencies } from './latencies'
import type { OwnerSearch } from './owner-search'
import type { ShardSet } from './shard-set'
import type { Aimed, View } from './view'

/** An operation that was carried out, and where. */
export interface Outcome {
  readonly call: Aimed
  readonly done: Done
}

export type Settled = Outcome | { readonly call: Aimed; readonly error: ForeshardError }

interface Refused {
  /** Its place among the operations that were asked for. */
  readonly index: number
  readonly call: Aimed
  readonly refusal: Refusal
}

export const DEFAULT_TRIES = 16
/** Refusals that teach something are followed at once so often; then with pauses, which grow. */
const FOLLOWED_AT_ONCE = 4
const FIRST_PAUSE_MS = 2
const LONGEST_PAUSE_MS = 500

export interface DispatcherOptions {
  /** Of the router, for those who listen to the channels of the process. */
  readonly name: string
  readonly view: View
  readonly shards: ShardSet
  readonly search: OwnerSearch
  readonly events: RouterEmitter
  readonly clock: Clock
  readonly random: Random
  readonly tries: number
  /** Aborted when the router closes. */
  readonly signal: AbortSignal
}

/**
 * The one way to a value: locate, execute, learn from a refusal, again. A refusal is certain to have had no effect, so
 * repeating is safe; a failure ends the operation at once, because its effect may not be known.
 */
export class Dispatcher {
  readonly #view: View
  readonly #shards: ShardSet
  readonly #search: OwnerSearch
  readonly #events: RouterEmitter
  readonly #clock: Clock
  readonly #random: Random
  readonly #tries: number
  readonly #signal: AbortSignal
  readonly #name: string
  readonly latencies: Latencies
  /** Requests for several keys, and those of them whose keys lay on two shards or more. */
  readonly together = { total: 0, crossing: 0 }
  /** Told what an operation on one key took, its refusals and pauses included; nothing is measured without it. */
  onAnswered: ((ms: number) => void) | undefined
  #pending = 0
  #idle: (() => void)[] = []

  constructor(options: DispatcherOptions) {
    this.#view = options.view
    this.#shards = options.shards
    this.#search = options.search
    this.#events = options.events
    this.#clock = options.clock
    this.#random = options.random
    this.#tries = options.tries
    this.#signal = options.signal
    this.#name = options.name
    this.latencies = new Latencies(options.clock)
  }

  get name(): string {
    return this.#name
  }

  /** Operations under way. */
  get pending(): number {
    return this.#pending
  }

  /** Resolves when no operation is under way. */
  idle(): Promise<void> {
    return this.#pending === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Keeps `idle` waiting until the work, whatever it is, has settled. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++
    try {
      return await work()
    } finally {
      if (--this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  one(key: string, operation: Operation): Promise<Outcome> {
    return operationChannel.hasSubscribers
      ? operationChannel.tracePromise(() => this.#one(key, operation), this.#context(operation.kind, 1, key))
      : this.#one(key, operation)
  }

  async #one(key: string, operation: Operation): Promise<Outcome> {
    this.#pending++
    const began = this.latencies.begin()
    const beganAt = this.onAnswered ? elapsed(this.#clock) : 0
    try {
      let call = this.#view.aim(key, operation)
      for (let attempt = 1; ; attempt++) {
        const [answer] = await this.#shards.execute([call])
        if (answer!.ok) {
          if (call.proof) this.#view.settle(call.segment, call.epoch)
          this.onAnswered?.(elapsed(this.#clock) - beganAt)
          return { call, done: answer as Done }
        }
        await this.#learn([{ index: 0, call, refusal: answer as Refusal }], attempt)
        call = this.#reaim(call)
      }
    } finally {
      if (began !== undefined) this.latencies.end(began, operation.kind)
      if (--this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  /**
   * Many operations: those for the same shard travel together, the shards work at the same time, and what was refused is
   * sent again without the rest. Never rejects; answers in the order of the requests.
   */
  many(requests: readonly { readonly key: string; readonly operation: Operation }[]): Promise<Settled[]> {
    const run = () => this.during(() => this.#many(requests))
    return operationChannel.hasSubscribers
      ? operationChannel.tracePromise(run, this.#context('many', requests.length))
      : run()
  }

  #context(kind: OperationContext['kind'], keys: number, key?: string): OperationContext {
    return { router: this.#name, kind, key, keys }
  }

  async #many(
    requests: readonly { readonly key: string; readonly operation: Operation }[],
  ): Promise<Settled[]> {
    const settled = new Array<Settled>(requests.length)
    let open = requests.map(({ key, operation }, index) => ({
      index,
      call: this.#view.aim(key, operation),
    }))
    if (open.length > 1) {
      this.together.total++
      if (open.some(({ call }) => call.shard !== open[0]!.call.shard)) this.together.crossing++
    }
    for (let attempt = 1; open.length > 0; attempt++) {
      const refused = await this.#round(open, settled)
      if (refused.length === 0) break
      try {
        await this.#learn(refused, attempt)
      } catch (error) {
        for (const { index, call } of refused) settled[index] = { call, error: error as ForeshardError }
        break
      }
      open = refused.map(({ index, call }) => ({ index, call: this.#reaim(call) }))
    }
    return settled
  }

  /** Sends each shard its share; what is answered goes to `settled`, what is refused is returned. */
  async #round(open: readonly { index: number; call: Aimed }[], settled: Settled[]): Promise<Refused[]> {
    const shares = new Map<number, { index: number; call: Aimed }[]>()
    for (const item of open) {
      const share = shares.get(item.call.shard)
      if (share) share.push(item)
      else shares.set(item.call.shard, [item])
    }
    const refused: Refused[] = []
    await Promise.all(
      [...shares.values()].map(async (share) => {
        try {
          const answers = await this.#shards.execute(share.map(({ call }) => call))
          share.forEach(({ index, call }, i) => {
            const answer = answers[i]!
            if (!answer.ok) {
              refused.push({ index, call, refusal: answer })
              return
            }
            if (call.proof) this.#view.settle(call.segment, call.epoch)
            settled[index] = { call, done: answer }
          })
        } catch (error) {
          for (const { index, call } of share) settled[index] = { call, error: error as ForeshardError }
        }
      }),
    )
    return refused.sort((a, b) => a.index - b.index)
  }

  /**
   * Takes in what refusals tell, so that aiming anew is worth it: what they say themselves; else the topology; else
   * the fences of all shards. Waits where nothing has changed, or a hold stands.
   * @throws TOO_MANY_REFUSALS, CLOSED.
   */
  async #learn(refused: readonly Refused[], attempt: number): Promise<void> {
    this.#tell(refused, attempt)
    if (attempt >= this.#tries) throw tooManyRefusals(refused[0]!, attempt, this.#view)
    let heldMs = 0
    let stuck: Refused[] = []
    for (const it of refused) {
      const { call, refusal } = it
      if (refusal.reason === 'held') {
        heldMs = Math.max(heldMs, refusal.retryAfterMs)
        continue
      }
      this.#view.learn(call.shard, refusal.governs, refusal.record)
      if (!this.#isWiser(call)) stuck.push(it)
    }
    if (stuck.length > 0) {
      await this.#search.refresh()
      stuck = stuck.filter(({ call }) => !this.#isWiser(call))
      if (stuck.length > 0) await this.#search.askShards(stuck.map(({ call }) => tagAndBucket(call)))
      stuck = stuck.filter(({ call }) => !this.#isWiser(call))
    }
    const pauseMs = pauseAfter(stuck.length > 0 ? attempt + FOLLOWED_AT_ONCE : attempt)
    // A hold ends at its deadline, not before; those that wait for it do not come back all at once.
    const spreadMs = Math.max(pauseMs, heldMs > 0 ? 1 : 0) * (0.5 + this.#random() / 2)
    if (spreadMs > 0) await this.#sleep(heldMs + spreadMs)
    if (this.#signal.aborted) throw closedError()
  }

  /** The pause before the next try of something that was refused `attempt` times. @throws CLOSED. */
  async pause(attempt: number): Promise<void> {
    const ms = pauseAfter(attempt)
    if (ms > 0) await this.#sleep(ms * (0.5 + this.#random() / 2))
    if (this.#signal.aborted) throw closedError()
  }

  /** Whether the view would now send the call elsewhere, or with something that it lacked. */
  #isWiser(call: Aimed): boolean {
    const next = this.#view.aim(call.key, call.operation)
    return (
      next.shard !== call.shard ||
      next.epoch !== call.epoch ||
      next.segment !== call.segment ||
      next.proof?.ticket !== call.proof?.ticket
    )
  }

  #reaim(call: Aimed): Aimed {
    const next = this.#view.aim(call.key, call.operation)
    if (next.shard !== call.shard || next.epoch !== call.epoch || next.segment !== call.segment) {
      this.#shards.at(next.shard).redirected++
      if (this.#events.listenerCount('redirect') > 0) {
        const { key, segment, epoch } = next
        const [from, to] = [this.#view.shardId(call.shard), this.#view.shardId(next.shard)]
        this.#events.emit('redirect', { key, from, to, segment, epoch })
      }
    }
    return next
  }

  #tell(refused: readonly Refused[], attempt: number): void {
    if (this.#events.listenerCount('refusal') === 0) return
    for (const { call, refusal } of refused) {
      const { key, segment, epoch } = call
      const shard = this.#view.shardId(call.shard)
      this.#events.emit('refusal', { key, shard, segment, epoch, reason: refusal.reason, attempt })
    }
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await this.#clock.sleep(ms, this.#signal)
    } catch {
      throw closedError()
    }
  }
}

/** None after the first few refusals, which as a rule lead to the owner; then longer and longer ones. */
function pauseAfter(attempt: number): number {
  const growth = attempt - FOLLOWED_AT_ONCE
  return growth > 0 ? Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** growth) : 0
}

/** The segment that a tag would be, so that a search finds it also where the view has not heard of it. */
function tagAndBucket({ segment, bucketId, tag }: Aimed) {
  return { segment: isTagSegment(segment) ? segment : (`{${tag}}` as const), bucketId }
}

export function closedError(): ForeshardError {
  return new ForeshardError(ErrorCode.CLOSED, 'the router is closed; open another one')
}

function tooManyRefusals({ call, refusal }: Refused, tries: number, view: View): ForeshardError {
  const shard = view.shardId(call.shard)
  const { governs, record, reason } = refusal
  return new ForeshardError(
    ErrorCode.TOO_MANY_REFUSALS,
    `no shard served segment ${call.segment} @ ${call.epoch} in ${tries} tries; the last, ${shard}, answered ` +
      `${reason}: ${governs} is ${record.state} @ ${record.epoch} there${record.peer ? `, peer ${record.peer}` : ''}`,
    { shard },
  )
}
