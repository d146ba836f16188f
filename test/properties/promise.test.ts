import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lmdbStore, lmdbTopology } from '../../src/backends/lmdb'
import { HANDOFF_STEPS } from '../../src/migrator/gate'
import { externalStore } from '../../src/testing/external-store'
import { simulation } from '../../src/testing/simulation'

describe('a simulation', () => {
  it('keeps the promise wherever the migrator dies, before and after every step', async () => {
    const survived = new Set<string>()
    for (const crashAt of HANDOFF_STEPS)
      for (let seed = 1; seed <= 20 && !survived.has(crashAt); seed++) {
        const hot = crashAt.startsWith('hold')
        const { problems, counts } = await simulation({ seed, operations: 300, crashAt, hot })
        expect(problems, `seed ${seed}, ${crashAt}`).toEqual([])
        if (counts.deaths! > 0) survived.add(crashAt)
      }
    expect(HANDOFF_STEPS.filter((step) => !survived.has(step))).toEqual([])
  }, 240_000)

  it('gives the same history for the same seed, and another for another', async () => {
    const run = (seed: number) => simulation({ seed, operations: 400 })
    const first = await run(7)
    const second = await run(7)
    expect(second.story).toEqual(first.story)
    expect(second.history).toEqual(first.history)
    expect((await run(8)).history).not.toEqual(first.history)
  })

  it('does so on files too, one piece of real work at a time', async () => {
    const run = async () => {
      const folder = mkdtempSync(join(tmpdir(), 'foreshard-promise-'))
      const at = (name: string) => ({ path: join(folder, `${name}.mdb`), durability: 'process' as const })
      try {
        return await simulation({
          seed: 7,
          operations: 200,
          store: (shard, time) => externalStore(lmdbStore({ ...at(shard), clock: time.clock }), time),
          topology: (time) => externalStore(lmdbTopology({ ...at('topology'), clock: time.clock }), time),
        })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }
    const first = await run()
    expect((await run()).history).toEqual(first.history)
  })
})
