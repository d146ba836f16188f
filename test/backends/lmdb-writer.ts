import { lmdbStore } from '../../src/backends/lmdb/lmdb-store'
import { systemClock } from '../../src/clock'

/** Run as a process of its own by lmdb-durability.test.ts: writes until it is killed, a few at a time. */
async function write(path: string): Promise<void> {
  const store = lmdbStore(path)
  await store.open({ topologyId: 't', shard: 'a', buckets: 8, clock: systemClock })
  await store.found([1])
  for (let i = 0; ; i += 3) {
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

await write(process.argv[2]!)
