import { connect } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock, systemClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { createService, type Service, type ServiceOptions } from '../../src/service'
import { log, ndjson, newService, PREDICTOR, Served, TOKEN } from '../service/served'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

async function service(options: Partial<ServiceOptions> = {}): Promise<Service> {
  const made = newService(options)
  endings.push(() => made.close())
  await made.ready()
  return made
}

type Body = string | Uint8Array | ReadableStream<Uint8Array>
function asked(
  path: string,
  body?: Body,
  headers: Record<string, string> = {},
  method = body ? 'POST' : 'GET',
) {
  return new Request(`http://localhost${path}`, {
    method,
    body: body as never,
    duplex: 'half',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
  } as RequestInit)
}
const NDJSON = { 'content-type': 'application/x-ndjson' }

async function answer(response: Response | Promise<Response>) {
  const it = await response
  const text = await it.text()
  return { status: it.status, headers: it.headers, json: text === '' ? undefined : JSON.parse(text) }
}

/** A body that goes on for `pieces` pieces; `taken` of them were read. */
function endless(piece: Uint8Array, pieces = Number.POSITIVE_INFINITY) {
  const state = { taken: 0, cancelled: false }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (state.taken++ >= pieces) controller.close()
        else controller.enqueue(piece)
      },
      cancel: () => {
        state.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { state, stream }
}

