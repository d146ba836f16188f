import { redisStore } from '../../../../src/backends/redis/redis-store'
import { redisTopology } from '../../../../src/backends/redis/redis-topology'
import { type Random, seededRandom } from '../../../../src/clock'
import type { SegmentId } from '../../../../src/placement/segment'
import { ShardRouter } from '../../../../src/router/router'
import { RedisServer } from '../../../servers/redis-server'
import { CLIENTS, type ClientKind } from '../clients'

export const SHARDS = ['a', 'b', 'c']

/** A router over servers of its own, and whoever moves its segments about. */
export class Deployment {
  readonly router: ShardRouter
  readonly servers: readonly RedisServer[]
  readonly #ends: (() => Promise<void>)[]
  readonly #buckets: number
  #moving: Promise<void> | undefined
  #over = false
  /** Finished reshardings. */
  moves = 0

  private constructor(
    router: ShardRouter,
    servers: readonly RedisServer[],
    ends: (() => Promise<void>)[],
    buckets: number,
  ) {
    this.router = router
    this.servers = servers
    this.#ends = ends
    this.#buckets = buckets
  }

  static async start(kind: ClientKind = CLIENTS[0]!, buckets = 8): Promise<Deployment> {
    const servers = await Promise.all([...SHARDS, 'topology'].map(() => RedisServer.start()))
    const clients = await Promise.all(servers.map((server) => kind.connect(server.port)))
    const router = await ShardRouter.open({
      shards: Object.fromEntries(SHARDS.map((id, i) => [id, redisStore(clients[i]!.client)])),
      topology: redisTopology(clients.at(-1)!.client),
      buckets,
    })
    return new Deployment(
      router,
      servers,
      clients.map((it) => it.end),
      buckets,
    )
  }

  /** Moves buckets and tags about until `rest`. */
  keepMoving(tags: readonly string[], random: Random = seededRandom(7)): void {
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
    this.#over = false
    this.#moving = (async () => {
      for (let round = 0; !this.#over; round++) {
        const map = new Map<SegmentId, string>()
        for (let i = 0; i < 3; i++) map.set(`#${Math.floor(random() * this.#buckets)}`, pick(SHARDS))
        if (tags.length > 0) map.set(`{${pick(tags)}}`, pick(SHARDS))
        const resharding = await this.router.requestResharding(1, map)
        if (!resharding.accepted) continue
        if (round % 5 === 4) await resharding.cancel()
        await resharding.done.then(
          () => this.moves++,
          () => {},
        )
        if (round % 5 === 3) await (await this.router.rollback()).accepted
      }
    })()
  }

  async rest(): Promise<void> {
    this.#over = true
    await this.#moving
  }

  async stop(): Promise<void> {
    await this.rest()
    await this.router.close()
    for (const end of this.#ends) await end()
    for (const server of this.servers) await server.stop()
  }
}
