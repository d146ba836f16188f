import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { lmdbTopology } from '../../src/backends/lmdb/lmdb-topology'
import { ManualClock, systemClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import type { Call, ShardStore } from '../../src/shard-store'

const WRITER = fileURLToPath(new URL('./lmdb-writer.ts', import.meta.url))
const BINDING = { topologyId: 't', shard: 'a', buckets: 8, clock: systemClock }
const FOUNDING = { buckets: 2, seed: 0, shards: [{ id: 'a', weight: 1 }], owners: new Int32Array(2) }

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'foreshard-lmdb-'))
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

function call(key: string, operation: Call['operation']): Call {
  return { segment: '#1', bucketId: 1, epoch: 1, key, tag: key, operation }
}

async function get(store: ShardStore, key: string): Promise<string | undefined> {
  const [answer] = await store.execute([call(key, { kind: 'get' })])
  assert.ok(answer?.ok)
  return answer.value && Buffer.from(answer.value).toString()
}

async function set(store: ShardStore, key: string, value: string): Promise<void> {
  const [answer] = await store.execute([call(key, { kind: 'set', value: Buffer.from(value), expiresAt: 0 })])
  assert.ok(answer?.ok && answer.applied)
}

/** Another process, which writes `key i` after `key i` and prints i when the write was acknowledged. */
function writer(): { child: ChildProcess; lines: AsyncIterator<string> } {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() }
}

