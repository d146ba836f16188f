import type { Placement } from '../placement/assignment'
import {
  bucketOfSegment,
  bucketSegment,
  type SegmentId,
  tagOfSegment,
  tagSegment,
} from '../placement/segment'
import type { HotTag } from './hot-tags'
import type { Pace } from './pace'
import type { Recorder } from './recorder'

/** Items that are read out between two rests. */
const BLOCK = 32
const NO_LOADS = new Float32Array(0)
/** A tag that is not carved out yet becomes an item if it carries this share of what a shard should. */
const WORTH_CARVING = 0.02
/** A segment with fewer accesses in the log is taken to be as hot as its access score says. */
const THIN = 20
/** A value of unknown size. */
const USUAL_BYTES = 256

/**
 * What there is to place, and how it was used: one item per bucket that was ever accessed, and per tag that is carved
 * out or hot enough to be. Loads of items add up: a bucket's do not hold those of its tags.
 */
export interface Workload {
  readonly segments: readonly SegmentId[]
  /** The bucket's item for a tag, -1 for a bucket. */
  readonly parent: Int32Array
  /** 1 for a segment of its own under the placement; 0 for a tag that lives in its bucket. */
  readonly standing: Uint8Array
  readonly bucketOf: Int32Array
  /** item · intervals + column: loads, oldest interval first, all complete. */
  readonly loads: Float32Array
  readonly intervals: number
  /** Number of the interval of column 0. */
  readonly first: number
  /** Estimates per item, its own only. */
  readonly keys: Float64Array
  readonly bytes: Float64Array
  readonly writeShare: Float64Array
  /** Load of each item over the whole history. */
  readonly sums: Float64Array
}

/** `before`: the interval of now; the history are the complete intervals before it. `rates`: load an interval by access score. */
export async function readWorkload(
  recorder: Recorder,
  placement: Placement,
  before: number,
  rates: ReadonlyMap<SegmentId, number>,
  pace: Pace,
): Promise<Workload> {
  const { series, hot, slotOf } = recorder
  const oldest = series.oldest
  // Where not even one interval is complete, the one under way has to do.
  const end = oldest >= 0 && oldest === before ? before + 1 : before
  // Without a log, access scores stand for one interval of it.
  const known = oldest < 0 || oldest >= end ? end - (rates.size > 0 ? 1 : 0) : oldest
  const first = Math.max(0, known, end - series.history)
  const intervals = Math.max(0, end - first)
  const rows = series.rows(first, first + intervals)

  const carved = new Set(placement.carvedTags)
  const scored = new Set([...rates.keys()].map((segment) => placement.bucketOf(segment)))
  const buckets: number[] = []
  for (let bucket = 0; bucket < slotOf.length; bucket++)
    if (slotOf[bucket]! >= 0 || scored.has(bucket)) buckets.push(bucket)
  const recentLoad = hot.tags.reduce((sum, tag) => sum + tag.load, 0)
  const fair = Math.max(recentLoad, sumOfRecent(recorder)) / placement.shards.length
  const tags = hot.tags.filter(
    (tag) => carved.has(tag.tag) || (tag.load > WORTH_CARVING * fair && sharesItsBucket(recorder, tag)),
  )
  const n = buckets.length + tags.length
  const segments: SegmentId[] = []
  const parent = new Int32Array(n).fill(-1)
  const standing = new Uint8Array(n).fill(1)
  const bucketOf = new Int32Array(n)
  const slots = new Int32Array(n)
  const itemOf = new Map<number, number>()
  for (const bucket of buckets) {
    const item = segments.push(bucketSegment(bucket)) - 1
    itemOf.set(bucket, item)
    bucketOf[item] = bucket
    slots[item] = slotOf[bucket]!
  }
  for (const tag of tags) {
    const item = segments.push(tagSegment(tag.tag)) - 1
    bucketOf[item] = tag.hash % slotOf.length
    parent[item] = itemOf.get(bucketOf[item]!) ?? -1
    standing[item] = carved.has(tag.tag) ? 1 : 0
    slots[item] = tag.slot
  }

  const loads = new Float32Array(n * intervals)
  // Neighbouring slots one after the other: what one of them fetches from every row, the next ones find in the cache.
  const order = Array.from(slots.keys()).sort((a, b) => slots[a]! - slots[b]!)
  const columns = rows.map((row) => row ?? NO_LOADS)
  for (let from = 0; from < n; from += BLOCK) {
    for (let k = from; k < Math.min(n, from + BLOCK); k++) {
      const item = order[k]!
      const slot = slots[item]!
      if (slot < 0) continue
      const at = item * intervals
      for (let t = 0; t < intervals; t++) {
        const row = columns[t]!
        if (slot < row.length) loads[at + t] = row[slot]!
      }
    }
    const rest = pace.rest()
    if (rest) await rest
  }
  tags.forEach((tag, k) => {
    separate(loads, intervals, buckets.length + k, parent[buckets.length + k]!, tag.since - first)
  })

  supplement(loads, intervals, segments, itemOf, rates, placement)
  await pace.rest()

  const keys = new Float64Array(n)
  const bytes = new Float64Array(n)
  const writeShare = new Float64Array(n)
  const totals = recorder.totals
  const meanBytes = sum(totals.sized) > 0 ? sum(totals.bytes) / sum(totals.sized) : USUAL_BYTES
  for (let item = 0; item < n; item++) {
    const slot = slots[item]!
    keys[item] = slot < 0 ? 1 : Math.round(recorder.cardinality.estimate(slot))
    const size = (totals.sized[slot] ?? 0) > 0 ? totals.bytes[slot]! / totals.sized[slot]! : meanBytes
    bytes[item] = keys[item]! * size
    const accesses = (totals.reads[slot] ?? 0) + (totals.writes[slot] ?? 0)
    writeShare[item] = accesses > 0 ? totals.writes[slot]! / accesses : 0
    if (item % 1024 === 0) await pace.rest()
  }
  for (let item = buckets.length; item < n; item++) {
    const bucket = parent[item]!
    if (bucket < 0) continue
    keys[bucket] = Math.max(0, keys[bucket]! - keys[item]!)
    bytes[bucket] = Math.max(0, bytes[bucket]! - bytes[item]!)
  }
  const sums = new Float64Array(n)
  for (let item = 0; item < n; item++) {
    let total = 0
    for (let t = item * intervals; t < (item + 1) * intervals; t++) total += loads[t]!
    sums[item] = total
    if (item % 256 === 0) await pace.rest()
  }
  return { segments, parent, standing, bucketOf, loads, intervals, first, keys, bytes, writeShare, sums }
}

