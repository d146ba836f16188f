import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    alias: [
      { find: /^foreshard$/, replacement: resolve(import.meta.dirname, 'src/index.ts') },
      { find: /^foreshard\/keyv$/, replacement: resolve(import.meta.dirname, 'src/backends/keyv/index.ts') },
      { find: /^foreshard\/lmdb$/, replacement: resolve(import.meta.dirname, 'src/backends/lmdb/index.ts') },
      {
        find: /^foreshard\/redis$/,
        replacement: resolve(import.meta.dirname, 'src/backends/redis/index.ts'),
      },
      {
        find: /^foreshard\/postgres$/,
        replacement: resolve(import.meta.dirname, 'src/backends/postgres/index.ts'),
      },
      {
        find: /^foreshard\/monitoring$/,
        replacement: resolve(import.meta.dirname, 'src/monitoring/index.ts'),
      },
      { find: /^foreshard\/service$/, replacement: resolve(import.meta.dirname, 'src/service/index.ts') },
      { find: /^foreshard\/testing$/, replacement: resolve(import.meta.dirname, 'src/testing/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Vitest leaves a core free by itself, which on two cores is half of them.
    maxWorkers: '100%',
    reporters: ['default', './test/closing-line.ts'],
  },
})
