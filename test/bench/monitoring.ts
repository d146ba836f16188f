/**
 * What it costs to be watched: reads of a router over memory stores, with nobody listening, with a listener on the diagnostic
 * channel, and with an observer. CPU time, best of several rounds taken in turn.
 */
import diagnostics from 'node:diagnostics_channel'
import { memoryStore, ShardRouter } from '../../src/index'

const KEYS = 1_000
const READS = 40_000
const ROUNDS = 9

const router = await ShardRouter.open({ shards: { a: memoryStore(), b: memoryStore() }, buckets: 256 })
for (let i = 0; i < KEYS; i++) await router.set(`key:${i}`, { i })

async function round(): Promise<number> {
  const began = process.cpuUsage()
  for (let i = 0; i < READS; i++) await router.get(`key:${i % KEYS}`)
  const { user, system } = process.cpuUsage(began)
  return (user + system) / READS
}

const nothing = () => {}
const channel = diagnostics.tracingChannel('foreshard:router:operation')
const handlers = { start: nothing, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing }
const settings: Record<string, () => () => void> = {
  'nobody listens': () => nothing,
  'a listener on foreshard:router:operation': () => {
    channel.subscribe(handlers)
    return () => void channel.unsubscribe(handlers)
  },
  'an observer': () => router.observe(nothing),
}
const best = new Map<string, number>()
await round()
for (let k = 0; k < ROUNDS; k++)
  for (const [name, begin] of Object.entries(settings)) {
    const end = begin()
    best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, await round()))
    end()
  }
for (const [name, us] of best) console.log(`${us.toFixed(3)} µs a read, ${name}`)
await router.close()