/** The workload as it was after its first `seen` intervals. */
export function oldest(workload: Workload, seen: number, pace: Pace): Promise<Workload> {
  return part(workload, 0, seen, pace)
}

/** The workload of the newest `seen` intervals alone. */
export function newest(workload: Workload, seen: number, pace: Pace): Promise<Workload> {
  return part(workload, workload.intervals - seen, seen, pace)
}

async function part(workload: Workload, from: number, intervals: number, pace: Pace): Promise<Workload> {
  const items = workload.segments.length
  const loads = new Float32Array(items * intervals)
  const sums = new Float64Array(items)
  for (let item = 0; item < items; item++) {
    const at = item * workload.intervals + from
    const row = workload.loads.subarray(at, at + intervals)
    loads.set(row, item * intervals)
    for (const load of row) sums[item]! += load
    if (item % 256 === 0) await pace.rest()
  }
  return { ...workload, loads, sums, intervals, first: workload.first + from }
}

/** Raises segments that the log hardly knows to the rate that their access score stands for. */
function supplement(
  loads: Float32Array,
  intervals: number,
  segments: readonly SegmentId[],
  itemOf: ReadonlyMap<number, number>,
  rates: ReadonlyMap<SegmentId, number>,
  placement: Placement,
): void {
  if (rates.size === 0 || intervals === 0) return
  const tagItems = new Map(segments.map((segment, item) => [segment, item]))
  const due = new Map<number, number>()
  for (const [segment, rate] of rates) {
    const own = tagOfSegment(segment) === undefined ? undefined : tagItems.get(segment)
    const item = own ?? itemOf.get(bucketOfSegment(segment) ?? placement.bucketOf(segment))!
    due.set(item, (due.get(item) ?? 0) + rate)
  }
  for (const [item, rate] of due) {
    let seen = 0
    for (let t = item * intervals; t < (item + 1) * intervals; t++) seen += loads[t]!
    const missing = rate - seen / intervals
    if (seen >= THIN || missing <= 0) continue
    for (let t = item * intervals; t < (item + 1) * intervals; t++) loads[t]! += missing
  }
}

/**
 * Takes a tag's loads out of its bucket's. The tag was followed from column `since` on; before that it is taken to have had
 * the share of its bucket that it has had since.
 */
function separate(loads: Float32Array, intervals: number, tag: number, bucket: number, since: number): void {
  if (bucket < 0) return
  const own = tag * intervals
  const all = bucket * intervals
  const from = Math.min(intervals, Math.max(0, since))
  let mine = 0
  let both = 0
  for (let t = from; t < intervals; t++) {
    mine += loads[own + t]!
    both += loads[all + t]!
  }
  const share = both > 0 ? Math.min(1, mine / both) : 0
  for (let t = 0; t < intervals; t++) {
    if (t < from) loads[own + t] = Math.max(loads[own + t]!, share * loads[all + t]!)
    loads[all + t] = Math.max(0, loads[all + t]! - loads[own + t]!)
  }
}

/** Whether carving the tag out would leave anything behind. */
function sharesItsBucket(recorder: Recorder, tag: HotTag): boolean {
  const slot = recorder.slotOf[tag.hash % recorder.slotOf.length]!
  return slot >= 0 && recorder.cardinality.estimate(slot) > recorder.cardinality.estimate(tag.slot) + 0.5
}

/** Decayed load of all buckets. */
function sumOfRecent(recorder: Recorder): number {
  const { reads, writes } = recorder.totals
  let load = 0
  for (const slot of recorder.slotOf) if (slot >= 0) load += (reads[slot] ?? 0) + (writes[slot] ?? 0)
  return load
}

function sum(values: Float32Array): number {
  let total = 0
  for (const value of values) total += value
  return total
}
