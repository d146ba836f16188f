import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { StoreName } from './stores'
import type { Outcome, Question } from './worker'

export interface FleetOptions {
  /** A bundle of worker.ts. */
  readonly worker: string
  readonly store?: StoreName
  readonly workers?: number
  readonly options?: Question['options']
}

/**
 * Runs simulations in processes of their own, one at a time in each, until there are no more seeds or `onOutcome` answers
 * false. Resolves when all processes have ended.
 */
export async function simulateAll(
  { worker, store = 'memory', workers = availableParallelism(), options = {} }: FleetOptions,
  seeds: Iterator<number>,
  onOutcome: (outcome: Outcome) => boolean,
): Promise<void> {
  let going = true
  const runOne = () => {
    let seed = seeds.next()
    if (seed.done) return undefined
    // Of how this process was started nothing is handed on: a bundle needs no loader.
    const child = fork(worker, [store], { execArgv: ['--enable-source-maps'] })
    return new Promise<void>((resolve, reject) => {
      const ask = () => {
        if (seed.done || !going) child.disconnect()
        else child.send({ seed: seed.value, options } satisfies Question)
      }
      child.on('message', (outcome: Outcome) => {
        going &&= onOutcome(outcome)
        if (going) seed = seeds.next()
        ask()
      })
      child.once('error', reject)
      child.once('exit', (code, signal) =>
        code === 0 ? resolve() : reject(new Error(`a worker ended with ${code ?? signal}`)),
      )
      ask()
    })
  }
  await Promise.all(Array.from({ length: workers }, runOne))
}

export function* range(from: number, count = Number.POSITIVE_INFINITY): Generator<number> {
  for (let seed = from; seed < from + count; seed++) yield seed
}
