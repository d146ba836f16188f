import { ErrorCode, ForeshardError } from '../../errors'
import { isWellFormed } from '../../placement/key'
import { MAX_BUCKETS } from '../../placement/segment'
import type { HistoryEntry, RetainedEntry, TopologyDelta } from '../../topology-store'
import { faultOfDelta, foundingSeal } from '../topology-faults'
import type { StoredAssignment, TopologyDocuments, TopologyHead } from '../topology-ledger'

/** Of the records of a topology. A file of a newer format is refused, never guessed at. */
const TOPOLOGY_FORMAT = 2

/** JSON, in which Infinity and -Infinity are `{ "#": "Infinity" }`. */
export function encodeDocument(document: unknown): Buffer {
  return Buffer.from(
    JSON.stringify(document, (_name, value) => (isEndless(value) ? { '#': String(value) } : value)),
  )
}

export function encodeHead(head: TopologyHead): Buffer {
  return encodeDocument({ ...head, format: TOPOLOGY_FORMAT, seal: foundingSeal(head) })
}

export function decodeDocument<N extends keyof TopologyDocuments>(
  name: N,
  row: Buffer,
): TopologyDocuments[N] {
  const document = parse(name, row)
  if (!FITS[name](document)) throw corrupt(`${name} is not what it should be`)
  return document as TopologyDocuments[N]
}

export function decodeAssignment(row: Buffer): StoredAssignment & { readonly tag?: string } {
  const fields = parse('an assignment', row)
  if (!Array.isArray(fields)) throw corrupt('an assignment is not a list')
  const [shard, epoch, tag] = fields as unknown[]
  if (typeof shard !== 'string' || !Number.isSafeInteger(epoch) || (epoch as number) < 1)
    throw corrupt('an assignment is not [shard, epoch]')
  if (tag !== undefined && (typeof tag !== 'string' || tag === '' || !isWellFormed(tag)))
    throw corrupt('an assignment has no readable tag')
  return { shard, epoch: epoch as number, tag: typeof tag === 'string' ? tag : undefined }
}

export function decodeDelta(row: Buffer): TopologyDelta {
  const delta = parse('a change', row) as TopologyDelta
  // Whether its buckets are those of this topology is for whoever takes it in.
  const fault = faultOfDelta(delta, MAX_BUCKETS)
  if (fault) throw corrupt(`of a change, ${fault}`)
  if (!delta.assignments) return delta
  // JSON leaves out the shard of a tag that was merged.
  const assignments = delta.assignments.map(({ segment, shard, epoch }) => ({ segment, shard, epoch }))
  return { ...delta, assignments }
}

export function decodeRetained(row: Buffer): RetainedEntry {
  const entry = parse('what is retained', row)
  if (!isRecord(entry) || typeof entry.segment !== 'string' || typeof entry.shard !== 'string')
    throw corrupt('what is retained has no segment or shard')
  return entry as unknown as RetainedEntry
}

export function decodeHistory(row: Buffer): HistoryEntry {
  const entry = parse('a finished resharding', row)
  if (!isRecord(entry) || !Array.isArray(entry.before))
    throw corrupt('a resharding does not say what it moved')
  return entry as unknown as HistoryEntry
}

const FITS: { readonly [N in keyof TopologyDocuments]: (document: unknown) => boolean } = {
  head: (it) => {
    if (!isRecord(it)) return false
    if (it.format !== TOPOLOGY_FORMAT)
      throw corrupt(
        `has format ${it.format}, this version of foreshard reads format ${TOPOLOGY_FORMAT}; update it`,
      )
    if (it.seal !== foundingSeal(it as unknown as TopologyHead))
      throw corrupt('its id, number of buckets or seed is not the one that it was founded with')
    return (
      typeof it.id === 'string' &&
      Number.isSafeInteger(it.revision) &&
      Number.isSafeInteger(it.buckets) &&
      typeof it.seed === 'number'
    )
  },
  shards: (it) => Array.isArray(it) && it.every((shard) => isRecord(shard) && typeof shard.id === 'string'),
  tagRule: (it) => isRecord(it) && typeof it.fingerprint === 'string' && Array.isArray(it.rules),
  plan: (it) => it === null || (isRecord(it) && typeof it.id === 'string' && Array.isArray(it.moves)),
  lease: (it) => isRecord(it) && typeof it.holder === 'string' && Number.isSafeInteger(it.term),
  ticket: (it) => Number.isSafeInteger(it),
}

export function corrupt(what: string, cause?: unknown): ForeshardError {
  return new ForeshardError(
    ErrorCode.TOPOLOGY_CORRUPT,
    `the topology in the LMDB file cannot be read: ${what}`,
    { cause },
  )
}

function parse(what: string, row: Buffer): unknown {
  try {
    const text = row.toString()
    // There may be millions, and hardly any of them holds an Infinity.
    if (!text.includes('"#"')) return JSON.parse(text)
    return JSON.parse(text, (_name, value) =>
      isRecord(value) && typeof value['#'] === 'string' ? Number(value['#']) : value,
    )
  } catch (cause) {
    throw corrupt(`${what} is no JSON`, cause)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isEndless(value: unknown): boolean {
  return value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
}
