import { type FenceRecord, NO_FENCE, type Proof, proofOf } from '../placement/fence'
import { bucketSegment, isTagSegment, type SegmentId, type ShardId, tagOfSegment } from '../placement/segment'
import type { Assigned } from './known-topology'

/**
 * What to do with a bucket and its tags after a shard lost state: pure. The rule: the newest complete copy owns the segment,
 * at an epoch above all that anyone can have heard of; everybody else gives it up first. A shard that lost nothing is
 * always right, and only its exports to one that did are ended.
 */

/** What is known of one bucket. */
export interface Evidence {
  readonly bucketId: number
  /** Fences by shard. Of a shard that is not here nothing is known but what the topology says. */
  readonly fences: ReadonlyMap<ShardId, ReadonlyMap<SegmentId, FenceRecord>>
  /** The bucket and its tags as the topology has them; it may lag behind the fences. */
  readonly assigned: ReadonlyMap<SegmentId, Assigned>
  /** Shards that have lost state: their fences are those of an earlier time, or none. */
  readonly lost: ReadonlySet<ShardId>
}

/** Steps in the order in which they must be taken. Where one is refused, the evidence has changed: look again. */
export type Remedy = { readonly shard: ShardId; readonly segment: SegmentId } & (
  | { readonly step: 'activate'; readonly proof: Proof }
  | { readonly step: 'abort'; readonly epoch: number }
  | { readonly step: 'discard' }
  | { readonly step: 'purge'; readonly epoch: number }
  | {
      readonly step: 'restore'
      readonly epoch: number
      /** '': this shard is the owner. */
      readonly peer: ShardId
      readonly seq: number
      readonly intact: boolean
      readonly carved: readonly string[]
    }
)

/**
 * latest: the owner's own copy; the last writes may be missing. former: the copy of the owner before; what was written since
 * then is missing. older: an older copy, or a part of one, was all there was. everything: there was nothing.
 */
export type Loss = 'latest' | 'former' | 'older' | 'everything'

export interface Salvage {
  readonly remedies: readonly Remedy[]
  /** Whose the segments are that begin anew, when all steps are taken. undefined: the tag is inside its bucket. */
  readonly owners: readonly {
    readonly segment: SegmentId
    readonly shard: ShardId | undefined
    readonly epoch: number
  }[]
  readonly losses: readonly { readonly segment: SegmentId; readonly shard: ShardId; readonly loss: Loss }[]
  /** Shards that lost nothing contradict each other, or the topology: nothing is done. */
  readonly conflict?: string
}

/** Owners that a segment may have had, and writes that it may have seen, in what was lost: nobody knows of later ones. */
const EPOCH_GAP = 1_000
const SEQ_GAP = 2 ** 32

/** Who has the right to a segment, and what its copy is worth. */
interface Custody {
  readonly shard: ShardId
  /** stands: it owns it. committed: it will when it is shown `proof`. restored: its copy is the newest there is. */
  readonly how: 'stands' | 'committed' | 'restored'
  readonly epoch: number
  readonly record: FenceRecord
  readonly proof?: Proof
  readonly loss?: Loss
  /** Of a copy: the epoch as of which it is complete; half an epoch more where it was written to at that epoch. */
  readonly freshness: number
}

export function salvage(evidence: Evidence): Salvage {
  try {
    return new Bucket(evidence).salvage()
  } catch (error) {
    if (!(error instanceof Conflict)) throw error
    return { remedies: [], owners: [], losses: [], conflict: error.message }
  }
}

/** Whether the fences of a shard contradict nobody: it may have been restarted, but has lost no step that matters. */
export function isWhole(evidence: Evidence, shard: ShardId): boolean {
  const bucket = new Bucket({ ...evidence, lost: new Set() })
  return bucket.segments().every((segment) => bucket.isConsistent(segment, shard))
}

class Conflict extends Error {}

