import { ErrorCode, ForeshardError, invalid, isForeshardError } from '../errors'
import { type KeyRules, OWN_PREFIX } from '../placement/key'
import type { ShardId } from '../placement/segment'
import type { Answer, CommandSet, ShardStore } from '../shard-store'
import type { Aimed, View } from './view'

/** A shard as this router uses it. */
export interface Shard {
  readonly id: ShardId
  /** undefined: the topology knows the shard, but this router was not given its store. */
  store: ShardStore | undefined
  /** As which the store answered when this router opened it last. */
  incarnation: string
  /** As which it may serve: the topology knows it so, and its fences were compared. */
  admitted: string
  /** Operations that were answered. */
  reads: number
  writes: number
  refused: number
  held: number
  /** Operations that came here because another shard pointed here. */
  redirected: number
  errors: number
}

/** The stores of a router, by the view's index of their shards, and what they allow together. */
export class ShardSet {
  /** Called where a store turns out not to be what was opened, and whenever one that serves nobody yet is asked for. */
  onMismatch: (shard: ShardId) => void = () => {}
  readonly #view: View
  readonly #shards: Shard[] = []
  #keyRules: KeyRules
  #maxValueBytes: number

  constructor(
    view: View,
    limits: { maxKeyBytes?: number; maxValueBytes?: number; reservedPrefix?: string } = {},
  ) {
    this.#view = view
    const maxBytes = limits.maxKeyBytes ?? Number.POSITIVE_INFINITY
    this.#keyRules = { maxBytes, nul: true, reserved: [limits.reservedPrefix ?? OWN_PREFIX] }
    this.#maxValueBytes = limits.maxValueBytes ?? Number.POSITIVE_INFINITY
  }

  /** The strictest of the stores decides, or a key could not move between them. */
  get keyRules(): KeyRules {
    return this.#keyRules
  }

  get maxValueBytes(): number {
    return this.#maxValueBytes
  }

  /** The shard whose store cannot keep what can expire, if there is one. */
  get withoutTtl(): ShardId | undefined {
    return this.#shards.find(({ store }) => store && !store.supports.ttl)?.id
  }

  /** The shard whose store does not run these commands, if there is one. */
  without(commands: CommandSet): ShardId | undefined {
    return this.#shards.find(({ store }) => store && store.supports.commands !== commands)?.id
  }

  /** `incarnation`: as which the store was opened; it serves when it is admitted. */
  add(id: ShardId, store: ShardStore, incarnation: string): void {
    const shard = this.at(this.#view.indexOf(id))
    shard.store = store
    shard.incarnation = incarnation
    const { maxKeyBytes, maxValueBytes, nulInKeys, reservedPrefixes = [] } = store.supports
    const known = this.#keyRules.reserved ?? []
    this.#keyRules = {
      maxBytes: Math.min(this.#keyRules.maxBytes, maxKeyBytes),
      nul: this.#keyRules.nul && nulInKeys,
      reserved: [...known, ...reservedPrefixes.filter((its) => !known.some((it) => its.startsWith(it)))],
    }
    this.#maxValueBytes = Math.min(this.#maxValueBytes, maxValueBytes)
  }

  at(index: number): Shard {
    const shard = this.#shards[index]
    if (shard) return shard
    for (let i = this.#shards.length; i <= index; i++)
      this.#shards.push({
        id: this.#view.shardId(i),
        store: undefined,
        incarnation: '',
        admitted: '',
        reads: 0,
        writes: 0,
        refused: 0,
        held: 0,
        redirected: 0,
        errors: 0,
      })
    return this.#shards[index]!
  }

  /** The store of a shard, by the name of the shard. */
  store(id: ShardId): ShardStore | undefined {
    return this.#shards.find((shard) => shard.id === id)?.store
  }

  /** Of a shard that is not here: its store may not be used now, and why. */
  refusal(id: ShardId): ForeshardError | undefined {
    const shard = this.#shards.find((it) => it.id === id)
    return shard?.store && !isAdmitted(shard) ? this.#suspended(id) : undefined
  }

  /** The store of a shard that may serve. @throws SHARD_UNAVAILABLE. */
  serving(index: number): ShardStore {
    const shard = this.at(index)
    if (!shard.store) throw noStore(shard.id)
    if (!isAdmitted(shard)) throw this.#suspended(shard.id)
    return shard.store
  }

