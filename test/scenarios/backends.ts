import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lmdbStore, lmdbTopology } from '../../src/backends/lmdb'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import type { ShardId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { externalStore } from '../../src/testing/external-store'
import type { VirtualTime } from '../../src/testing/virtual-time'
import type { TopologyStore } from '../../src/topology-store'

/** The stores of one deployment in virtual time. */
export interface Backend {
  name: string
  store(shard: ShardId, time: VirtualTime): ShardStore
  topology(time: VirtualTime): TopologyStore
  remove(): void
}

export function memoryBackend(): Backend {
  return {
    name: 'memory',
    store: (shard, { clock }) => memoryStore({ clock, random: seededRandom(murmur3(shard)) }),
    topology: ({ clock }) => memoryTopology({ clock, random: seededRandom(3) }),
    remove: () => {},
  }
}

export function lmdbBackend(): Backend {
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-scenario-'))
  const options = (name: string) => ({ path: join(folder, `${name}.mdb`), durability: 'process' as const })
  return {
    name: 'lmdb',
    store: (shard, time) => externalStore(lmdbStore({ ...options(shard), clock: time.clock }), time),
    topology: (time) => externalStore(lmdbTopology({ ...options('topology'), clock: time.clock }), time),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
