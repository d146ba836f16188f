import { tagOfSegment } from '../placement/segment'
import type { Family } from './basis'
import type { Candidate } from './candidate'
import type { Draft, DraftInput } from './draft'
import type { Recorder } from './recorder'

/** A prediction that waits for its horizon to pass. Its items are slots of the series, and after these its tags. */
export interface Pending {
  readonly start: number
  readonly horizon: number
  readonly weights: readonly number[]
  /** bucket slot -> shard before the moves, -1 for none. */
  readonly slots: Int16Array
  /** Tags that are followed by themselves, before the moves. */
  readonly tags: readonly { tag: string; hash: number; shard: number }[]
  /** What every family would have moved. */
  readonly plans: readonly { readonly family: Family; readonly moves: readonly PendingMove[] }[]
  /** Whose plan was chosen, if any, and the raw scores of its moves and of the whole. */
  readonly chosen?: {
    readonly family: Family
    readonly moves: readonly number[]
    readonly map: number
    /** What J was expected to fall by; absent in snapshots of old. */
    readonly gain?: number
  }
}

export interface PendingMove {
  readonly items: readonly number[]
  readonly from: number
  readonly to: number
}

/** What is to be remembered of a prediction until its horizon is over. */
export function pendingOf(
  { series, hot, slotOf }: Recorder,
  { workload, shardOf, weights, horizon }: DraftInput,
  { candidates }: Draft,
  choice: Candidate | undefined,
  start: number,
): Pending {
  const slots = new Int16Array(series.slots).fill(-1)
  const tags: Pending['tags'][number][] = []
  const numberOf = workload.segments.map((segment, item) => {
    const tag = tagOfSegment(segment)
    if (tag !== undefined)
      return slots.length + tags.push({ tag, hash: hot.find(tag)!.hash, shard: shardOf[item]! }) - 1
    const slot = slotOf[workload.bucketOf[item]!]!
    if (slot >= 0) slots[slot] = shardOf[item]!
    return slot
  })
  return {
    start,
    horizon,
    weights,
    slots,
    tags,
    plans: candidates.map(({ family, moves }) => ({
      family,
      moves: moves.map(({ items, from, to }) => ({
        items: items.map((item) => numberOf[item]!).filter((number) => number >= 0),
        from,
        to,
      })),
    })),
    chosen: choice?.judgement && {
      family: choice.family,
      moves: choice.moves.map(({ raw }) => raw),
      map: choice.judgement.whole.probability,
      gain: choice.judgement.whole.gain,
    },
  }
}
