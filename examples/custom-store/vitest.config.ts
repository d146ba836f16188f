import { defineConfig } from 'vitest/config'
import config from '../../vitest.config'

export default defineConfig({
  resolve: config.resolve,
  test: { include: ['examples/custom-store/vitest.ts'], testTimeout: 60_000 },
})
