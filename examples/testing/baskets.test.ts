import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDeployment } from 'foreshard/testing'
import { Baskets, keyOf } from './baskets'

test('a basket keeps every item while its user moves, and is gone after an hour', async () => {
  const deployment = await testDeployment({ shards: 2, seed: 7 })
  const baskets = new Baskets(deployment.router)
  await baskets.add('ada', 'tea')
  deployment.failNextCutover()
  const moved = deployment.move(keyOf('ada'))
  await Promise.all(['milk', 'bread'].map((item) => baskets.add('ada', item)))
  assert.equal((await moved).outcome, 'done')
  assert.deepEqual((await baskets.items('ada')).sort(), ['bread', 'milk', 'tea'])
  await deployment.advance(3_600_000)
  assert.deepEqual(await baskets.items('ada'), [])
})
