// The built package, used as a user would: by its own name, through package.json's exports.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ErrorCode, ForeshardError, memoryStore, ShardRouter } from 'foreshard'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import { migrationSql, postgresStore } from 'foreshard/postgres'
import { createService, PredictorClient } from 'foreshard/service'
import { checkLinearizable, faultyStore } from 'foreshard/testing'

const folder = mkdtempSync(join(tmpdir(), 'foreshard-smoke-'))
try {
  const router = await ShardRouter.open({
    shards: { a: lmdbStore({ path: join(folder, 'a') }), b: memoryStore() },
    topology: lmdbTopology({ path: join(folder, 'topology') }),
  })
  await router.set('{user:1}:name', 'Ada')
  const away = router.getShardLocation('{user:1}:name') === 'a' ? 'b' : 'a'
  const resharding = await router.requestResharding(1, new Map([['{user:1}', away]]))
  assert.equal((await resharding.done).outcome, 'done')
  assert.equal(await router.get('{user:1}:name'), 'Ada')
  assert.equal(router.getShardLocation('{user:1}:name'), away)

  // One error class for all subpaths.
  const closed = lmdbStore({ path: join(folder, 'c') })
  await assert.rejects(
    () => closed.execute([]),
    (error) => error instanceof ForeshardError && error.code === ErrorCode.CLOSED,
  )
  await router.close()
  assert.match(migrationSql(), /create table "public"\."foreshard_entry"/)
  assert.throws(
    () => postgresStore({}),
    (error) => error instanceof ForeshardError && error.code === ErrorCode.INVALID_ARGUMENT,
  )
  assert.equal(checkLinearizable([]).ok, true)
  assert.equal(typeof faultyStore, 'function')

  const log = join(folder, 'log.csv')
  const lines = Array.from({ length: 2000 }, (_, i) => `${i * 60_000},key:${(i * i) % 97},write`)
  writeFileSync(log, `timestamp,key,operation\n${lines.join('\n')}\n`)
  const out = execFileSync(process.execPath, ['dist/cli.js', 'simulate', log, '--shards', '4'], {
    encoding: 'utf8',
  })
  assert.match(out, /predictive/)

  assert.throws(
    () => createService({ predictor: { shards: ['a'] } }),
    (error) => error instanceof ForeshardError && error.field === 'options.token',
  )
  const state = join(folder, 'model.gz')
  const flags = ['serve', '--shards', 'a,b', '--buckets', '64', '--port', '0', '--state', state]
  const env = { ...process.env, FORESHARD_TOKEN: 'a-token-of-the-smoke-test' }
  const serving = spawn(process.execPath, ['dist/cli.js', ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [said] = await once(serving.stdout, 'data')
    const client = new PredictorClient(/serving on (\S+)/.exec(said)[1], { token: env.FORESHARD_TOKEN })
    const now = Date.now()
    const entries = Array.from({ length: 500 }, (_, i) => ({
      timestamp: now - (500 - i) * 60_000,
      key: `key:${i % 7}`,
      operation: 'read',
    }))
    assert.equal((await client.ingest(entries)).accepted, 500)
    assert.ok((await client.predict({ now })).hotSegments.length > 0)
    await client.close()
  } finally {
    serving.kill('SIGTERM')
  }
  const [code] = await once(serving, 'exit')
  assert.equal(code, 0)
  assert.ok(existsSync(state))

  const demo = execFileSync(process.execPath, ['dist/cli.js', 'demo', '--orders', '700'], {
    encoding: 'utf8',
  })
  assert.match(demo, /over LMDB shards/)
  assert.match(demo, /Nothing lost: [\d,]+ values compared after 700 orders, all equal/)
  console.log('the built package works')
} finally {
  rmSync(folder, { recursive: true, force: true })
}
