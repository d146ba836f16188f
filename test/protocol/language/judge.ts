import type { Clock } from '../../../src/clock'
import { type FenceRecord, proofOf, serves } from '../../../src/placement/fence'
import type { SegmentId, ShardId } from '../../../src/placement/segment'
import { bucketSegment, tagSegment } from '../../../src/placement/segment'
import type { Call, Entry, FenceListing, ReadAs, ShardStore } from '../../../src/shard-store'
import { valueInWords } from './wording'

interface Truth {
  tag: string
  value: string | undefined
  expiresAt: number
}

/**
 * Knows every write that was acknowledged, looks at all shards after every command, and says which invariant of the
 * protocol does not hold. Each breach is told once.
 */
export class Judge {
  readonly #stores: ReadonlyMap<ShardId, ShardStore>
  readonly #clock: Clock
  readonly #truth = new Map<string, Truth>()
  readonly #told = new Set<string>()
  #before = new Map<string, FenceListing>()
  readonly #excused = new Set<ShardId>()

  constructor(stores: ReadonlyMap<ShardId, ShardStore>, clock: Clock) {
    this.#stores = stores
    this.#clock = clock
  }

  acknowledged({ key, tag, operation }: Call): void {
    if (operation.kind === 'set')
      this.#truth.set(key, { tag, value: valueInWords(operation.value), expiresAt: operation.expiresAt })
    else this.#truth.set(key, { tag, value: undefined, expiresAt: 0 })
  }

  /** The shard has lost state and is out of service: what it says does not count, and what it said before neither. */
  excuse(shard: ShardId): void {
    this.#excused.add(shard)
    for (const at of [...this.#before.keys()]) if (at.startsWith(`${shard} `)) this.#before.delete(at)
  }

  /** It was told that acknowledged writes are lost: of what was written until now nothing is expected any more. */
  forgive(): void {
    this.#truth.clear()
  }

  admit(shard: ShardId): void {
    this.#excused.delete(shard)
  }

  async breaches(): Promise<string[]> {
    const found: string[] = []
    const now = new Map<string, FenceListing>()
    for (const [shard, store] of this.#stores)
      for (const listing of this.#excused.has(shard) ? [] : await store.fences())
        now.set(`${shard} ${listing.segment}`, listing)
    for (const [at, { record, bucketTicket }] of now) {
      const before = this.#before.get(at)
      for (const field of ['epoch', 'ticket', 'seq'] as const)
        if (before && record[field] < before.record[field]) found.push(`I6: ${field} of ${at} went back`)
      if (before && bucketTicket < before.bucketTicket)
        found.push(`I6: the bucket's ticket on ${at.split(' ')[0]} went back`)
      if (record.holdUntil !== 0 && record.export === 0) found.push(`I4: a hold without an export on ${at}`)
    }
    this.#before = now
    for (const [key, truth] of this.#truth) found.push(...(await this.#judge(key, truth)))
    const fresh = found.filter((it) => !this.#told.has(it))
    for (const it of fresh) this.#told.add(it)
    return fresh
  }

  async #judge(key: string, { tag, value, expiresAt }: Truth): Promise<string[]> {
    const bucketId = 0
    const owners: string[] = []
    const found: string[] = []
    const expected = expiresAt !== 0 && expiresAt <= this.#clock.now() ? undefined : value
    for (const segment of [bucketSegment(bucketId), tagSegment(tag)])
      for (const [shard, store] of this.#stores) {
        const record = await recordOf(store, segment, bucketId)
        if (!serves(record, record.epoch, tag) || this.#excused.has(shard)) continue
        owners.push(`${shard} as ${segment}`)
        const is = await this.#read(store, segment, key, tag, { role: 'owner', epoch: record.epoch })
        if (is !== expected)
          found.push(
            `I3: ${key} is ${is ?? 'absent'} on its owner ${shard}, and ${expected ?? 'absent'} was acknowledged`,
          )
      }
    if (owners.length > 1) found.push(`I1: ${key} is served by ${owners.join(' and ')}`)
    if (owners.length === 0 && this.#excused.size === 0 && !(await this.#inFlight(key, tag, expected)))
      found.push(`I2: nobody serves ${key}`)
    return found
  }

  /** The commit has happened, and its target holds the complete copy. */
  async #inFlight(key: string, tag: string, expected: string | undefined): Promise<boolean> {
    for (const segment of [bucketSegment(0), tagSegment(tag)])
      for (const store of this.#stores.values()) {
        const proof = proofOf(await recordOf(store, segment, 0))
        const target = proof && this.#stores.get(proof.shard)
        if (!proof || !target) continue
        const there = await recordOf(target, segment, 0)
        if (there.state !== 'importing' || there.epoch !== proof.epoch || there.ticket !== proof.ticket)
          continue
        const as = { role: 'target', ticket: proof.ticket } as const
        if ((await this.#read(target, segment, key, tag, as)) === expected) return true
      }
    return false
  }

  async #read(store: ShardStore, segment: SegmentId, key: string, tag: string, as: ReadAs) {
    const page = await store.scan({
      segment,
      bucketId: 0,
      as,
      want: 'values',
      keys: [{ key, tag }],
      limit: 1,
    })
    const entry: Entry | undefined = page.ok ? page.entries[0] : undefined
    return entry && valueInWords(entry.value!)
  }
}

async function recordOf(store: ShardStore, segment: SegmentId, bucketId: number): Promise<FenceRecord> {
  const [listing] = await store.fences([{ segment, bucketId }])
  return listing!.record
}
