import { invalid } from '../../errors'
import type { FenceRecord } from '../../placement/fence'
import type { Entry, ReadAs, SegmentAt } from '../../shard-store'
import { PartedDigest } from '../entry-digest'
import type { Reply } from './connection'
import { nameOf, recordOf } from './fence-fields'
import { PART_LUA } from './lua/scan'
import { Script } from './script'
import type { ShardServer } from './shard-server'

/** Large values, read a part at a time: the parts are described in lua/parts.ts. */

const PART = new Script(PART_LUA)
const SUMS = 2 ** 48
/** What a part is: commands for the key whose value it is a part of. */
const FORMAT = 'redis-parts'

/** A large value that is being read: where its next part begins. */
export interface Unfinished {
  readonly key: string
  readonly tag: string
  readonly kind: string
  readonly at: string
  readonly number: number
  /** When its first part was read. */
  readonly version: number
}

/** In whose name, and of which segment. */
export type Reading = SegmentAt & { readonly as: ReadAs }

/** The part that follows, and what remains; or why there is none: the value is no more what it was. */
export type PartAnswer =
  | { readonly ok: true; readonly seq: number; readonly entry?: Entry; readonly rest?: Unfinished }
  | { readonly ok: false; readonly record: FenceRecord }

export function startOf(key: string, meta: string, kind: string): Unfinished {
  const { tag, version } = metaOf(key, meta)
  return { key, tag, kind, at: '0', number: 0, version }
}

export async function readPart(
  server: ShardServer,
  reading: Reading,
  value: Unfinished,
): Promise<PartAnswer> {
  const reply = await ask(server, reading, 'values', value)
  if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
  const [seq, meta, at, bytes] = [Number(reply[0]), reply[1]!, reply[2], reply[3] as Buffer]
  if (meta === null) return { ok: true, seq }
  const { key, number } = value
  const last = String(at) === ''
  const entry = { key, ...metaOf(key, String(meta)), value: bytes, format: FORMAT, part: { number, last } }
  return { ok: true, seq, entry, rest: last ? undefined : { ...value, at: String(at), number: number + 1 } }
}

/** All parts, for their digest only. */
export async function digestParts(
  server: ShardServer,
  reading: Reading,
  start: Unfinished,
): Promise<PartAnswer> {
  const { key, kind } = start
  let sum = 0
  const bytes = new PartedDigest(key)
  for (let value = start; ; ) {
    const reply = await ask(server, reading, 'digests', value)
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    const [seq, meta, at, part] = [Number(reply[0]), reply[1]!, reply[2], reply[3] as Buffer]
    if (meta === null) return { ok: true, seq }
    if (kind === 'string') bytes.update(part)
    else sum = (sum + Number(part)) % SUMS
    if (String(at) !== '') {
      value = { ...value, at: String(at) }
      continue
    }
    if (kind !== 'string') bytes.update(Buffer.from(`${kind} ${sum}`))
    const about = metaOf(key, String(meta))
    const digest = bytes.digest(about.version, about.expiresAt)
    return { ok: true, seq, entry: { key, ...about, digest } }
  }
}

async function ask(
  server: ShardServer,
  { segment, bucketId, as }: Reading,
  want: 'values' | 'digests',
  { key, tag, kind, at, version }: Unfinished,
): Promise<Reply[]> {
  const number = as.role === 'owner' ? as.epoch : as.ticket
  const ownTag = tag === key ? '' : tag
  const args = [nameOf(segment), as.role, String(number), want, ownTag, kind, at, String(version)]
  return (await server.run(PART, [server.bucketKey(bucketId), key], args)) as Reply[]
}

/** A ':key' field: version, expiry and tag. */
export function metaOf(key: string, meta: string): { tag: string; version: number; expiresAt: number } {
  const [, version, expiry, own] = /^(\d+) (\d+) (.*)$/s.exec(meta)!
  return { tag: own === '' ? key : own!, version: Number(version), expiresAt: Number(expiry) }
}

/** Whether an entry is one that only a value of many parts has. */
export function isPartFormat(format: string): boolean {
  return format === FORMAT
}

export function encodeUnfinished(value: Unfinished): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

export function decodeUnfinished(text: string): Unfinished {
  try {
    const { key, tag, kind, at, number, version } = JSON.parse(
      Buffer.from(text, 'base64url').toString(),
    ) as Unfinished
    if (
      [key, tag, kind, at].every((it) => typeof it === 'string') &&
      [number, version].every(Number.isSafeInteger)
    )
      return { key, tag, kind, at, number, version }
  } catch {
    // Told below.
  }
  throw invalid('cursor', 'is not one that this store gave')
}
