import { ErrorCode, ForeshardError } from '../errors'
import type { Answer, Call, ShardStore } from '../shard-store'

/** What the next cutover of a store comes to. */
export type CutoverFailure = 'unavailable' | 'refused' | 'unknown'

/** What tests ask a store to do once, or so many times. */
export interface Steering {
  /** By key: operations that are still to be refused. */
  readonly refusals: Map<string, number>
  readonly cutovers: CutoverFailure[]
}

/** Of an operation that is refused because it was asked for. */
const RETRY_AFTER_MS = 10

/** A store that does what it always does, but for what a test has asked of it. */
export function steeredStore(store: ShardStore, { refusals, cutovers }: Steering): ShardStore {
  const refused = async (call: Call): Promise<Answer> => {
    const [listing] = await store.fences([{ segment: call.segment, bucketId: call.bucketId }])
    const { record } = listing!
    return { ok: false, reason: 'held', governs: call.segment, record, retryAfterMs: RETRY_AFTER_MS }
  }
  const isRefused = ({ key }: Call): boolean => {
    const left = refusals.get(key) ?? 0
    if (left <= 0) return false
    refusals.set(key, left - 1)
    return true
  }
  const steered: Partial<ShardStore> = {
    execute: async (calls) => {
      const doomed = calls.map(isRefused)
      if (!doomed.includes(true)) return store.execute(calls)
      const served = await store.execute(calls.filter((_, i) => !doomed[i]))
      return Promise.all(calls.map((call, i) => (doomed[i] ? refused(call) : served.shift()!)))
    },
    step: async (at, command) => {
      const failure = command.step === 'cutover' ? cutovers.shift() : undefined
      if (failure === undefined) return store.step(at, command)
      if (failure === 'refused') return { ok: false, record: (await store.fences([at]))[0]!.record }
      if (failure === 'unknown') {
        await store.step(at, command)
        throw new Error('the reply to the cutover was lost, as a test had asked')
      }
      throw new ForeshardError(ErrorCode.SHARD_UNAVAILABLE, 'the cutover did not arrive, as a test had asked')
    },
  }
  return new Proxy(store, {
    get(target, name) {
      const member = steered[name as keyof ShardStore] ?? Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
