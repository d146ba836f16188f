import { bucketSegment } from '../placement/segment'
import { hashTag } from '../placement/tag'
import type { Entry } from '../shard-store'
import { BucketScan, type BucketScanOptions, type Owner } from './bucket-scan'

export interface EntryListingOptions extends BucketScanOptions {
  /** Buckets that are read at the same time. */
  readonly concurrency: number
}

/** Buckets whose fences are asked for together. */
const FENCES_AT_ONCE = 1024

/**
 * Pages of all live entries whose keys may start with `prefix`, bucket after bucket, from the bucket `from` on. The next few buckets are read ahead by
 * one page each, so that memory stays bounded whatever their size.
 */
export async function* listEntries(
  prefix: string,
  options: EntryListingOptions,
  from = 0,
): AsyncGenerator<readonly Entry[]> {
  const { view } = options
  // A tag that is written out in the prefix is the tag of every key that starts with it.
  const tag = hashTag(prefix)
  const buckets =
    tag === undefined
      ? Array.from({ length: Math.max(0, view.buckets - from) }, (_, i) => from + i)
      : [view.bucketOfTag(tag)]
  const scans = startScans(buckets, options)
  /** Scans under way, the one that is yielded from first, each with its next page on the way. */
  const ahead: { pages: AsyncGenerator<Entry[]>; next: Promise<IteratorResult<Entry[]>> }[] = []
  try {
    for (;;) {
      while (ahead.length < options.concurrency) {
        const scan = await scans.next()
        if (scan.done) break
        ahead.push({ pages: scan.value, next: advance(scan.value) })
      }
      const first = ahead[0]
      if (!first) return
      const page = await first.next
      if (page.done) ahead.shift()
      else {
        first.next = advance(first.pages)
        yield page.value
      }
    }
  } finally {
    for (const { pages } of ahead) pages.return(undefined).catch(() => {})
  }
}

/** The next page; a failure is noticed when it is waited for, not before. */
function advance(pages: AsyncGenerator<Entry[]>): Promise<IteratorResult<Entry[]>> {
  const next = pages.next()
  next.catch(() => {})
  return next
}

async function* startScans(
  buckets: Iterable<number>,
  options: EntryListingOptions,
): AsyncGenerator<AsyncGenerator<Entry[]>, void> {
  let group: number[] = []
  for (const bucketId of buckets) {
    group.push(bucketId)
    if (group.length < FENCES_AT_ONCE) continue
    yield* startGroup(group, options)
    group = []
  }
  yield* startGroup(group, options)
}

/** Asks for the fences of many buckets with one request a shard, instead of one a bucket. */
async function* startGroup(group: readonly number[], options: EntryListingOptions) {
  const { view, search } = options
  const asked = new Map<number, number[]>()
  for (const bucketId of group) {
    const { shard } = view.placeOf(bucketSegment(bucketId))!
    const there = asked.get(shard)
    if (there) there.push(bucketId)
    else asked.set(shard, [bucketId])
  }
  const owners = new Map<number, Owner>()
  await Promise.all(
    [...asked].map(async ([shard, bucketIds]) => {
      const segments = bucketIds.map((bucketId) => ({ segment: bucketSegment(bucketId), bucketId }))
      try {
        const records = await search.fences(shard, segments)
        for (const { segment, bucketId } of segments) {
          const record = records.get(segment)
          if (record?.state === 'owned') owners.set(bucketId, { shard, record })
        }
      } catch {
        // Each bucket asks for itself then, and fails by itself if it must.
      }
    }),
  )
  for (const bucketId of group) yield new BucketScan(bucketId, options).pages(owners.get(bucketId))
}