class Bucket {
  readonly #evidence: Evidence
  readonly #home: SegmentId
  readonly #remedies: Remedy[] = []
  readonly #owners: Salvage['owners'][number][] = []
  readonly #losses: Salvage['losses'][number][] = []
  /** Above all epochs and seqs of which there is evidence. */
  readonly #epoch: number
  readonly #seq: number

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    this.#home = bucketSegment(evidence.bucketId)
    let epoch = 0
    let seq = 0
    for (const assigned of evidence.assigned.values()) epoch = Math.max(epoch, assigned.epoch)
    for (const records of evidence.fences.values())
      for (const record of records.values()) {
        epoch = Math.max(epoch, record.epoch)
        seq = Math.max(seq, record.seq)
      }
    this.#epoch = epoch + EPOCH_GAP
    this.#seq = seq + SEQ_GAP
  }

  /** The bucket, then every tag of which there is a trace. */
  segments(): SegmentId[] {
    const { fences, assigned } = this.#evidence
    const tags = new Set<SegmentId>()
    for (const segment of assigned.keys()) if (isTagSegment(segment)) tags.add(segment)
    for (const records of fences.values())
      for (const [segment, record] of records) {
        if (isTagSegment(segment)) tags.add(segment)
        else if (record.state !== 'none') for (const tag of record.carved) tags.add(`{${tag}}`)
      }
    return [this.#home, ...tags]
  }

  salvage(): Salvage {
    const [home, ...tags] = this.segments()
    const bucket = this.#custodyOf(home!)
    if (!bucket) return { remedies: [], owners: [], losses: [] }
    const carved = new Map<SegmentId, Custody>()
    for (const tag of tags) {
      const custody = this.#custodyOf(tag)
      const own = this.#isOwn(tag, custody, bucket)
      if (own) carved.set(tag, own)
      else if (custody?.loss && bucket.record.carved.has(tagOfSegment(tag)!))
        this.#losses.push({ segment: tag, shard: bucket.shard, loss: 'everything' })
    }
    const names = [...carved.keys()].map((tag) => tagOfSegment(tag)!)
    this.#settle(home!, bucket, names)
    for (const tag of tags) {
      const custody = carved.get(tag)
      if (custody) this.#settle(tag, custody, [])
      else this.#fold(tag, bucket)
    }
    for (const shard of this.#evidence.lost) this.#raise(shard, bucket, names)
    const order = (it: Remedy) => ORDER.indexOf(it.step === 'restore' && it.peer === '' ? 'own' : it.step)
    this.#remedies.sort((a, b) => order(a) - order(b))
    return { remedies: this.#remedies, owners: this.#owners, losses: this.#losses }
  }

  isConsistent(segment: SegmentId, shard: ShardId): boolean {
    const { fences } = this.#evidence
    const record = this.#record(shard, segment)
    const claim = this.#claim(segment)
    if (record.state === 'owned') {
      const rivals = [...fences].filter(
        ([other, records]) => other !== shard && records.get(segment)?.state === 'owned',
      )
      if (rivals.some(([, records]) => records.get(segment)!.epoch >= record.epoch)) return false
      return record.epoch >= (claim?.epoch ?? 0)
    }
    if (claim?.shard !== shard) return true
    const proof = this.#lastCommit(segment)
    const waits = record.state === 'importing' && record.ticket === proof?.ticket
    // A tag that was folded back since is inside its bucket, whose epoch is higher.
    const folded = isTagSegment(segment) && this.#record(shard, this.#home).epoch > claim.epoch
    return record.epoch > claim.epoch || (record.epoch === claim.epoch && waits) || folded
  }

  #record(shard: ShardId, segment: SegmentId): FenceRecord {
    return this.#evidence.fences.get(shard)?.get(segment) ?? NO_FENCE
  }

  /** Whose the segment is by the highest epoch of which there is evidence. */
  #claim(segment: SegmentId): Assigned | undefined {
    const { fences, assigned } = this.#evidence
    let claim = assigned.get(segment)
    for (const [shard, records] of fences) {
      const record = records.get(segment)
      if (!record || (record.state !== 'owned' && record.state !== 'moved')) continue
      if (record.epoch < (claim?.epoch ?? 0)) continue
      // Of equals the owner's own word.
      if (record.epoch === claim?.epoch && record.state === 'moved') continue
      claim = { shard: record.state === 'owned' ? shard : record.peer, epoch: record.epoch }
    }
    return claim
  }

  #carvedByTopology(): ReadonlySet<string> {
    return new Set([...this.#evidence.assigned.keys()].filter(isTagSegment).map((tag) => tagOfSegment(tag)!))
  }

  #lastCommit(segment: SegmentId): Proof | undefined {
    let last: Proof | undefined
    for (const records of this.#evidence.fences.values()) {
      const proof = proofOf(records.get(segment) ?? NO_FENCE)
      if (proof && proof.epoch > (last?.epoch ?? 0)) last = proof
    }
    return last
  }

  #custodyOf(segment: SegmentId): Custody | undefined {
    const { fences, lost } = this.#evidence
    const claim = this.#claim(segment)
    const whole = [...fences].filter(
      ([shard, records]) => !lost.has(shard) && records.get(segment)?.state === 'owned',
    )
    if (whole.length > 1)
      throw new Conflict(`${segment} is owned by ${whole.map(([shard]) => shard).join(' and ')}`)
    const [owner] = whole
    if (owner) {
      const [shard, records] = owner
      const record = records.get(segment)!
      if (claim!.epoch > record.epoch)
        throw new Conflict(
          `${segment} is owned by ${shard} @ ${record.epoch}, and moved on @ ${claim!.epoch}`,
        )
      return { shard, how: 'stands', epoch: record.epoch, record, freshness: record.epoch + 0.5 }
    }
    if (claim && !lost.has(claim.shard)) {
      const { shard, epoch } = claim
      if (!fences.has(shard)) {
        const record = { ...NO_FENCE, epoch, carved: this.#carvedByTopology() }
        return { shard, how: 'stands', epoch, record, freshness: epoch + 0.5 }
      }
      const record = this.#record(shard, segment)
      const proof = this.#lastCommit(segment)
      const waits = proof?.epoch === epoch && record.state === 'importing' && record.ticket === proof.ticket
      if (waits && record.epoch === epoch)
        return { shard, how: 'committed', epoch, record, proof, freshness: epoch + 0.5 }
    }
    return this.#newestCopy(segment, claim)
  }

  #newestCopy(segment: SegmentId, claim: Assigned | undefined): Custody | undefined {
    const { fences, lost } = this.#evidence
    let best: Custody | undefined
    const offer = (shard: ShardId, record: FenceRecord, freshness: number, loss: Loss) => {
      if (best && best.freshness >= freshness) return
      best = { shard, how: 'restored', epoch: this.#epoch, record, loss, freshness }
    }
    for (const [shard, records] of fences) {
      const record = records.get(segment)
      if (!record) continue
      const isNewest = record.epoch >= (claim?.epoch ?? 0)
      if (record.state === 'owned') offer(shard, record, record.epoch + 0.5, isNewest ? 'latest' : 'older')
      else if (record.intact) offer(shard, record, record.epoch, isNewest ? 'former' : 'older')
    }
    if (best) return best
    const record = claim && this.#record(claim.shard, segment)
    if (claim && record && !lost.has(claim.shard) && record.epoch <= claim.epoch) {
      // A tag may have been folded back without a word.
      if (isTagSegment(segment)) return undefined
      throw new Conflict(`${segment} is not to be found on ${claim.shard}, which has had it @ ${claim.epoch}`)
    }
    for (const [shard, records] of fences) {
      const it = records.get(segment)
      if (it?.state === 'importing') offer(shard, it, NO_COPY + 1 - 1 / it.epoch, 'older')
    }
    if (claim) offer(claim.shard, record!, NO_COPY, 'everything')
    return best
  }

  /** Whether a tag goes on as a segment of its own, and who has it; else it is inside its bucket. */
  #isOwn(tag: SegmentId, custody: Custody | undefined, bucket: Custody): Custody | undefined {
    const contained = !bucket.record.carved.has(tagOfSegment(tag)!)
    if (bucket.how !== 'restored') {
      if (contained) return undefined
      if (custody) return custody
      const record = this.#record(bucket.shard, tag)
      const { shard } = bucket
      return { shard, how: 'restored', epoch: this.#epoch, record, loss: 'everything', freshness: NO_COPY }
    }
    if (custody?.how !== 'restored') return custody
    // By where its keys are.
    const inBucket = contained ? bucket.freshness : NO_COPY
    return custody.freshness > inBucket ? custody : undefined
  }

  #settle(segment: SegmentId, custody: Custody, carved: readonly string[]): void {
    const { fences, lost } = this.#evidence
    const { shard: owner, how, epoch, record } = custody
    const kept = how === 'restored' ? carved : [...record.carved]
    if (how === 'committed')
      this.#remedies.push({ shard: owner, segment, step: 'activate', proof: custody.proof! })
    // A copy on a shard that lost state may lack what it had acknowledged.
    if (record.export !== 0 && (how === 'restored' || lost.has(record.peer)))
      this.#remedies.push({ shard: owner, segment, step: 'abort', epoch: record.epoch })
    for (const [shard, records] of fences) {
      const it = records.get(segment)
      if (!it || shard === owner) continue
      if (it.state === 'importing' && (how === 'restored' || lost.has(shard)))
        this.#remedies.push({ shard, segment, step: 'discard' })
      if (it.state === 'owned')
        this.#remedies.push({
          shard,
          segment,
          step: 'restore',
          epoch,
          peer: owner,
          seq: 0,
          intact: false,
          carved: kept,
        })
    }
    if (how !== 'restored') return
    this.#owners.push({ segment, shard: owner, epoch })
    const loss = custody.loss!
    if (loss === 'everything' && record.state !== 'none' && record.state !== 'importing')
      this.#remedies.push({ shard: owner, segment, step: 'purge', epoch: record.epoch })
    const { intact } = record
    const seq = this.#seq
    this.#remedies.push({ shard: owner, segment, step: 'restore', epoch, peer: '', seq, intact, carved })
    this.#losses.push({ segment, shard: owner, loss })
  }

  /** The tag is no segment: who thinks that it is gives it up. */
  #fold(tag: SegmentId, bucket: Custody): void {
    const { fences, lost, assigned } = this.#evidence
    for (const [shard, records] of fences) {
      const { state } = records.get(tag) ?? NO_FENCE
      if (state === 'importing' && (lost.has(shard) || bucket.how === 'restored'))
        this.#remedies.push({ shard, segment: tag, step: 'discard' })
      // The owner of the bucket makes history of it by itself.
      if (state !== 'owned' || shard === bucket.shard) continue
      const { shard: peer, epoch } = bucket
      const carved = [...bucket.record.carved]
      this.#remedies.push({
        shard,
        segment: this.#home,
        step: 'restore',
        epoch,
        peer,
        seq: 0,
        intact: false,
        carved,
      })
    }
    if (bucket.how === 'restored' && assigned.has(tag))
      this.#owners.push({ segment: tag, shard: undefined, epoch: bucket.epoch })
  }

  /**
   * Tickets were lost, too: a request of a time that is over might be taken for a new one. Any step here makes the shard
   * refuse it.
   */
  #raise(shard: ShardId, { shard: peer, epoch }: Custody, carved: readonly string[]): void {
    const segment = this.#home
    if (!this.#evidence.fences.has(shard) || this.#remedies.some((it) => it.shard === shard)) return
    if (this.#record(shard, segment).state !== 'moved')
      this.#remedies.push({ shard, segment, step: 'discard' })
    else
      this.#remedies.push({
        shard,
        segment,
        step: 'restore',
        epoch,
        peer,
        seq: 0,
        intact: false,
        carved,
      })
  }
}

/** Freshness of what is no complete copy. */
const NO_COPY = -2
/**
 * An import is given up before the owner may serve: the other order gives two owners. Shards that lost state serve nobody
 * until all is done; they point to the owner only when there is one.
 */
const ORDER: readonly string[] = ['activate', 'abort', 'discard', 'purge', 'own', 'restore']
