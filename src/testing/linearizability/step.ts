import type { HistoryOperation } from './operation'

/** The state of a key as a string: '' is absent, anything else '=' and the canonical form of the value. */
export type State = string
export const ABSENT: State = ''

/**
 * What an operation demands of the state and does to it. Every kind comes down to this: possible if the state passes the
 * test against `value`; afterwards the state is `to`, or as before if `to` is undefined (an observer).
 */
export interface Step {
  readonly operation: HistoryOperation
  readonly test: 'any' | 'is' | 'not'
  readonly value: State
  readonly to: State | undefined
  /** Happened for sure between invocation and return; else once after the invocation, or never. */
  readonly certain: boolean
}

/** Undefined for an operation that says nothing: one that failed, or a read without an answer. */
export function stepOf(operation: HistoryOperation, stateOf: (value: unknown) => State): Step | undefined {
  if (operation.outcome === 'failed') return undefined
  const certain = operation.outcome === 'ok'
  const step = (test: Step['test'], value: State, written?: State): Step | undefined => {
    // A write of what was there is an observer too.
    const to = test === 'is' && written === value ? undefined : written
    return certain || to !== undefined ? { operation, test, value, to, certain } : undefined
  }
  switch (operation.kind) {
    case 'get':
      return step('is', stateOf(operation.output))
    case 'has':
      return step(operation.output ? 'not' : 'is', ABSENT)
    case 'set':
      return step('any', ABSENT, stateOf(operation.input))
    case 'delete':
      if (!certain || operation.output === undefined) return step('any', ABSENT, ABSENT)
      return operation.output ? step('not', ABSENT, ABSENT) : step('is', ABSENT)
    case 'cas': {
      const expect = stateOf(operation.input.expect)
      if (certain && !operation.output) return step('not', expect)
      return step('is', expect, stateOf(operation.input.value))
    }
  }
}

/** The same step with less known about it: a certain write becomes a possible one, an observer says nothing any more. */
export function relaxed(step: Step): Step | undefined {
  if (step.to === undefined) return undefined
  return step.certain ? { ...step, certain: false } : step
}
