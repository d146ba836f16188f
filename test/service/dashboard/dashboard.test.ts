import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryStore } from '../../../src/backends/memory/memory-store'
import { Predictor } from '../../../src/predictor/predictor'
import { ShardRouter } from '../../../src/router/router'
import { createDashboard, createService } from '../../../src/service'
import type {
  DashboardState,
  HeatDocument,
  OutlookDocument,
  PreviewDocument,
} from '../../../src/service/dashboard/document'
import { EventLog } from '../../../src/service/dashboard/event-log'
import { LoadSampler } from '../../../src/service/dashboard/load-sampler'
import { ACT, READ, type Shown, showDeployment } from './deployment'

const EVENTUALLY = { timeout: 20_000 }

describe('the dashboard', () => {
  let shown: Shown
  beforeAll(async () => {
    shown = await showDeployment({ pages: 2 })
    await shown.rebalancer.tick()
  })
  afterAll(() => shown?.close())

  const ask = (path: string, token?: string, init: RequestInit = {}) =>
    fetch(new URL(path, shown.url), {
      ...init,
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...init.headers },
    })
  const act = (path: string, token: string) =>
    ask(path, token, { method: 'POST', headers: { 'foreshard-action': '1' } })
  const stateOf = async () => (await (await ask('state', READ)).json()) as DashboardState

  it('gives its page to everybody, with a policy that lets nothing else run in it', async () => {
    const response = await ask('')
    expect(response.status).toBe(200)
    const policy = response.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    expect(await response.text()).not.toMatch(/src="http|href="http|@import|url\(http/)
  })

  it.each(['state', 'events', 'heat', 'outlook?of=s1', 'rollback'])(
    'gives %s to nobody without a token',
    async (path) => {
      expect((await ask(path)).status).toBe(401)
      expect((await ask(path, 'some-other-token')).status).toBe(401)
    },
  )

  it.each(['recommendations/1/accept', 'recommendations/1/reject', 'reshardings/x/cancel', 'rollback'])(
    'does %s for nobody who may only read, and not for a page of another site',
    async (path) => {
      expect((await act(path, READ)).status).toBe(403)
      expect((await ask(path, ACT, { method: 'POST' })).status).toBe(400)
      expect((await stateOf()).recommendations[0]!.state).toBe('open')
    },
  )

  it('answers what is not there with 404, and what is malformed with 400', async () => {
    expect((await ask('outlook?of=nothing', READ)).status).toBe(404)
    expect((await ask('rollback?to=nothing', READ)).status).toBe(400)
    expect((await act('recommendations/99/accept', ACT)).status).toBe(404)
    expect((await act('recommendations/__proto__/accept', ACT)).status).toBe(404)
    expect((await ask('../../etc/passwd', READ)).status).toBe(404)
  })

  it('sends the state as it changes, and not to more pages than it was told', async () => {
    const over = new AbortController()
    const first = await ask('events', READ, { signal: over.signal })
    const second = await ask('events', READ, { signal: over.signal })
    expect((await ask('events', READ)).status).toBe(429)
    const reader = first.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while ((text.match(/data: /g) ?? []).length < 2) text += (await reader.read()).value
    expect(JSON.parse(text.split('\n\n')[0]!.slice(6))).toMatchObject({
      title: 'Foreshard',
      mayAct: false,
      mode: 'suggest',
    })
    over.abort()
    await second.body?.cancel().catch(() => {})
    await expect
      .poll(async () => {
        const third = await ask('events', READ)
        await third.body?.cancel()
        return third.status
      }, EVENTUALLY)
      .toBe(200)
  })

  it('compares a forecast with what came, and shows the hottest segments', async () => {
    const outlook = (await (await ask('outlook?of=s1', READ)).json()) as OutlookDocument
    expect(outlook.before!.mean).toHaveLength(24)
    expect(outlook.ahead!.mean).toHaveLength(24)
    expect(outlook.covered).toBeGreaterThan(0.5)
    const heat = (await (await ask('heat', READ)).json()) as HeatDocument
    const sums = heat.rows.map(({ loads }) => loads.reduce((a, b) => a + b, 0))
    expect(sums).toEqual([...sums].sort((a, b) => b - a))
    expect(heat.rows[0]!.shard).toBe('s1')
  })

  it('accepts once, shows the history, previews the way back, and goes it', async () => {
    const { id } = (await stateOf()).recommendations[0]!
    expect(await (await act(`recommendations/${id}/accept`, ACT)).json()).toMatchObject({ done: true })
    expect((await act(`recommendations/${id}/accept`, ACT)).status).toBe(404)
    await expect.poll(async () => (await stateOf()).history.length, EVENTUALLY).toBe(1)
    const [past] = (await stateOf()).history
    expect(past).toMatchObject({ standing: true })
    const preview = (await (await ask(`rollback?to=${past!.id}`, READ)).json()) as PreviewDocument
    expect(preview.moves.length).toBe(past!.moved)
    expect(preview.moves.every(({ to }) => ['s1', 's2', 's3', 's4'].includes(to))).toBe(true)
    expect(await (await act(`rollback?to=${past!.id}`, ACT)).json()).toMatchObject({ done: true })
    await expect.poll(async () => (await stateOf()).history.length, EVENTUALLY).toBe(2)
    const again = (await (await ask(`rollback?to=${past!.id}`, READ)).json()) as PreviewDocument
    expect(again.moves).toEqual([])
    expect((await stateOf()).log.some(({ kind }) => kind === 'action')).toBe(true)
  })
})