  /** Whoever noticed the restart first need not have told of it. */
  #suspended(shard: ShardId): ForeshardError {
    this.onMismatch(shard)
    return suspended(shard)
  }

  *[Symbol.iterator](): IterableIterator<[index: number, shard: Shard]> {
    for (let i = 0; i < this.#shards.length; i++) yield [i, this.#shards[i]!]
  }

  /** Sends calls to the shard that they are all meant for. Rejects with what the failure means to the caller. */
  async execute(calls: readonly Aimed[]): Promise<Answer[]> {
    const shard = this.at(calls[0]!.shard)
    const store = this.serving(calls[0]!.shard)
    let answers: Answer[]
    try {
      answers = await store.execute(calls)
      if (answers?.length !== calls.length) throw new Error('the store did not answer every call')
    } catch (error) {
      shard.errors += calls.length
      if (isForeshardError(error, ErrorCode.SHARD_MISMATCH)) this.onMismatch(shard.id)
      throw meaningOf(error, shard.id, calls.some(isWrite))
    }
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!
      if (!answer.ok) shard[answer.reason === 'held' ? 'held' : 'refused']++
      else if (isWrite(calls[i]!)) shard.writes++
      else shard.reads++
    }
    return answers
  }

  /** Closes every store, all of them also where one fails; rejects with the first failure. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.#shards.map(async ({ store }) => store?.close()))
    const failed = closed.find((it) => it.status === 'rejected')
    if (failed) throw failed.reason
  }
}

function isWrite({ operation }: Aimed): boolean {
  return (
    operation.kind === 'set' ||
    operation.kind === 'delete' ||
    (operation.kind === 'commands' && operation.writes)
  )
}

export function noStore(shard: ShardId): ForeshardError {
  return new ForeshardError(
    ErrorCode.SHARD_UNAVAILABLE,
    `shard ${shard} is part of the topology, but this router was not given its store; call addShard(${JSON.stringify(shard)}, store)`,
    { shard },
  )
}

export function incarnationOf({ store, incarnation }: Shard): string {
  return store?.incarnation ?? incarnation
}

/** What is asked of the store itself cannot be out of date: others of this process may have opened it anew. */
export function isAdmitted(shard: Shard): boolean {
  return incarnationOf(shard) === shard.admitted
}

function suspended(shard: ShardId): ForeshardError {
  return new ForeshardError(
    ErrorCode.SHARD_UNAVAILABLE,
    `shard ${shard} came back as another than it was; it serves again when its fences have been compared`,
    { shard },
  )
}

/** Codes by which a store says that nothing happened. */
const WITHOUT_EFFECT: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.SHARD_UNAVAILABLE,
  ErrorCode.SHARD_FULL,
  ErrorCode.SHARD_MISMATCH,
  ErrorCode.SHARD_IN_USE,
  ErrorCode.INVALID_ARGUMENT,
  ErrorCode.INVALID_KEY,
  ErrorCode.INVALID_VALUE,
])

/**
 * What the failure of a store means: nothing happened where it says so; a read never has an effect; a write of which
 * anything else is heard may have been applied or not, and is never repeated.
 */
export function meaningOf(error: unknown, shard: ShardId, write: boolean): ForeshardError {
  const message = error instanceof Error ? error.message : String(error)
  if (isForeshardError(error) && WITHOUT_EFFECT.has(error.code)) {
    // It will serve again, as soon as it is known for what it is.
    const code = error.code === ErrorCode.SHARD_MISMATCH ? ErrorCode.SHARD_UNAVAILABLE : error.code
    if (error.shard !== undefined && code === error.code) return error
    const { field } = error
    return new ForeshardError(code, `shard ${shard}: ${message}`, { field, shard, cause: error })
  }
  if (write)
    return new ForeshardError(
      ErrorCode.OUTCOME_UNKNOWN,
      `shard ${shard} failed while it wrote (${message}); the write may or may not have been applied: read before you repeat it`,
      { shard, cause: error },
    )
  return new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, `shard ${shard} did not answer: ${message}`, {
    shard,
    cause: error,
  })
}

/** Refuses what is not a shard store, before it is used. */
export function checkStore(store: unknown, field: string): asserts store is ShardStore {
  const given = store as Partial<ShardStore> | null | undefined
  if (typeof given?.execute !== 'function' || typeof given.open !== 'function' || !given.supports)
    throw invalid(
      field,
      'is not a shard store; give memoryStore(), lmdbStore(…), redisStore(client) or the like',
    )
}
