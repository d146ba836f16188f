import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import { ManualClock, seededRandom, systemClock } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { Predictor } from '../../src/predictor/predictor'
import { Rebalancer } from '../../src/rebalancer/rebalancer'
import { ShardRouter } from '../../src/router/router'
import { fileModelStore, PredictorClient, type PredictorClientOptions } from '../../src/service'
import { CuttingProxy } from '../servers/cutting-proxy'
import { log, NOW, PREDICTOR, Served, TOKEN } from './served'

const HOUR = 3_600_000
const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

async function serve(...args: Parameters<typeof Served.start>): Promise<Served> {
  const served = await Served.start(...args)
  endings.push(() => served.stop().catch(() => {}))
  return served
}

/** Its clock stands still: nothing is sent but what is asked for, and nothing times out. */
function clientOf(url: string, options: PredictorClientOptions = {}) {
  const clock = new ManualClock()
  const client = new PredictorClient(url, { token: TOKEN, clock, random: seededRandom(1), ...options })
  endings.push(() => client.close())
  return { client, clock }
}

const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => error,
  )

/** A placement as a router has it after a while: a shard joined, segments moved, tags carved out. */
const lived = Placement.initial({ shards: ['c', { id: 'b', weight: 2 }], buckets: 64, founded: true })
  .withShard('a')
  .with(
    new Map([
      ['#3', 'a'],
      ['#4', 'a'],
      ['{key:1}', 'b'],
    ] as const),
  )

