import { createHash } from 'node:crypto'
import { murmur3 } from '../../placement/hash'
import { type RetainedName, retainedName } from '../retained-name'

/**
 * How records are laid out in one LMDB database, in the order of their first byte. Numbers are big-endian, so that
 * their order is the order of the keys.
 *
 *     0 name                                      the ledger's own: identity, totals
 *     1 bucket:4                                  a bucket's ticket, standing export and next log
 *     2 bucket:4                                  the fence of a bucket
 *     3 bucket:4 tag                              the fence of a tag
 *     4 bucket:4 hash(tag):4 key                  an entry
 *     5 bucket:4 log:4 seq:8                      a change: its key and tag
 *     6 bucket:4 log:4 key                        the seq of a key's last change
 *     7 expiry:8 bucket:4 hash(tag):4 key         entries by their expiry
 *     8 bucket:4 log:4                            logs that were cleared, to be taken away
 *     9 revision:8                                a change of a topology
 *    10 sha256(segment, shard, epoch)             what is retained of a topology's segments
 *    11 number:8                                  a finished resharding of a topology
 */
export const KEY_PREFIX_BYTES = 17
export const MAX_LMDB_KEY_BYTES = 1978

const LONGEST_TAG_IN_A_KEY = 1024

export function ownKey(name: string): Buffer {
  return Buffer.from(`\0${name}`)
}

export function bucketKey(kind: 1 | 2, bucketId: number): Buffer {
  return prefix(kind, bucketId, 0)
}

export function tagFenceKey(bucketId: number, tag: string): Buffer {
  const bytes = Buffer.byteLength(tag)
  // A tag that no key could hold stands there by its hash; its row tells its name.
  if (bytes > LONGEST_TAG_IN_A_KEY)
    return Buffer.concat([prefix(3, bucketId, 0), Buffer.of(0xff), createHash('sha256').update(tag).digest()])
  const key = prefix(3, bucketId, bytes)
  key.write(tag, 5)
  return key
}

export function entryKey(bucketId: number, tagHash: number, key: string): Buffer {
  const buffer = prefix(4, bucketId, 4 + Buffer.byteLength(key))
  buffer.writeUInt32BE(tagHash, 5)
  buffer.write(key, 9)
  return buffer
}

export function keyOfEntryKey(buffer: Buffer): string {
  return buffer.toString('utf8', 9, buffer.length)
}

export function tagHashOf(tag: string): number {
  return murmur3(tag)
}

export function logKey(bucketId: number, log: number, seq: number): Buffer {
  const buffer = prefix(5, bucketId, 12)
  buffer.writeUInt32BE(log, 5)
  writeUInt64(buffer, seq, 9)
  return buffer
}

export function logIndexKey(bucketId: number, log: number, key: string): Buffer {
  const buffer = prefix(6, bucketId, 4 + Buffer.byteLength(key))
  buffer.writeUInt32BE(log, 5)
  buffer.write(key, 9)
  return buffer
}

export function clearedLogKey(bucketId: number, log: number): Buffer {
  const buffer = prefix(8, bucketId, 4)
  buffer.writeUInt32BE(log, 5)
  return buffer
}

export function expiryKey(expiresAt: number, bucketId: number, tagHash: number, key: string): Buffer {
  const buffer = Buffer.allocUnsafe(KEY_PREFIX_BYTES + Buffer.byteLength(key))
  buffer[0] = 7
  writeUInt64(buffer, expiryTick(expiresAt), 1)
  buffer.writeUInt32BE(bucketId, 9)
  buffer.writeUInt32BE(tagHash, 13)
  buffer.write(key, 17)
  return buffer
}

export function revisionKey(kind: 9 | 11, revision: number): Buffer {
  const buffer = Buffer.alloc(9, kind)
  writeUInt64(buffer, revision, 1)
  return buffer
}

/** A tag may be longer than a key. */
export function retainedKey(entry: RetainedName): Buffer {
  return Buffer.concat([Buffer.of(10), createHash('sha256').update(retainedName(entry)).digest()])
}

/** Expiries up to `now`, as a range. */
export function expiredRange(now: number): { start: Buffer; end: Buffer } {
  const end = Buffer.alloc(9, 7)
  writeUInt64(end, expiryTick(now) + 1, 1)
  return { start: Buffer.of(7), end }
}

/** Every record whose key begins with these bytes. */
export function within(start: Buffer): { start: Buffer; end: Buffer } {
  const end = Buffer.from(start)
  let at = end.length - 1
  while (end[at] === 0xff) at--
  end[at]!++
  return { start, end: end.subarray(0, at + 1) }
}

export function prefixOf(kind: number, bucketId?: number, more?: number): Buffer {
  if (bucketId === undefined) return Buffer.of(kind)
  const buffer = prefix(kind, bucketId, more === undefined ? 0 : 4)
  if (more !== undefined) buffer.writeUInt32BE(more, 5)
  return buffer
}

/** The first key after this one. */
export function justAfter(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)])
}

export function readUInt64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4)
}

function prefix(kind: number, bucketId: number, more: number): Buffer {
  const buffer = Buffer.allocUnsafe(5 + more)
  buffer[0] = kind
  buffer.writeUInt32BE(bucketId, 1)
  return buffer
}

function writeUInt64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

function expiryTick(expiresAt: number): number {
  return Math.min(Math.max(0, Math.ceil(expiresAt)), Number.MAX_SAFE_INTEGER - 1)
}
