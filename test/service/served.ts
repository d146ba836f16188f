import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ManualClock } from '../../src/clock'
import { createService, type Service, type ServiceOptions } from '../../src/service'
import { daily, generatedLog, HOUR } from '../predictor/generated-log'

export const TOKEN = 'a-token-of-many-letters'
export const HOURS = 96
export const NOW = HOURS * HOUR
export const PREDICTOR = { shards: ['a', 'b', 'c'], buckets: 64, hotTags: 16 }

export const log = generatedLog({
  keys: 60,
  hours: HOURS,
  start: 0,
  seed: 5,
  rate: (key, hour) => (key < 6 ? 40 : 3) * daily(hour, key % 24),
})

export const ndjson = (entries: readonly unknown[]) =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')

/** A service of PREDICTOR whose clock stands at the end of the log. */
export function newService(options: Partial<ServiceOptions> = {}): Service {
  const open =
    options.token !== undefined || options.tokens !== undefined || options.loopbackOnly !== undefined
  return createService({
    predictor: { ...PREDICTOR, clock: new ManualClock(NOW) },
    ...(open ? {} : { token: TOKEN }),
    ...options,
  })
}

/** A service on a port of this machine, which can be ended as a crash ends it. */
export class Served {
  readonly service: Service
  readonly #server: Server

  private constructor(service: Service, server: Server) {
    this.service = service
    this.#server = server
  }

  static async start(options: Partial<ServiceOptions> = {}, port = 0): Promise<Served> {
    const service = newService({ limits: { requestsPerSecond: 10_000 }, ...options })
    await service.ready()
    const server = createServer(service.listener)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return new Served(service, server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Its connections end, whatever was under way; nothing is saved. */
  async kill(): Promise<number> {
    const { port } = this
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
    return port
  }

  async stop(): Promise<number> {
    const port = await this.kill()
    await this.service.close()
    return port
  }
}
