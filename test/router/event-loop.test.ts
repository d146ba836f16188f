import { expect, it } from 'vitest'
import { memoryStore, type SegmentId, ShardRouter } from '../../src/index'

it('lets timers have their turn while it moves and lists what lies in memory', async () => {
  const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() }, buckets: 256 })
  for (let i = 0; i < 20_000; i++) await router.set(`k${i}`, i)
  const everything = (to: string) =>
    new Map<SegmentId, string>(Array.from({ length: 256 }, (_, b) => [`#${b}`, to]))
  let stop = false
  setTimeout(() => {
    stop = true
  }, 0)
  let rounds = 0
  // Without a turn for the timer this never ends.
  while (!stop) {
    const resharding = await router.requestResharding(1, everything(rounds++ % 2 ? 'a' : 'b'), {
      retainMs: 0,
    })
    if (resharding.accepted) await resharding.done
  }
  expect(rounds).toBeGreaterThan(0)

  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const listed = new Set<string>()
  while (turns === 0) for await (const [key] of router.entries()) listed.add(key)
  clearInterval(timer)
  expect(listed.size).toBe(20_000)
  await router.close()
})