describe('a service and its token', () => {
  it('refuses to be made open to everybody', () => {
    const attempts: [Partial<ServiceOptions>, string][] = [
      [{}, 'options.token'],
      [{ token: '' }, 'options.token'],
      [{ token: 'short' }, 'options.token'],
      [{ token: `${TOKEN}\r\nX: y` }, 'options.token'],
      [{ token: TOKEN, loopbackOnly: true }, 'options.loopbackOnly'],
      [{ tokens: { read: TOKEN, act: TOKEN } }, 'options.tokens.act'],
      [{ token: TOKEN, tokens: {} }, 'options.tokens'],
      [{ tokens: { write: TOKEN } as never }, 'options.tokens.write'],
      [{ loopbackOnly: 'yes' as never }, 'options.loopbackOnly'],
    ]
    for (const [options, field] of attempts) {
      let error: unknown
      try {
        createService({ predictor: PREDICTOR, ...options })
      } catch (thrown) {
        error = thrown
      }
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field })
      expect(inspect(error)).not.toContain(TOKEN)
    }
  })

  it('answers nothing but health to whoever has none, and does not read what they send', async () => {
    const served = await service({ limits: { requestsPerSecond: 1e6 } })
    const wrong = [
      '',
      'Bearer',
      'Bearer ',
      `bearer${TOKEN}`,
      `Basic ${btoa(TOKEN)}`,
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(0, -1)}`,
      `Bearer ${TOKEN} ${TOKEN}`,
      `Bearer ${TOKEN.toUpperCase()}`,
      `Bearer ${'x'.repeat(8_000)}`,
    ]
    for (const authorization of wrong)
      for (const path of [
        '/v1/predict',
        '/v1/snapshot',
        '/v1/nothing',
        '/',
        '/v1/openapi.json',
        '/v1/health/',
        '/V1/HEALTH',
      ]) {
        const { stream, state } = endless(Buffer.from('x'))
        const refused = await answer(served.fetch(asked(path, stream, { authorization })))
        expect(refused, `${authorization.slice(0, 60)} ${path}`).toMatchObject({
          status: 401,
          json: { code: 'UNAUTHENTICATED', cure: expect.any(String) },
        })
        expect(state.taken).toBe(0)
      }
    expect((await served.fetch(asked('/v1/health', undefined, { authorization: '' }))).status).toBe(200)
    expect(await answer(served.fetch(asked('/v1/ready', undefined, { authorization: '' })))).toMatchObject({
      json: { ready: true },
    })
  })

  it('lets each token do what it may and no more', async () => {
    const tokens = { read: 'token-that-reads', record: 'token-that-records', act: 'token-that-acts' }
    const served = await service({ tokens })
    const snapshot = JSON.stringify(served.predictor.snapshot())
    const calls: [
      string,
      () => [string, Body?, Record<string, string>?, string?],
      (keyof typeof tokens)[],
    ][] = [
      ['predict', () => ['/v1/predict', '{}'], ['read', 'record', 'act']],
      ['deliver a log', () => ['/v1/access-log', ndjson(log.slice(0, 9)), NDJSON], ['record', 'act']],
      ['take the state', () => ['/v1/snapshot'], ['act']],
      ['replace the state', () => ['/v1/snapshot', snapshot, {}, 'PUT'], ['act']],
    ]
    for (const [what, call, may] of calls)
      for (const [permission, token] of Object.entries(tokens)) {
        const [path, body, headers, method] = call()
        const { status } = await served.fetch(
          asked(path, body, { ...headers, authorization: `Bearer ${token}` }, method),
        )
        expect(status < 300 ? 'may' : status, `${permission}: ${what}`).toBe(
          may.includes(permission as never) ? 'may' : 403,
        )
      }
  })

  it('without one answers its own machine only: no page, no proxy, no name that was bent', async () => {
    const served = await service({ loopbackOnly: true })
    const ask = (url: string, headers: Record<string, string> = {}, remoteAddress?: string) =>
      served.fetch(
        new Request(url, { headers }),
        remoteAddress ? { incoming: { socket: { remoteAddress } } } : {},
      )
    const url = 'http://127.0.0.1:7070/v1/openapi.json'
    const good: Parameters<typeof ask>[] = [
      [url],
      [url, {}, '127.0.0.1'],
      [url, {}, '::ffff:127.0.0.1'],
      ['http://[::1]:7070/v1/openapi.json', {}, '::1'],
      ['http://localhost:7070/v1/openapi.json', { origin: 'http://localhost:7070' }],
    ]
    for (const args of good) expect((await ask(...args)).status, args.join(' ')).toBe(200)
    const bad: Parameters<typeof ask>[] = [
      [url, {}, '192.0.2.7'],
      [url, {}, '::ffff:192.0.2.7'],
      [url, { origin: 'https://evil.example' }],
      [url, { origin: 'null' }],
      [url, { origin: 'http://127.0.0.1:9999' }],
      [url, { 'x-forwarded-for': '192.0.2.7' }],
      [url, { forwarded: 'for=192.0.2.7' }],
      ['http://evil.example/v1/openapi.json', {}, '127.0.0.1'],
      ['http://127.0.0.1.evil.example/v1/openapi.json'],
      ['http://localhost.evil.example/v1/openapi.json'],
    ]
    for (const args of bad) expect((await ask(...args)).status, inspect(args)).toBe(403)
  })
})

describe('a body that is sent to a service', () => {
  it('over its limit is refused by what it says of itself, or when it gets there', async () => {
    const served = await service({ limits: { bodyBytes: 10_000, logBytes: 10_000, snapshotBytes: 10_000 } })
    for (const [path, method, headers] of [
      ['/v1/predict', 'POST', {}],
      ['/v1/snapshot', 'PUT', {}],
      ['/v1/access-log', 'POST', NDJSON],
    ] as const) {
      const stated = await answer(
        served.fetch(
          asked(path, endless(Buffer.alloc(1)).stream, { ...headers, 'content-length': '10001' }, method),
        ),
      )
      expect(stated).toMatchObject({ status: 413, json: { code: 'TOO_LARGE', field: 'body' } })
      const { stream, state } = endless(Buffer.alloc(1_000, 32))
      const grown = await answer(served.fetch(asked(path, stream, headers, method)))
      expect(grown).toMatchObject({ status: 413, json: { code: 'TOO_LARGE' } })
      expect(state.taken).toBeLessThan(15)
      expect(state.cancelled).toBe(true)
    }
  })

  it('that comes too slowly is given up, between two pieces and as a whole', async () => {
    const clock = new ManualClock()
    const served = await service({ clock, limits: { idleMs: 1_000, bodyMs: 5_000, logMs: 5_000 } })
    const silent = answer(served.fetch(asked('/v1/predict', new ReadableStream<Uint8Array>())))
    await clock.advance(0)
    await clock.advance(1_001)
    expect(await silent).toMatchObject({ status: 408, json: { code: 'TIMED_OUT' } })

    let send = (_bytes: Uint8Array) => {}
    const drop = new ReadableStream<Uint8Array>({
      start: (it) => {
        send = (bytes) => it.enqueue(bytes)
      },
    })
    const dripping = answer(served.fetch(asked('/v1/access-log', drop, NDJSON)))
    let done = false
    void dripping.then(() => {
      done = true
    })
    for (let i = 0; i < 12 && !done; i++) {
      send(Buffer.from(`{"timestamp":1,"key":"${i}","operation":"read"}\n`))
      await clock.advance(600)
    }
    expect(await dripping).toMatchObject({ status: 408 })
    expect(served.predictor.metrics.accepted).toBeGreaterThan(5)
  })

  it('of JSON that is nested deep, is none, or is of another type is refused in one shape', async () => {
    const served = await service()
    const deep = `{"placement":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const cases: [string, Record<string, string>, number, string][] = [
      [deep, {}, 400, 'body'],
      ['{', {}, 400, 'body'],
      ['nonsense', {}, 400, 'body'],
      ['[]', {}, 400, 'body'],
      ['{}', { 'content-type': 'text/plain' }, 415, 'Content-Type'],
      ['{}', { 'content-type': 'application/json', 'content-encoding': 'br' }, 415, 'Content-Encoding'],
      ['{"horizon":1}', {}, 400, 'body'],
      ['{"horizonMs":"1"}', {}, 400, 'horizonMs'],
      ['{"horizonMs":1e400}', {}, 400, 'horizonMs'],
      ['{"__proto__":{"horizonMs":1}}', {}, 400, 'body'],
      ['{"placement":{"shards":[]}}', {}, 400, 'placement.shards'],
      ['{"placement":{"shards":["a"],"buckets":1048576}}', {}, 400, 'placement'],
      ['{"placement":{"shards":["a"],"assignments":{"#1":"evil"}}}', {}, 400, 'map.get("#1")'],
      ['{"placement":{"shards":["a"],"assignments":{"constructor":"a"}}}', {}, 400, 'placement.assignments'],
      ['{"placement":{"shards":["a"],"owners":[0]}}', {}, 400, 'placement.owners'],
      [
        `{"placement":{"shards":["a"],"owners":${JSON.stringify(Array(64).fill(1))}}}`,
        {},
        400,
        'placement.owners.0',
      ],
      [
        `{"placement":{"shards":${JSON.stringify(Array.from({ length: 257 }, (_, i) => `s${i}`))}}}`,
        {},
        400,
        'placement.owners',
      ],
      ['{"budget":{"maxMoves":-1}}', {}, 400, 'budget.maxMoves'],
      ['{"forbidden":["nobody"]}', {}, 400, 'forbidden'],
    ]
    for (const [body, headers, status, field] of cases) {
      const refused = await answer(served.fetch(asked('/v1/predict', body, headers)))
      expect(refused.status, `${body.slice(0, 60)} ${JSON.stringify(refused.json)}`).toBe(status)
      expect(Object.keys(refused.json).sort()).toEqual(['code', 'cure', 'field', 'message'])
      expect(refused.json.field, body.slice(0, 60)).toContain(field)
      expect(refused.json.message.length).toBeLessThan(2_100)
    }
    expect(({} as { horizonMs?: number }).horizonMs).toBeUndefined()
  })

  it('of a gigabyte without a newline is one line that is left out, in bounded memory', async () => {
    const served = await service({ limits: { logBytes: 2 ** 31 } })
    const before = process.memoryUsage()
    const { stream } = endless(Buffer.alloc(1 << 20, 120), 1_024)
    const { json } = await answer(served.fetch(asked('/v1/access-log', stream, NDJSON)))
    expect(json).toMatchObject({ lines: 1, accepted: 0, refused: { 'line too long': 1 } })
    const { rss } = process.memoryUsage()
    expect(rss - before.rss).toBeLessThan(256 << 20)
  })

  it('that unpacks to more than its limit is given up there', async () => {
    const served = await service({ limits: { logBytes: 1 << 20 } })
    const bomb = gzipSync(Buffer.alloc(128 << 20, 10), { level: 1 })
    expect(bomb.length).toBeLessThan(1 << 20)
    const before = process.memoryUsage().rss
    const gzip = { ...NDJSON, 'content-encoding': 'gzip' }
    expect(await answer(served.fetch(asked('/v1/access-log', bomb, gzip)))).toMatchObject({ status: 413 })
    expect(process.memoryUsage().rss - before).toBeLessThan(96 << 20)
    const cut = await answer(served.fetch(asked('/v1/access-log', bomb.subarray(0, 1_000), gzip)))
    expect([400, 413]).toContain(cut.status)
  })

  it('that is a numbered batch and ends early counts nothing, and may be sent again', async () => {
    const served = await service()
    const batch = { ...NDJSON, 'foreshard-sender': 'x', 'foreshard-batch': '1' }
    const body = Buffer.from(ndjson(log.slice(0, 100)))
    const broken = new ReadableStream<Uint8Array>({
      start: (it) => it.enqueue(body.subarray(0, 1_000)),
      pull: (it) => it.error(new Error('the connection broke')),
    })
    const refused = await answer(served.fetch(asked('/v1/access-log', broken, batch)))
    expect(refused).toMatchObject({ status: 400, json: { field: 'body' } })
    expect(served.predictor.metrics.accepted).toBe(0)
    const { json } = await answer(served.fetch(asked('/v1/access-log', body, batch)))
    expect(json).toMatchObject({ accepted: 100, repeated: false })
  })

  it('that is a snapshot which was tampered with is refused, and the predictor is as it was', async () => {
    const served = await service()
    await served.fetch(asked('/v1/access-log', ndjson(log.slice(0, 500)), NDJSON))
    const snapshot = JSON.parse(JSON.stringify(served.predictor.snapshot()))
    const forged = (state: object) => ({ ...snapshot, checksum: murmur3(JSON.stringify(state)), state })
    const spoilt = [
      { ...snapshot, checksum: snapshot.checksum + 1 },
      { ...snapshot, version: 99 },
      { ...snapshot, more: 1 },
      { ...snapshot, state: [] },
      forged({ ...snapshot.state, options: { ...snapshot.state.options, buckets: 1e9 } }),
      forged({ ...snapshot.state, options: { ...snapshot.state.options, buckets: 128 } }),
      forged({ ...snapshot.state, slotOf: 'I:268435456::' }),
      forged({}),
    ]
    for (const [i, given] of spoilt.entries()) {
      const put = await answer(served.fetch(asked('/v1/snapshot', JSON.stringify(given), {}, 'PUT')))
      expect(put.status, String(i)).toBe(400)
      expect(served.predictor.metrics.accepted).toBe(500)
    }
  })
})

