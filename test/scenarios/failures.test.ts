import { expect, it } from 'vitest'
import type { ShardStore } from '../../src/shard-store'
import type { Member } from '../../src/testing/simulation/deployment'
import { onEveryStore, type Stage } from './stage'

/**
 * What happened to others, played on our own stores: what test/protocol/F*.txt cannot show, because it is to hold wherever
 * it strikes.
 */
onEveryStore('failures that others have had', (stage) => {
  /** Two processes and some keys, all of them on shard a. */
  async function begun(
    it: Stage,
    failpoint?: (step: string) => void | Promise<void>,
  ): Promise<{ p: Member; q: Member; keys: string[] }> {
    const p = await it.deployment.start(0, failpoint ? { failpoint } : {})
    const q = await it.deployment.start(1)
    const keys = await it.keys(p, 5)
    for (const key of keys) await p.router.set(key, `first ${key}`)
    return { p, q, keys }
  }

  it('F1: a mover dies with a cancelled plan that had carved a tag out, and its heir undoes the move of the tag', () => {
    const it = stage()
    return it.play(async () => {
      const { p, q, keys } = await begun(it, async (step) => {
        if (step === 'verify:before') await cancel()
        if (step !== 'abort:before') return
        p.process.kill()
        await p.process.running()
      })
      let cancel = async () => {}
      const segment = `{${keys[0]!}}` as const
      const resharding = await p.router.requestResharding(1, new Map([[segment, 'b']]), { retainMs: 0 })
      if (!resharding.accepted) throw new Error(resharding.reason)
      cancel = () => resharding.cancel()
      await expect(p.process.answer(resharding.done)).rejects.toThrow('killed')
      const found = await it.expectRest()
      expect(found.get(keys[0]!)?.shard).toBe('a')
      expect(q.router.placement.isCarved(keys[0]!)).toBe(true)
    })
  })

  for (const step of ['export', 'prepare', 'ingest', 'verify', 'cutover', 'activate', 'publish'])
    it(`F4: a mover that slept before ${step}, and was superseded, wakes up and goes on`, () => {
      const it = stage()
      return it.play(async () => {
        let asleep = false
        const { p, q, keys } = await begun(it, async (at) => {
          if (at !== `${step}:before` || asleep) return
          asleep = true
          p.process.freeze()
          await p.process.running()
        })
        const moving = it.move(p, 'b').catch(() => undefined)
        while (!asleep) await it.sleep(10)
        await it.sleep(60_000)
        expect(await it.fence('b')).toMatchObject({ state: 'owned' })
        await q.router.set(keys[0]!, 'second')
        await q.router.delete(keys[1]!)
        p.process.thaw()
        await moving
        await q.router.set(keys[2]!, 'third')
        const found = await it.expectRest()
        expect(found.get(keys[0]!)).toEqual({ shard: 'b', value: 'second' })
        expect(found.has(keys[1]!)).toBe(false)
        expect(await p.router.getMany(keys)).toEqual(await q.router.getMany(keys))
      })
    })

  it('F5: every request of the mover is delivered once more after every later one', () => {
    const it = stage()
    return it.play(async () => {
      const again = async () => {
        for (const send of [...it.sent]) await send()
      }
      const { p, q, keys } = await begun(it, async (step) => {
        if (step.endsWith(':before')) return
        await again()
        await q.router.set(keys[0]!, `after ${step}`)
        await q.router.delete(keys[1]!)
        await q.router.set(keys[1]!, `back after ${step}`)
        await q.router.delete(keys[2]!)
        await again()
      })
      await it.move(p, 'b', { retainMs: 500 })
      await again()
      await it.sleep(5_000)
      await again()
      const back = await p.router.rollback({ retainMs: 500 })
      if (back.accepted) await back.done
      await again()
      await it.sleep(5_000)
      await again()
      const last = (await q.router.get<string>(keys[0]!))!
      const found = await it.expectRest()
      expect(found.get(keys[0]!)?.value).toBe(last)
      expect(found.has(keys[2]!)).toBe(false)
      expect(found.size).toBe(4)
      expect(it.sent.length).toBeGreaterThan(15)
    })
  })

  it('F6: a key that is deleted while it moves never returns, whenever that is, on the way back neither', async () => {
    for (const step of STEPS) {
      const it = stage()
      await it.play(async () => {
        let done = false
        const { p, q, keys } = await begun(it, async (at) => {
          if (at !== step || done) return
          done = true
          await q.router.delete(keys[0]!)
        })
        expect(await it.move(p, 'b')).toMatchObject({ outcome: 'done' })
        expect(done).toBe(true)
        expect(await q.router.get(keys[0]!)).toBeUndefined()
        const back = await q.router.rollback()
        if (!back.accepted) throw new Error(back.reason)
        expect(await back.done).toMatchObject({ outcome: 'done' })
        expect(await p.router.has(keys[0]!)).toBe(false)
        expect([...(await it.expectRest()).keys()].sort()).toEqual(keys.slice(1).sort())
      })
    }
  })

  it('F11: what expires keeps its time on every way, and what has expired never returns', () => {
    const it = stage()
    return it.play(async () => {
      const { p, q, keys } = await begun(it, async (step) => {
        // The first key expires in the middle of the copy.
        if (step === 'verify:before') await it.sleep(1_500)
      })
      await p.router.set(keys[0]!, 'short', { ttlMs: 1_000 })
      await p.router.set(keys[1]!, 'long', { ttlMs: 100_000 })
      const expiry = await expiresAt(it.stores.get('a')!, it, keys[1]!)
      expect(await it.move(p, 'b', { retainMs: 50_000 })).toMatchObject({ outcome: 'done' })
      expect(await q.router.get(keys[0]!)).toBeUndefined()
      expect(await expiresAt(it.stores.get('b')!, it, keys[1]!)).toBe(expiry)
      const back = await q.router.rollback({ retainMs: 50_000 })
      if (!back.accepted) throw new Error(back.reason)
      expect(await back.done).toMatchObject({ outcome: 'done' })
      expect(await expiresAt(it.stores.get('a')!, it, keys[1]!)).toBe(expiry)
      expect(await p.router.has(keys[0]!)).toBe(false)
      expect(await p.router.set(keys[0]!, 'new', { ifVersion: 0 })).toMatchObject({
        version: expect.any(Number),
      })
      await it.sleep(expiry - it.time.clock.now() - 1)
      expect(await q.router.get(keys[1]!)).toBe('long')
      await it.sleep(1)
      expect(await q.router.get(keys[1]!)).toBeUndefined()
      expect(await p.router.has(keys[1]!)).toBe(false)
    })
  })
})

/** A way there has at least these. */
const STEPS = [
  'export:before',
  'export:after',
  'prepare:after',
  'sweep:after',
  'copy:before',
  'ingest:after',
  'catch-up:after',
  'verify:before',
  'verify:after',
  'cutover:before',
  'cutover:after',
  'activate:after',
  'publish:after',
]

async function expiresAt(store: ShardStore, it: Stage, key: string): Promise<number> {
  const [listing] = await store.fences([{ segment: it.segment, bucketId: it.bucketId() }])
  const page = await store.scan({
    segment: it.segment,
    bucketId: it.bucketId(),
    as: { role: 'owner', epoch: listing!.record.epoch },
    want: 'values',
    limit: 100,
  })
  return page.ok ? page.entries.find((entry) => entry.key === key)!.expiresAt : Number.NaN
}
