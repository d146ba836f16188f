import { type FenceCommand, type FenceRecord, isHeld } from '../../../src/placement/fence'
import type { Change, Entry, Operation } from '../../../src/shard-store'

/** How a trace words what a shard keeps and is asked. */

export function recordInWords(record: FenceRecord, now: number): string {
  const { state, epoch, ticket, seq, peer, carved } = record
  const words = [`${state}${epoch > 0 ? ` @${epoch}` : ''}`]
  if (ticket > 0) words.push(`ticket ${ticket}`)
  if (state === 'owned' || state === 'moved') words.push(`seq ${seq}`)
  if (state === 'moved') words.push(`to ${peer}`)
  const rest: string[] = []
  if (state === 'owned') {
    if (record.export > 0)
      rest.push(`exports to ${peer}${record.export === ticket ? '' : ` under ticket ${record.export}`}`)
    if (isHeld(record, now)) rest.push('writes held')
    else if (record.held) rest.push('hold used')
    if (record.trace) rest.push(`trace from ${record.base}`)
  }
  if (state === 'importing') {
    if (record.kept) rest.push('data kept')
    rest.push(record.loading ? `next batch ${record.nextBatch}` : 'to be swept')
  }
  if (state === 'moved') rest.push(record.intact ? 'intact' : 'not intact')
  if (carved.size > 0) rest.push(`without ${[...carved].sort().join(' ')}`)
  return [words.join(' '), ...rest].join(', ')
}

export function commandInWords(segment: string, command: FenceCommand): string {
  switch (command.step) {
    case 'found':
      return `found ${segment}`
    case 'export':
      return `export ${segment} @${command.epoch} to ${command.peer}, ticket ${command.ticket}`
    case 'prepare': {
      const base = command.base === undefined ? '' : `, base ${command.base}`
      const carved = command.carved?.length ? `, without ${[...command.carved].sort().join(' ')}` : ''
      return `prepare ${segment} @${command.epoch}${base}${carved}, ticket ${command.ticket}`
    }
    case 'hold':
      return `hold ${segment} @${command.epoch} for ${command.durationMs} ms, ticket ${command.ticket}`
    case 'cutover':
      return `cutover ${segment} @${command.epoch} at seq ${command.seq}, ticket ${command.ticket}`
    case 'activate':
      return `activate ${segment} @${command.proof.epoch} at seq ${command.proof.seq}, ticket ${command.proof.ticket}`
    case 'restore':
      return `restore ${segment} @${command.epoch} ${command.peer ? `moved to ${command.peer}` : 'owned'}, ticket ${command.ticket}`
    case 'untrace':
    case 'purge':
      return `${command.step} ${segment} @${command.epoch}`
    case 'sweep':
    case 'discard':
      return `${command.step} ${segment}, ticket ${command.ticket}`
    case 'ingest':
      return `batch ${command.batch} of ${segment}, ticket ${command.ticket}`
    default:
      return `${command.step} ${segment} @${command.epoch}, ticket ${command.ticket}`
  }
}

export function operationInWords(key: string, operation: Operation): string {
  const { kind } = operation
  if (kind !== 'set') return `${kind} ${key}`
  return `set ${key} = ${valueInWords(operation.value)}`
}

/** In the order in which they were written: the order of a page is the store's own. */
export function entriesInWords(entries: readonly Entry[]): string {
  const sorted = [...entries].sort((x, y) => x.version - y.version || (x.key < y.key ? -1 : 1))
  return sorted.length === 0 ? 'nothing' : sorted.map(entryInWords).join(' ')
}

export function changesInWords(changes: readonly Change[]): string {
  if (changes.length === 0) return 'none'
  return changes.map((change) => `${change.seq} ${changeInWords(change)}`).join(', ')
}

export function batchInWords(changes: readonly Pick<Change, 'key' | 'entry'>[]): string {
  const entries = changes.flatMap(({ entry }) => (entry ? [entry] : []))
  if (entries.length === changes.length) return entriesInWords(entries)
  return changes.map(changeInWords).join(' ')
}

function changeInWords({ key, entry }: Pick<Change, 'key' | 'entry'>): string {
  return entry ? entryInWords(entry) : `${key} deleted`
}

function entryInWords({ key, value }: Entry): string {
  return `${key}=${valueInWords(value!)}`
}

/** Values are JSON, as routers write it. A long one is told by its length. */
export function valueInWords(bytes: Uint8Array): string {
  return inShort(String(JSON.parse(new TextDecoder().decode(bytes))))
}

export function inShort(text: string): string {
  return text.length > 40 ? `(${text.length} letters)` : text
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** To the second, where it is one or more. */
export function durationInWords(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1_000)} s`
}
