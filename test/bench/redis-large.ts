import { performance } from 'node:perf_hooks'
import { Redis } from 'ioredis'
import { redisStore } from '../../src/backends/redis/redis-store'
import { ShardRouter } from '../../src/router/router'
import { RedisServer } from '../servers/redis-server'

/**
 * How long a server is busy with one script at most while a large value moves, verified, beside one DUMP, RESTORE and DEL of the same value. `npm run bench -- redis-large`.
 */

const servers = [await RedisServer.start(), await RedisServer.start()]
const clients = servers.map((server) => new Redis(server.port))
const [here, there] = clients as [Redis, Redis]
const scripts = clients.map(watched)

const values: Record<string, () => Promise<unknown>> = {
  'hash of 1,000,000 fields': () =>
    here.eval(
      `for i = 1, 1000 do
         local args = {}
         for j = 1, 1000 do args[#args + 1] = 'field:' .. i * 1000 + j; args[#args + 1] = 'value:' .. j end
         redis.call('HSET', KEYS[1], unpack(args))
       end`,
      1,
      'large',
    ),
  'string of 100 MB': () => here.set('large', Buffer.alloc(100_000_000, 'v')),
  'stream of 200,000 entries': () =>
    here.eval(
      `for i = 1, 200000 do redis.call('XADD', KEYS[1], i .. '-1', 'field', 'value:' .. i, 'other', 'v') end
       redis.call('XGROUP', 'CREATE', KEYS[1], 'group', '0')
       redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', 20000, 'STREAMS', KEYS[1], '>')`,
      1,
      'large',
    ),
}

/**
 * Has the server's main thread say what each script took it, in ms of the processor: what else the machine does is not in it, as it
 * is in SLOWLOG.
 */
function watched(client: Redis): number[] {
  const took: number[] = []
  const send = client.sendCommand.bind(client)
  const cpu = async () => {
    const text = await client.info('cpu')
    const ms = (field: string) => Number(new RegExp(`${field}_main_thread:([\\d.]+)`).exec(text)![1]) * 1000
    return ms('used_cpu_user') + ms('used_cpu_sys')
  }
  client.sendCommand = (command, stream) => {
    if (!/^evalsha$/i.test(command.name)) return send(command, stream)
    const before = cpu()
    const answer = send(command, stream)
    void Promise.all([before, cpu()]).then(
      ([from, to]) => took.push(to - from),
      () => undefined,
    )
    return answer
  }
  return took
}

function told(took: number[]): string {
  const slowest = took.sort((x, y) => y - x)
  const ms = (it = 0) => it.toFixed(1)
  return `${took.length} scripts, longest ${slowest.slice(0, 3).map(ms).join(', ')} ms, hundredth ${ms(slowest[Math.floor(took.length / 100)])} ms`
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await act()
  return performance.now() - start
}

for (const [name, fill] of Object.entries(values)) {
  for (const client of clients) await client.flushall()
  const shards = {
    a: redisStore(here, { maxValueBytes: 511 << 20 }),
    b: redisStore(there, { maxValueBytes: 511 << 20 }),
  }
  const router = await ShardRouter.open({ shards, buckets: 1, codec: 'bytes' })
  const { segment, shard } = router.locate('large')
  if (shard !== 'a') await (await moved(router, segment, 'a')).done
  await router.set('large', Buffer.from('placeholder'))
  await here.del('large')
  await fill()
  for (const took of scripts) took.length = 0
  const [start, before] = [performance.now(), process.cpuUsage()]
  const report = await (await moved(router, segment, 'b')).done
  const tookMs = performance.now() - start
  const cpu = process.cpuUsage(before)
  console.log(
    `${name}: ${report.outcome} in ${Math.round(tookMs)} ms, of which ${Math.round((cpu.user + cpu.system) / 1000)} ms of the client's CPU`,
  )
  for (const [i, side] of ['source', 'target'].entries()) console.log(`  ${side}: ${told(scripts[i]!)}`)
  await router.close()
  let payload: Buffer
  const dump = await timed(async () => {
    payload = (await there.dumpBuffer('large'))!
  })
  const restore = await timed(() => here.restore('copy', 0, payload))
  console.log(
    `  in one piece: DUMP ${Math.round(dump)} ms, RESTORE ${Math.round(restore)} ms, DEL ${Math.round(await timed(() => here.del('copy')))} ms`,
  )
}

function moved(router: ShardRouter, segment: ReturnType<ShardRouter['locate']>['segment'], to: string) {
  return router.requestResharding(1, new Map([[segment, to]]), { retainMs: 0 }).then((it) => {
    if (!it.accepted) throw new Error(it.reason)
    return it
  })
}

for (const client of clients) client.disconnect()
for (const server of servers) await server.stop()
