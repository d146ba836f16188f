import { type SimulationOptions, type SimulationReport, simulation } from '../../src/testing/simulation'
import { STORES, type StoreName } from './stores'

/** What a worker is asked: one simulation, in the stores that it was started for. */
export interface Question {
  readonly seed: number
  readonly options: Partial<Omit<SimulationOptions, 'seed' | 'store' | 'topology'>>
}

/** A report without its history. */
export type Outcome = Omit<SimulationReport, 'history'>

/** One line for each problem, and what led to it; a broken protocol makes more than anybody reads. */
const TOLD_OF_A_PROBLEM = 3_000
const TOLD_OF_A_STORY = 40

const host = STORES[process.argv[2] as StoreName]()

process.on('message', async ({ seed, options }: Question) => {
  const {
    history: _,
    story,
    problems,
    ...report
  } = await (await host).run((stores) => simulation({ ...options, ...stores, seed }))
  const outcome: Outcome = {
    ...report,
    problems: problems.slice(0, 5).map((problem) => problem.slice(0, TOLD_OF_A_PROBLEM)),
    story: report.ok ? [] : story.slice(-TOLD_OF_A_STORY),
  }
  process.send!(outcome)
})

// The end of whoever started it, or its wish.
process.on('disconnect', async () => {
  await (await host).close()
  process.exit(0)
})
