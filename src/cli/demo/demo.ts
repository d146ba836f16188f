import { breathe, type Clock, ManualClock, seededRandom } from '../../clock'
import { Predictor } from '../../predictor/predictor'
import { Rebalancer } from '../../rebalancer/rebalancer'
import { ShardRouter } from '../../router/router'
import type { ShardStore } from '../../shard-store'
import type { TopologyStore } from '../../topology-store'
import { Ledger, RingAlone } from './books'
import { type DemoWords, footer, header, type Row, row } from './demo-table'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const WEEK = 7 * DAY
/** Load is counted, forecast and balanced by so much time: shorter ones hold too few accesses to tell load from chance. */
const INTERVAL = 6 * HOUR
const CLIENTS = 8
/** Days of the traffic's own time between two rounds of the rebalancer. */
const ROUND_DAYS = 2
const BUCKETS = 4096
const SHARDS = ['s1', 's2', 's3', 's4']
const POLL_MS = 20

/** Counters that are raised together, at one moment of the traffic's own time. */
export interface DemoTransaction {
  /** ms since the epoch. */
  readonly at: number
  readonly keys: readonly string[]
}

export interface DemoOptions {
  /** In order of time. */
  readonly transactions: Iterable<DemoTransaction> | AsyncIterable<DemoTransaction>
  readonly words: DemoWords
  open(shard: string): ShardStore
  readonly topology?: TopologyStore
  /** A fifth shard joins after so many weeks. */
  readonly joinAfter: number
  readonly print: (line: string) => void
  readonly clock: Clock
}

/**
 * Transactions in compressed time: eight clients carry them out at the same time, a Rebalancer in mode auto learns, forecasts and
 * moves segments under them, and on the way a shard joins. At the end every value is compared with a reference that was kept beside it.
 * Returns how many differ or are missing.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { words, open, print, clock } = options
  const started = clock.now()
  const shards = [...SHARDS]
  const router = await ShardRouter.open({
    shards: Object.fromEntries(shards.map((shard) => [shard, open(shard)])),
    topology: options.topology,
    buckets: BUCKETS,
  })
  // What the predictor and the rebalancer go by. The router and its migrator live in real time.
  const ownTime = new ManualClock()
  const predictor = new Predictor({
    shards,
    buckets: BUCKETS,
    intervalMs: INTERVAL,
    clock: ownTime,
    random: seededRandom(7),
  })
  const rebalancer = new Rebalancer({
    router,
    predictor,
    mode: 'auto',
    clock: ownTime,
    intervalMs: INTERVAL,
    horizonMs: 48 * HOUR,
    cooldownMs: DAY,
    minConfidence: 0.5,
    budget: { maxMoves: 150 },
    migration: { retainMs: 0 },
  })
  /** The own time of the transactions under way. */
  const times = new Map<string, number>()
  router.observe((entry) => predictor.record({ ...entry, timestamp: times.get(entry.transactionId!)! }))

  const reference = new Map<string, number>()
  const foreshard = new Ledger(INTERVAL)
  const ring = new RingAlone(shards)
  const hashing = new Ledger(INTERVAL)
  const rows: Row[] = []
  const week = { starts: 0, transactions: 0, moves: 0, confidence: [] as number[], reason: '' }
  const cost = { reshardings: 0, moves: 0, keys: 0, bytes: 0, longestHoldMs: 0 }
  let joined = ''

  rebalancer.on('recommendation', ({ prediction }) => {
    week.confidence.push(prediction.confidence)
    const hottest = prediction.hotSegments.find(({ segment }) => prediction.reasons.has(segment))
    week.reason =
      prediction.reasons.get(hottest?.segment ?? '#0') ?? [...prediction.reasons.values()][0] ?? ''
  })
  rebalancer.on('finished', (report) => {
    week.moves += report.moved.length
    cost.reshardings++
    cost.moves += report.moved.length
    cost.keys += report.keysCopied
    cost.bytes += report.bytesCopied
    cost.longestHoldMs = Math.max(cost.longestHoldMs, report.longestHoldMs)
  })
  rebalancer.on('error', (error) => print(`error: ${error instanceof Error ? error.message : error}`))

  let transactions = 0
  async function carryOut({ at, keys }: DemoTransaction): Promise<void> {
    const transactionId = String(++transactions)
    times.set(transactionId, at)
    await Promise.all(
      keys.map(async (key) => {
        await router.update<number>(key, (count = 0) => count + 1, { transactionId })
        reference.set(key, (reference.get(key) ?? 0) + 1)
      }),
    )
    times.delete(transactionId)
    foreshard.note(
      at,
      keys.map((key) => router.getShardLocation(key)),
    )
    hashing.note(
      at,
      keys.map((key) => ring.shardOf(key)),
    )
  }

  /** A day's, by all clients at once. */
  async function carryOutAll(day: readonly DemoTransaction[]): Promise<void> {
    let next = 0
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        for (let one = day[next++]; one; one = day[next++]) {
          await carryOut(one)
          // A store in memory answers at once, and would leave the migrator no turn.
          await breathe()
        }
      }),
    )
    week.transactions += day.length
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
    print(row(made))
    Object.assign(week, { starts: week.starts + WEEK, transactions: 0, moves: 0, confidence: [], reason: '' })
    joined = ''
  }

  print(header(words))
  let day: DemoTransaction[] = []
  let days = 0
  let joining: Promise<unknown> | undefined
  for await (const one of options.transactions) {
    if (week.starts === 0) week.starts = Math.floor(one.at / DAY) * DAY
    const [first] = day
    if (first && Math.floor(one.at / DAY) !== Math.floor(first.at / DAY)) {
      ownTime.jump(Math.floor(one.at / DAY) * DAY)
      await carryOutAll(day)
      day = []
      if (++days % ROUND_DAYS === 0) await rebalancer.tick()
      if (one.at >= week.starts + WEEK) closeWeek()
      if (!joining && rows.length === options.joinAfter) {
        joined = 's5'
        shards.push(joined)
        ring.add(joined)
        joining = router.addShard(joined, open(joined), { retainMs: 0 })
      }
    }
    day.push(one)
  }
  await carryOutAll(day)
  closeWeek()
  await joining
  while (router.monitorReshardingProgress()?.phase === 'running') await clock.sleep(POLL_MS)

  // Nothing lost, nothing too much, nothing twice.
  let wrong = 0
  const listed = new Set<string>()
  for await (const [key, count] of router.entries<number>()) {
    if (listed.has(key) || reference.get(key) !== count) wrong++
    listed.add(key)
  }
  const missing = [...reference.keys()].filter((key) => !listed.has(key)).length
  const seconds = (clock.now() - started) / 1000
  print(footer(rows, words, { ...cost, wrong, missing, compared: reference.size, transactions, seconds }))
  await rebalancer.stop()
  await router.close()
  return wrong + missing
}
