/**
 * Tags, each with its shard and epoch, packed into one array of words: some 30 bytes a tag beside the tag itself, where a
 * Map of objects takes 150. A bag holds the tags that are carved out of one bucket.
 *
 *     0            how many tags
 *     1            words in use
 *     2            log2 of the slots
 *     3 …          slots: 0, or where an entry begins; found from the tag's hash, then the next ones
 *     …            entries: hash, shard, epoch (low, high), length · 2 + (1: two bytes a character), characters
 *
 * Invariant: at most three slots in four are taken. What changes a bag may have to answer another one, with more room.
 */
export type TagBag = Int32Array

const HEAD = 3
const SHARD = 1
const EPOCH = 2
const LENGTH = 4
const TEXT = 5
/** 2^32 divided by the golden ratio: spreads hashes that are alike in their low bits (all those of a bucket). */
const SPREAD = 0x9e3779b1

/** Where the tag's entry begins; 0 where it is not there. `hash` is that of the tag, always by the same rule. */
export function findTag(bag: TagBag, hash: number, tag: string): number {
  const bits = bag[2]!
  const last = (1 << bits) - 1
  const wanted = hash | 0
  for (let slot = Math.imul(wanted, SPREAD) >>> (32 - bits); ; slot = (slot + 1) & last) {
    const at = bag[HEAD + slot]!
    if (at === 0 || (bag[at] === wanted && isTag(bag, at, tag))) return at
  }
}

export function shardAt(bag: TagBag, at: number): number {
  return bag[at + SHARD]!
}

export function epochAt(bag: TagBag, at: number): number {
  return (bag[at + EPOCH]! >>> 0) + bag[at + EPOCH + 1]! * 0x1_0000_0000
}

export function setPlace(bag: TagBag, at: number, shard: number, epoch: number): void {
  bag[at + SHARD] = shard
  bag[at + EPOCH] = epoch
  bag[at + EPOCH + 1] = Math.floor(epoch / 0x1_0000_0000)
}

export function countOf(bag: TagBag): number {
  return bag[0]!
}

/** Where the entries begin, one after the other. */
export function* entriesOf(bag: TagBag): IterableIterator<number> {
  for (let at = HEAD + (1 << bag[2]!); at < bag[1]!; at += sizeAt(bag, at)) yield at
}

export function tagAt(bag: TagBag, at: number): string {
  const length = bag[at + LENGTH]! >>> 1
  const perWord = bag[at + LENGTH]! & 1 ? 2 : 4
  let tag = ''
  const codes: number[] = []
  for (let i = 0; i < length; i++) {
    const word = bag[at + TEXT + Math.floor(i / perWord)]!
    codes.push(perWord === 2 ? (word >>> ((i & 1) * 16)) & 0xffff : (word >>> ((i & 3) * 8)) & 0xff)
    if (codes.length < 1024 && i + 1 < length) continue
    tag += String.fromCharCode.apply(undefined, codes)
    codes.length = 0
  }
  return tag
}

/** The bag with one tag more, which is not in it. The given one may be the one that is answered. */
export function addTag(
  bag: TagBag | undefined,
  hash: number,
  tag: string,
  shard: number,
  epoch: number,
): TagBag {
  const meta = tag.length * 2 + (isWide(tag) ? 1 : 0)
  const size = sizeOf(meta)
  const count = (bag?.[0] ?? 0) + 1
  let bits = bag?.[2] ?? 1
  if (count * 4 > 3 << bits) bits++
  let wider = bag
  if (!wider || bits !== wider[2] || wider[1]! + size > wider.length) {
    const words = (bag ? bag[1]! - (1 << bag[2]!) : HEAD) + (1 << bits) + size
    // A quarter more than is needed, so that the next ones need no copy; the first one of a bucket often stays alone.
    wider = remade(bag, bits, count === 1 ? words : words + (words >> 2))
  }
  const at = wider[1]!
  wider[at] = hash
  setPlace(wider, at, shard, epoch)
  wider[at + LENGTH] = meta
  write(wider, at + TEXT, tag, meta & 1)
  wider[0] = count
  wider[1] = at + size
  place(wider, at)
  return wider
}

