/** What must compile for a user of the package, and what must not. Compiled against the source, and against what was packed. */
import {
  type AccessLogEntry,
  type ErrorCode,
  ForeshardError,
  forecast,
  isForeshardError,
  memoryStore,
  Placement,
  Predictor,
  Rebalancer,
  type SegmentId,
  type ShardAssignmentMap,
  type ShardId,
  ShardRouter,
  type ShardStore,
  simulate,
  systemClock,
  type TopologyStore,
  type TrackingAttributes,
} from 'foreshard'
import { KeyvForeshard, keyvStore } from 'foreshard/keyv'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import { monitor } from 'foreshard/monitoring'
import { postgresStore, postgresTopology } from 'foreshard/postgres'
import { redisStore, redisTopology, shardedRedis } from 'foreshard/redis'
import { createDashboard, createService, PredictorClient } from 'foreshard/service'
import { checkLinearizable, faultyStore, simulation } from 'foreshard/testing'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <_T extends true>(): void => {}

export async function application(client: object): Promise<void> {
  const router = await ShardRouter.open({
    shards: { a: memoryStore(), b: lmdbStore('data/b'), c: redisStore(client) },
    topology: lmdbTopology('data/topology'),
    codec: 'utf8',
    schema: { entities: [{ name: 'cart', key: 'cart:{userId}:{item}', tag: 'userId' }] },
    relationships: [{ from: 'cart', to: 'user', on: 'userId' }],
  })
  const written = await router.set('key', 'value', { ttlMs: 1000, ifVersion: 0 })
  const attributes: TrackingAttributes = written
  holds<Same<typeof attributes.segment, SegmentId>>()
  holds<Same<typeof written.version, number>>()
  const location: ShardId = router.getShardLocation('key')
  const map: ShardAssignmentMap = new Map([[`{user:42}`, location] as const, ['#117', 'b'] as const])
  const resharding = await router.requestResharding(0.9, map, { maxKeysPerSecond: 1000, verify: true })
  if (resharding.accepted) {
    const { outcome } = await resharding.done
    holds<Same<typeof outcome, 'x'> extends true ? false : true>()
    resharding.cancel()
  } else {
    const reason: string = resharding.reason
    void reason
    // @ts-expect-error A refused resharding has nothing to wait for.
    void resharding.done
  }
  for await (const [key, value] of router.entries({ prefix: 'user:' })) void [key satisfies string, value]
  for (const { key, queryType } of [] as AccessLogEntry[]) void [key, queryType]

  // @ts-expect-error A segment is '#117' or '{user:42}'.
  const wrong: ShardAssignmentMap = new Map([['user:42', 'a']])
  void wrong
  // @ts-expect-error There is no such option.
  await router.set('key', 'value', { ttl: 1000 })
  // @ts-expect-error Shards are stores.
  await ShardRouter.open({ shards: { a: new Map() } })
  // @ts-expect-error A placement cannot be changed, only followed by another.
  router.placement.shards.push('d')

  const predictor = new Predictor({ shards: ['a', 'b', 'c'], intervalMs: 3_600_000 })
  const prediction = await predictor.predict({
    placement: router.placement,
    horizonMs: 86_400_000,
    budget: { maxMoves: 10 },
  })
  holds<Same<typeof prediction.confidence, number>>()
  const confidence: number | undefined = prediction.confidenceScores.get('{user:42}')
  void confidence
  new Rebalancer({ router, predictor, mode: 'suggest' }).start()
  // @ts-expect-error There are three modes.
  new Rebalancer({ router, predictor, mode: 'automatic' })

  const { mean, lower, upper } = forecast([1, 2, 3], { horizon: 24, seasonality: [24, 168], level: 0.95 })
  void [mean, lower, upper].map((line) => line[0]! * 2)
  const placed = Placement.initial({ shards: ['a', 'b'], buckets: 64 }).with(new Map([['#1', 'a'] as const]))
  holds<Same<ReturnType<typeof placed.shardOf>, ShardId>>()
  const report = await simulate([], {
    shards: 4,
    policies: ['hash', 'reactive', 'predictive', 'clairvoyant'],
  })
  void report

  const stores: ShardStore[] = [
    memoryStore(),
    keyvStore(client),
    redisStore(client),
    postgresStore(client),
    faultyStore(memoryStore(), { random: Math.random, clock: systemClock }),
  ]
  const topologies: TopologyStore[] = [redisTopology(client), postgresTopology(client)]
  void [new KeyvForeshard(router), KeyvForeshard(router, { namespace: 'n' })]
  void [stores, topologies, checkLinearizable([]), simulation]
  try {
    await router.get('key')
  } catch (error) {
    if (isForeshardError(error) && error.code === 'OUTCOME_UNKNOWN') throw error
    // @ts-expect-error No code is called that.
    if (error instanceof ForeshardError && error.code === 'SHARD_DOWN') throw error
  }
  const redis = shardedRedis(router)
  const name: string | null = await redis.hget('{user:42}', 'name')
  void name
  // @ts-expect-error There is no such command.
  await redis.hgett('{user:42}', 'name')
  const remote = new PredictorClient('https://predictor.example.org', { token: 'long-enough' })
  new Rebalancer({ router, predictor: remote }).start()
  const text: string = monitor({ router, predictor }).prometheus()
  void [
    text,
    createService({ predictor, token: 'long-enough' }).fetch,
    createDashboard({ router, token: 'long-enough' }),
  ]
  const code: ErrorCode = 'SHARD_UNAVAILABLE'
  void code
}
