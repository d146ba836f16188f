import { ErrorCode, ForeshardError, invalid } from '../../errors'
import type {
  Change,
  Changes,
  ChangesRequest,
  Entry,
  EraseAnswer,
  EraseRequest,
  IngestRequest,
  Page,
  ScanRequest,
  StepAnswer,
} from '../../shard-store'
import { entryDigest } from '../entry-digest'
import { bytesOf, wholeMs } from './call-batch'
import type { Argument, Reply } from './connection'
import { nameOf, recordOf } from './fence-fields'
import { ERASE_LUA, INGEST_LUA } from './lua/copy'
import { CHANGES_LUA, NAMED_LUA, SCAN_LUA } from './lua/scan'
import { Script } from './script'
import type { ShardServer } from './shard-server'

/** The data side of a handoff: pages, changes, batches and deletions, each cut so that no script blocks for long. */

const SCAN = new Script(SCAN_LUA)
const NAMED = new Script(NAMED_LUA)
const CHANGES = new Script(CHANGES_LUA)
const INGEST = new Script(INGEST_LUA)
const ERASE = new Script(ERASE_LUA)

const KEYS_AT_ONCE = 100
/** Entries of the index that a script passes over, of other segments for instance. */
const PASSED_AT_ONCE = 200
const BYTES_AT_ONCE = 1 << 20
/** Scripts that one page is put together from: a page of few among many keys is short. */
const SCRIPTS_A_PAGE = 16
/** What an entry is that is no string: the payload of DUMP. */
const DUMP = 'redis-dump'

export async function readPage(server: ShardServer, request: ScanRequest): Promise<Page> {
  const { limit, maxBytes = Number.MAX_SAFE_INTEGER, want } = request
  let [after, last] = request.cursor === undefined ? ['0', ''] : parseCursor(request.cursor)
  const entries: Entry[] = []
  let room = maxBytes
  let seq: number | undefined
  for (let scripts = 0; ; ) {
    const keys = Math.min(KEYS_AT_ONCE, limit - entries.length)
    const bytes = Math.min(BYTES_AT_ONCE, room)
    const args = [server.time, nameOf(request.segment), ...readerOf(request), want]
    args.push(String(keys), String(bytes), after, last, String(PASSED_AT_ONCE))
    const reply = (await server.run(SCAN, [server.bucketKey(request.bucketId)], args)) as Reply[]
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    seq ??= Number(reply[0])
    for (let at = 3; at < reply.length; at += 4) {
      room -= (reply[at + 2] as Buffer).byteLength
      entries.push(entryOf(String(reply[at]), String(reply[at + 1]), reply, at + 2, want))
    }
    after = String(reply[1])
    last = String(reply[2])
    if (after === '') return { ok: true, entries, seq, next: undefined }
    if (entries.length >= limit || room <= 0 || ++scripts === SCRIPTS_A_PAGE)
      return { ok: true, entries, seq, next: `${after}.${last}` }
  }
}

export async function readNamed(
  server: ShardServer,
  request: ScanRequest,
  keys: readonly { readonly key: string; readonly tag: string }[],
): Promise<Page> {
  const entries: Entry[] = []
  let seq = 0
  for (let i = 0; i === 0 || i < keys.length; i += KEYS_AT_ONCE) {
    const some = keys.slice(i, i + KEYS_AT_ONCE)
    const args = [server.time, nameOf(request.segment), ...readerOf(request), request.want]
    for (const { tag } of some) args.push(tag)
    const names = [server.bucketKey(request.bucketId), ...some.map(({ key }) => key)]
    const reply = (await server.run(NAMED, names, args)) as Reply[]
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    if (i === 0) seq = Number(reply[0])
    for (let at = 3; at < reply.length; at += 4)
      entries.push(entryOf(String(reply[at]), String(reply[at + 1]), reply, at + 2, request.want))
  }
  return { ok: true, entries, seq, next: undefined }
}

export async function readChanges(server: ShardServer, request: ChangesRequest): Promise<Changes> {
  const { segment, bucketId, ticket, after } = request
  const limit = Math.min(request.limit, KEYS_AT_ONCE)
  const args = [
    server.time,
    nameOf(segment),
    String(ticket),
    String(after),
    String(limit),
    String(BYTES_AT_ONCE),
  ]
  const reply = (await server.run(CHANGES, [server.bucketKey(bucketId)], args)) as Reply[]
  if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
  const changes: Change[] = []
  for (let at = 1; at < reply.length; at += 6) {
    const change = { seq: Number(reply[at]), key: String(reply[at + 1]), tag: String(reply[at + 2]) }
    const meta = reply[at + 3]
    changes.push(
      meta === null
        ? change
        : { ...change, entry: entryOf(change.key, String(meta), reply, at + 4, 'values') },
    )
  }
  return { ok: true, changes, seq: Number(reply[0]) }
}