/** Another bag without the tag whose entry begins there; undefined: nothing is left. */
export function withoutTag(bag: TagBag, at: number): TagBag | undefined {
  const count = bag[0]! - 1
  if (count === 0) return undefined
  const next = new Int32Array(bag[1]! - sizeAt(bag, at))
  const end = at + sizeAt(bag, at)
  next.set(bag.subarray(0, at))
  next.set(bag.subarray(end, bag[1]!), at)
  next[0] = count
  next[1] = next.length
  index(next)
  return next
}

/** The same with no room to spare; the given one where it has none. */
export function trimmed(bag: TagBag): TagBag {
  return bag[1] === bag.length ? bag : bag.slice(0, bag[1])
}

export function haveSame(a: TagBag | undefined, b: TagBag | undefined): boolean {
  if (a === b) return true
  if (a?.[0] !== b?.[0] || !a || !b) return false
  for (const at of entriesOf(a)) {
    const there = findTag(b, a[at]!, tagAt(a, at))
    if (there === 0 || shardAt(a, at) !== shardAt(b, there) || epochAt(a, at) !== epochAt(b, there))
      return false
  }
  return true
}

function remade(bag: TagBag | undefined, bits: number, words: number): TagBag {
  const next = new Int32Array(words)
  const start = HEAD + (1 << bits)
  next[0] = bag?.[0] ?? 0
  next[1] = start
  next[2] = bits
  if (!bag) return next
  const from = HEAD + (1 << bag[2]!)
  next.set(bag.subarray(from, bag[1]!), start)
  next[1] = start + bag[1]! - from
  index(next)
  return next
}

/** Fills the slots anew. */
function index(bag: TagBag): void {
  bag.fill(0, HEAD, HEAD + (1 << bag[2]!))
  for (let at = HEAD + (1 << bag[2]!); at < bag[1]!; at += sizeAt(bag, at)) place(bag, at)
}

function place(bag: TagBag, at: number): void {
  const bits = bag[2]!
  const last = (1 << bits) - 1
  let slot = Math.imul(bag[at]!, SPREAD) >>> (32 - bits)
  while (bag[HEAD + slot] !== 0) slot = (slot + 1) & last
  bag[HEAD + slot] = at
}

function sizeAt(bag: TagBag, at: number): number {
  return sizeOf(bag[at + LENGTH]!)
}

function sizeOf(meta: number): number {
  return TEXT + (((meta & 1 ? (meta >>> 1) * 2 : meta >>> 1) + 3) >>> 2)
}

function isWide(tag: string): boolean {
  for (let i = 0; i < tag.length; i++) if (tag.charCodeAt(i) > 0xff) return true
  return false
}

function write(bag: TagBag, from: number, tag: string, wide: number): void {
  const [perWord, bits] = wide ? [2, 16] : [4, 8]
  for (let i = 0, at = from; i < tag.length; at++) {
    let word = 0
    for (let shift = 0; shift < perWord * bits && i < tag.length; shift += bits)
      word |= tag.charCodeAt(i++) << shift
    bag[at] = word
  }
}

function isTag(bag: TagBag, at: number, tag: string): boolean {
  const meta = bag[at + LENGTH]!
  const { length } = tag
  if (meta >>> 1 !== length) return false
  let word = at + TEXT
  let i = 0
  let any = 0
  if (meta & 1) {
    for (; i + 1 < length; i += 2, word++)
      if (bag[word] !== (tag.charCodeAt(i) | (tag.charCodeAt(i + 1) << 16))) return false
    return i === length || bag[word] === tag.charCodeAt(i)
  }
  for (; i + 3 < length; i += 4, word++) {
    const a = tag.charCodeAt(i)
    const b = tag.charCodeAt(i + 1)
    const c = tag.charCodeAt(i + 2)
    const d = tag.charCodeAt(i + 3)
    any |= a | b | c | d
    if (bag[word] !== (a | (b << 8) | (c << 16) | (d << 24))) return false
  }
  let rest = 0
  for (let shift = 0; i < length; i++, shift += 8) {
    any |= tag.charCodeAt(i)
    rest |= tag.charCodeAt(i) << shift
  }
  // A character above 0xff may add up to the same word.
  return any <= 0xff && ((length & 3) === 0 || bag[word] === rest)
}
