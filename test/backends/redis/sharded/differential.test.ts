import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shardedRedis } from '../../../../src/backends/redis'
import { seededRandom } from '../../../../src/clock'
import { RedisServer, redisIsMissing } from '../../../servers/redis-server'
import { CLIENTS } from '../clients'
import { Deployment } from './deployment'
import { type Command, comparable, RandomCommands } from './random-commands'

const ROUNDS = Number(process.env.ROUNDS ?? 1500)
const SEED = Number(process.env.SEED ?? 1)

/** No router keeps a time to live over the last moment of a Date. */
const LAST = 8.64e15

interface Client {
  callBuffer(...args: unknown[]): Promise<unknown>
  multi(): { exec(): Promise<[Error | null, unknown][] | null> }
}

describe.skipIf(redisIsMissing)('every reply of shardedRedis is that of a plain Redis', () => {
  let plainServer: RedisServer
  let plain: Redis
  beforeAll(async () => {
    plainServer = await RedisServer.start()
    plain = new Redis(plainServer.port)
  })
  afterAll(async () => {
    plain.disconnect()
    await plainServer.stop()
  })

  async function reply(client: Client, command: Command): Promise<unknown> {
    const [name, ...args] = command
    return comparable(command, await client.callBuffer(name, ...args).catch((error: unknown) => error))
  }

  async function transaction(client: Client, commands: readonly Command[]): Promise<unknown> {
    const multi = client.multi() as unknown as Client
    for (const [name, ...args] of commands) void multi.callBuffer(name, ...args)
    const results = await (multi as unknown as ReturnType<Client['multi']>)
      .exec()
      .catch((error: unknown) => error)
    if (!Array.isArray(results)) return comparable([''], results)
    return results.map(([error, value], i) => comparable(commands[i]!, error ?? value))
  }

  it.each(CLIENTS)('over $name, over random commands on all types while segments move', async (kind) => {
    await plain.flushall()
    const deployment = await Deployment.start(kind)
    const sharded = shardedRedis(deployment.router) as unknown as Client
    const commands = new RandomCommands(seededRandom(SEED))
    const tags = ['t0', 't1', 't2', 't3', 't4', 't5']
    deployment.keepMoving(tags)
    try {
      for (let i = 0; i < ROUNDS; i++) {
        if (i % 10 === 0) {
          const several = commands.several()
          const [mine, theirs] = [await transaction(sharded, several), await transaction(plain, several)]
          expect([i, several, mine]).toEqual([i, several, theirs])
          continue
        }
        const command = commands.next()
        const [mine, theirs] = await Promise.all([reply(sharded, command), reply(plain, command)])
        expect([i, command.join(' '), mine]).toEqual([i, command.join(' '), theirs])
      }
      expect(deployment.moves).toBeGreaterThan(3)
      await deployment.rest()
      // What is there in the end is the same, and so is when it ends.
      const keys = (await plain.keys('*')).sort()
      expect(((await shardedRedis(deployment.router).keys('*')) as string[]).sort()).toEqual(keys)
      for (const key of keys)
        for (const command of contentOf(await plain.type(key), key))
          expect([key, command[0], await reply(sharded, command)]).toEqual([
            key,
            command[0],
            await reply(plain, command),
          ])
      const ends = (client: Client) => Promise.all(keys.map((key) => client.callBuffer('pexpiretime', key)))
      const [mine, theirs] = [(await ends(sharded)) as number[], (await ends(plain)) as number[]]
      expect(theirs.some((end) => end > 0)).toBe(true)
      for (const [i, end] of theirs.entries())
        expect(Math.abs(mine[i]! - Math.min(end, LAST))).toBeLessThan(5_000)
    } finally {
      await deployment.stop()
    }
  })
})

function contentOf(type: string, key: string): Command[] {
  switch (type) {
    case 'string':
      return [['get', key]]
    case 'hash':
      return [['hgetall', key]]
    case 'list':
      return [['lrange', key, '0', '-1']]
    case 'set':
      return [['smembers', key]]
    case 'zset':
      return [['zrange', key, '0', '-1', 'WITHSCORES']]
    default:
      return [
        ['xrange', key, '-', '+'],
        ['xinfo', 'groups', key],
      ]
  }
}
