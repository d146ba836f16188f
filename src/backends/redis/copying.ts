import { ErrorCode, ForeshardError, invalid, shown } from '../../errors'
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
import {
  decodeUnfinished,
  digestParts,
  encodeUnfinished,
  isPartFormat,
  metaOf,
  type Reading,
  readPart,
  startOf,
  type Unfinished,
} from './value-parts'

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
/** What an entry is that is no string: the payload of DUMP, or some elements of a collection as they are now. */
const WHOLE = ['', 'redis-dump']
const ELEMENTS = 'redis-elements'

/** Of entries with something in them. */
type CopyRequest = ScanRequest & { readonly want: 'values' | 'digests' }

export async function readPage(server: ShardServer, request: CopyRequest): Promise<Page> {
  const { limit, maxBytes = Number.MAX_SAFE_INTEGER, want } = request
  let { after, last, value } = request.cursor === undefined ? BEGINNING : parseCursor(request.cursor)
  const entries: Entry[] = []
  let room = maxBytes
  let seq: number | undefined
  const page = (next: string | undefined): Page => ({ ok: true, entries, seq: seq ?? 0, next })
  for (let scripts = 0; ; ) {
    if (value) {
      const answer = await readLarge(server, request, want, value)
      if (!answer.ok) return answer
      seq ??= answer.seq
      if (answer.entry) entries.push(answer.entry)
      value = answer.rest
      if (answer.entry?.part || after === '' || entries.length >= limit)
        return page(cursorOf(after, last, value))
    }
    const keys = Math.min(KEYS_AT_ONCE, limit - entries.length)
    const bytes = Math.min(BYTES_AT_ONCE, room)
    const args = [server.time, nameOf(request.segment), ...readerOf(request), want]
    args.push(String(keys), String(bytes), after, last, String(PASSED_AT_ONCE), partly(request))
    const reply = (await server.run(SCAN, [server.bucketKey(request.bucketId)], args)) as Reply[]
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    seq ??= Number(reply[0])
    value = largeOf(reply)
    if (!value)
      for (let at = 3; at < reply.length; at += 4) {
        room -= (reply[at + 2] as Buffer).byteLength
        entries.push(entryOf(String(reply[at]), String(reply[at + 1]), reply, at + 2, want))
      }
    after = String(reply[1])
    last = String(reply[2])
    // A part begins a page of its own.
    if (value && want === 'values' && entries.length > 0) return page(cursorOf(after, last, value))
    if (value) continue
    if (after === '') return page(undefined)
    if (entries.length >= limit || room <= 0 || ++scripts === SCRIPTS_A_PAGE)
      return page(cursorOf(after, last, undefined))
  }
}

export async function readNamed(
  server: ShardServer,
  request: CopyRequest,
  keys: readonly { readonly key: string; readonly tag: string }[],
): Promise<Page> {
  const { want } = request
  const entries: Entry[] = []
  const begun = request.cursor === undefined ? undefined : parseCursor(request.cursor)
  let i = begun ? Number(begun.after) : 0
  let value = begun?.value
  let seq: number | undefined
  const page = (next: string | undefined): Page => ({ ok: true, entries, seq: seq ?? 0, next })
  do {
    if (value) {
      const answer = await readLarge(server, request, want, value)
      if (!answer.ok) return answer
      seq ??= answer.seq
      if (answer.entry) entries.push(answer.entry)
      value = answer.rest
      if (value || (answer.entry?.part && i < keys.length)) return page(cursorOf(String(i), '0', value))
      continue
    }
    const some = keys.slice(i, i + KEYS_AT_ONCE)
    const args = [server.time, nameOf(request.segment), ...readerOf(request), want, partly(request)]
    for (const { tag } of some) args.push(tag)
    const names = [server.bucketKey(request.bucketId), ...some.map(({ key }) => key)]
    const reply = (await server.run(NAMED, names, args)) as Reply[]
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    seq ??= Number(reply[0])
    i += Number(reply[1])
    value = largeOf(reply)
    if (!value)
      for (let at = 3; at < reply.length; at += 4)
        entries.push(entryOf(String(reply[at]), String(reply[at + 1]), reply, at + 2, want))
    else if (want === 'values' && entries.length > 0) return page(cursorOf(String(i), '0', value))
  } while (i < keys.length || value)
  return page(undefined)
}

function readLarge(server: ShardServer, reading: Reading, want: 'values' | 'digests', value: Unfinished) {
  return want === 'values' ? readPart(server, reading, value) : digestParts(server, reading, value)
}

/** A digest is always read in parts: what it is summed over takes no room. */
function partly({ want, parts }: { want?: 'values' | 'digests'; parts?: boolean }): string {
  return parts || want === 'digests' ? '1' : ''
}

/** The large value that a page begins with, if it does. */
function largeOf(reply: readonly Reply[]): Unfinished | undefined {
  return typeof reply[5] === 'number'
    ? startOf(String(reply[3]), String(reply[4]), String(reply[6]))
    : undefined
}

