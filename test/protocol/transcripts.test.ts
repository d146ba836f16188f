import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Backend, lmdbBackend, memoryBackend } from '../scenarios/backends'
import { PgliteBackends } from '../scenarios/pglite-backends'
import { RedisBackends } from '../scenarios/redis-backends'
import { redisIsMissing } from '../servers/redis-server'
import { replay } from './language/performance'

/**
 * Every transcript, word for word, over every kind of store. After a change that is meant, UPDATE_TRANSCRIPTS=1 writes
 * them anew from memory; then read each by eye: a wrong trace is worse than none.
 */
const FOLDER = import.meta.dirname
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))

function follows(backend: () => Backend | Promise<Backend>): void {
  it.each(files)('%s', async (name) => {
    const { written, performed } = await replay(join(FOLDER, name), await backend())
    expect(performed).toBe(written)
  })
}

if (process.env.UPDATE_TRANSCRIPTS === '1') {
  it.each(files)('%s is written anew', async (name) => {
    const path = join(FOLDER, name)
    writeFileSync(path, (await replay(path, memoryBackend())).performed)
  })
} else {
  describe('the trace that is written down follows over memory', () => follows(memoryBackend))
  describe('the trace that is written down follows over LMDB', () => follows(lmdbBackend))
  describe('the trace that is written down follows over Postgres', () => {
    let postgres: PgliteBackends
    beforeAll(async () => {
      postgres = await PgliteBackends.start()
    })
    afterAll(() => postgres.stop())
    follows(() => postgres.next())
  })
  describe.skipIf(redisIsMissing)('the trace that is written down follows over Redis', () => {
    let redis: RedisBackends
    beforeAll(async () => {
      redis = await RedisBackends.start()
    })
    afterAll(() => redis.stop())
    follows(() => redis.next())
  })
}
