/**
 * The demo: real flights as bookings, in compressed time, over embedded LMDB shards. Eight clients book at the same time,
 * a Rebalancer in mode auto learns, forecasts and moves segments under them, and half way a shard joins. At the end every
 * value is compared with a reference that was kept beside it.
 *
 *   npm run demo                 75,000 bookings
 *   npm run demo -- --every 12   250,000 bookings
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ManualClock, Predictor, Rebalancer, ShardRouter, seededRandom } from 'foreshard'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import { type Booking, bookings } from './bookings'
import { atFlightTime, Ledger, RingAlone } from './books'
import { footer, header, type Row, row } from './table'

const HOUR = 3_600_000
const WEEK = 168 * HOUR
const DAY = 24 * HOUR
/** Load is counted, forecast and balanced by so much time: shorter ones hold too few bookings to tell load from chance. */
const INTERVAL = 6 * HOUR
const CLIENTS = 8
/** Days of flight time between two rounds of the rebalancer. */
const ROUND_DAYS = 2
/** About one for every airport and route. */
const BUCKETS = 4096

const { values: flags } = parseArgs({ options: { every: { type: 'string', default: '40' } } })
const every = Number(flags.every)
if (!Number.isInteger(every) || every < 1) {
  console.error('--every takes a whole number from 1: every how many of the 3,000,000 flights is booked')
  process.exit(1)
}

const folder = mkdtempSync(join(tmpdir(), 'foreshard-demo-'))
const open = (name: string) => lmdbStore({ path: join(folder, name), durability: 'process' })
const started = performance.now()

const shards = ['s1', 's2', 's3', 's4']
const router = await ShardRouter.open({
  shards: Object.fromEntries(shards.map((shard) => [shard, open(shard)])),
  topology: lmdbTopology({ path: join(folder, 'topology'), durability: 'process' }),
  buckets: BUCKETS,
})

// Flight time: what the predictor and the rebalancer go by. The router and its migrator live in real time.
const flightTime = new ManualClock()
const predictor = new Predictor({
  shards,
  buckets: BUCKETS,
  intervalMs: INTERVAL,
  clock: flightTime,
  random: seededRandom(7),
})
const rebalancer = new Rebalancer({
  router,
  predictor,
  mode: 'auto',
  clock: flightTime,
  intervalMs: INTERVAL,
  horizonMs: 48 * HOUR,
  cooldownMs: DAY,
  minConfidence: 0.5,
  budget: { maxMoves: 150 },
  migration: { retainMs: 0 },
})
/** When the flight of a transaction under way departs. */
const departures = new Map<string, number>()
router.observe((entry) => predictor.record(atFlightTime(entry, departures.get(entry.transactionId!)!)))

const reference = new Map<string, number>()
const foreshard = new Ledger(INTERVAL)
const ring = new RingAlone(shards)
const hashing = new Ledger(INTERVAL)
const rows: Row[] = []
const week = { starts: 0, bookings: 0, moves: 0, keys: 0, bytes: 0, confidence: [] as number[], reason: '' }
const cost = { reshardings: 0, moves: 0, keys: 0, bytes: 0, longestHoldMs: 0 }
let joined = ''

rebalancer.on('recommendation', ({ prediction }) => {
  week.confidence.push(prediction.confidence)
  const hottest = prediction.hotSegments.find(({ segment }) => prediction.reasons.has(segment))
  week.reason = prediction.reasons.get(hottest?.segment ?? '#0') ?? [...prediction.reasons.values()][0] ?? ''
})
rebalancer.on('finished', (report) => {
  week.moves += report.moved.length
  cost.reshardings++
  cost.moves += report.moved.length
  cost.keys += report.keysCopied
  cost.bytes += report.bytesCopied
  cost.longestHoldMs = Math.max(cost.longestHoldMs, report.longestHoldMs)
})
rebalancer.on('error', (error) => console.error(error))

/** One booking counts the seat at both airports and on the route: three keys, one transaction. */
let transactions = 0
async function book({ at, origin, destination }: Booking): Promise<void> {
  const keys = [`airport:${origin}`, `airport:${destination}`, `route:${origin}-${destination}`]
  const transactionId = String(++transactions)
  departures.set(transactionId, at)
  await Promise.all(
    keys.map(async (key) => {
      await router.update<number>(key, (seats = 0) => seats + 1, { transactionId })
      reference.set(key, (reference.get(key) ?? 0) + 1)
    }),
  )
  departures.delete(transactionId)
  foreshard.note(
    at,
    keys.map((key) => router.getShardLocation(key)),
  )
  hashing.note(
    at,
    keys.map((key) => ring.shardOf(key)),
  )
}

/** The bookings of one day, by all clients at once. */
async function bookAll(day: Booking[]): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      for (let booking = day[next++]; booking; booking = day[next++]) await book(booking)
    }),
  )
  week.bookings += day.length
}

function closeWeek(): void {
  const now = {
    shards: [...shards],
    joined,
    foreshard: foreshard.close(shards),
    hashing: hashing.close(shards),
  }
  const progress = router.monitorReshardingProgress()
  const made: Row = { ...week, ...now, progress: progress?.phase === 'done' ? undefined : progress }
  rows.push(made)
  console.log(row(made))
  Object.assign(week, { starts: week.starts + WEEK, bookings: 0, moves: 0, confidence: [], reason: '' })
  joined = ''
}

console.log(header(every))
let day: Booking[] = []
let days = 0
let joining: Promise<unknown> | undefined
for await (const booking of bookings(every)) {
  if (week.starts === 0) week.starts = Math.floor(booking.at / DAY) * DAY
  const [first] = day
  if (first && Math.floor(booking.at / DAY) !== Math.floor(first.at / DAY)) {
    flightTime.jump(Math.floor(booking.at / DAY) * DAY)
    await bookAll(day)
    day = []
    if (++days % ROUND_DAYS === 0) await rebalancer.tick()
    if (booking.at >= week.starts + WEEK) closeWeek()
    if (!joining && rows.length === 13) {
      joined = 's5'
      shards.push(joined)
      ring.add(joined)
      joining = router.addShard(joined, open(joined), { retainMs: 0 })
    }
  }
  day.push(booking)
}
await bookAll(day)
closeWeek()
await joining
while (router.monitorReshardingProgress()?.phase === 'running')
  await new Promise((done) => setTimeout(done, 20))

// Nothing lost, nothing too much, nothing twice.
let wrong = 0
const listed = new Set<string>()
for await (const [key, seats] of router.entries<number>()) {
  if (listed.has(key) || reference.get(key) !== seats) wrong++
  listed.add(key)
}
const missing = [...reference.keys()].filter((key) => !listed.has(key)).length
console.log(
  footer(rows, {
    ...cost,
    wrong,
    missing,
    compared: reference.size,
    bookings: transactions,
    seconds: (performance.now() - started) / 1000,
  }),
)
await rebalancer.stop()
await router.close()
rmSync(folder, { recursive: true, force: true })
process.exitCode = wrong + missing === 0 ? 0 : 1