/** Parts of a batch may be repeated until the last one has counted it: so no key is in it twice. */
export async function ingestBatch(server: ShardServer, request: IngestRequest): Promise<StepAnswer> {
  const { segment, bucketId, epoch, ticket, batch } = request
  const latest = new Map(request.changes.map((change) => [change.key, change]))
  const step = JSON.stringify({ step: 'ingest', epoch, ticket, batch })
  const changes = [...latest.values()]
  for (let from = 0; ; ) {
    const keys: Argument[] = [server.expiriesKey, server.bucketKey(bucketId)]
    const args: Argument[] = [server.time, nameOf(segment), step, '']
    let room = BYTES_AT_ONCE
    let to = from
    for (; to < changes.length && to - from < KEYS_AT_ONCE && room > 0; to++) {
      const { key, tag, entry } = changes[to]!
      keys.push(key)
      if (!entry) {
        args.push(tag, '', '0', '', '')
        continue
      }
      const { format = '' } = entry
      if (format !== '' && format !== DUMP)
        throw new ForeshardError(
          ErrorCode.NOT_SUPPORTED,
          `the entry of ${JSON.stringify(key.slice(0, 80))} has the format ${format}, which Redis cannot read`,
        )
      args.push(tag, String(entry.version), wholeMs(entry.expiresAt), format, bytesOf(entry.value!))
      room -= entry.value!.byteLength
    }
    const last = to === changes.length
    if (last) args[3] = 'last'
    const [ok, fields] = (await server.run(INGEST, keys, args)) as [Reply, Reply]
    if (String(ok) === 'foreign')
      throw invalid(
        'changes',
        `hold a key of tag ${JSON.stringify(String(fields))}, which ${segment} does not contain`,
      )
    const record = recordOf(fields as Reply[])
    if (last || ok === null) return { ok: ok !== null, record }
    from = to
  }
}

export async function eraseSegment(server: ShardServer, request: EraseRequest): Promise<EraseAnswer> {
  const command =
    request.step === 'sweep'
      ? { step: request.step, ticket: request.ticket, empty: false }
      : { step: request.step, epoch: request.epoch }
  const keys = [server.expiriesKey, server.shardKey, server.bucketKey(request.bucketId)]
  let after = '0'
  let deleted = 0
  for (;;) {
    const limit = Math.min(KEYS_AT_ONCE, request.limit - deleted)
    const args = [nameOf(request.segment), JSON.stringify(command), String(limit), after]
    const reply = (await server.run(ERASE, keys, [...args, String(PASSED_AT_ONCE)])) as Reply[]
    const [ok, fields, some, next] = reply as [Reply, Reply[], number, Buffer]
    const record = recordOf(fields)
    if (ok === null) return { ok: false, record }
    deleted += some
    after = String(next)
    if (after === '' || deleted >= request.limit) return { ok: true, deleted, done: after === '', record }
  }
}

function readerOf({ as }: ScanRequest): [role: string, number: string] {
  return [as.role, String(as.role === 'owner' ? as.epoch : as.ticket)]
}

/** From its ':key' field, which tells version, expiry and tag, and from value and format at `at`. */
function entryOf(
  key: string,
  meta: string,
  reply: readonly Reply[],
  at: number,
  want: 'values' | 'digests',
): Entry {
  const [, version, expiry, own] = /^(\d+) (\d+) (.*)$/s.exec(meta)!
  const value = reply[at] as Buffer
  const format = String(reply[at + 1])
  const entry = { key, tag: own === '' ? key : own!, version: Number(version), expiresAt: Number(expiry) }
  if (want === 'digests') return { ...entry, digest: entryDigest(key, value, entry.version, entry.expiresAt) }
  return format === '' ? { ...entry, value } : { ...entry, value, format }
}

function parseCursor(cursor: string): [after: string, last: string] {
  const found = /^(\d{1,16})\.(\d{1,16})$/.exec(cursor)
  if (!found) throw invalid('cursor', 'is not one that this store gave')
  return [found[1]!, found[2]!]
}
