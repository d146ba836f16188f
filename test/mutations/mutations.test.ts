import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { redisIsMissing } from '../servers/redis-server'
import { type Caught, huntAll } from './hunt'
import { MOST_SEEDS, MUTANTS, mutated } from './mutants'

/**
 * A simulation is worth something only if it fails for a protocol that is wrong. The control, that nothing is noticed
 * where nothing is broken, is test/properties/seeds.test.ts: the same seeds, and many more, of the source as it is.
 */
const OPERATIONS = 300
const read = (file: string) => readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8')
const hunted = MUTANTS.filter(({ store }) => store !== 'redis' || !redisIsMissing)

describe('the mutants', () => {
  it('each change one place of the source, which is there', () => {
    for (const mutant of MUTANTS) expect(mutated(mutant, read(mutant.file))).not.toBe(read(mutant.file))
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length)
  })

  it('that no longer fit the source are refused', () => {
    const [mutant] = MUTANTS
    expect(() => mutated({ ...mutant!, find: 'not there' }, read(mutant!.file))).toThrow('0 times')
    expect(() => mutated({ ...mutant!, find: '\n' }, read(mutant!.file))).toThrow('not once')
  })
})

describe(`a simulation notices, within ${MOST_SEEDS} seeds`, () => {
  const caught = new Map<string, Caught>()
  beforeAll(async () => {
    for (const it of await huntAll(hunted, OPERATIONS)) caught.set(it.mutant.name, it)
  }, 30 * 60_000)

  for (const { name, breaks } of hunted)
    it(`${name}: ${breaks}`, () => {
      expect(caught.get(name)?.seed, `none of ${MOST_SEEDS} seeds noticed it`).toBeDefined()
    })
})
