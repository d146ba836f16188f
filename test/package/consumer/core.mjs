// The core as an application uses it, on whatever runtime runs this file: a move under way, a prediction, a forecast.
import assert from 'node:assert/strict'
import { forecast, memoryStore, Predictor, predictShardAssignment, ShardRouter } from 'foreshard'

const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() } })
await router.set('{user:1}:name', { name: 'Ada' })
const away = router.getShardLocation('{user:1}:name') === 'a' ? 'b' : 'a'
const resharding = await router.requestResharding(1, new Map([['{user:1}', away]]))
assert.equal((await resharding.done).outcome, 'done')
assert.deepEqual(await router.get('{user:1}:name'), { name: 'Ada' })
assert.equal(router.getShardLocation('{user:1}:name'), away)
assert.equal((await (await router.rollback()).done).outcome, 'done')
assert.notEqual(router.getShardLocation('{user:1}:name'), away)
await router.close()

const hour = 3_600_000
const log = Array.from({ length: 2000 }, (_, i) => ({
  timestamp: i * 60_000,
  key: `key:${(i * i) % 97}`,
  operation: 'write',
}))
const predictor = new Predictor({ shards: ['a', 'b'], intervalMs: hour })
assert.equal((await predictor.ingest(log)).accepted, log.length)
const prediction = await predictShardAssignment(log, { entities: [] }, [], [], {
  shards: ['a', 'b'],
  intervalMs: hour,
})
assert.ok(prediction.confidence >= 0 && prediction.confidence <= 1)
const { mean } = forecast(
  Array.from({ length: 96 }, (_, i) => 10 + (i % 24)),
  { horizon: 24, seasonality: 24, level: 0.95 },
)
assert.equal(mean.length, 24)
console.log('the core works')
