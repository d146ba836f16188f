import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { ErrorCode, isForeshardError } from '../../src/errors'
import type { ShardRouter } from '../../src/router/router'
import type { HistoryOperation } from '../../src/testing/linearizability/operation'

/** Certainly without effect, by the meaning of the code. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  ErrorCode.SHARD_UNAVAILABLE,
  ErrorCode.SHARD_FULL,
  ErrorCode.TOO_MANY_REFUSALS,
  ErrorCode.CLOSED,
])

type Kind = HistoryOperation['kind']
interface Begun {
  readonly i: number
  readonly process: string
  readonly kind: Kind
  readonly key: string
  readonly input?: unknown
  readonly at: number
}
interface Ended {
  readonly i: number
  readonly at: number
  readonly outcome: HistoryOperation['outcome']
  readonly output?: unknown
  /** Of a cas: what was read with the version. */
  readonly input?: unknown
  /** Why an operation ended that should not have. */
  readonly unexpected?: string
}

/** Microseconds on the clock that all processes of a machine share. */
export const now = () => Number(process.hrtime.bigint() / 1000n)

/**
 * Puts the operations of one process on record, in a file: what it had begun is there also when it is killed. A line that
 * is written before the operation is sent, and one when it has ended.
 */
export class Recorder {
  readonly #file: number
  #operations = 0

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  close(): void {
    closeSync(this.#file)
  }

  get(strand: string, router: ShardRouter, key: string) {
    return this.#record(strand, 'get', key, undefined, () => router.get(key))
  }

  set(strand: string, router: ShardRouter, key: string, value: string, ttlMs?: number) {
    const options = ttlMs === undefined ? {} : { ttlMs }
    // From then on it may be gone at any moment, as if somebody had deleted it.
    if (ttlMs !== undefined)
      this.#begin(`expiry of ${value}`, 'cas', key, { expect: value }, now() + Math.max(0, ttlMs - 50) * 1000)
    return this.#record(strand, 'set', key, value, async () => void (await router.set(key, value, options)))
  }

  delete(strand: string, router: ShardRouter, key: string) {
    return this.#record(strand, 'delete', key, undefined, async () => (await router.delete(key)).deleted)
  }

  async update(strand: string, router: ShardRouter, key: string, value: string) {
    const i = this.#begin(strand, 'cas', key, { value })
    let expect: unknown
    const next = (read: unknown) => {
      expect = read
      return value
    }
    try {
      await router.update(key, next)
      this.#end({ i, at: now(), outcome: 'ok', output: true, input: { expect, value } })
    } catch (error) {
      const lost = isForeshardError(error, ErrorCode.VERSION_CONFLICT)
      this.#end({
        i,
        at: now(),
        ...(lost ? { outcome: 'failed' } : outcomeOf(error)),
        input: { expect, value },
      })
    }
  }

  async getMany(strand: string, router: ShardRouter, keys: readonly string[]) {
    const begun = keys.map((key) => [key, this.#begin(strand, 'get', key, undefined)] as const)
    try {
      const values = await router.getMany(keys)
      const at = now()
      for (const [key, i] of begun) this.#end({ i, at, outcome: 'ok', output: values.get(key) })
    } catch (error) {
      for (const [, i] of begun) this.#end({ i, at: now(), ...outcomeOf(error) })
    }
  }

  async #record(process: string, kind: Kind, key: string, input: unknown, call: () => Promise<unknown>) {
    const i = this.#begin(process, kind, key, input)
    try {
      const output = await call()
      this.#end({ i, at: now(), outcome: 'ok', output })
    } catch (error) {
      this.#end({ i, at: now(), ...outcomeOf(error) })
    }
  }

  #begin(process: string, kind: Kind, key: string, input: unknown, at = now()): number {
    const i = this.#operations++
    writeSync(this.#file, `${JSON.stringify({ i, process, kind, key, input, at } satisfies Begun)}\n`)
    return i
  }

  #end(ended: Ended): void {
    writeSync(this.#file, `${JSON.stringify(ended)}\n`)
  }
}

function outcomeOf(error: unknown): { outcome: 'failed' | 'unknown'; unexpected?: string } {
  if (isForeshardError(error, ErrorCode.OUTCOME_UNKNOWN)) return { outcome: 'unknown' }
  if (isForeshardError(error) && WITHOUT_EFFECT.has(error.code)) return { outcome: 'failed' }
  return { outcome: 'unknown', unexpected: error instanceof Error ? (error.stack ?? '') : String(error) }
}

/** What a process did, as far as it came. */
export function readHistory(path: string): { operations: HistoryOperation[]; unexpected: string[] } {
  const begun = new Map<number, Begun>()
  const ended = new Map<number, Ended>()
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    // A process that was killed may have been writing.
    if (!line.endsWith('}')) continue
    const it = JSON.parse(line) as Begun | Ended
    if ('kind' in it) begun.set(it.i, it)
    else ended.set(it.i, it)
  }
  const unexpected: string[] = []
  const operations: HistoryOperation[] = []
  for (const { i, process, kind, key, input, at } of begun.values()) {
    const end = ended.get(i)
    if (end?.unexpected) unexpected.push(`${kind} ${key}: ${end.unexpected}`)
    operations.push({
      process,
      // Of an update that never ended it is not known what it read: it may have been anything.
      kind: kind === 'cas' && !end && !process.startsWith('expiry') ? 'set' : kind,
      key,
      input: asInput(kind, end?.input ?? input, end === undefined && !process.startsWith('expiry')),
      invokedAt: at,
      outcome: end?.outcome ?? 'unknown',
      ...(end && { returnedAt: end.at, ...('output' in end && { output: end.output }) }),
    } as HistoryOperation)
  }
  return { operations, unexpected }
}

/** JSON leaves out what is undefined. */
function asInput(kind: Kind, input: unknown, isUnended: boolean): unknown {
  if (kind !== 'cas') return input
  const { expect, value } = input as { expect?: unknown; value?: unknown }
  return isUnended ? value : { expect, value }
}
