import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FAULT_KINDS } from '../../src/testing/simulation'
import { postgresIsMissing } from '../servers/postgres-server'
import { redisIsMissing } from '../servers/redis-server'
import { bundleWorker } from '../simulate/bundle'
import { range, simulateAll } from '../simulate/fleet'
import type { StoreName } from '../simulate/stores'
import { storyOf, Tally } from '../simulate/tally'

/**
 * The promise, on histories: whole deployments by the seed, with every fault there is, checked after every step. A seed that
 * fails is told with its story, and with the command that shows it again.
 */
const OPERATIONS = 300
const TIMEOUT_MS = 30 * 60_000

let worker: Awaited<ReturnType<typeof bundleWorker>>
beforeAll(async () => {
  worker = await bundleWorker()
})
afterAll(() => worker.remove())

async function runSeeds(store: StoreName, count: number, workers?: number): Promise<Tally> {
  const tally = new Tally()
  const options = { operations: OPERATIONS }
  await simulateAll({ worker: worker.path, store, workers, options }, range(1, count), (outcome) => {
    tally.add(outcome)
    return tally.failed.length < 3
  })
  const replay = (seed: number) => `npm run simulate -- --from ${seed} --seeds 1 --store ${store}`
  expect(tally.failed.map((it) => storyOf(it, replay(it.seed))).join('\n\n')).toBe('')
  expect(tally.operations).toBeGreaterThanOrEqual(count * OPERATIONS)
  return tally
}

const never = (counts: Record<string, number>) =>
  Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [] : [name]))

describe('every invariant holds after every step, every key is linearizable, every plan ends, nothing is left', () => {
  it(
    'over memory, for two thousand seeds, which meet every fault and take every row and every step',
    async () => {
      const { counts, rows, steps } = await runSeeds('memory', 2_000)
      expect(FAULT_KINDS.filter((kind) => !counts[kind])).toEqual([])
      // Shards do not lose state here: test/scenarios does that.
      expect(never(rows).filter((row) => !row.startsWith('restore'))).toEqual([])
      expect(never(steps)).toEqual([])
      for (const outcome of ['done', 'cancelled', 'partial', 'holds', 'rollbacks', 'unknown'])
        expect(counts[outcome], outcome).toBeGreaterThan(0)
    },
    TIMEOUT_MS,
  )

  it(
    'over LMDB files',
    async () => {
      await runSeeds('lmdb', 24)
    },
    TIMEOUT_MS,
  )

  it.skipIf(redisIsMissing)(
    'over a Redis server',
    async () => {
      await runSeeds('redis', 16)
    },
    TIMEOUT_MS,
  )

  it.skipIf(postgresIsMissing)(
    'over a Postgres server',
    async () => {
      await runSeeds('postgres', 4, 1)
    },
    TIMEOUT_MS,
  )
})