describe('a dashboard', () => {
  it('refuses options that are none, by name', () => {
    const predictor = new Predictor({ shards: ['a'] })
    expect(() => createDashboard({ token: 'long-enough' })).toThrow(/options\.router/)
    expect(() => createDashboard({ predictor })).toThrow(/options\.token/)
    expect(() => createDashboard({ predictor, token: 'long-enough', sampleMs: Number.NaN })).toThrow(
      /options\.sampleMs/,
    )
    expect(() => createDashboard({ predictor, token: 'long-enough', capacities: { a: -1 } })).toThrow(
      /capacities\.a/,
    )
    expect(() => createDashboard({ predictor, token: 'long-enough', port: 1 } as never)).toThrow(/port/)
  })

  it('cancels a resharding that somebody else began', async () => {
    const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() }, buckets: 16 })
    for (let i = 0; i < 2000; i++) await router.set(`key:${i}`, i)
    const dashboard = createDashboard({ router, token: 'long-enough' })
    const from = [...Array(16).keys()].filter((bucket) => router.placement.shardOf(`#${bucket}`) === 'a')
    const resharding = await router.requestResharding(
      1,
      new Map(from.map((bucket) => [`#${bucket}` as const, 'b'])),
      { maxKeysPerSecond: 100 },
    )
    if (!resharding.accepted) throw new Error(resharding.reason)
    const headers = { authorization: 'Bearer long-enough', 'foreshard-action': '1' }
    const url = `http://localhost/reshardings/${resharding.id}/cancel`
    const answer = await dashboard.fetch(new Request(url, { method: 'POST', headers }))
    expect(await answer.json()).toMatchObject({ done: true })
    expect((await resharding.done).outcome).toBe('cancelled')
    dashboard.close()
    await router.close()
  })

  it('pauses a resharding and lets it go on', async () => {
    const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() }, buckets: 16 })
    for (let i = 0; i < 500; i++) await router.set(`key:${i}`, i)
    const dashboard = createDashboard({ router, token: 'long-enough' })
    const headers = { authorization: 'Bearer long-enough', 'foreshard-action': '1' }
    const post = async (path: string) =>
      (await dashboard.fetch(new Request(`http://localhost/${path}`, { method: 'POST', headers }))).json()
    expect(await post('reshardings/pause')).toMatchObject({ done: true })
    expect(await post('reshardings/pause')).toMatchObject({ done: false })
    const from = [...Array(16).keys()].filter((bucket) => router.placement.shardOf(`#${bucket}`) === 'a')
    const map = new Map(from.map((bucket) => [`#${bucket}` as const, 'b']))
    const resharding = await router.requestResharding(1, map)
    if (!resharding.accepted) throw new Error(resharding.reason)
    let ended = false
    void resharding.done.then(() => {
      ended = true
    })
    await expect.poll(() => router.monitorReshardingProgress().phase, EVENTUALLY).toBe('running')
    for (let i = 0; i < 50; i++) await router.set(`key:${i}`, i + 1000)
    expect(ended).toBe(false)
    expect(router.monitorReshardingProgress()).toMatchObject({ paused: true, keysCopied: 0 })
    expect(await post('reshardings/resume')).toMatchObject({ done: true })
    expect((await resharding.done).outcome).toBe('done')
    for (let i = 0; i < 500; i++) expect(await router.get(`key:${i}`)).toBe(i < 50 ? i + 1000 : i)
    dashboard.close()
    await router.close()
  })

  it('stands under /dashboard/ of a service, behind its guard', async () => {
    const service = createService({ predictor: { shards: ['a', 'b'] }, token: 'long-enough' })
    await service.ready()
    const at = (path: string, headers: Record<string, string> = {}) =>
      service.fetch(new Request(`http://localhost${path}`, { headers }))
    expect((await at('/dashboard')).headers.get('location')).toBe('/dashboard/')
    expect(await (await at('/dashboard/')).text()).toContain('<title>Foreshard</title>')
    expect((await at('/dashboard/state')).status).toBe(401)
    const state = await at('/dashboard/state', { authorization: 'Bearer long-enough' })
    expect(await state.json()).toMatchObject({ mayAct: true, history: [] })
    await service.close()
    const without = createService({
      predictor: { shards: ['a', 'b'] },
      token: 'long-enough',
      dashboard: false,
    })
    await without.ready()
    const gone = await without.fetch(
      new Request('http://localhost/dashboard/', { headers: { authorization: 'Bearer long-enough' } }),
    )
    expect(gone.status).toBe(404)
    await without.close()
  })
})

describe('what a dashboard remembers', () => {
  it('is bounded: lines, and what repeats is counted', () => {
    const log = new EventLog(3)
    for (let i = 0; i < 1000; i++) log.add(i, 'skipped', 'nothing to move')
    expect(log.lines()).toEqual([{ at: 999, kind: 'skipped', text: 'nothing to move (1000 times)' }])
    for (let i = 0; i < 10; i++) log.add(i, 'error', `${i} `.repeat(1000))
    expect(log.lines()).toHaveLength(3)
    expect(log.lines()[0]!.text.length).toBeLessThanOrEqual(500)
  })

  it('turns counters into rates, and forgives one that begins anew', () => {
    const sampler = new LoadSampler(2)
    const at = (load: number) =>
      [
        { shard: 'a', load, refused: 0 },
        { shard: 'b', load: 100, refused: 0 },
      ] as never
    sampler.take(0, at(0))
    expect(sampler.last.loads.size).toBe(0)
    sampler.take(2000, at(60))
    expect(sampler.last.loads).toEqual(
      new Map([
        ['a', 30],
        ['b', 0],
      ]),
    )
    sampler.take(4000, at(0))
    expect(sampler.last.loads.get('a')).toBe(0)
    for (let i = 3; i < 10; i++) sampler.take(i * 2000, at(i))
    expect(sampler.recent).toHaveLength(2)
    expect(sampler.recent[0]!.imbalance).toBe(2)
  })
})
