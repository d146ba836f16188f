import { randomUUID } from 'node:crypto'
import type { RootDatabase } from 'lmdb'
import type { Clock } from '../../clock'
import { ErrorCode } from '../../errors'
import type { Fields } from '../../options'
import type { ShardStore } from '../../shard-store'
import { checkTimeAndChance } from '../injected'
import { LedgerStore } from '../ledger-store'
import {
  checkLmdbOptions,
  checkName,
  LMDB_FIELDS,
  LmdbEnvironment,
  type LmdbOptions,
} from './lmdb-environment'
import { LmdbLedger } from './lmdb-ledger'
import { KEY_PREFIX_BYTES, MAX_LMDB_KEY_BYTES } from './record-key'

export interface LmdbStoreOptions extends LmdbOptions {
  /** Of the shard in the file: several shards, and a topology, may share one. Default `shard`. */
  name?: string
  /** Judges expiries and holds; by default that of the first router that opens the store. */
  clock?: Clock
}

const FIELDS: Fields<LmdbStoreOptions> = { ...LMDB_FIELDS, name: true, clock: true }

/**
 * A shard in an LMDB file on this host. It survives the process and, unless told otherwise, the machine; several
 * processes of the host may open it at the same time.
 */
export function lmdbStore(given: string | RootDatabase | LmdbStoreOptions): ShardStore {
  const options: LmdbStoreOptions = checkLmdbOptions(given, FIELDS)
  const { name = 'shard', clock } = options
  checkName(name)
  checkTimeAndChance(clock)
  const environment = new LmdbEnvironment(options, `foreshard:${name}`, {
    unreadable: ErrorCode.SHARD_MISMATCH,
    unavailable: ErrorCode.SHARD_UNAVAILABLE,
  })
  return new LedgerStore(new LmdbLedger(environment), {
    clock,
    newIncarnation: () => `lmdb-${randomUUID()}`,
    supports: {
      atomicExecute: true,
      versions: 'sequence',
      ttl: true,
      durable: true,
      multiProcess: true,
      maxKeyBytes: MAX_LMDB_KEY_BYTES - KEY_PREFIX_BYTES,
      maxValueBytes: 256 * 1024 * 1024,
      nulInKeys: true,
    },
  })
}
