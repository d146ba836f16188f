import { type Clock, type Random, systemRandom } from '../../clock'
import { invalid } from '../../errors'
import { checkFields, type Fields } from '../../options'
import type { ShardStore, ShardSupports } from '../../shard-store'
import { checkTimeAndChance } from '../injected'
import { LedgerStore } from '../ledger-store'
import { RowLedger } from './row-ledger'
import type { RowMap } from './row-map'

export interface RowStoreOptions {
  /** What the map cannot do; see `RowSupports`. */
  supports?: Partial<RowSupports>
  /** Judges expiries and holds; by default the clock of the first router that opens the store. */
  clock?: Clock
  random?: Random
}

/** What differs between maps. Versions are sequence numbers and entries expire, whatever the map. */
export type RowSupports = Omit<
  ShardSupports,
  'versions' | 'ttl' | 'multiProcess' | 'reservedPrefixes' | 'parts' | 'commands'
>

const FIELDS: Fields<RowStoreOptions> = { supports: true, clock: true, random: true }
const SUPPORTS: Fields<RowSupports> = {
  atomicExecute: true,
  durable: true,
  maxKeyBytes: true,
  maxValueBytes: true,
  nulInKeys: true,
}
const DEFAULTS: RowSupports = {
  atomicExecute: true,
  durable: false,
  maxKeyBytes: 1024,
  maxValueBytes: 16 * 1024 * 1024,
  nulInKeys: true,
}

/** A shard over anything that keeps rows of bytes: all of the protocol is here, the map does the storing. One process. */
export function rowStore(map: RowMap, options: RowStoreOptions = {}): ShardStore {
  if (typeof map?.get !== 'function' || typeof map.commit !== 'function')
    throw invalid('map', 'must be a RowMap: { get, commit, open?, close? }')
  checkFields(options, FIELDS, 'options')
  const { supports = {}, clock, random = systemRandom } = options
  checkFields(supports, SUPPORTS, 'options.supports')
  checkTimeAndChance(clock, random)
  return new LedgerStore(new RowLedger(map), {
    clock,
    newIncarnation: () => `rows-${Math.floor(random() * 2 ** 48).toString(16)}`,
    supports: { ...DEFAULTS, ...supports, versions: 'sequence', ttl: true, multiProcess: false },
  })
}