describe('an LMDB file', () => {
  test('holds every acknowledged write after the writer was killed in the middle', async () => {
    const { child, lines } = writer()
    let acknowledged = -1
    while (acknowledged < 200) acknowledged = Number((await lines.next()).value)
    child.kill('SIGKILL')
    for (;;) {
      const { value, done } = await lines.next()
      if (done) break
      acknowledged = Number(value)
    }
    const store = lmdbStore(folder)
    await store.open(BINDING)
    for (let i = 0; i <= acknowledged; i++) assert.equal(await get(store, `key ${i}`), `value ${i}`)
    // What was under way is there in whole or not at all, and the count agrees with it.
    const [listing] = await store.fences([{ segment: '#1', bucketId: 1 }])
    const { record } = listing!
    assert.equal((await store.size()).keys, record.seq)
    assert.ok(record.seq > acknowledged)
    await set(store, 'after', 'the lock is free')
    await store.close()
  })

  test('shows what another process wrote as soon as that was acknowledged', async () => {
    const store = lmdbStore(folder)
    await store.open(BINDING)
    await store.found([1])
    const { lines } = writer()
    for (let i = 0; i < 100; i++) {
      const acknowledged = Number((await lines.next()).value)
      assert.equal(await get(store, `key ${acknowledged}`), `value ${acknowledged}`)
      if (i % 10 === 0) await set(store, `mine ${i}`, 'v')
    }
    await store.close()
  })

  test('is read as it is at the call, also when this process has not come to rest since the last one', async () => {
    const store = lmdbStore(folder)
    await store.open(BINDING)
    await store.found([1])
    const before = get(store, 'key 2')
    // Blocks: no timer of this process runs meanwhile.
    spawnSync(process.execPath, ['--import', 'tsx', WRITER, folder, '3'], { stdio: 'ignore' })
    const after = get(store, 'key 2')
    assert.deepEqual(await Promise.all([before, after]), [undefined, 'value 2'])
    await store.close()
  })

  test('keeps tags apart whose hashes are equal', async () => {
    const tags = ['user:21620', 'user:32611'] as const
    assert.equal(murmur3(tags[0]), murmur3(tags[1]))
    const store = lmdbStore(folder)
    await store.open(BINDING)
    await store.found([1])
    for (const tag of tags) await set(store, tag, 'v')
    await store.step({ segment: `{${tags[0]}}`, bucketId: 1 }, { step: 'split', epoch: 1, ticket: 1 })
    const keysOf = async (segment: '#1' | `{${string}}`) => {
      const as = { role: 'owner', epoch: 2 } as const
      const page = await store.scan({ segment, bucketId: 1, as, want: 'values', limit: 10 })
      return page.ok && page.entries.map((it) => it.key)
    }
    assert.deepEqual(await keysOf(`{${tags[0]}}`), [tags[0]])
    assert.deepEqual(await keysOf('#1'), [tags[1]])
    await store.close()
  })

  test('is one environment for all that open it in a process, however its path is written', async () => {
    const first = lmdbStore(folder)
    const second = lmdbStore({ path: `${folder}/../${folder.split('/').at(-1)}/` })
    const topology = lmdbTopology(folder)
    await Promise.all([first.open(BINDING), second.open(BINDING), topology.open(FOUNDING)])
    await first.found([1])
    await Promise.all(Array.from({ length: 50 }, (_, i) => set(i % 2 ? first : second, `k${i}`, 'v')))
    const [listing] = await second.fences([{ segment: '#1', bucketId: 1 }])
    assert.equal(listing!.record.seq, 50)
    await first.close()
    assert.equal(await get(second, 'k49'), 'v')
    await set(second, 'more', 'v')
    await second.close()
    assert.equal(await topology.drawTicket(), 1)
    await topology.close()
    await first.open(BINDING)
    assert.equal(await get(first, 'more'), 'v')
    await first.close()
  })

  test('holds several shards by their names', async () => {
    const a = lmdbStore({ path: folder, name: 'a' })
    const b = lmdbStore({ path: folder, name: 'b' })
    await a.open(BINDING)
    await b.open({ ...BINDING, shard: 'b' })
    await a.found([1])
    await b.found([1])
    await set(a, 'k', 'in a')
    await set(b, 'k', 'in b')
    assert.deepEqual([await get(a, 'k'), await get(b, 'k')], ['in a', 'in b'])
    await a.close()
    await b.close()
  })

  test('may be given open, and is left open', async () => {
    const database = open({ path: folder })
    await database.put('mine', { kept: true })
    const store = lmdbStore(database)
    await store.open(BINDING)
    await store.found([1])
    await set(store, 'k', 'v')
    assert.equal(await get(store, 'k'), 'v')
    await store.close()
    assert.deepEqual(database.get('mine'), { kept: true })
    await store.open(BINDING)
    assert.equal(await get(store, 'k'), 'v')
    await store.close()
    await database.close()
  })

  test('that is no LMDB file is refused with a code that says so', async () => {
    const contents = [Buffer.alloc(64 * 1024, 'not a database '), Buffer.from('short'), Buffer.alloc(8192)]
    for (const [i, content] of contents.entries()) {
      const path = join(folder, `garbage ${i}`)
      mkdirSync(path)
      writeFileSync(join(path, 'data.mdb'), content)
      await assert.rejects(lmdbStore(path).open(BINDING), { code: 'SHARD_MISMATCH' })
      await assert.rejects(lmdbTopology(path).open(FOUNDING), { code: 'TOPOLOGY_CORRUPT' })
    }
  })

  test('that was cut off is refused with a code that says so', async () => {
    const store = lmdbStore(folder)
    await store.open(BINDING)
    await store.found([1])
    for (let i = 0; i < 50; i++) await set(store, `key ${i}`, 'v'.repeat(1000))
    await store.close()
    truncateSync(join(folder, 'data.mdb'), 3 * 4096)
    await assert.rejects(store.open(BINDING), { code: 'SHARD_MISMATCH', message: /its end is missing/ })
  })

  test('of a newer format, or altered, is refused and left as it is', async () => {
    const store = lmdbStore(folder)
    await store.open(BINDING)
    await store.close()
    const topology = lmdbTopology(folder)
    await topology.open(FOUNDING)
    await topology.close()
    const alter = async (name: string, key: string, change: (row: string) => string) => {
      const root = open({ path: folder, overlappingSync: false })
      const records = root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' })
      const row = records.get(Buffer.from(`\0${key}`))!.toString()
      await records.put(Buffer.from(`\0${key}`), Buffer.from(change(row)))
      await root.close()
      return row
    }
    await alter('foreshard:shard', 'identity', (row) => row.replace('"format":1', '"format":2'))
    await assert.rejects(lmdbStore(folder).open(BINDING), { code: 'SHARD_MISMATCH', message: /format 2/ })
    const head = await alter('foreshard:topology', 'head', (row) => row.replace(/"format":\d+/, '"format":7'))
    await assert.rejects(lmdbTopology(folder).open(FOUNDING), {
      code: 'TOPOLOGY_CORRUPT',
      message: /format 7/,
    })
    for (const bad of ['', '{', 'null', '[]', '{"format":1}', head.replace('"buckets":2', '"buckets":3')]) {
      await alter('foreshard:topology', 'head', () => bad)
      await assert.rejects(lmdbTopology(folder).open(FOUNDING), { code: 'TOPOLOGY_CORRUPT' }, bad)
    }
    await alter('foreshard:topology', 'head', () => head)
    await alter('foreshard:topology', 'shards', () => '{"a":1}')
    await assert.rejects(lmdbTopology(folder).open(FOUNDING), { code: 'TOPOLOGY_CORRUPT' })
  })

  test('gives back the room of what expired and of logs that ended, as it is written', async () => {
    const clock = new ManualClock(1_000_000)
    const store = lmdbStore({ path: folder, clock, durability: 'process' })
    await store.open(BINDING)
    await store.found([1])
    await store.step({ segment: '#1', bucketId: 1 }, { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    const value = Buffer.from('v')
    await store.execute(
      Array.from({ length: 100 }, (_, i) =>
        call(`e${i}`, { kind: 'set', value, expiresAt: clock.now() + 10 }),
      ),
    )
    await store.step({ segment: '#1', bucketId: 1 }, { step: 'abort', epoch: 1, ticket: 2 })
    assert.equal((await store.size()).keys, 100)
    await clock.advance(10)
    for (let i = 0; i < 400; i++) await set(store, 'k', `${i}`)
    assert.deepEqual(await store.size(), { keys: 1, bytes: 3 })
    await store.close()
    const root = open({ path: folder, overlappingSync: false })
    const records = root.openDB<Buffer, Buffer>({
      name: 'foreshard:shard',
      encoding: 'binary',
      keyEncoding: 'binary',
    })
    const kinds = [...records.getKeys()].map((key) => key[0])
    assert.deepEqual(kinds, [0, 0, 1, 2, 4])
    await root.close()
  })

  test('is named by a path or given open, not both and not neither', () => {
    for (const options of [
      {},
      { path: '' },
      { path: folder, database: {} },
      { path: folder, durability: 'none' },
      null,
    ])
      assert.throws(() => lmdbStore(options as { path: string }), { code: 'INVALID_ARGUMENT' })
  })
})

test('a watcher hears of a change by another opener of the topology at its next poll', async () => {
  const clock = new ManualClock()
  const mine = lmdbTopology({ path: folder, clock, pollMs: 100 })
  const other = lmdbTopology({ path: folder, clock })
  await mine.open(FOUNDING)
  await other.open(FOUNDING)
  let heard = 0
  mine.watch(() => heard++)
  await other.commit({ founded: true })
  await clock.advance(99)
  assert.equal(heard, 0)
  await clock.advance(1)
  assert.equal(heard, 1)
  await clock.advance(1000)
  assert.equal(heard, 1)
  await mine.close()
  await other.close()
})
