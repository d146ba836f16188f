import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { memoryStore } from '../../../src/backends/memory/memory-store'
import { type Clock, systemClock } from '../../../src/clock'
import { Predictor } from '../../../src/predictor/predictor'
import { Rebalancer } from '../../../src/rebalancer/rebalancer'
import { ShardRouter } from '../../../src/router/router'
import { createDashboard, type Dashboard } from '../../../src/service/dashboard/dashboard'
import type { DashboardOptions } from '../../../src/service/dashboard/options'
import { daily, generatedLog, HOUR } from '../../predictor/generated-log'

export const READ = 'may-read-only'
export const ACT = 'may-act-as-well'
const SHARDS = ['s1', 's2', 's3', 's4']
const HOURS = 240

export interface Shown {
  readonly url: string
  readonly router: ShardRouter
  /** Keys that are used much. */
  readonly busy: readonly string[]
  readonly rebalancer: Rebalancer
  readonly dashboard: Dashboard
  close(): Promise<void>
}

/** A deployment with ten days of traffic behind it, a few hot tenants with their own hours, and its dashboard on a free port. */
export async function showDeployment(
  options: Partial<DashboardOptions> = {},
  clock: Clock = systemClock,
): Promise<Shown> {
  const router = await ShardRouter.open({
    shards: Object.fromEntries(SHARDS.map((shard) => [shard, memoryStore()])),
    buckets: 256,
    clock,
  })
  const predictor = new Predictor({ shards: SHARDS, buckets: 256, hotTags: 32, intervalMs: HOUR, clock })
  const start = Math.floor(clock.now() / HOUR) - HOURS
  const busy = Array.from({ length: 400 }, (_, i) => `shop:${i}`).filter(
    (key) => router.getShardLocation(key) === SHARDS[0],
  )
  const log = generatedLog({
    keys: 80,
    hours: HOURS,
    start,
    seed: 7,
    // The busy ones all lie on one shard to begin with.
    name: (key) => (key < 8 ? busy[key]! : `tenant:${key}`),
    rate: (key, hour) => (key < 8 ? 60 : 4) * daily(hour, (key * 5) % 24),
  })
  await predictor.ingest(log)
  for (const key of new Set(log.map((entry) => entry.key))) await router.set(key, 'x'.repeat(100))
  const rebalancer = new Rebalancer({
    router,
    predictor,
    mode: 'suggest',
    minConfidence: 0,
    minGain: 0,
    clock,
  })
  const dashboard = createDashboard({
    router,
    predictor,
    rebalancer,
    tokens: { read: READ, act: ACT },
    sampleMs: 500,
    clock,
    ...options,
  })
  const server: Server = createServer((incoming, outgoing) => void dashboard.listener(incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    router,
    busy: busy.slice(0, 8),
    rebalancer,
    dashboard,
    async close() {
      dashboard.close()
      await new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      })
      await rebalancer.stop()
      await router.close()
    },
  }
}