describe('a service under many requests', () => {
  it('answers each caller so many a second, and tells the others when to come again', async () => {
    const clock = new ManualClock(1_000)
    const served = await service({ clock, limits: { requestsPerSecond: 10 } })
    const from = (remoteAddress: string) =>
      served.fetch(asked('/v1/openapi.json'), { incoming: { socket: { remoteAddress } } })
    const first = await Promise.all(Array.from({ length: 30 }, () => from('192.0.2.1')))
    const taken = first.filter(({ status }) => status === 200).length
    expect(taken).toBeGreaterThanOrEqual(20)
    expect(taken).toBeLessThanOrEqual(22)
    const refused = first.find(({ status }) => status === 429)!
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    expect((await from('192.0.2.2')).status).toBe(200)
    clock.jump(2_000)
    expect((await from('192.0.2.1')).status).toBe(200)
    expect(
      (await served.fetch(asked('/v1/health'), { incoming: { socket: { remoteAddress: '192.0.2.1' } } }))
        .status,
    ).toBe(200)
  })

  it('counts wrong tokens among them', async () => {
    const clock = new ManualClock(1_000)
    const served = await service({ clock, limits: { requestsPerSecond: 10 } })
    const statuses = new Set<number>()
    for (let i = 0; i < 40; i++)
      statuses.add(
        (await served.fetch(asked('/v1/predict', '{}', { authorization: `Bearer guess-number-${i}` })))
          .status,
      )
    expect([...statuses]).toEqual([401, 429])
  })

  it('takes so many at a time', async () => {
    const served = await service({
      clock: new ManualClock(),
      limits: { concurrent: 3, closeMs: 1, requestsPerSecond: 1e6 },
    })
    const ends: (() => void)[] = []
    const slow = () => new ReadableStream<Uint8Array>({ start: (it) => void ends.push(() => it.close()) })
    const under = Array.from({ length: 3 }, () => served.fetch(asked('/v1/access-log', slow(), NDJSON)))
    expect((await served.fetch(asked('/v1/openapi.json'))).status).toBe(429)
    for (const end of ends) end()
    for (const each of under) expect((await each).status).toBe(200)
    expect((await served.fetch(asked('/v1/openapi.json'))).status).toBe(200)
  })
})

