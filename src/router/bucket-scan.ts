import { ErrorCode, ForeshardError } from '../errors'
import { type FenceRecord, NO_FENCE } from '../placement/fence'
import { bucketSegment, type SegmentId, tagSegment } from '../placement/segment'
import type { Entry } from '../shard-store'
import type { OwnerSearch } from './owner-search'
import { meaningOf, type ShardSet } from './shard-set'
import type { View } from './view'

export interface BucketScanOptions {
  readonly view: View
  readonly shards: ShardSet
  readonly search: OwnerSearch
  readonly tries: number
  /** Pauses before the next try, where asking again at once would be of no use. Rejects when the router closes. */
  readonly pause: (attempt: number) => Promise<void>
  /** Entries a page. */
  readonly pageKeys: number
  readonly pageBytes: number
  /** Default 'values'. */
  readonly want?: 'values' | 'keys'
}

/** A segment's owner, by the owner's own word: the shard, and the fence as it stood when it was asked. */
export interface Owner {
  readonly shard: number
  readonly record: FenceRecord
}

/**
 * Lists the keys of one bucket and of all tags carved out of it, each once, while any of them may move, be carved out or
 * be merged.
 *
 * A scan of a segment counts only if all of its pages were read at one epoch: then it held every key of the segment that
 * lived throughout, because no tag joins or leaves a segment without raising its epoch. A segment that moved meanwhile
 * is scanned anew, with the keys already listed left out. The bucket's scan covers every tag but those carved out of it
 * at that epoch, each of which is scanned as its own segment; one that turns out to be merged has the bucket scanned
 * again. The union covers every tag, so that no key is missing; the set of listed keys sees to it that none comes twice.
 */
export class BucketScan {
  readonly #bucketId: number
  readonly #options: BucketScanOptions
  readonly #listed = new Set<string>()
  #attempts = 0

  constructor(bucketId: number, options: BucketScanOptions) {
    this.#bucketId = bucketId
    this.#options = options
  }

  /** Pages of entries that were not listed before. `owner`: of the bucket, where that is known from its fence. */
  async *pages(owner?: Owner): AsyncGenerator<Entry[]> {
    const home = bucketSegment(this.#bucketId)
    const scannedTags = new Set<string>()
    /** Tags that no scan has covered yet; undefined before the bucket's own. */
    let uncovered: Set<string> | undefined
    for (;;) {
      if (uncovered === undefined) {
        const at: Owner | undefined = owner ?? (await this.#ownerOf(home))
        owner = undefined
        if (at && (yield* this.#scan(home, at)))
          uncovered = new Set([...at.record.carved].filter((tag) => !scannedTags.has(tag)))
        continue
      }
      const [tag] = uncovered
      if (tag === undefined) return
      const at = await this.#ownerOf(tagSegment(tag))
      if (!at) uncovered = undefined
      else if (yield* this.#scan(tagSegment(tag), at)) {
        scannedTags.add(tag)
        uncovered.delete(tag)
      }
    }
  }

  /** All pages of a segment at one epoch; false where it changed hands in between. */
  async *#scan(segment: SegmentId, { shard, record }: Owner): AsyncGenerator<Entry[], boolean> {
    const { shards, view, pageKeys, pageBytes, want = 'values' } = this.#options
    const at = { segment, bucketId: this.#bucketId }
    let cursor: string | undefined
    do {
      const { id } = shards.at(shard)
      const store = shards.serving(shard)
      const as = { role: 'owner', epoch: record.epoch } as const
      const page = await store
        .scan({ ...at, as, want, cursor, limit: pageKeys, maxBytes: pageBytes })
        .catch((error) => {
          throw meaningOf(error, id, false)
        })
      if (!page.ok) {
        view.learn(shard, segment, page.record)
        await this.#tryAgain(segment)
        return false
      }
      const fresh = page.entries.filter(({ key }) => !this.#listed.has(key))
      for (const { key } of fresh) this.#listed.add(key)
      if (fresh.length > 0) yield fresh
      cursor = page.next
    } while (cursor !== undefined)
    this.#attempts = 0
    return true
  }

  /** Asks the presumed owner for its fence until one admits to it; undefined for a tag that is no segment any more. */
  async #ownerOf(segment: SegmentId): Promise<Owner | undefined> {
    const { view, shards, search } = this.#options
    const home = bucketSegment(this.#bucketId)
    const at = { segment, bucketId: this.#bucketId }
    for (;;) {
      const place = view.placeOf(segment)
      if (!place) return undefined
      const { id } = shards.at(place.shard)
      const store = shards.serving(place.shard)
      const wanted = segment === home ? [at] : [at, { segment: home, bucketId: this.#bucketId }]
      const records = await search.fences(place.shard, wanted).catch((error) => {
        throw meaningOf(error, id, false)
      })
      const record = records.get(segment) ?? NO_FENCE
      if (record.state === 'owned') return { shard: place.shard, record }
      const proof = view.proofFor(segment)
      if (record.state === 'importing' && proof?.ticket === record.ticket && proof.epoch === record.epoch) {
        // The source has committed; whoever can prove it may tell the target.
        const answer = await store.step(at, { step: 'activate', proof }).catch((error) => {
          throw meaningOf(error, id, false)
        })
        if (answer.ok) {
          view.settle(segment, proof.epoch)
          continue
        }
      }
      const next = view.placeOf(segment)
      if (next?.shard === place.shard) {
        await search.refresh()
        if (view.placeOf(segment)?.shard === place.shard) await search.askShards([at])
      }
      await this.#tryAgain(segment)
    }
  }

  async #tryAgain(segment: SegmentId): Promise<void> {
    const { tries, pause } = this.#options
    if (++this.#attempts >= tries)
      throw new ForeshardError(
        ErrorCode.TOO_MANY_REFUSALS,
        `segment ${segment} could not be listed in ${tries} tries: its owner changed every time`,
      )
    await pause(this.#attempts)
  }
}
