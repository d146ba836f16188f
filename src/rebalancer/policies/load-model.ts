import type { Placement } from '../../placement/assignment'
import { bucketSegment, type SegmentId, tagSegment } from '../../placement/segment'
import type { Objective } from '../../predictor/prediction'
import type { PastInterval } from '../replay/interval'

/** Of the newest transactions so many are looked at. */
const MOST_TRANSACTIONS = 50_000

/** Something that can be moved on its own: a segment, or a tag that would first be carved out of its bucket. */
export interface Unit {
  readonly segment: SegmentId
  readonly tags: readonly number[]
  /** Load per interval. */
  readonly loads: Float64Array
  readonly load: number
  shard: number
}

/**
 * What a mover believes: who is accessed how much in which interval, and together with whom. Answers what J would
 * change if a unit moved, and carries the move out, both without evaluating J anew.
 */
export class LoadModel {
  readonly units: Unit[] = []
  readonly total: number
  readonly #objective: Objective
  readonly #shards: number
  readonly #capacities: Float64Array
  readonly #intervals: number
  /** shard · intervals + interval -> load. */
  readonly #shardLoads: Float64Array
  readonly #totals: Float64Array
  readonly #tagShard: number[] = []
  /** tag -> its transactions. */
  readonly #transactionsOf: number[][] = []
  readonly #ends: number[] = []
  readonly #touched: number[] = []
  readonly #multiKey: number
  readonly #tags: { name: string; loads: Float64Array }[] = []

