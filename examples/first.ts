import { memoryStore, ShardRouter } from 'foreshard'

const router = await ShardRouter.open({
  shards: { a: memoryStore(), b: memoryStore() },
})

await router.set('{user:42}:profile', { name: 'Ada' })
await router.set('{user:42}:cart', ['tea', 'milk'])
const home = router.getShardLocation('{user:42}:cart')
console.log(`user 42 lives on ${home}`)

// Move one user, while the application goes on reading and writing.
const away = home === 'a' ? 'b' : 'a'
const resharding = await router.requestResharding(0.9, new Map([['{user:42}', away]]))
await router.set('{user:42}:cart', ['tea', 'milk', 'bread'])
if (resharding.accepted) {
  const report = await resharding.done
  console.log(`${report.outcome}: moved ${report.moved.join(', ')}, ${report.keysCopied} keys copied`)
}
console.log(`user 42 lives on ${router.getShardLocation('{user:42}:cart')}`)
console.log(await router.get('{user:42}:cart'))
await router.close()
