import { mkdirSync, realpathSync, statfsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { ErrorCode, ForeshardError, invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { faultOfLmdbFile } from './lmdb-file'

/** Keys are bytes that this package lays out itself, values too. */
export type Records = Database<Buffer, Buffer>

export interface LmdbOptions {
  /** A folder, or a file with an extension. Made if it is not there. */
  path?: string
  /**
   * A database that is open already; it is not closed here. Open it with `eventTurnBatching: false`, or a full disk shows
   * as an unhandled rejection within lmdb, too.
   */
  database?: RootDatabase
  /**
   * What an acknowledged write survives. machine: every commit is synced to the disk before it is acknowledged.
   * process: it is left to the operating system when it writes, and a machine that loses power may lose the last
   * writes, or the file.
   */
  durability?: 'machine' | 'process'
}

export const LMDB_FIELDS: Fields<LmdbOptions> = { path: true, database: true, durability: true }

/** Where a failure to open belongs: to a shard, or to a topology. */
export interface OpenFailures {
  readonly unreadable: ErrorCode
  readonly unavailable: ErrorCode
}

interface Shared {
  readonly root: RootDatabase
  readonly adopted: boolean
  readonly records: Map<string, Records>
  users: number
}

/**
 * Environments of this process by their path. One is never opened twice: the second instance's synchronous transactions
 * would wait for a lock that the first one's writer thread holds, and which only this thread can make it release.
 */
const environments = new Map<string, Shared>()
/** Those that are being closed: a path is opened again when that is over. */
const closing = new Map<string, Promise<void>>()

/** One named set of records in an LMDB file, opened and closed with its users. */
export class LmdbEnvironment {
  readonly #options: LmdbOptions
  readonly #name: string
  readonly #failures: OpenFailures
  #path = ''
  #shared: Shared | undefined
  #records: Records | undefined

  constructor(options: LmdbOptions, name: string, failures: OpenFailures) {
    this.#options = options
    this.#name = name
    this.#failures = failures
  }

  get isOpen(): boolean {
    return this.#records !== undefined
  }

  get records(): Records {
    if (!this.#records) throw new ForeshardError(ErrorCode.CLOSED, 'the LMDB environment is not open')
    return this.#records
  }

  async open(): Promise<void> {
    const { path, database } = this.#options
    try {
      this.#path = pathOf(database ? (database as unknown as { path: string }).path : path!)
      while (closing.has(this.#path)) await closing.get(this.#path)
      if (this.#records) return
      const shared = environments.get(this.#path) ?? this.#start()
      // Opening a set of records is a transaction of its own: once for each environment.
      let records = shared.records.get(this.#name)
      if (!records) {
        records = shared.root.openDB({
          name: this.#name,
          keyEncoding: 'binary',
          encoding: 'binary',
        }) as Records
        shared.records.set(this.#name, records)
      }
      shared.users++
      this.#shared = shared
      this.#records = records
    } catch (cause) {
      throw this.#openFailure(cause)
    }
  }

  #start(): Shared {
    const { database, durability } = this.#options
    const fault = database ? undefined : faultOfLmdbFile(this.#path)
    if (fault)
      throw new ForeshardError(
        this.#failures.unreadable,
        `what lies at the path is no LMDB file that can be read: ${fault}; give another path, or restore it from a backup`,
      )
    const root =
      database ??
      open({
        path: this.#path,
        keyEncoding: 'binary',
        encoding: 'binary',
        maxDbs: 64,
        // Its batches are promises of lmdb's own, which nobody can catch when a commit fails.
        eventTurnBatching: false,
        // With it a commit would be acknowledged before it is on the disk.
        overlappingSync: false,
        noSync: durability === 'process',
      })
    const shared = { root, adopted: database !== undefined, records: new Map(), users: 0 }
    environments.set(this.#path, shared)
    return shared
  }

  /**
   * Runs `step` as one atomic step: a child transaction of the batch that is committed next, which is undone alone where
   * `step` throws. Resolves when the commit will last.
   */
  async write<T>(step: () => T): Promise<T> {
    const { records } = this
    let result: T
    try {
      result = await records.childTransaction(step)
    } catch (error) {
      throw this.#writeFailure(error)
    }
    // A database that was given may acknowledge commits before they are on the disk.
    if (this.#shared?.adopted && this.#options.durability !== 'process') await records.flushed
    return result
  }

  /** From here on reads see what any process has committed until now. */
  refresh(): Records {
    const { records } = this
    records.resetReadTxn()
    return records
  }

  async close(): Promise<void> {
    const shared = this.#shared
    this.#shared = undefined
    this.#records = undefined
    if (!shared || --shared.users > 0) return
    const path = this.#path
    environments.delete(path)
    const closed = (
      shared.adopted ? Promise.resolve(shared.root.flushed).then(() => {}) : shared.root.close()
    ).finally(() => closing.delete(path))
    closing.set(path, closed)
    await closed
  }

  /** LMDB undid the transaction. Whether for want of room it does not always say: a write cut short is an I/O error. */
  #writeFailure(error: unknown): unknown {
    if (!(error instanceof Error) || error instanceof ForeshardError) return error
    // Rejected a moment later, with the reason.
    const { commitError } = error as { commitError?: Promise<never> }
    if (!commitError) return FULL.test(error.message) ? new NoRoom(error) : error
    commitError.catch(() => {})
    const { bavail, bsize } = statfsSync(this.#path)
    return bavail * bsize < ROOM_FOR_A_COMMIT_BYTES ? new NoRoom(error) : error
  }

  #openFailure(cause: unknown): unknown {
    if (cause instanceof ForeshardError) return cause
    const message = cause instanceof Error ? cause.message : String(cause)
    const unreadable =
      /MDB_INVALID|MDB_VERSION_MISMATCH|MDB_CORRUPTED|MDB_PAGE_NOTFOUND|MDB_INCOMPATIBLE/.test(message)
    return new ForeshardError(
      unreadable ? this.#failures.unreadable : this.#failures.unavailable,
      unreadable
        ? `what lies at the path is no LMDB file of this version (${message}); give another path, or restore it from a backup`
        : `LMDB could not be opened (${message}); check the path and its permissions`,
      { cause },
    )
  }
}

const FULL = /MDB_MAP_FULL|ENOSPC|No space left|quota/i
/** A disk with less than this is full, as far as a commit is concerned that it did not take. */
const ROOM_FOR_A_COMMIT_BYTES = 4 * 1024 * 1024

/** The disk has no room for a commit; nothing was written. */
export class NoRoom extends Error {
  constructor(cause: unknown) {
    super('the disk of the LMDB file is full; nothing was written', { cause })
  }
}

/** The given path or options, checked. */
export function checkLmdbOptions<T extends LmdbOptions>(
  given: string | RootDatabase | T,
  known: Fields<T>,
): T | LmdbOptions {
  if (typeof given === 'string') return checked({ path: given })
  if (given === null || typeof given !== 'object')
    throw invalid('options', `must be a path, or { path } or { database }, not ${shown(given)}`)
  if ('openDB' in given && typeof given.openDB === 'function') return { database: given as RootDatabase }
  checkFields(given as T, known, 'options')
  return checked(given as T)
}

/** Of a set of records in the file. LMDB keeps it as a key among others. */
export function checkName(name: unknown): void {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/.test(name))
    throw invalid(
      'options.name',
      `must be up to 64 letters, digits, "-", "_", "." or ":", not ${shown(name)}`,
    )
}

function checked<T extends LmdbOptions>(options: T): T {
  const { path, database, durability = 'machine' } = options
  if ((path === undefined) === (database === undefined))
    throw invalid('options', 'needs a path or an open database, one of both')
  if (path !== undefined && (typeof path !== 'string' || path === '' || path.includes('\0')))
    throw invalid('options.path', `must be a path, not ${shown(path)}`)
  if (database !== undefined && typeof database?.openDB !== 'function')
    throw invalid('options.database', 'must be an open database of lmdb')
  if (durability !== 'machine' && durability !== 'process')
    throw invalid('options.durability', "must be 'machine' or 'process'")
  return options
}

/** The same for every way to write it. */
function pathOf(path: string): string {
  const absolute = resolve(path)
  if (extname(absolute) === '') {
    mkdirSync(absolute, { recursive: true })
    return realpathSync(absolute)
  }
  const folder = resolve(absolute, '..')
  mkdirSync(folder, { recursive: true })
  return resolve(realpathSync(folder), absolute.slice(folder.length + 1))
}
