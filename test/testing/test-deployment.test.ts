import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { testDeployment } from '../../src/testing/test-deployment'

describe('a test deployment', () => {
  it('serves as any router does, and moves a key now', async () => {
    const deployment = await testDeployment({ shards: ['x', 'y', 'z'] })
    const { router } = deployment
    await router.set('{user:1}:a', 1)
    const from = router.getShardLocation('{user:1}:a')
    expect(await deployment.move('{user:1}:a')).toMatchObject({
      outcome: 'done',
      moved: ['{user:1}'],
      keysCopied: 1,
    })
    expect(router.getShardLocation('{user:1}:a')).not.toBe(from)
    expect(await deployment.move('{user:1}:b', from)).toMatchObject({ outcome: 'done', moved: ['{user:1}'] })
    expect(await deployment.move('#3')).toMatchObject({ outcome: 'done' })
    expect(await router.get('{user:1}:a')).toBe(1)
    await deployment.close()
  })

  it('runs the same way for the same seed', async () => {
    const run = async (seed: number) => {
      const deployment = await testDeployment({ seed, faults: { delayMs: [1, 50], lostRequests: 0.1 } })
      const { router, clock } = deployment
      for (let i = 0; i < 30; i++) await router.set(`k${i}`, i).catch(() => {})
      const at = clock.now()
      await deployment.close()
      return at
    }
    expect(await run(3)).toBe(await run(3))
    expect(await run(4)).not.toBe(await run(3))
  })

  it('refuses an operation as often as it is told, and the router comes back', async () => {
    const { router, refuse, close } = bound(await testDeployment())
    const refusals: string[] = []
    router.on('refusal', ({ key, reason }) => refusals.push(`${key} ${reason}`))
    await router.set('k', 1)
    refuse('k', 3)
    expect(await router.get('k')).toBe(1)
    expect(refusals).toEqual(['k held', 'k held', 'k held'])
    expect(await router.getMany(['k', 'l'])).toEqual(new Map([['k', 1]]))
    await close()
  })

  it.each(['unavailable', 'refused', 'unknown'] as const)(
    'survives a cutover that is %s',
    async (failure) => {
      const deployment = await testDeployment()
      await deployment.router.set('k', 1)
      deployment.failNextCutover(failure)
      const report = await deployment.move('k')
      expect(report.outcome).toBe('done')
      expect(await deployment.router.get('k')).toBe(1)
      await deployment.close()
    },
  )

  it('lets time pass: for what expires, and for access scores', async () => {
    const { router, advance, close } = bound(
      await testDeployment({ router: { tracking: { halfLifeMs: 1000 } } }),
    )
    await router.set('k', 1, { ttlMs: 5000 })
    await advance(4999)
    expect(await router.has('k')).toBe(true)
    const score = router.accessScore('k')
    await advance(1000)
    expect(await router.has('k')).toBe(false)
    expect(router.accessScore('k')).toBeCloseTo(score / 2 + 1)
    await close()
  })

  it('takes a shard down and lets it come back', async () => {
    const { router, stores, advance, close } = bound(await testDeployment({ shards: 1 }))
    stores.get('a')!.faults.down(1000)
    await expect(router.get('k')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE' })
    await advance(1000)
    expect(await router.get('k')).toBeUndefined()
    await close()
  })

  it('is refused with options that nobody reads', async () => {
    await expect(testDeployment({ shard: 2 } as never)).rejects.toThrow('did you mean shards?')
    await expect(testDeployment({ shards: 0 })).rejects.toThrow('options.shards')
  })

  it('tests a repository against a live move in ten lines', () => {
    const file = resolve(import.meta.dirname, '../../examples/testing/baskets.test.ts')
    const { VITEST: _, NODE_TEST_CONTEXT: __, ...env } = process.env
    const out = execFileSync(
      process.execPath,
      ['--import', 'tsx', '--test', '--test-reporter', 'tap', file],
      {
        env,
        encoding: 'utf8',
      },
    )
    expect(out).toContain('# pass 1\n# fail 0')
  })
})

/** Its methods by themselves. */
function bound(deployment: Awaited<ReturnType<typeof testDeployment>>) {
  const { router, stores, clock } = deployment
  return {
    router,
    stores,
    clock,
    refuse: deployment.refuse.bind(deployment),
    advance: deployment.advance.bind(deployment),
    close: deployment.close.bind(deployment),
  }
}
