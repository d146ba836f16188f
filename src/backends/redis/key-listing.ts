import { invalid } from '../../errors'
import type { Entry, Page, ScanRequest } from '../../shard-store'
import type { Reply } from './connection'
import { nameOf, recordOf } from './fence-fields'
import { KEYS_LUA } from './lua/keys'
import { Script } from './script'
import type { ShardServer } from './shard-server'

const KEYS = new Script(KEYS_LUA)
/** Entries that a script looks at. */
const LOOKED_AT_ONCE = 200

/** A page of keys as their owner has them, without values. */
export async function listKeys(server: ShardServer, request: ScanRequest): Promise<Page> {
  const { as, segment, bucketId, cursor, limit } = request
  if (as.role !== 'owner') throw invalid('as.role', 'must be owner where keys are wanted')
  const [after, last] = cursor === undefined ? ['0', ''] : cursor.split('.')
  const looked = Math.min(limit, LOOKED_AT_ONCE)
  const args = [nameOf(segment), String(as.epoch), after!, last ?? '', String(looked)]
  const reply = (await server.run(KEYS, [server.bucketKey(bucketId)], args)) as Reply[]
  if (reply[0] === null) return { ok: false, record: recordOf(reply.slice(1)) }
  const entries: Entry[] = []
  for (let i = 3; i < reply.length; i += 2) entries.push(entryOf(String(reply[i]), String(reply[i + 1])))
  const next = String(reply[1])
  return { ok: true, entries, seq: Number(reply[0]), next: next === '' ? undefined : `${next}.${reply[2]}` }
}

function entryOf(key: string, meta: string): Entry {
  const [, version, expiry, own] = /^(\d+) (\d+) (.*)$/s.exec(meta)!
  return { key, tag: own === '' ? key : own!, version: Number(version), expiresAt: Number(expiry) }
}
