import { ErrorCode, ForeshardError, invalid, isForeshardError, shown } from '../errors'
import type { Operation } from '../shard-store'
import type { TrackingAttributes } from '../tracking/tracking-attributes'
import type { Dispatcher } from './dispatcher'
import { checkLabels, type OperationLabels, type SetOptions } from './operation-options'
import { conflict, type Operations } from './operations'

export type EntryToSet = readonly [key: string, value: unknown, options?: SetOptions]

/** Names the accesses of one getMany or setMany, where the application has not named them and somebody observes. */
export type NameTransaction = () => string

interface ManyParts {
  readonly dispatcher: Dispatcher
  readonly operations: Operations
  readonly nameTransaction: NameTransaction
}

const GET: Operation = { kind: 'get' }
/** Keys of one call: an iterable need not end. */
const MOST_AT_ONCE = 1 << 20

/**
 * The values of those keys that are there, in the order in which the keys were given. Each key is read atomically, the
 * keys together are not.
 */
export async function getMany(
  keys: Iterable<string>,
  labels: OperationLabels | undefined,
  { dispatcher, operations, nameTransaction }: ManyParts,
): Promise<Map<string, unknown>> {
  checkIterable(keys, 'keys')
  checkLabels(labels)
  const given = new Set<string>()
  let i = 0
  for (const key of keys) {
    checkRoom(i, 'keys')
    operations.checkKey(key, `keys[${i++}]`)
    given.add(key)
  }
  const wanted = [...given]
  const settled = await dispatcher.many(wanted.map((key) => ({ key, operation: GET })))
  for (const it of settled) if ('error' in it) throw it.error
  const together = transaction(labels, operations, nameTransaction)
  const found = new Map<string, unknown>()
  for (const it of settled) {
    if ('error' in it) continue
    const value = operations.read(it, together)
    if (it.done.value !== undefined) found.set(it.call.key, value)
  }
  return found
}

/**
 * Writes each entry, and tells of each key how it was written. Each key is written atomically, the keys together are
 * not: where some of them fail the rest is written, and the error's `failed` tells which did and why. Of entries with
 * the same key the last one counts.
 */
export async function setMany(
  entries: Iterable<EntryToSet>,
  labels: OperationLabels | undefined,
  { dispatcher, operations, nameTransaction }: ManyParts,
): Promise<Map<string, TrackingAttributes & { version: number }>> {
  checkIterable(entries, 'entries')
  checkLabels(labels)
  const requests = new Map<string, { operation: Extract<Operation, { kind: 'set' }>; options?: SetOptions }>()
  let i = 0
  for (const entry of entries) {
    checkRoom(i, 'entries')
    const field = `entries[${i++}]`
    if (!Array.isArray(entry))
      throw invalid(field, 'must be [key, value] or [key, value, { ttlMs?, ifVersion? }]')
    const [key, value, options] = entry as unknown as EntryToSet
    operations.checkKey(key, `${field}[0]`)
    requests.set(key, { operation: at(field, () => operations.setting(value, options)), options })
  }
  const settled = await dispatcher.many([...requests].map(([key, { operation }]) => ({ key, operation })))
  const together = transaction(labels, operations, nameTransaction)
  const written = new Map<string, TrackingAttributes & { version: number }>()
  const failed = new Map<string, ForeshardError>()
  for (const it of settled) {
    const { key } = it.call
    if ('error' in it) {
      failed.set(key, it.error)
      continue
    }
    const { operation, options } = requests.get(key)!
    const attributes = operations.written(it, operation.value.byteLength, {
      ...together,
      ...labelsOf(options),
    })
    if (it.done.applied) written.set(key, attributes)
    else failed.set(key, conflict(it, options?.ifVersion))
  }
  if (failed.size > 0) throw partialFailure(failed, written.size)
  return written
}

function transaction(
  labels: OperationLabels | undefined,
  operations: Operations,
  name: NameTransaction,
): OperationLabels | undefined {
  if (!operations.observed) return undefined
  return { ...labels, transactionId: labels?.transactionId ?? name() }
}

function labelsOf({ queryType, userProfile, transactionId }: SetOptions = {}): OperationLabels {
  const labels: OperationLabels = {}
  if (queryType !== undefined) labels.queryType = queryType
  if (userProfile !== undefined) labels.userProfile = userProfile
  if (transactionId !== undefined) labels.transactionId = transactionId
  return labels
}

/** Names the entry in what is said about its value or options. */
function at<T>(field: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!isForeshardError(error)) throw error
    throw new ForeshardError(error.code, `${field}: ${error.message}`, { field, cause: error })
  }
}

function checkIterable(value: unknown, field: string): void {
  if (value === null || typeof value !== 'object' || !(Symbol.iterator in value))
    throw invalid(field, `must be an array or another iterable, not ${shown(value)}`)
}

function checkRoom(count: number, field: string): void {
  if (count >= MOST_AT_ONCE) throw invalid(field, `are more than ${MOST_AT_ONCE}; ask for fewer at a time`)
}

/** The worst of what happened gives the code: an unknown outcome, then whatever came first. */
function partialFailure(failed: ReadonlyMap<string, ForeshardError>, written: number): ForeshardError {
  const errors = [...failed.values()]
  const worst = errors.find(({ code }) => code === ErrorCode.OUTCOME_UNKNOWN) ?? errors[0]!
  return new ForeshardError(
    worst.code,
    `${failed.size} of ${failed.size + written} keys were not written, the others were; the first: ${worst.message}`,
    { shard: worst.shard, failed, cause: worst },
  )
}