describe('a client of a predictor', () => {
  it.each([
    ['the predictor has by itself', undefined],
    ['a new topology has', Placement.initial({ shards: PREDICTOR.shards, buckets: 64 })],
    ['a router has after a while', lived],
  ])('predicts what the same predictor here would, for the placement that %s', async (_, placement) => {
    const { client } = clientOf((await serve()).url)
    const local = new Predictor({ ...PREDICTOR, clock: new ManualClock(NOW) })
    for (const entry of log) {
      client.record(entry)
      local.record(entry)
    }
    const request = { placement, now: NOW, horizonMs: 12 * HOUR, budget: { maxMoves: 5, maxLoadShare: 0.5 } }
    const [there, here] = [await client.predict(request), await local.predict(request)]
    expect(there).toEqual(here)
    expect(here.shardAssignmentMap.size).toBeGreaterThan(0)
    expect([...there.shardAssignmentMap.keys()]).toEqual([...here.shardAssignmentMap.keys()])
    const [hot] = here.hotSegments
    expect(await client.forecast(hot!.segment, { horizonMs: 6 * HOUR })).toEqual(
      local.forecast(hot!.segment, { horizonMs: 6 * HOUR }),
    )
    expect(await client.explain(hot!.segment)).toBe(local.explain(hot!.segment))
    expect(await client.forecast('{never seen}')).toBeUndefined()
  })

  it('takes a whole log, and tells which entries were refused, and why', async () => {
    const served = await serve()
    const { client } = clientOf(served.url, { batchBytes: 4096 })
    const mixed = [
      ...log.slice(0, 700),
      { timestamp: 1, key: '', operation: 'read' },
      { ...log[0], timestamp: 9 * NOW },
    ]
    const report = await client.ingest(mixed)
    const local = await new Predictor({ ...PREDICTOR, clock: new ManualClock(NOW) }).ingest(mixed)
    expect(report).toEqual(local)
    expect(served.service.predictor.metrics.accepted).toBe(700)
  })

  it('keeps the log back while the service is away, and loses nothing of it that there is room for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'foreshard-client-'))
    endings.push(() => rm(folder, { recursive: true }))
    const store = fileModelStore(join(folder, 'model'))
    const first = await serve({ store })
    const { client, clock } = clientOf(first.url)
    const told: string[] = []
    client.on('away', () => told.push('away')).on('back', () => told.push('back'))
    for (const entry of log.slice(0, 1000)) client.record(entry)
    await client.flush()
    const port = await first.stop()

    for (const entry of log.slice(1000, 2000)) client.record(entry)
    expect((await refusalOf(client.predict()))?.code).toBe('PREDICTOR_UNAVAILABLE')
    await clock.advance(5_000)
    expect(client.metrics).toMatchObject({ waiting: 1000, dropped: 0, away: true })

    const second = await serve({ store }, port)
    for (const entry of log.slice(2000)) client.record(entry)
    await client.flush()
    expect(second.service.predictor.metrics.accepted).toBe(log.length)
    expect(client.metrics).toMatchObject({ accepted: log.length, waiting: 0, dropped: 0, away: false })
    expect(told).toEqual(['away', 'back'])
  })

  it('counts a batch once whose answer was lost', async () => {
    const served = await serve()
    const proxy = await CuttingProxy.to(served.port)
    endings.push(() => proxy.close())
    const { client } = clientOf(`http://127.0.0.1:${proxy.port}`)
    for (const entry of log.slice(0, 500)) client.record(entry)
    proxy.cutNextAnswer()
    expect((await refusalOf(client.flush()))?.code).toBe('PREDICTOR_UNAVAILABLE')
    expect(served.service.predictor.metrics.accepted).toBe(500)
    await client.flush()
    expect(served.service.predictor.metrics.accepted).toBe(500)
    expect(client.metrics).toMatchObject({ waiting: 0, dropped: 0 })
  })

  it('a batch that was counted before a restart is not counted again after it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'foreshard-client-'))
    endings.push(() => rm(folder, { recursive: true }))
    const store = fileModelStore(join(folder, 'model'))
    const first = await serve({ store })
    const proxy = await CuttingProxy.to(first.port)
    endings.push(() => proxy.close())
    const { client } = clientOf(`http://127.0.0.1:${proxy.port}`)
    for (const entry of log.slice(0, 500)) client.record(entry)
    proxy.cutNextAnswer()
    await refusalOf(client.flush())
    const second = await serve({ store }, await first.stop())
    await client.flush()
    expect(second.service.predictor.metrics.accepted).toBe(500)
  })

  it('holds no more than its bounds, however long the service is away, and tells what it dropped', async () => {
    const served = await serve()
    const { client } = clientOf(served.url, { bufferBytes: 1 << 20, batchBytes: 1 << 16 })
    const port = await served.stop()
    let told = 0
    client.on('dropped', ({ entries }) => {
      told += entries
    })
    const key = 'k'.repeat(200)
    const heapAt = () => {
      globalThis.gc?.()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      return heapUsed + arrayBuffers
    }
    const before = heapAt()
    const many = 100_000
    for (let i = 0; i < many; i++)
      client.record({ timestamp: NOW - 1, key: `${key}${i % 1000}`, operation: 'read' })
    const { waiting, waitingBytes, dropped } = client.metrics
    expect(waitingBytes).toBeLessThanOrEqual(1 << 20)
    expect(waiting + dropped).toBe(many)
    expect(dropped).toBeGreaterThan(many / 2)
    expect(told).toBe(dropped)
    expect(heapAt() - before).toBeLessThan(48 << 20)
    await refusalOf(client.flush())
    const again = await serve({}, port)
    await client.flush()
    expect(again.service.predictor.metrics.accepted).toBe(waiting)
    expect(client.metrics).toMatchObject({ accepted: waiting, waiting: 0, dropped })
  })

  it('tries again after pauses that double up to a longest, drawn so that clients do not come together', async () => {
    const tries: number[] = []
    const clock = new ManualClock()
    const client = new PredictorClient('http://127.0.0.1:1', {
      token: TOKEN,
      clock,
      random: seededRandom(3),
      flushMs: 10,
      retryMs: 1_000,
      longestRetryMs: 8_000,
      fetch: (url, init) => {
        tries.push(clock.now())
        return fetch(url, init)
      },
    })
    endings.push(() => client.close())
    client.record(log[0]!)
    // A real connection is refused between two steps of the clock.
    for (let step = 0; step < 4_000 && tries.length < 8; step++) {
      await clock.advance(10)
      await systemClock.sleep(0)
    }
    const pauses = tries.slice(1).map((at, k) => at - tries[k]!)
    const longest = [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]
    for (const [k, most] of longest.entries()) {
      expect(pauses[k]!).toBeGreaterThanOrEqual(most / 2)
      // The steps of the clock, and of the connection that is refused.
      expect(pauses[k]!).toBeLessThan(most + 1_000)
    }
    expect(new Set(pauses).size).toBeGreaterThan(3)
  })

  it('gives up an answer that does not come in time', async () => {
    const server = createServer(() => {})
    const url = await listening(server)
    const { client, clock } = clientOf(url, { timeoutMs: 3_000, predictTimeoutMs: 3_000 })
    const predicted = refusalOf(client.predict())
    await new Promise((resolve) => server.once('request', resolve))
    await clock.advance(3_001)
    expect((await predicted)?.message).toContain('3000 ms')
  })

  it('refuses options by name, and shows no password', () => {
    const cases: [string, PredictorClientOptions, string][] = [
      ['ftp://x', {}, 'url'],
      ['http://user:correct-horse@x', {}, 'url'],
      ['http://x/?token=correct-horse', {}, 'url'],
      ['http://x', { token: 'correct-horse\n' }, 'options.token'],
      ['http://x', { flushMs: -1 }, 'options.flushMs'],
      ['http://x', { tocken: 'x' } as never, 'options.tocken'],
    ]
    for (const [url, options, field] of cases) {
      let error: unknown
      try {
        new PredictorClient(url, options)
      } catch (thrown) {
        error = thrown
      }
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field })
      expect(inspect(error)).not.toContain('correct-horse')
    }
  })
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endings.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('what answers a client is not trusted', () => {
  const empty = {
    shardAssignmentMap: {},
    merges: [],
    confidenceScores: {},
    confidence: 0.9,
    triggers: [],
    hotSegments: [],
    expected: {
      imbalance: { before: 2, after: 1 },
      crossShard: { before: 0, after: 0 },
      bytesMoved: 1,
      keysMoved: 1,
      loadMoved: 0.1,
      netGain: 1,
    },
    reasons: {},
  }
  const json =
    (body: unknown): RequestListener =>
    (_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    }
  const answers: [string, RequestListener, string][] = [
    ['no JSON', json('<html>'), 'FAILED'],
    ['JSON of another kind', json({ ok: true }), 'FAILED'],
    ['a shard that is not there', json({ ...empty, shardAssignmentMap: { '#1': 'evil' } }), 'FAILED'],
    ['a segment that is not there', json({ ...empty, shardAssignmentMap: { '#999': 'a' } }), 'FAILED'],
    [
      'more moves than asked for',
      json({ ...empty, shardAssignmentMap: { '#1': 'a', '#2': 'a', '#3': 'a' } }),
      'FAILED',
    ],
    [
      'more load than asked for',
      json({ ...empty, expected: { ...empty.expected, loadMoved: 0.4 } }),
      'FAILED',
    ],
    ['a confidence over 1', json({ ...empty, confidence: 7 }), 'FAILED'],
    [
      'numbers that are none',
      json(JSON.stringify({ ...empty, confidence: 'X' }).replace('"X"', '1e999')),
      'FAILED',
    ],
    ['a bucket to be merged', json({ ...empty, merges: ['#1'] }), 'FAILED'],
    ['30,000 levels of JSON', json(`${'['.repeat(30_000)}${']'.repeat(30_000)}`), 'FAILED'],
    ['more bytes than it may', json('x'.repeat(70_000)), 'TOO_LARGE'],
    [
      'bytes without end',
      (_, response) => {
        const more = () => {
          while (response.write('x'.repeat(10_000)));
        }
        response.on('drain', more)
        more()
      },
      'TOO_LARGE',
    ],
    [
      'a redirect',
      (request, response) => {
        if (request.url === '/elsewhere') throw new Error('it was followed')
        response.writeHead(307, { location: '/elsewhere' }).end()
      },
      'PREDICTOR_UNAVAILABLE',
    ],
    [
      'a failure',
      (_, response) => void response.writeHead(500).end('{"message":7}'),
      'PREDICTOR_UNAVAILABLE',
    ],
    [
      'a refusal of a code that is not known',
      (_, response) => void response.writeHead(418).end('{"code":"TEA"}'),
      'FAILED',
    ],
  ]

  it.each(answers)('%s', async (_, listener, code) => {
    const { client } = clientOf(await listening(createServer(listener)), { answerBytes: 65_536 })
    const placement = Placement.initial({ shards: PREDICTOR.shards, buckets: 64 })
    const refusal = await refusalOf(client.predict({ placement, budget: { maxMoves: 2, maxLoadShare: 0.2 } }))
    expect(refusal?.code).toBe(code)
    expect(inspect(refusal, { depth: 12, showHidden: true })).not.toContain(TOKEN)
  })
})

