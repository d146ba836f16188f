import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { extname, join } from 'node:path'

const MAGIC = 0xbeefc0de
/** Of the files that lmdb 3.x writes: a page header of 24 bytes, data version 2. */
const VERSION = 2
const META = { magic: 24, version: 28, pageSize: 48, freeRoot: 88, mainRoot: 136, txnId: 152, bytes: 160 }
const LITTLE_ENDIAN_64 = new Set(['x64', 'arm64'])
const NO_ROOT = 0xffff_ffff_ffff_ffffn

/**
 * Says what is wrong with the file of an LMDB environment, or undefined where nothing is, or where there is no file
 * yet. Looked at first because the binding ends the process where it opens a file that is none of its own, or one that
 * was cut off before the roots of its trees. A cut further on is not seen here.
 */
export function faultOfLmdbFile(path: string): string | undefined {
  const file = extname(path) === '' ? join(path, 'data.mdb') : path
  if (!LITTLE_ENDIAN_64.has(process.arch) || !existsSync(file)) return undefined
  const descriptor = openSync(file, 'r')
  try {
    const { size } = fstatSync(descriptor)
    if (size === 0) return undefined
    const first = metaAt(descriptor, 0)
    if (!first) return 'it does not begin as an LMDB file does'
    const pageSize = first.readUInt32LE(META.pageSize)
    const second = metaAt(descriptor, pageSize)
    if (!second) return 'its second page is not that of an LMDB file'
    const newest = second.readBigUInt64LE(META.txnId) > first.readBigUInt64LE(META.txnId) ? second : first
    for (const at of [META.freeRoot, META.mainRoot]) {
      const root = newest.readBigUInt64LE(at)
      if (root !== NO_ROOT && (root + 1n) * BigInt(pageSize) > BigInt(size)) return 'its end is missing'
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}

function metaAt(descriptor: number, position: number): Buffer | undefined {
  const meta = Buffer.alloc(META.bytes)
  if (readSync(descriptor, meta, 0, META.bytes, position) < META.bytes) return undefined
  const fits = meta.readUInt32LE(META.magic) === MAGIC && meta.readUInt32LE(META.version) === VERSION
  return fits && meta.readUInt32LE(META.pageSize) >= 256 ? meta : undefined
}
