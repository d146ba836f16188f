import type { Clock } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'
import type { SegmentId } from '../placement/segment'
import type { Entry } from '../shard-store'
import type { Copy } from './copy'

type Keys = readonly Pick<Entry, 'key' | 'tag'>[]

/** Two shards may see an entry expire so far apart: their clocks are not the same. */
const CLOCK_SKEW_MS = 5_000

/**
 * Compares the copy with the source, key by key and both ways: a key too many at the target is as wrong as one that
 * is missing. What changed at the source meanwhile is not judged, since the catch-up brings it anyway. A key that
 * differs is copied again; where that does not help the copy cannot be trusted.
 */
export async function verify(segment: SegmentId, copy: Copy, clock: Clock): Promise<void> {
  const suspects = await suspicious(copy, clock)
  while (suspects.length > 0) {
    const different = await differing(copy, suspects.splice(0, copy.batchSize), clock)
    if (different.length === 0) continue
    await copy.again(different)
    const still = await differing(copy, different, clock)
    if (still.length === 0) continue
    const example = JSON.stringify(still[0]!.key.slice(0, 80))
    throw new ForeshardError(
      ErrorCode.VERIFY_FAILED,
      `${segment}: keys differ at the target after they were copied twice, for one ${example}`,
    )
  }
}

/** Keys that did not look the same on both sides, at two different moments. */
async function suspicious(copy: Copy, clock: Clock): Promise<Entry[]> {
  const suspects: Entry[] = []
  let [ours, theirs] = await Promise.all([
    copy.digests('source', undefined),
    copy.digests('target', undefined),
  ])
  if (ours.next === undefined && theirs.next === undefined) {
    const there = byKey(theirs.entries)
    const here = byKey(ours.entries)
    for (const entry of ours.entries) if (!agree(entry, there.get(entry.key), clock)) suspects.push(entry)
    for (const entry of theirs.entries)
      if (!here.has(entry.key) && !agree(undefined, entry, clock)) suspects.push(entry)
    return suspects
  }
  // The two sides list their keys in orders of their own: each page is looked up on the other side.
  for (;;) {
    const there = await copy.digestsOf('target', ours.entries)
    for (const entry of ours.entries) if (!agree(entry, there.get(entry.key), clock)) suspects.push(entry)
    if (ours.next === undefined) break
    ours = await copy.digests('source', ours.next)
  }
  for (;;) {
    const here = await copy.digestsOf('source', theirs.entries)
    for (const entry of theirs.entries)
      if (!here.has(entry.key) && !agree(undefined, entry, clock)) suspects.push(entry)
    if (theirs.next === undefined) break
    theirs = await copy.digests('target', theirs.next)
  }
  return suspects
}

/**
 * Of these keys, those whose copy is not what the source had at n, as the source has them now. The change log is read
 * after the source: a key that is not in it has not changed since n, and must be equal.
 */
async function differing(copy: Copy, suspects: Keys, clock: Clock): Promise<Keys> {
  await copy.catchUp()
  const [digests, there] = await Promise.all([
    copy.digestsOf('source', suspects),
    copy.digestsOf('target', suspects),
  ])
  const changed = await changedSince(copy)
  return suspects.filter(({ key }) => !changed.has(key) && !agree(digests.get(key), there.get(key), clock))
}

async function changedSince(copy: Copy): Promise<Set<string>> {
  const changed = new Set<string>()
  for (let after = copy.seq; ; ) {
    const { changes, seq } = await copy.changesAfter(after)
    for (const change of changes) changed.add(change.key)
    if (changes.length === 0) return changed
    after = changes.at(-1)!.seq
    if (after === seq) return changed
  }
}

function agree(ours: Entry | undefined, theirs: Entry | undefined, clock: Clock): boolean {
  if (ours && theirs) return ours.digest === theirs.digest
  const alone = ours ?? theirs
  return !alone || (alone.expiresAt !== 0 && alone.expiresAt <= clock.now() + CLOCK_SKEW_MS)
}

function byKey(entries: readonly Entry[]): Map<string, Entry> {
  return new Map(entries.map((entry) => [entry.key, entry]))
}
