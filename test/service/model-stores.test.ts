import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fileModelStore, type ModelStore, postgresModelStore, redisModelStore } from '../../src/service'
import { PostgresServer, postgresIsMissing } from '../servers/postgres-server'
import { RedisServer, redisIsMissing } from '../servers/redis-server'
import { log, ndjson, newService, PREDICTOR, TOKEN } from './served'

const bytes = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * seed + (i >> 8)) & 255)

/** Every store keeps the contract; `at` opens the same place again, under another name if told. */
function keepsTheContract(at: (name?: string) => ModelStore): void {
  it('has nothing before the first time', async () => {
    expect(await at('never').load()).toBeUndefined()
  })

  it('gives back every byte of what was saved last, also to whoever opens it anew', async () => {
    const store = at()
    for (const model of [bytes(300, 7), bytes(2_000_000, 31), bytes(3, 1)]) {
      await store.save(model)
      expect(Buffer.from((await at().load())!).equals(model)).toBe(true)
    }
  })

  it('keeps two names apart', async () => {
    await at('one').save(bytes(9, 3))
    await at('two').save(bytes(9, 5))
    expect(Buffer.from((await at('one').load())!).equals(bytes(9, 3))).toBe(true)
  })

  it('lets a service go on where another one was stopped', async () => {
    const before = newService({ store: at('service') })
    await before.ready()
    await before.fetch(
      new Request('http://localhost/v1/access-log', {
        method: 'POST',
        body: ndjson(log.slice(0, 500)),
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/x-ndjson' },
      }),
    )
    await before.close()
    const after = newService({ store: at('service') })
    await after.ready()
    expect(after.predictor.metrics.accepted).toBe(500)
    expect(after.predictor.snapshot()).toEqual(before.predictor.snapshot())
    await after.close()
  })
}

describe('the model store of files', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'foreshard-model-'))
  })
  afterAll(() => rm(folder, { recursive: true }))
  const path = (name = 'model') => join(folder, name)

  keepsTheContract((name) => fileModelStore(path(name)))

  it('is not led astray by what a crash or somebody else left beside it', async () => {
    const elsewhere = path('elsewhere')
    await writeFile(elsewhere, 'precious')
    await symlink(elsewhere, path('linked.new'))
    await fileModelStore(path('linked')).save(bytes(9, 3))
    expect(await readFile(elsewhere, 'utf8')).toBe('precious')
    expect((await stat(path('linked'))).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).not.toContain('linked.new')
  })

  it('leaves what cannot be read as it is: the service is not ready, and does not save', async () => {
    for (const [name, spoilt] of [
      ['text', Buffer.from('no model')],
      ['cut', bytes(100, 3)],
      ['empty', Buffer.alloc(0)],
    ] as const) {
      await writeFile(path(name), spoilt)
      const told: unknown[] = []
      const service = newService({ store: fileModelStore(path(name)), onError: (error) => told.push(error) })
      await expect(service.ready()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' })
      expect(told).toHaveLength(1)
      service.predictor.record(log[0]!)
      const ready = await service.fetch(new Request('http://localhost/v1/ready'))
      expect(ready.status).toBe(503)
      await service.close()
      expect((await readFile(path(name))).equals(spoilt)).toBe(true)
    }
  })

  it('of other buckets is refused by name', async () => {
    const store = fileModelStore(path('buckets'))
    const small = newService({ store })
    await small.ready()
    await small.fetch(
      new Request('http://localhost/v1/predict', {
        method: 'POST',
        body: '{}',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      }),
    )
    await small.close()
    const other = newService({ store, predictor: { ...PREDICTOR, buckets: 128 }, onError: () => {} })
    await expect(other.ready()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field: 'snapshot' })
    await other.close()
  })
})

describe.skipIf(redisIsMissing)('the model store of Redis', () => {
  let server: RedisServer
  let ioredis: Redis
  let nodeRedis: ReturnType<typeof createClient>
  beforeAll(async () => {
    server = await RedisServer.start()
    ioredis = new Redis(server.port, '127.0.0.1')
    nodeRedis = createClient({ socket: { port: server.port, host: '127.0.0.1' } })
    await nodeRedis.connect()
  })
  afterAll(async () => {
    ioredis.disconnect()
    nodeRedis.destroy()
    await server.stop()
  })

  describe('with ioredis', () =>
    keepsTheContract((name) => redisModelStore(ioredis, { key: `io:${name ?? ''}` })))
  describe('with node-redis', () =>
    keepsTheContract((name) => redisModelStore(nodeRedis, { key: `node:${name ?? ''}` })))
})

describe.skipIf(postgresIsMissing)('the model store of Postgres', () => {
  let server: PostgresServer
  let pool: ReturnType<PostgresServer['pool']>
  beforeAll(async () => {
    server = await PostgresServer.start()
    pool = server.pool()
  })
  afterAll(() => server.stop())

  keepsTheContract((name) => postgresModelStore(pool, { name: name ?? 'default' }))

  it('makes its table once, however many open it at a time', async () => {
    const stores = Array.from({ length: 8 }, () => postgresModelStore(pool, { table: 'together' }))
    expect(await Promise.all(stores.map((store) => store.load()))).toEqual(Array(8).fill(undefined))
  })
})

describe('the model store of PGlite', () => {
  let database: PGlite
  beforeAll(() => {
    database = new PGlite()
  })
  afterAll(() => database.close())

  keepsTheContract((name) => postgresModelStore(database, { name: name ?? 'default' }))
})