  constructor(
    readonly placement: Placement,
    loads: readonly PastInterval[],
    transactions: readonly PastInterval[],
    objective: Objective,
  ) {
    this.#objective = objective
    const shards = placement.shards
    const shardIndex = new Map(shards.map((shard, i) => [shard, i]))
    const capacities = shards.map((shard) => placement.weightOf(shard))
    const capacity = capacities.reduce((sum, weight) => sum + weight, 0)
    this.#shards = shards.length
    // Scaled to a mean of 1, so that load per capacity compares with the mean load of a shard.
    this.#capacities = Float64Array.from(capacities, (weight) => (weight * shards.length) / capacity)
    this.#intervals = loads.length
    this.#shardLoads = new Float64Array(this.#shards * this.#intervals)
    this.#totals = Float64Array.from(loads, (interval) => interval.load)
    this.total = this.#totals.reduce((sum, load) => sum + load, 0)

    // Number in the intervals -> number here, which has no gaps.
    const local = new Int32Array(1 + Math.max(highest(loads), highest(transactions))).fill(-1)
    const localOf = (id: number, interval: PastInterval) => {
      if (local[id]! < 0)
        local[id] =
          this.#tags.push({ name: interval.nameOf(id), loads: new Float64Array(this.#intervals) }) - 1
      return local[id]!
    }
    loads.forEach((interval, t) => {
      for (let i = 0; i < interval.ids.length; i++)
        this.#tags[localOf(interval.ids[i]!, interval)]!.loads[t]! += interval.loads[i]!
    })
    let multiKey = 0
    for (let i = transactions.length - 1; i >= 0 && this.#ends.length < MOST_TRANSACTIONS; i--) {
      const interval = transactions[i]!
      multiKey += interval.multiKey
      for (let k = 0, from = 0; k < interval.ends.length; k++) {
        const number = this.#ends.length
        for (; from < interval.ends[k]!; from++) {
          const tag = localOf(interval.touched[from]!, interval)
          this.#touched.push(tag)
          this.#transactionsOf[tag] ??= []
          this.#transactionsOf[tag].push(number)
        }
        this.#ends.push(this.#touched.length)
      }
    }
    this.#multiKey = multiKey

    const members = new Map<SegmentId, number[]>()
    this.#tags.forEach(({ name }, id) => {
      const segment = placement.isCarved(name) ? tagSegment(name) : bucketSegment(placement.bucketOfTag(name))
      const tags = members.get(segment)
      if (tags) tags.push(id)
      else members.set(segment, [id])
    })
    for (const [segment, tags] of members) {
      const shard = shardIndex.get(placement.shardOf(segment))!
      const unit = this.#unit(segment, tags, shard)
      this.units.push(unit)
      for (const tag of tags) this.#tagShard[tag] = shard
      for (let t = 0; t < this.#intervals; t++)
        this.#shardLoads[shard * this.#intervals + t]! += unit.loads[t]!
    }
  }

  get transactions(): number {
    return this.#ends.length
  }

  /** A tag of a unit as a unit of its own. */
  carve(unit: Unit, tag: number): Unit {
    return this.#unit(tagSegment(this.#tags[tag]!.name), [tag], unit.shard)
  }

  /** The hottest tags of a bucket that holds several; none of any other unit. */
  hottestTags(unit: Unit, count: number): Unit[] {
    if (unit.tags.length < 2) return []
    return unit.tags
      .map((tag) => this.carve(unit, tag))
      .sort((a, b) => b.load - a.load)
      .slice(0, count)
  }

  /** Per shard, how much of the imbalance is its doing: by how far it exceeds its share where it is the fullest. */
  blame(): Float64Array {
    const blame = new Float64Array(this.#shards)
    for (let t = 0; t < this.#intervals; t++) {
      if (this.#totals[t] === 0) continue
      let fullest = 0
      for (let s = 1; s < this.#shards; s++) if (this.#fill(s, t) > this.#fill(fullest, t)) fullest = s
      blame[fullest]! += (this.#fill(fullest, t) * this.#shards) / this.#totals[t]! - 1
    }
    return blame
  }

  /** Mean over intervals of max / mean. */
  imbalance(): number {
    const active = this.#active()
    return active ? 1 + this.blame().reduce((sum, share) => sum + share, 0) / active : 1
  }

  /** J after the unit has moved to the shard − J before, its churn priced in. Negative is better. */
  change(unit: Unit, to: number): number {
    const { imbalance, crossing, churn } = this.#objective
    const moved = this.total > 0 ? unit.load / this.total : 0
    return (
      churn * moved + imbalance * this.#imbalanceChange(unit, to) + crossing * this.crossingChange(unit, to)
    )
  }

  /** By how much the share of crossing transactions would change. */
  crossingChange(unit: Unit, to: number): number {
    if (this.#multiKey === 0) return 0
    const own = unit.tags.length > 1 ? new Set(unit.tags) : undefined
    const counted = new Set<number>()
    let change = 0
    for (const tag of unit.tags)
      for (const number of this.#transactionsOf[tag] ?? []) {
        // A transaction over several tags of the unit counts once.
        if (own && counted.has(number)) continue
        if (own) counted.add(number)
        let others = -1
        let apart = false
        for (let i = number === 0 ? 0 : this.#ends[number - 1]!; i < this.#ends[number]! && !apart; i++) {
          const other = this.#touched[i]!
          if (own ? own.has(other) : other === tag) continue
          const shard = this.#tagShard[other]!
          if (others === -1) others = shard
          else if (others !== shard) apart = true
        }
        if (apart || others === -1) continue
        if (others === to) change--
        else if (others === unit.shard) change++
      }
    return change / this.#multiKey
  }

  /** The shard whose keys the unit is accessed with most, other than its own; undefined without any. */
  mostTied(unit: Unit): number | undefined {
    const ties = new Float64Array(this.#shards)
    for (const tag of unit.tags)
      for (const number of this.#transactionsOf[tag] ?? []) {
        const from = number === 0 ? 0 : this.#ends[number - 1]!
        const size = this.#ends[number]! - from
        for (let i = from; i < from + size; i++)
          if (this.#touched[i] !== tag) ties[this.#tagShard[this.#touched[i]!]!]! += 1 / (size - 1)
      }
    let best = -1
    for (let s = 0; s < this.#shards; s++)
      if (s !== unit.shard && ties[s]! > (best < 0 ? ties[unit.shard]! : ties[best]!)) best = s
    return best < 0 ? undefined : best
  }

  move(unit: Unit, to: number): void {
    for (let t = 0; t < this.#intervals; t++) {
      this.#shardLoads[unit.shard * this.#intervals + t]! -= unit.loads[t]!
      this.#shardLoads[to * this.#intervals + t]! += unit.loads[t]!
    }
    for (const tag of unit.tags) this.#tagShard[tag] = to
    unit.shard = to
  }

  /** Takes a carved tag out of the bucket it was part of. */
  split(unit: Unit, carved: Unit): void {
    const rest = this.#unit(
      unit.segment,
      unit.tags.filter((tag) => tag !== carved.tags[0]),
      unit.shard,
    )
    this.units[this.units.indexOf(unit)] = rest
    this.units.push(carved)
  }

  #imbalanceChange(unit: Unit, to: number): number {
    const from = unit.shard
    let change = 0
    for (let t = 0; t < this.#intervals; t++) {
      const load = unit.loads[t]!
      if (load === 0) continue
      let before = 0
      let after = 0
      for (let s = 0; s < this.#shards; s++) {
        const fill = this.#fill(s, t)
        const delta = s === from ? -load : s === to ? load : 0
        if (fill > before) before = fill
        const then = fill + delta / this.#capacities[s]!
        if (then > after) after = then
      }
      change += ((after - before) * this.#shards) / this.#totals[t]!
    }
    const active = this.#active()
    return active ? change / active : 0
  }

  /** Load per capacity of a shard in an interval. */
  #fill(shard: number, t: number): number {
    return this.#shardLoads[shard * this.#intervals + t]! / this.#capacities[shard]!
  }

  #active(): number {
    let active = 0
    for (const total of this.#totals) if (total > 0) active++
    return active
  }

  #unit(segment: SegmentId, tags: number[], shard: number): Unit {
    let loads = this.#tags[tags[0]!]!.loads
    if (tags.length > 1) {
      loads = new Float64Array(this.#intervals)
      for (const tag of tags)
        for (let t = 0; t < this.#intervals; t++) loads[t]! += this.#tags[tag]!.loads[t]!
    }
    return { segment, tags, loads, load: loads.reduce((sum, load) => sum + load, 0), shard }
  }
}

function highest(intervals: readonly PastInterval[]): number {
  let highest = 0
  for (const { ids, touched } of intervals) {
    for (const id of ids) if (id > highest) highest = id
    for (const id of touched) if (id > highest) highest = id
  }
  return highest
}
