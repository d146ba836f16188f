import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import { mix, murmur3 } from './hash'
import { DEFAULT_BUCKETS, MAX_BUCKETS, type ShardId } from './segment'

export interface ShardWeight {
  id: ShardId
  /** Share of the buckets relative to the others'; default 1. */
  weight?: number
}

export interface HashRingOptions {
  buckets?: number
  /** Virtual points a shard has on the circle. */
  points?: number
}

const RING_FIELDS: Fields<HashRingOptions> = { buckets: true, points: true }
const WEIGHT_FIELDS: Fields<ShardWeight> = { id: true, weight: true }
/** More points than this make joining slow and the spread no better. */
const MOST_POINTS = 1 << 16
/** Every shard that joins looks at every bucket. */
export const MOST_SHARDS = 4_096
/** Weights are shares: sums and quotients of them stay exact enough. */
const LEAST_WEIGHT = 1e-6
const MOST_WEIGHT = 1e6

/**
 * A consistent-hashing ring with bounded loads (Karger et al. 1997; Mirrokni, Thorup, Zadimoghaddam 2018) over
 * buckets instead of keys. Shards join one after the other; the newcomer takes the buckets that lie nearest before
 * its points, from shards that hold more than their share, until it has its own. So every shard holds its share to
 * within one bucket, 1/(n+1) of the buckets move when a shard joins, and none moves between the old ones.
 *
 * Shards given together join in natural order of their names (s2 before s10), so the same set gives the same
 * assignment in every process.
 */
export class HashRing {
  readonly buckets: number
  readonly #points: number
  readonly #shards: Required<ShardWeight>[] = []
  /** bucket -> index into #shards; -1 before the first shard joins. */
  readonly #owner: Int32Array
  #bucketPoints: Uint32Array | undefined