describe('a rebalancer with a predictor that runs elsewhere', () => {
  it('moves by its word, skips its rounds while it is away, and goes on when it is back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'foreshard-client-'))
    endings.push(() => rm(folder, { recursive: true }))
    const store = fileModelStore(join(folder, 'model'))
    const first = await serve({ store })
    const { client } = clientOf(first.url)
    const router = await ShardRouter.open({
      shards: { a: memoryStore(), b: memoryStore(), c: memoryStore() },
      buckets: 64,
    })
    endings.push(() => router.close())
    const clock = new ManualClock(NOW)
    const rebalancer = new Rebalancer({
      router,
      predictor: client,
      mode: 'auto',
      clock,
      minConfidence: 0,
      minGain: 0,
      cooldownMs: 0,
      migration: { retainMs: 0 },
    })
    const errors: unknown[] = []
    rebalancer.on('error', (error) => errors.push(error))
    await client.ingest(log)
    const finished = new Promise((resolve) => rebalancer.once('finished', resolve))
    expect(await rebalancer.tick()).toMatchObject({ act: true })
    expect(await finished).toMatchObject({ outcome: 'done' })

    const port = await first.stop()
    const stop = router.observe((entry) => client.record(entry))
    await router.set('key:1', 1)
    expect(await router.get('key:1')).toBe(1)
    expect(await rebalancer.tick()).toMatchObject({ act: false, because: 'predictor-unavailable' })
    expect(client.metrics.waiting).toBe(2)

    await serve({ store }, port)
    await router.set('key:2', 1)
    const round = await rebalancer.tick()
    expect(round).not.toMatchObject({ because: 'predictor-unavailable' })
    expect(client.metrics).toMatchObject({ waiting: 0, dropped: 0, away: false })
    expect(errors).toEqual([])
    stop()
  })

  it('is told of a token that is not known as an error', async () => {
    const { client } = clientOf((await serve()).url, { token: 'another-token' })
    expect(await refusalOf(client.predict())).toMatchObject({ code: 'UNAUTHENTICATED' })
    client.record(log[0]!)
    expect(await refusalOf(client.flush())).toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(client.metrics).toMatchObject({ waiting: 1, away: true })
  })
})
