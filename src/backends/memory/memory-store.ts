import { type Clock, type Random, systemRandom } from '../../clock'
import { checkFields, type Fields } from '../../options'
import type { ShardStore } from '../../shard-store'
import { checkTimeAndChance } from '../injected'
import { LedgerStore } from '../ledger-store'
import { MemoryLedger } from './memory-ledger'

export interface MemoryStoreOptions {
  /** Judges expiries and holds; by default the clock of the first router that opens the store. */
  clock?: Clock
  random?: Random
}

const FIELDS: Fields<MemoryStoreOptions> = { clock: true, random: true }

/**
 * A shard in the memory of this process: atomic, gone with the process. Several routers of the process may open it;
 * each closes it for itself. Values that a get answers are the store's own bytes: do not write into them.
 */
export function memoryStore(options: MemoryStoreOptions = {}): ShardStore {
  checkFields(options, FIELDS, 'options')
  const { clock, random = systemRandom } = options
  checkTimeAndChance(clock, random)
  return new LedgerStore(new MemoryLedger(), {
    clock,
    newIncarnation: () => `memory-${Math.floor(random() * 2 ** 48).toString(16)}`,
    supports: {
      atomicExecute: true,
      versions: 'sequence',
      ttl: true,
      durable: false,
      multiProcess: false,
      maxKeyBytes: 64 * 1024,
      maxValueBytes: 512 * 1024 * 1024,
      nulInKeys: true,
    },
  })
}
