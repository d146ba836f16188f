import { type Clock, type Random, systemClock, systemRandom } from '../../clock'
import { invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { OWN_PREFIX } from '../../placement/key'
import type { ShardStore } from '../../shard-store'
import { checkTimeAndChance } from '../injected'
import { rowStore } from '../rows/row-store'
import { checkKeyv } from './keyv-client'
import { KeyvLease } from './keyv-lease'
import { KeyvRows } from './keyv-rows'
import { KeyvTexts } from './keyv-texts'

export interface KeyvStoreOptions {
  /** Begins the keys in the Keyv; shards that share one differ in it. Default `~foreshard:`. */
  prefix?: string
  /** The Keyv keeps over a restart what it acknowledged. Default false. */
  durable?: boolean
  /** How long a process that died keeps others out; default 15000. */
  leaseMs?: number
  /** Longest key of yours; default 200. The Keyv gets some 40 bytes more. */
  maxKeyBytes?: number
  /** Default 1 MiB. The Keyv gets up to six times as much under one key. */
  maxValueBytes?: number
  /** Judges expiries, holds and the lease. */
  clock?: Clock
  random?: Random
}

const FIELDS: Fields<KeyvStoreOptions> = {
  prefix: true,
  durable: true,
  leaseMs: true,
  maxKeyBytes: true,
  maxValueBytes: true,
  clock: true,
  random: true,
}

/**
 * Any Keyv as a shard, for one process: a Keyv cannot check and write in one step, so this process does it in turn, and
 * another one is refused at open with SHARD_IN_USE. The Keyv becomes the store's own; `throwOnErrors` is set on it.
 */
export function keyvStore(keyv: object, options: KeyvStoreOptions = {}): ShardStore {
  checkKeyv(keyv)
  checkFields(options, FIELDS, 'options')
  const { prefix = `${OWN_PREFIX}:`, durable = false, leaseMs = 15_000, clock = systemClock } = options
  const { maxKeyBytes = 200, maxValueBytes = 1024 * 1024, random = systemRandom } = options
  if (typeof prefix !== 'string' || prefix === '')
    throw invalid('options.prefix', 'must be a non-empty string')
  if (typeof durable !== 'boolean')
    throw invalid('options.durable', `must be true or false, not ${shown(durable)}`)
  for (const [name, value] of Object.entries({ leaseMs, maxKeyBytes, maxValueBytes }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalid(`options.${name}`, `must be a whole number from 1, not ${shown(value)}`)
  checkTimeAndChance(clock, random)
  const texts = new KeyvTexts(keyv, prefix)
  const id = Math.floor(random() * 2 ** 52).toString(36)
  const rows = new KeyvRows(texts, new KeyvLease(texts, clock, leaseMs, id))
  const supports = { atomicExecute: false, durable, maxKeyBytes, maxValueBytes, nulInKeys: false }
  return rowStore(rows, { clock: options.clock, random, supports })
}
