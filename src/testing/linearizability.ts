import { invalid } from '../errors'
import { checkFields, type Fields } from '../options'
import { canonicalValue } from './linearizability/canonical-value'
import { explain } from './linearizability/explanation'
import type { HistoryOperation } from './linearizability/operation'
import { search } from './linearizability/search'
import { ABSENT, type State, type Step, stepOf } from './linearizability/step'

export type { HistoryOperation }

export interface LinearizabilityOptions {
  /** What the keys hold before the history; a key that is not named is absent. */
  initial?: ReadonlyMap<string, unknown>
  /** Two values are the same if this gives the same string. Default: deep equality of plain data. */
  canonical?: (value: unknown) => string
  /** Configurations to visit per key before giving up as undecided; one takes some 150 bytes. Default 1,000,000. */
  maxStates?: number
}

const FIELDS: Fields<LinearizabilityOptions> = { initial: true, canonical: true, maxStates: true }

export type LinearizabilityResult =
  /** `operations` were checked on `keys` keys; failed ones and reads without an answer are not counted. */
  | { ok: true; operations: number; keys: number }
  /** `history` is a part that is not linearizable by itself, in the order of invocation. */
  | { ok: false; key: string; reason: string; story: string; history: HistoryOperation[] }
  /** No key was found to be wrong, but the search gave up on this one. */
  | { ok: 'undecided'; key: string; reason: string }

/**
 * Is the history linearizable: can every operation be given an instant between its invocation and its return, such that
 * all answers are those of one copy of each key? Decided key by key, which is enough (Herlihy & Wing 1990, locality). What
 * is found wrong is wrong; what took too long is `undecided`, so test for `ok === true`.
 *
 * Quick with up to about eight operations in flight on a key, and any number whose outcome is unknown. Give every write a
 * value of its own: a checker can only tell apart what differs.
 */
export function checkLinearizable(
  history: readonly HistoryOperation[],
  options: LinearizabilityOptions = {},
): LinearizabilityResult {
  checkFields(options, FIELDS, 'options')
  const { initial, canonical = canonicalValue, maxStates = 1_000_000 } = options
  if (!Number.isSafeInteger(maxStates) || maxStates < 1)
    throw invalid('options.maxStates', 'must be a whole number of at least 1')
  const stateOf = (value: unknown): State => (value === undefined ? ABSENT : `=${canonical(value)}`)
  const stepsByKey = new Map<string, Step[]>()
  for (const [index, operation] of history.entries()) {
    checkOperation(operation, `history[${index}]`)
    const step = stepOf(operation, stateOf)
    const steps = stepsByKey.get(operation.key)
    if (!steps) stepsByKey.set(operation.key, step ? [step] : [])
    else if (step) steps.push(step)
  }
  for (const steps of stepsByKey.values()) checkProcesses(steps, history)

  let undecided: LinearizabilityResult | undefined
  let operations = 0
  for (const [key, steps] of stepsByKey) {
    const start = stateOf(initial?.get(key))
    const { verdict, stuck } = search(steps, start, maxStates)
    if (verdict === 'violation') return { ok: false, key, ...explain(key, steps, start, stuck!, maxStates) }
    if (verdict === 'undecided')
      undecided ??= {
        ok: 'undecided',
        key,
        reason: `more than ${maxStates} configurations for ${steps.length} operations; raise options.maxStates or have fewer in flight`,
      }
    operations += steps.length
  }
  return undecided ?? { ok: true, operations, keys: stepsByKey.size }
}

const KINDS: ReadonlySet<string> = new Set(['get', 'has', 'set', 'delete', 'cas'])
const OUTCOMES: ReadonlySet<string> = new Set(['ok', 'failed', 'unknown'])

function checkOperation(operation: HistoryOperation, field: string): void {
  const { kind, outcome, key, process, invokedAt, returnedAt } = operation
  if (!KINDS.has(kind)) throw invalid(`${field}.kind`, `must be one of ${[...KINDS].join(', ')}`)
  if (!OUTCOMES.has(outcome)) throw invalid(`${field}.outcome`, `must be one of ${[...OUTCOMES].join(', ')}`)
  if (typeof key !== 'string') throw invalid(`${field}.key`, 'must be a string')
  if (typeof process !== 'string' && typeof process !== 'number')
    throw invalid(`${field}.process`, 'must be a string or a number')
  if (!Number.isFinite(invokedAt)) throw invalid(`${field}.invokedAt`, 'must be a finite number')
  const answered = outcome === 'ok'
  if (returnedAt === undefined ? answered : !(Number.isFinite(returnedAt) && returnedAt >= invokedAt))
    throw invalid(
      `${field}.returnedAt`,
      'must be a finite number, not before invokedAt; record an open call as unknown',
    )
  if (kind === 'set' && operation.input === undefined)
    throw invalid(`${field}.input`, 'undefined means absent; record a delete')
  if (kind === 'cas' && (typeof operation.input !== 'object' || operation.input === null))
    throw invalid(`${field}.input`, 'must be { expect, value }')
  if (!answered || kind === 'get' || kind === 'set') return
  const optional = kind === 'delete' && operation.output === undefined
  if (typeof operation.output !== 'boolean' && !optional)
    throw invalid(`${field}.output`, `must be true or false for an answered ${kind}`)
}

/** Two answered operations of one process that overlap on a key would make the order within an instant a guess. */
function checkProcesses(steps: readonly Step[], history: readonly HistoryOperation[]): void {
  const latest = new Map<string | number, HistoryOperation>()
  const answered = steps.filter((step) => step.certain).map((step) => step.operation)
  answered.sort((a, b) => a.invokedAt - b.invokedAt || a.returnedAt! - b.returnedAt!)
  for (const operation of answered) {
    const before = latest.get(operation.process)
    if (before && before.returnedAt! > operation.invokedAt)
      throw invalid(
        `history[${history.indexOf(operation)}].process`,
        `overlaps another operation of ${operation.process} on this key; give every strand a name of its own`,
      )
    latest.set(operation.process, operation)
  }
}
