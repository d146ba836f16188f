// The built package, used as a user would: by its own name, through package.json's exports.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ErrorCode, ForeshardError, memoryStore, ShardRouter } from 'foreshard'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import { migrationSql, postgresStore } from 'foreshard/postgres'
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
  console.log('the built package works')
} finally {
  rmSync(folder, { recursive: true, force: true })
}
