import { ErrorCode, ForeshardError } from '../../errors'
import type { HistoryEntry, Topology, TopologyDelta } from '../../topology-store'
import { HISTORY, TopologyAssembly } from '../topology-assembly'
import type { Argument, Reply } from './connection'
import {
  decodeAssignment,
  decodeFounding,
  decodeHistory,
  decodeRetained,
  decodeSummary,
  SUMMARY_FIELDS,
} from './topology-fields'

/** Fields that the server goes through at a time: about half a ms. */
const PAGE = 1000
/** Reshardings in one answer: each may name every segment that a large plan moved. */
const HISTORY_PAGE = 8

export interface TopologyReading {
  readonly keys: Readonly<Record<'t' | 'a' | 'h' | 'r', string>>
  send(command: Argument[]): Promise<Reply>
  changesSince(revision: number): Promise<TopologyDelta[] | undefined>
}

/** The topology as it stands, read in steps that are short for the server; undefined where there is none. */
export async function readTopology(reading: TopologyReading): Promise<Topology | undefined> {
  const { keys, send, changesSince } = reading
  for (;;) {
    const fields = (await send(['HMGET', keys.t, ...SUMMARY_FIELDS, 'founding'])) as Reply[]
    const summary = decodeSummary(fields)
    if (!summary) return undefined
    const history = await historyUpTo(summary.revision, reading)
    const assembly = new TopologyAssembly({ ...summary, history })
    await eachField(keys.a, reading, (segment, value) => {
      const assignment = decodeAssignment(segment, value)
      if (assignment) assembly.assign(assignment)
    })
    for (const it of decodeFounding(fields.at(-1)!, summary.buckets)) assembly.assign(it)
    await eachField(keys.r, reading, (_name, value) => assembly.retain(decodeRetained(value)))
    const deltas = await changesSince(summary.revision)
    // So much was committed meanwhile that it is read again.
    if (!deltas) continue
    for (const delta of deltas) assembly.apply(delta)
    return assembly.finish()
  }
}

/** Oldest first. Read from the newest on: while others append, an entry may be met twice, but none is passed over. */
async function historyUpTo(revision: number, { keys, send }: TopologyReading): Promise<HistoryEntry[]> {
  const found = new Map<string, HistoryEntry>()
  for (let newest = 1; newest <= HISTORY; newest += HISTORY_PAGE) {
    const range = [String(-newest - HISTORY_PAGE + 1), String(-newest)]
    const page = (await send(['LRANGE', keys.h, ...range])) as Reply[]
    if (page.length === 0) break
    for (const reply of page.reverse()) {
      const it = decodeHistory(reply)
      // Later ones come with the changes.
      if (it.revision <= revision) found.set(String(reply), it.entry)
    }
  }
  return [...found.values()].reverse()
}

/** Every field that is there throughout, perhaps twice, and perhaps some that come and go. */
async function eachField(
  key: string,
  { send }: TopologyReading,
  tell: (name: Reply, value: Reply) => void,
): Promise<void> {
  let cursor = '0'
  do {
    const reply = await send(['HSCAN', key, cursor, 'COUNT', String(PAGE)])
    if (!Array.isArray(reply))
      throw new ForeshardError(ErrorCode.TOPOLOGY_CORRUPT, `${key} in Redis is no hash`)
    const fields = reply[1] as Reply[]
    for (let i = 0; i < fields.length; i += 2) tell(fields[i]!, fields[i + 1]!)
    cursor = String(reply[0])
  } while (cursor !== '0')
}
