import { PGlite } from '@electric-sql/pglite'
import { memoryTopology } from '../../src/backends/memory/memory-topology'
import { migrate } from '../../src/backends/postgres/migrate'
import { postgresStore } from '../../src/backends/postgres/postgres-store'
import { seededRandom } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { externalStore } from '../../src/testing/external-store'
import type { Backend } from './backends'

const SHARDS = ['a', 'b', 'c']

/** One PGlite for one deployment after another: each shard has tables of its own, the topology is in memory. */
export class PgliteBackends {
  readonly #pglite = new PGlite()

  static async start(): Promise<PgliteBackends> {
    const backends = new PgliteBackends()
    await backends.#pglite.waitReady
    for (const shard of SHARDS) await migrate(backends.#pglite, { table: `shard_${shard}` })
    return backends
  }

  /** An empty one. */
  async next(): Promise<Backend> {
    await this.#pglite.exec(`do $$ declare names text; begin
      select string_agg(format('%I', tablename), ', ') into names from pg_tables
        where tablename like 'shard\\_%' and tablename not like '%\\_layout';
      execute 'truncate ' || names;
    end $$`)
    return {
      name: 'pglite',
      store: (shard, time) => {
        const random = seededRandom(murmur3(shard))
        const options = { table: `shard_${shard}`, clock: time.clock, random, maxValueBytes: 1 << 21 }
        return externalStore(postgresStore(this.#pglite, options), time)
      },
      topology: ({ clock }) => memoryTopology({ clock, random: seededRandom(3) }),
      remove: () => {},
    }
  }

  stop(): Promise<void> {
    return this.#pglite.close()
  }
}
