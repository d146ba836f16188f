import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { systemClock } from '../../src/clock'

/** Run as a process of its own by lmdb-durability.test.ts: three writes at a time, until `most` or until it is killed. */
async function write(path: string, most: number): Promise<void> {
  const store = lmdbStore(path)
  await store.open({ topologyId: 't', shard: 'a', buckets: 8, clock: systemClock })
  await store.found([1])
  for (let i = 0; i < most; i += 3) {
    const some = [i, i + 1, i + 2]
    await Promise.all(
      some.map((n) =>
        store.execute([
          {
            segment: '#1',
            bucketId: 1,
            epoch: 1,
            key: `key ${n}`,
            tag: `key ${n}`,
            operation: { kind: 'set', value: Buffer.from(`value ${n}`), expiresAt: 0 },
          },
        ]),
      ),
    )
    for (const n of some) process.stdout.write(`${n}\n`)
  }
}

const [, , path, most = 'Infinity'] = process.argv
await write(path!, Number(most))