  constructor(shards: readonly (ShardId | ShardWeight)[] = [], options: HashRingOptions = {}) {
    checkFields(options, RING_FIELDS, 'options')
    this.buckets = checkBuckets(options.buckets)
    this.#points = options.points ?? 64
    if (!Number.isInteger(this.#points) || this.#points < 1 || this.#points > MOST_POINTS)
      throw invalid('points', `must be an integer from 1 to ${MOST_POINTS}, not ${shown(this.#points)}`)
    this.#owner = new Int32Array(this.buckets).fill(-1)
    for (const shard of checkShards(shards).sort((a, b) => naturalOrder(a.id, b.id))) this.#join(shard)
  }

  /** The shards in the order in which they joined. */
  get shards(): readonly Readonly<Required<ShardWeight>>[] {
    return this.#shards
  }

  /** Lets a shard join, and returns the buckets that it took. */
  add(id: ShardId, weight = 1): number[] {
    const [shard] = checkShards([{ id, weight }])
    if (this.#shards.some((other) => other.id === id))
      throw invalid('id', `shard ${id} is on the ring already`)
    return this.#join(shard!)
  }

  /** The shard of a bucket. */
  shardOfBucket(bucketId: number): ShardId {
    const owner = this.#owner[bucketId]
    if (owner === undefined) throw invalid('bucketId', `must be an integer from 0 to ${this.buckets - 1}`)
    if (owner < 0) throw invalid('shards', 'the ring has no shards; add one')
    return this.#shards[owner]!.id
  }

  /** The shard of a tag: murmur3(tag) mod buckets, then the bucket's shard. */
  shardOf(tag: string): ShardId {
    if (typeof tag !== 'string') throw invalid('tag', `must be a string, not ${shown(tag)}`)
    return this.shardOfBucket(murmur3(tag) % this.buckets)
  }

  /** The shard of every bucket, as indices into `shards`. A copy. */
  assignment(): Int32Array {
    return this.#owner.slice()
  }

  #join(shard: Required<ShardWeight>): number[] {
    const joined = this.#shards.push(shard) - 1
    if (joined === 0) {
      this.#owner.fill(0)
      return Array.from(this.#owner, (_, bucket) => bucket)
    }
    const donors = takeFrom(this.#owner, this.#shards, joined)
    let wanted = donors.reduce((sum, count) => sum + count, 0)
    const distances = this.#distancesTo(shard.id)
    const taken: number[] = []
    // The nearest few suffice as a rule, and are cheap to sort; only where their owners have no surplus, all are.
    const near = -Math.log(Math.max(1e-9, 1 - (4 * wanted) / this.buckets)) * (2 ** 32 / this.#points)
    for (const reach of [near, Number.POSITIVE_INFINITY]) {
      for (const bucket of nearest(distances, reach)) {
        const from = this.#owner[bucket]!
        if (from === joined || !donors[from]) continue
        donors[from]!--
        wanted--
        this.#owner[bucket] = joined
        taken.push(bucket)
      }
      if (wanted === 0) break
    }
    return taken
  }

  /** bucket -> how far it lies before the nearest of the shard's points, clockwise. */
  #distancesTo(id: ShardId): Uint32Array {
    const base = murmur3(id)
    const points = Uint32Array.from({ length: this.#points }, (_, i) => mix(base, i)).sort()
    this.#bucketPoints ??= Uint32Array.from(this.#owner, (_, bucket) => bucketPoint(bucket))
    return this.#bucketPoints.map((at) => ((points[lowerBound(points, at)] ?? points[0]!) - at) >>> 0)
  }
}

/** The buckets within `reach`, the nearest first, ties by number. */
function nearest(distances: Uint32Array, reach: number): number[] {
  // Sorted as floats distance · length + bucket: exact below 2^53, and typed arrays sort natively.
  const order = new Float64Array(distances.length)
  let n = 0
  for (let bucket = 0; bucket < distances.length; bucket++)
    if (distances[bucket]! < reach) order[n++] = distances[bucket]! * distances.length + bucket
  return Array.from(order.subarray(0, n).sort(), (value) => value % distances.length)
}

/** Where a bucket lies on the circle: the same for every ring, whatever its shards. */
function bucketPoint(bucket: number): number {
  return mix(0x5f0e, bucket)
}

function lowerBound(sorted: Uint32Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * How many buckets the last of `shards` takes from each of the others: as many as its share of the weights, one by
 * one from whoever then has most for its weight. Never more than its share to within one bucket.
 */
export function takeFrom(
  owner: Int32Array,
  shards: readonly Required<ShardWeight>[],
  joined: number,
): number[] {
  const held = new Array<number>(shards.length).fill(0)
  for (const index of owner) if (index >= 0) held[index]!++
  const total = shards.reduce((sum, shard) => sum + shard.weight, 0)
  const wanted = Math.round((owner.length * shards[joined]!.weight) / total) - held[joined]!
  const ideal = shards.map((shard) => (owner.length * shard.weight) / total)
  const takes = held.map((count, i) => (i === joined ? 0 : Math.max(0, Math.floor(count - ideal[i]!))))
  let sum = takes.reduce((a, b) => a + b, 0)
  const surplus = (i: number) => (held[i]! - takes[i]!) / shards[i]!.weight
  const others = shards.map((_, i) => i).filter((i) => i !== joined)
  while (sum < wanted) {
    const most = others.reduce((a, b) => (surplus(b) > surplus(a) ? b : a))
    takes[most]!++
    sum++
  }
  while (sum > wanted) {
    const least = others.filter((i) => takes[i]! > 0).reduce((a, b) => (surplus(b) < surplus(a) ? b : a))
    takes[least]!--
    sum--
  }
  return takes
}

/** Numbers inside names compare as numbers; ties by code unit. Independent of the locale. */
export function naturalOrder(a: string, b: string): number {
  const x = a.match(/\d+|\D+/g) ?? []
  const y = b.match(/\d+|\D+/g) ?? []
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const numeric = /^\d/.test(x[i]!) && /^\d/.test(y[i]!)
    const difference = numeric ? Number(x[i]) - Number(y[i]) : 0
    if (difference) return difference
    if (!numeric && x[i] !== y[i]) return x[i]! < y[i]! ? -1 : 1
  }
  return x.length - y.length || (a < b ? -1 : a > b ? 1 : 0)
}

export function checkBuckets(buckets: number = DEFAULT_BUCKETS): number {
  if (!Number.isInteger(buckets) || buckets < 1 || buckets > MAX_BUCKETS)
    throw invalid('buckets', `must be an integer from 1 to ${MAX_BUCKETS}, not ${shown(buckets)}`)
  return buckets
}

/** Refuses names that no topology could hold, and weights that share nothing out. */
export function checkShards(
  shards: readonly (ShardId | ShardWeight)[],
  field = 'shards',
): Required<ShardWeight>[] {
  if (!Array.isArray(shards)) throw invalid(field, 'must be an array of shard ids or { id, weight }')
  if (shards.length > MOST_SHARDS)
    throw invalid(field, `names ${shards.length} shards; at most ${MOST_SHARDS}`)
  const seen = new Set<string>()
  return shards.map((given, i) => {
    if (typeof given !== 'string') checkFields(given, WEIGHT_FIELDS, `${field}[${i}]`)
    const { id, weight = 1 } = typeof given === 'string' ? { id: given } : given
    if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/.test(id) || id === '__proto__')
      throw invalid(
        `${field}[${i}]`,
        `${shown(id)} is no shard id; use up to 64 letters, digits, "-", "_", "." or ":", a letter or digit first`,
      )
    if (seen.has(id)) throw invalid(`${field}[${i}]`, `shard ${id} is there twice; ids are unique`)
    seen.add(id)
    if (typeof weight !== 'number' || !(weight >= LEAST_WEIGHT && weight <= MOST_WEIGHT))
      throw invalid(
        `${field}[${i}].weight`,
        `must be a positive number, ${LEAST_WEIGHT} to ${MOST_WEIGHT}, not ${shown(weight)}; drain a shard to empty it`,
      )
    return { id, weight }
  })
}
