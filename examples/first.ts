import { memoryStore, ShardRouter } from 'foreshard'

const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() } })

await router.set('{user:42}:profile', { name: 'Ada' })
await router.set('{user:42}:cart', ['tea', 'milk'])
console.log('user 42 lives on', router.getShardLocation('{user:42}:cart'))

// Move one user, while the application goes on reading and writing.
const resharding = await router.requestResharding(0.9, new Map([['{user:42}', 'a']]))
await router.set('{user:42}:cart', ['tea', 'milk', 'bread'])
if (!resharding.accepted) throw new Error(resharding.reason)
const { outcome, moved, keysCopied } = await resharding.done
console.log(`${outcome}: moved ${moved}, ${keysCopied} keys copied`)

console.log('user 42 lives on', router.getShardLocation('{user:42}:cart'))
console.log(await router.get('{user:42}:cart'))
await router.close()