export async function readChanges(server: ShardServer, request: ChangesRequest): Promise<Changes> {
  const { segment, bucketId, ticket, cursor } = request
  const limit = Math.min(request.limit, KEYS_AT_ONCE)
  const { after } = request
  let large: { seq: number; value: Unfinished } | undefined
  if (cursor !== undefined) {
    const { after: seq, value } = parseCursor(cursor)
    if (value) large = { seq: Number(seq), value }
  }
  for (;;) {
    if (large) {
      const { seq, value } = large
      const answer = await readPart(server, { segment, bucketId, as: { role: 'source', ticket } }, value)
      if (!answer.ok) return answer
      if (answer.entry) {
        const { key, tag } = value
        const changes = [{ seq, key, tag, entry: answer.entry }]
        const next = answer.rest && cursorOf(String(seq), '0', answer.rest)
        // There may be more changes; whoever has the last part asks for them.
        return { ok: true, changes, seq: answer.seq, next }
      }
      // It has changed meanwhile, and is in the log with that change.
      large = undefined
    }
    const args = [
      server.time,
      nameOf(segment),
      String(ticket),
      String(after),
      String(limit),
      String(BYTES_AT_ONCE),
    ]
    const reply = (await server.run(
      CHANGES,
      [server.bucketKey(bucketId)],
      [...args, partly(request)],
    )) as Reply[]
    if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
    if (typeof reply[5] === 'number') {
      large = { seq: Number(reply[1]), value: startOf(String(reply[2]), String(reply[4]), String(reply[6])) }
      continue
    }
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
}

/** Some of a batch may be repeated until the last script has counted it. */
export async function ingestBatch(server: ShardServer, request: IngestRequest): Promise<StepAnswer> {
  const { segment, bucketId, epoch, ticket, batch } = request
  const step = JSON.stringify({ step: 'ingest', epoch, ticket, batch })
  const changes = latest(request.changes)
  for (const [i, { key, entry }] of changes.entries()) checkForm(key, entry, i === changes.length - 1)
  for (let from = 0; ; ) {
    const keys: Argument[] = [server.expiriesKey, server.bucketKey(bucketId)]
    const args: Argument[] = [server.time, nameOf(segment), step, '']
    let room = BYTES_AT_ONCE
    let to = from
    for (; to < changes.length && to - from < KEYS_AT_ONCE && room > 0; to++) {
      const { key, tag, entry } = changes[to]!
      keys.push(key)
      if (!entry) {
        args.push(tag, '', '0', '', '', '')
        continue
      }
      const { format = '', part } = entry
      const place = part ? `${part.number}${part.last ? '' : '+'}` : ''
      args.push(tag, String(entry.version), wholeMs(entry.expiresAt), format, bytesOf(entry.value!), place)
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
    if (String(ok) === 'torn')
      throw invalid(
        'changes',
        `hold a part of ${shown(String(fields))} that does not follow on the one before`,
      )
    const record = recordOf(fields as Reply[])
    if (last || ok === null) return { ok: ok !== null, record }
    from = to
  }
}

/** Without what a later change of the same key replaces. */
function latest(changes: IngestRequest['changes']): IngestRequest['changes'] {
  const replaced = new Set<string>()
  return [...changes]
    .reverse()
    .filter(({ key, entry }) => {
      if (replaced.has(key)) return false
      if (entry?.format !== ELEMENTS) replaced.add(key)
      return true
    })
    .reverse()
}

/** @throws NOT_SUPPORTED for an entry that Redis could not write. */
function checkForm(key: string, entry: Entry | undefined, isLast: boolean): void {
  if (!entry) return
  const { format = '', part } = entry
  if (part ? !isPartFormat(format) : !WHOLE.includes(format) && format !== ELEMENTS)
    throw new ForeshardError(
      ErrorCode.NOT_SUPPORTED,
      `the entry of ${JSON.stringify(key.slice(0, 80))} has the format ${format}, which Redis cannot read`,
    )
  if (part && !isLast) throw invalid('changes', 'go on after a part of a value, which ends a batch')
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

/** From its ':key' field and from value and format at `at`. */
function entryOf(
  key: string,
  meta: string,
  reply: readonly Reply[],
  at: number,
  want: ScanRequest['want'],
): Entry {
  const value = reply[at] as Buffer
  const format = String(reply[at + 1])
  const { tag, version, expiresAt } = metaOf(key, meta)
  const entry = { key, tag, version, expiresAt }
  if (want === 'digests') return { ...entry, digest: entryDigest(key, value, version, expiresAt) }
  return format === '' ? { ...entry, value } : { ...entry, value, format }
}

interface Place {
  /** Of a scan the places it is between, of named keys how many were read, of changes a seq. */
  readonly after: string
  readonly last: string
  readonly value: Unfinished | undefined
}

const BEGINNING: Place = { after: '0', last: '', value: undefined }

function cursorOf(after: string, last: string, value: Unfinished | undefined): string | undefined {
  if (value) return `${after}.${last}.${encodeUnfinished(value)}`
  return after === '' ? undefined : `${after}.${last}`
}

function parseCursor(cursor: string): Place {
  const [, after, last, value] = /^(\d{0,16})\.(\d{0,16})(?:\.([\w-]+))?$/.exec(cursor) ?? []
  if (after === undefined || last === undefined || !(value || (after && last)))
    throw invalid('cursor', 'is not one that this store gave')
  return { after, last, value: value ? decodeUnfinished(value) : undefined }
}
