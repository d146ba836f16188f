import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { Predictor } from '../../src/predictor/predictor'
import { createService, type Service, type ServiceOptions } from '../../src/service'
import { daily, generatedLog, HOUR } from '../predictor/generated-log'

const TOKEN = 'a-token-of-many-letters'
const HOURS = 96
const PREDICTOR = { shards: ['a', 'b', 'c'], buckets: 64, hotTags: 16 }
const log = generatedLog({
  keys: 60,
  hours: HOURS,
  start: 0,
  seed: 5,
  rate: (key, hour) => (key < 6 ? 40 : 3) * daily(hour, key % 24),
})
const ndjson = (entries: readonly unknown[]) => entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')

const open: Service[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((service) => service.close()))
})

async function service(options: Partial<ServiceOptions> = {}): Promise<Service> {
  const made = createService({
    predictor: { ...PREDICTOR, clock: new ManualClock(HOURS * HOUR) },
    ...(options.tokens || options.loopbackOnly ? {} : { token: TOKEN }),
    ...options,
  })
  open.push(made)
  await made.ready()
  return made
}

interface Ask {
  method?: string
  body?: string | Uint8Array
  token?: string
  headers?: Record<string, string>
}
function asked(path: string, { method, body, token = TOKEN, headers = {} }: Ask = {}): Request {
  return new Request(`http://localhost${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    body: body as never,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  })
}
const logOf = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  asked('/v1/access-log', { body, headers: { 'content-type': 'application/x-ndjson', ...headers } })

async function answer(response: Response | Promise<Response>) {
  const it = await response
  const text = await it.text()
  return { status: it.status, headers: it.headers, json: text === '' ? undefined : JSON.parse(text) }
}

describe('a service', () => {
  it('counts a log and predicts from it what a predictor here would', async () => {
    const served = await service()
    const taken = await answer(served.fetch(logOf(ndjson(log))))
    expect(taken).toMatchObject({
      status: 200,
      json: { lines: log.length, accepted: log.length, refused: {} },
    })

    const local = new Predictor({ ...PREDICTOR, clock: new ManualClock(HOURS * HOUR) })
    await local.ingest(log)
    const placement = Placement.initial({ shards: ['a', 'b', 'c'], buckets: 64 })
    const here = await local.predict({ placement, now: HOURS * HOUR, budget: { maxMoves: 4 } })
    const there = await answer(
      served.fetch(
        asked('/v1/predict', {
          body: JSON.stringify({
            placement: { shards: ['a', 'b', 'c'] },
            now: HOURS * HOUR,
            budget: { maxMoves: 4 },
          }),
        }),
      ),
    )
    expect(there.status).toBe(200)
    expect(here.shardAssignmentMap.size).toBeGreaterThan(0)
    expect(there.json.shardAssignmentMap).toEqual(Object.fromEntries(here.shardAssignmentMap))
    expect(there.json.confidence).toBe(here.confidence)
    expect(there.json.reasons).toEqual(Object.fromEntries(here.reasons))
  })

  it('counts the lines that it cannot use by reason, and says which they were', async () => {
    const served = await service()
    const lines = [
      '{"timestamp":1,"key":"a","operation":"read"}',
      'not json',
      '{"timestamp":1,"key":"","operation":"read"}',
      '{"timestamp":1e99,"key":"a","operation":"read"}',
      '[[[]]]',
      '{"timestamp":"1970-01-01T00:00:00Z","key":"a","operation":"write"}',
      `{"key":"${'x'.repeat(1 << 20)}"}`,
    ]
    const { json } = await answer(served.fetch(logOf(lines.join('\n'))))
    expect(json).toMatchObject({
      lines: 7,
      accepted: 2,
      refused: {
        'unreadable line': 1,
        key: 1,
        'timestamp in the future': 1,
        'not an object': 1,
        'line too long': 1,
      },
    })
    expect(json.examples).toContainEqual({ line: 3, reason: 'key' })
  })

  it('takes a gzipped log, and refuses what is none', async () => {
    const served = await service()
    const gzip = { 'content-encoding': 'gzip' }
    const good = await answer(served.fetch(logOf(gzipSync(ndjson(log.slice(0, 500))), gzip)))
    expect(good.json.accepted).toBe(500)
    const bad = await answer(served.fetch(logOf('plain', gzip)))
    expect(bad).toMatchObject({ status: 400, json: { code: 'INVALID_ARGUMENT', field: 'body' } })
  })

  it('counts a numbered batch once, however often it is sent', async () => {
    const served = await service()
    const batch = { 'foreshard-sender': 's', 'foreshard-batch': '1' }
    const once = await answer(served.fetch(logOf(ndjson(log.slice(0, 100)), batch)))
    const twice = await answer(served.fetch(logOf(ndjson(log.slice(0, 100)), batch)))
    expect(once.json).toMatchObject({ accepted: 100, repeated: false })
    expect(twice.json).toMatchObject({ accepted: 0, repeated: true })
    expect(served.predictor.metrics.accepted).toBe(100)
  })

  it('tells the forecast of a segment, and what the newest prediction went by', async () => {
    const served = await service()
    expect(await answer(served.fetch(asked('/v1/explanation')))).toMatchObject({ status: 404 })
    await served.fetch(logOf(ndjson(log)))
    const hot = [...served.predictor.placement.segments()].find(({ segment }) =>
      served.predictor.forecast(segment),
    )!
    const query = `segment=${encodeURIComponent(hot.segment)}`
    const forecast = await answer(served.fetch(asked(`/v1/forecast?${query}&horizonMs=${6 * HOUR}`)))
    expect(forecast.json).toEqual(served.predictor.forecast(hot.segment, { horizonMs: 6 * HOUR }))
    await served.fetch(asked('/v1/predict', { body: '{}' }))
    const all = await answer(served.fetch(asked('/v1/explanation')))
    expect(all.json.clusters[0].segments).toBeGreaterThan(1)
    expect(all.json.hotSegments.length).toBeGreaterThan(0)
    const one = await answer(served.fetch(asked(`/v1/explanation?${query}`)))
    expect(one.json.explanation).toContain(hot.segment)
    expect(one.json.clusters).toHaveLength(1)
    expect(await answer(served.fetch(asked('/v1/prediction')))).toMatchObject({
      status: 200,
      json: { now: HOURS * HOUR },
    })
  })

  it('gives its state away, and takes it back', async () => {
    const first = await service()
    await first.fetch(logOf(ndjson(log)))
    const { json: snapshot } = await answer(first.fetch(asked('/v1/snapshot')))
    const second = await service()
    const put = await answer(
      second.fetch(asked('/v1/snapshot', { method: 'PUT', body: JSON.stringify(snapshot) })),
    )
    expect(put.status).toBe(204)
    expect(second.predictor.metrics.accepted).toBe(log.length)
    const tampered = { ...snapshot, state: { ...snapshot.state, accepted: 7 } }
    const refused = await answer(
      second.fetch(asked('/v1/snapshot', { method: 'PUT', body: JSON.stringify(tampered) })),
    )
    expect(refused).toMatchObject({ status: 400, json: { code: 'SNAPSHOT_CORRUPT' } })
    expect(second.predictor.metrics.accepted).toBe(log.length)
  })

  it('describes itself in OpenAPI 3.1, every route of it', async () => {
    const served = await service({ metrics: () => 'up 1\n' })
    const { json } = await answer(served.fetch(asked('/v1/openapi.json')))
    expect(json.openapi).toBe('3.1.0')
    expect(Object.keys(json.paths).sort()).toEqual([
      '/v1/access-log',
      '/v1/explanation',
      '/v1/forecast',
      '/v1/health',
      '/v1/metrics',
      '/v1/predict',
      '/v1/prediction',
      '/v1/ready',
      '/v1/snapshot',
    ])
    expect(json.components.schemas.PredictRequest.properties.horizonMs.exclusiveMinimum).toBe(0)
  })

  it('answers with the metrics that it is given, and has none otherwise', async () => {
    const served = await service({ metrics: () => 'up 1\n' })
    expect(await (await served.fetch(asked('/v1/metrics'))).text()).toBe('up 1\n')
    expect((await answer((await service()).fetch(asked('/v1/metrics')))).status).toBe(404)
  })
})

describe('a service answers the same', () => {
  const servers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const stop of servers.splice(0)) await stop()
  })

  const listening = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push(() => new Promise((resolve) => server.close(resolve)))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const hosts: Record<string, (served: Service) => Promise<string>> = {
    'under node:http': (served) => listening(createServer(served.listener)),
    'under express, below a path': (served) => {
      const app = express()
      app.use('/predictor', served.listener as never)
      return listening(createServer(app)).then((url) => `${url}/predictor`)
    },
    'under fastify': async (served) => {
      const app = fastify()
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('*', (_request, _payload, done) => done(null))
      app.all('/*', (request, reply) => {
        reply.hijack()
        return served.listener(request.raw, reply.raw)
      })
      servers.push(() => app.close())
      return app.listen({ port: 0, host: '127.0.0.1' })
    },
    'mounted in hono, below a path': async (served) => {
      const app = new Hono().mount('/predictor', served.fetch)
      const { getRequestListener } = await import('@hono/node-server')
      return listening(createServer(getRequestListener(app.fetch))).then((url) => `${url}/predictor`)
    },
  }

  it.each(Object.keys(hosts))('%s', async (name) => {
    const served = await service()
    const url = await hosts[name]!(served)
    const headers = { authorization: `Bearer ${TOKEN}` }
    expect(await (await fetch(`${url}/v1/health`)).json()).toEqual({ status: 'ok' })
    expect((await fetch(`${url}/v1/prediction`)).status).toBe(401)
    const taken = await fetch(`${url}/v1/access-log`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-ndjson' },
      body: ndjson(log),
    })
    expect(await taken.json()).toMatchObject({ accepted: log.length })
    const predicted = await fetch(`${url}/v1/predict`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{}',
    })
    expect(await predicted.json()).toMatchObject({ now: HOURS * HOUR })
    const missing = await fetch(`${url}/v1/nothing`, { headers })
    expect(missing.status).toBe(404)
    expect(await missing.json()).toMatchObject({ code: 'NOT_FOUND', cure: expect.any(String) })
  })
})
