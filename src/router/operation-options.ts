import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import type { ShardId } from '../placement/segment'

export interface SetOptions extends OperationLabels {
  /** Milliseconds from now after which the key is gone; default never. */
  ttlMs?: number
  /** Only if this is the key's version; 0: only if the key is absent. */
  ifVersion?: number
}

export interface DeleteOptions extends OperationLabels {
  ifVersion?: number
}

export interface UpdateOptions extends OperationLabels {
  /** Of the value that is written; default what is left to the value that was read, never for a new key. */
  ttlMs?: number
  /** Races that may be lost before VERSION_CONFLICT, the first included; default 16. */
  attempts?: number
}

/** What the application can tell of an access, for those who observe. It changes nothing else. */
export interface OperationLabels {
  queryType?: string
  userProfile?: string
  /** Accesses that share it belong together. */
  transactionId?: string
}

const LABELS: Fields<OperationLabels> = { queryType: true, userProfile: true, transactionId: true }
const OF_SET: Fields<SetOptions> = { ...LABELS, ttlMs: true, ifVersion: true }
const OF_DELETE: Fields<DeleteOptions> = { ...LABELS, ifVersion: true }
const OF_UPDATE: Fields<UpdateOptions> = { ...LABELS, ttlMs: true, attempts: true }

/** Refuses options of an operation that nobody reads or that are malformed; those left out are well. */
export function checkLabels(options: OperationLabels | undefined): void {
  if (options !== undefined) checkTexts(options, LABELS)
}

export function checkSetOptions(options: SetOptions): void {
  checkTexts(options, OF_SET)
  checkVersion(options.ifVersion)
}

export function checkDeleteOptions(options: DeleteOptions | undefined): void {
  if (options === undefined) return
  checkTexts(options, OF_DELETE)
  checkVersion(options.ifVersion)
}

export function checkUpdateOptions(options: UpdateOptions): void {
  checkTexts(options, OF_UPDATE)
  const { attempts } = options
  if (attempts !== undefined && !(Number.isSafeInteger(attempts) && attempts >= 1))
    throw invalid('options.attempts', `must be a whole number from 1, not ${shown(attempts)}`)
}

function checkTexts<T extends OperationLabels>(options: T, known: Fields<T>): void {
  checkFields<T>(options, known, 'options')
  for (const name of ['queryType', 'userProfile', 'transactionId'] as const)
    if (options[name] !== undefined && typeof options[name] !== 'string')
      throw invalid(`options.${name}`, `must be a string, not ${shown(options[name])}`)
}

function checkVersion(version: unknown): void {
  if (version !== undefined && !(typeof version === 'number' && version >= 0 && Number.isFinite(version)))
    throw invalid(
      'options.ifVersion',
      `must be a version that getWithVersion or set gave, or 0 for an absent key, not ${shown(version)}`,
    )
}

/** The absolute expiry, in whole ms since the epoch. `withoutTtl`: a shard that cannot keep what expires. */
export function expiryOf(ttlMs: number, now: number, withoutTtl: ShardId | undefined): number {
  if (typeof ttlMs !== 'number' || !Number.isFinite(ttlMs) || ttlMs <= 0)
    throw invalid('options.ttlMs', `must be a positive number of milliseconds, not ${shown(ttlMs)}`)
  if (withoutTtl !== undefined)
    throw new ForeshardError(
      ErrorCode.NOT_SUPPORTED,
      `options.ttlMs: the store of shard ${withoutTtl} cannot keep what expires`,
      { field: 'options.ttlMs', shard: withoutTtl },
    )
  const at = Math.max(Math.floor(now) + 1, Math.floor(now + ttlMs))
  if (!Number.isSafeInteger(at)) throw invalid('options.ttlMs', 'is too far off; leave it out for never')
  return at
}
