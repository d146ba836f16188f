import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    keyv: 'src/backends/keyv/index.ts',
    lmdb: 'src/backends/lmdb/index.ts',
    monitoring: 'src/monitoring/index.ts',
    postgres: 'src/backends/postgres/index.ts',
    redis: 'src/backends/redis/index.ts',
    service: 'src/service/index.ts',
    testing: 'src/testing/index.ts',
    cli: 'src/cli/main.ts',
  },
  format: ['esm'],
  target: 'node20',
  // One copy of every shared module, so that `instanceof ForeshardError` holds across subpaths.
  splitting: true,
  dts: {
    entry: {
      index: 'src/index.ts',
      keyv: 'src/backends/keyv/index.ts',
      lmdb: 'src/backends/lmdb/index.ts',
      monitoring: 'src/monitoring/index.ts',
      postgres: 'src/backends/postgres/index.ts',
      redis: 'src/backends/redis/index.ts',
      service: 'src/service/index.ts',
      testing: 'src/testing/index.ts',
    },
  },
  clean: true,
  sourcemap: false,
  treeshake: true,
})
