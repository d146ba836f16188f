import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite'
import Keyv, { type KeyvStoreAdapter } from 'keyv'
import * as vitest from 'vitest'
import { KeyvForeshard } from '../../../src/backends/keyv'
import { ErrorCode } from '../../../src/errors'
import { collect } from '../../router/harness'
import { deploy, KINDS } from './deployments'

const { afterAll, beforeAll, describe, expect, it } = vitest

describe.each(KINDS)("Keyv's own suite over $name shards", (kind) => {
  describe.skipIf(kind.missing).each([
    { moving: false, when: 'at rest' },
    { moving: true, when: 'while segments move' },
  ])('$when', ({ moving }) => {
    let deployed: Awaited<ReturnType<typeof deploy>>
    beforeAll(async () => {
      deployed = await deploy(kind, moving)
    })
    afterAll(async () => {
      if (moving) expect(deployed.moves()).toBeGreaterThan(0)
      await deployed.end()
    })
    const store = () => new KeyvForeshard(deployed.router)
    keyvTestSuite(vitest, Keyv, store)
    keyvIteratorTests(vitest, Keyv, store)
  })
})

describe('KeyvForeshard', () => {
  const withRouter =
    (test: (router: Awaited<ReturnType<typeof deploy>>['router']) => Promise<void>) => async () => {
      const { router, end } = await deploy(KINDS[0]!, true)
      try {
        await test(router)
      } finally {
        await end()
      }
    }

  it(
    'is made with new and without, and is what Keyv 5 takes',
    withRouter(async (router) => {
      const adapter: KeyvStoreAdapter = KeyvForeshard(router)
      expect(adapter).toBeInstanceOf(KeyvForeshard)
      expect(new KeyvForeshard(router)).toBeInstanceOf(KeyvForeshard)
      expect(() => KeyvForeshard({} as never)).toThrow(
        expect.objectContaining({ code: ErrorCode.INVALID_ARGUMENT }),
      )
      expect(() => KeyvForeshard(router, { namespce: 'x' } as never)).toThrow('did you mean namespace?')
    }),
  )

  it(
    'has what Keyv 6 looks for: a namespace of its own, and every method asynchronous',
    withRouter(async (router) => {
      const adapter = KeyvForeshard(router) as unknown as Record<string, () => unknown>
      expect('namespace' in adapter).toBe(true)
      const names = ['get', 'has', 'hasMany', 'set', 'setMany', 'delete', 'deleteMany', 'clear']
      for (const name of [...names, 'getMany', 'disconnect'])
        expect(adapter[name]!.constructor.name, name).toBe('AsyncFunction')
    }),
  )

  it(
    'serves many keys at once',
    withRouter(async (router) => {
      const keyv = new Keyv(KeyvForeshard(router), { namespace: 'many', useKeyPrefix: false })
      expect(await keyv.setMany([1, 2, 3].map((n) => ({ key: `k${n}`, value: n })))).toEqual([
        true,
        true,
        true,
      ])
      expect(await keyv.getMany(['k3', 'nobody', 'k1'])).toEqual([3, undefined, 1])
      expect(await keyv.hasMany(['k1', 'nobody'])).toEqual([true, false])
      expect(await keyv.deleteMany(['k1', 'k2'])).toBe(true)
      expect(await keyv.deleteMany(['k2', 'k3'])).toBe(false)
      expect(await keyv.hasMany(['k1', 'k2', 'k3'])).toEqual([false, false, false])
    }),
  )

  it(
    'keeps namespaces apart, and what of the router is not in one out of all of them',
    withRouter(async (router) => {
      await router.set('own', 'kept')
      const [one, two] = ['one', 'two'].map((namespace) => new Keyv(KeyvForeshard(router), { namespace }))
      await one!.set('own', 1)
      await two!.set('own', 2)
      const listed = await collect(one!.iterator!(undefined))
      expect(listed).toEqual([['own', 1]])
      await one!.clear()
      expect(await one!.get('own')).toBeUndefined()
      expect(await two!.get('own')).toBe(2)
      expect(await router.get('own')).toBe('kept')
    }),
  )

  it(
    'clears nothing without a namespace',
    withRouter(async (router) => {
      await router.set('own', 'kept')
      const adapter = KeyvForeshard(router)
      await expect(adapter.clear()).rejects.toMatchObject({ code: ErrorCode.NOT_SUPPORTED })
      expect(() => {
        adapter.namespace = 'a::b'
      }).toThrow('without ::')
      expect(await router.get('own')).toBe('kept')
    }),
  )

  it(
    'hands a time to live to the router, and takes what is born expired for a deletion',
    withRouter(async (router) => {
      const adapter = KeyvForeshard(router, { namespace: 'n' })
      await adapter.set('k', 'v', 0)
      await adapter.setMany([
        { key: 'short', value: 1, ttl: 60_000 },
        { key: 'k', value: 'gone', ttl: -1 },
      ])
      expect(await adapter.getMany(['short', 'k'])).toEqual([1, undefined])
      await adapter.set('short', 2, -5)
      expect(await adapter.has('short')).toBe(false)
    }),
  )

  it(
    'leaves the router open, unless it is told to close it',
    withRouter(async (router) => {
      await new Keyv(KeyvForeshard(router)).disconnect()
      await router.set('k', 'v')
      const own = await deploy(KINDS[0]!, false)
      await new Keyv(KeyvForeshard(own.router, { closeRouter: true })).disconnect()
      await expect(own.router.get('k')).rejects.toMatchObject({ code: ErrorCode.CLOSED })
    }),
  )

  it(
    "tells Keyv of the router's failures",
    withRouter(async (router) => {
      const keyv = new Keyv(KeyvForeshard(router))
      const errors: unknown[] = []
      keyv.on('error', (error) => errors.push(error))
      await router.close()
      expect(await keyv.set('k', 'v')).toBe(false)
      expect(errors).toMatchObject([{ code: ErrorCode.CLOSED }])
    }),
  )
})
