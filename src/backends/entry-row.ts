import type { StoredEntry } from './ledger'

const HAS_TAG = 1
const EXPIRES = 2

/** An entry as bytes: flags:1 version:8 [expiresAt:8] [tag's bytes:4 tag] value. */
export function encodeEntry(
  key: string,
  tag: string,
  value: Uint8Array,
  version: number,
  expiresAt: number,
): Buffer {
  const flags = (tag === key ? 0 : HAS_TAG) | (expiresAt === 0 ? 0 : EXPIRES)
  const tagBytes = flags & HAS_TAG ? Buffer.byteLength(tag) : 0
  const row = Buffer.allocUnsafe(
    9 + (flags & EXPIRES ? 8 : 0) + (flags & HAS_TAG ? 4 + tagBytes : 0) + value.byteLength,
  )
  row[0] = flags
  let at = row.writeDoubleLE(version, 1)
  if (flags & EXPIRES) at = row.writeDoubleLE(expiresAt, at)
  if (flags & HAS_TAG) {
    at = row.writeUInt32LE(tagBytes, at)
    at += row.write(tag, at)
  }
  row.set(value, at)
  return row
}

/** Keeps nothing of `row`, which LMDB overwrites at its next read: the value is a copy. */
export function decodeEntry(key: string, given: Uint8Array): StoredEntry {
  // Of tens of megabytes lmdb shows the bytes where they lie, in an array that is no Buffer.
  const row = Buffer.isBuffer(given) ? given : Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  const flags = row[0]!
  const version = row.readDoubleLE(1)
  let at = 9
  let expiresAt = 0
  if (flags & EXPIRES) {
    expiresAt = row.readDoubleLE(at)
    at += 8
  }
  let tag = key
  if (flags & HAS_TAG) {
    const bytes = row.readUInt32LE(at)
    at += 4
    tag = row.toString('utf8', at, at + bytes)
    at += bytes
  }
  const value = Buffer.allocUnsafe(row.length - at)
  row.copy(value, 0, at, row.length)
  return { key, tag, value, version, expiresAt }
}
