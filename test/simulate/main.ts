import { parseArgs } from 'node:util'
import { FAULT_KINDS } from '../../src/testing/simulation'
import { huntAll } from '../mutations/hunt'
import { MUTANTS } from '../mutations/mutants'
import { bundleWorker } from './bundle'
import { range, simulateAll } from './fleet'
import { writeReport } from './report'
import { STORES, type StoreName } from './stores'
import { storyOf, Tally } from './tally'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    store: { type: 'string', default: 'memory' },
    operations: { type: 'string', default: '300' },
    workers: { type: 'string' },
    'write-report': { type: 'boolean', default: false },
  },
})
const number = (name: 'minutes' | 'seeds' | 'from' | 'operations' | 'workers') => {
  const given = values[name]
  if (given === undefined) return undefined
  if (Number(given) >= 0) return Number(given)
  throw new Error(`--${name} is a number, not ${given}`)
}
const store = values.store as StoreName
if (!(store in STORES)) throw new Error(`--store is one of ${Object.keys(STORES).join(', ')}`)
const from = number('from')!
const minutes = number('minutes')
const seeds = number('seeds') ?? (minutes === undefined ? 1_000 : undefined)
const operations = number('operations')!

const tally = new Tally()
const began = performance.now()
const seconds = () => (performance.now() - began) / 1_000
let told = 0
const tell = () => {
  told = seconds()
  const faults = FAULT_KINDS.reduce((sum, kind) => sum + (tally.counts[kind] ?? 0), 0)
  const taken = (of: Record<string, number>) => Object.values(of).filter((count) => count > 0).length
  const share = (of: Record<string, number>) => `${taken(of)}/${Object.keys(of).length}`
  console.log(
    `${told.toFixed(0).padStart(5)} s: ${tally.seeds} seeds (${(tally.seeds / told).toFixed(1)}/s), ` +
      `${tally.operations} operations, ${faults} faults, ${tally.checks} checks, ` +
      `rows of the fence table ${share(tally.rows)}, migrator steps ${share(tally.steps)}, ${tally.failed.length} failed`,
  )
}

const worker = await bundleWorker()
try {
  await simulateAll(
    { worker: worker.path, store, workers: number('workers'), options: { operations } },
    range(from, seeds),
    (outcome) => {
      tally.add(outcome)
      if (!outcome.ok) {
        const replay = `npm run simulate -- --from ${outcome.seed} --seeds 1 --store ${store} --operations ${operations}`
        console.log(`\n${storyOf(outcome, replay)}\n`)
      }
      if (seconds() - told > 5) tell()
      return minutes === undefined || seconds() < minutes * 60
    },
  )
} finally {
  worker.remove()
}
tell()
process.exitCode = tally.failed.length > 0 ? 1 : 0
if (values['write-report']) {
  const caught = await huntAll(MUTANTS, operations, ({ mutant, seed }) =>
    console.log(`mutant '${mutant.name}': ${seed ? `caught by seed ${seed}` : 'not caught'}`),
  )
  writeReport(tally, caught, `npm run simulate -- ${process.argv.slice(2).join(' ')}`)
}