describe('a service and odd requests', () => {
  it('knows its paths and methods exactly', async () => {
    const served = await service({ limits: { requestsPerSecond: 1e6 } })
    for (const path of [
      '/v1/%6f%70enapi.json/../snapshot/x',
      '//v1/snapshot',
      '/v1//snapshot',
      '/v1/snapshot/',
      '/v1/..%2fv1/snapshot',
      '/v1/snapshot%00',
      '/v1/snapshot;x',
      '/../../etc/passwd',
      '/v1/__proto__',
      '/v1/constructor',
    ])
      expect((await answer(served.fetch(asked(path)))).json?.code, path).toBe('NOT_FOUND')
    for (const method of ['DELETE', 'PATCH', 'OPTIONS', 'POST'])
      expect(
        (await served.fetch(asked('/v1/snapshot', undefined, { 'x-http-method-override': 'PUT' }, method)))
          .status,
      ).toBe(404)
  })

  it('refuses segments that are none, wherever they stand', async () => {
    const served = await service({ limits: { requestsPerSecond: 1e6 } })
    await served.fetch(asked('/v1/predict', '{}'))
    for (const segment of [
      '',
      '#',
      '#-1',
      '#1e3',
      '#64',
      '#01',
      '{}',
      '{',
      'x',
      '../x',
      '#1\r\nX: y',
      `{${'x'.repeat(70_000)}}`,
      '{a\ud800}',
    ])
      for (const path of ['forecast', 'explanation']) {
        const refused = await answer(
          served.fetch(asked(`/v1/${path}?segment=${encodeURIComponent(segment.replace(/\ud800/, '%'))}`)),
        )
        expect([400, 404], `${path} ${segment.slice(0, 20)}`).toContain(refused.status)
        expect(refused.headers.get('x')).toBeNull()
      }
    const far = await answer(served.fetch(asked('/v1/forecast?segment=%231&horizonMs=1e300')))
    expect([400, 404]).toContain(far.status)
  })

  it('keeps what went wrong inside to its log: no stack, no token, no path in an answer', async () => {
    const told: unknown[] = []
    const served = await service({
      metrics: () => {
        throw new Error(`secret ${TOKEN} at /home/somebody`)
      },
      onError: (error) => told.push(error),
    })
    const failed = await answer(served.fetch(asked('/v1/metrics')))
    expect(failed).toMatchObject({ status: 500, json: { code: 'FAILED' } })
    expect(JSON.stringify(failed.json)).not.toMatch(/secret|somebody|correct/)
    expect(told).toHaveLength(1)
  })

  it('on the wire: a body that is never finished, and requests that are none, leave it answering', async () => {
    const served = await Served.start({ limits: { idleMs: 200, requestsPerSecond: 1e6 } })
    endings.push(() => served.stop())
    const said = (text: string) =>
      new Promise<string>((resolve) => {
        let all = ''
        const socket = connect(served.port, '127.0.0.1', () => socket.write(text))
        socket.on('data', (bytes) => {
          all += bytes
        })
        socket.on('error', () => {})
        socket.on('close', () => resolve(all))
      })
    const head = `POST /v1/access-log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/x-ndjson\r\n`
    const [slow, smuggled, nonsense, host, unknown] = await Promise.all([
      said(`${head}Content-Length: 1000\r\n\r\n{"timestamp":1`),
      said(`${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n`),
      said('\x16\x03\x01\x02\x00\x01\r\n\r\n'),
      said('GET /v1/health HTTP/1.1\r\nHost: a b@c/../\r\nConnection: close\r\n\r\n'),
      said(
        `POST /v1/access-log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100)}`,
      ),
    ])
    expect(slow).toContain(' 408 ')
    expect(smuggled).toContain(' 400 ')
    expect(nonsense).toContain(' 400 ')
    expect(host).toMatch(/ (200|400) /)
    expect(unknown).toContain(' 401 ')
    expect((await fetch(`${served.url}/v1/health`)).status).toBe(200)
  })
})

describe('a service that is being stopped', () => {
  it('finishes what runs, takes nothing new, and saves', async () => {
    let saved: Uint8Array | undefined
    const served = await service({
      clock: systemClock,
      store: {
        load: async () => undefined,
        save: async (model) => {
          saved = model
        },
      },
    })
    let end = () => {}
    const body = new ReadableStream<Uint8Array>({
      start: (it) => {
        it.enqueue(Buffer.from(ndjson(log.slice(0, 10))))
        end = () => it.close()
      },
    })
    const running = answer(served.fetch(asked('/v1/access-log', body, NDJSON)))
    const closing = served.close()
    const late = await answer(served.fetch(asked('/v1/predict', '{}')))
    expect(late).toMatchObject({ status: 503, json: { code: 'PREDICTOR_UNAVAILABLE' } })
    expect((await served.fetch(asked('/v1/ready'))).status).toBe(503)
    expect((await served.fetch(asked('/v1/health'))).status).toBe(200)
    end()
    expect((await running).json).toMatchObject({ accepted: 10 })
    await closing
    const again = newService({ store: { load: async () => saved, save: async () => {} } })
    endings.push(() => again.close())
    await again.ready()
    expect(again.predictor.metrics.accepted).toBe(10)
  })
})
