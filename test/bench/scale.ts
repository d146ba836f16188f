/**
 * The predictor at size: what a prediction costs in time and memory, and for how long it holds the event loop at most.
 *
 *   npm run bench -- scale
 *
 * Each size runs in a process of its own. Segments are buckets with a daily wave of counts whose rates follow Zipf's law,
 * from hundreds an hour to one a week. Times are of a prediction after the first, whose rehearsals come on top (shown apart).
 */
import { spawnSync } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { seededRandom } from '../../src/clock'
import { Placement } from '../../src/placement/assignment'
import { Predictor } from '../../src/predictor/predictor'

const HOUR_MS = 3_600_000
const DAY = 24
const SIZES: readonly [segments: number, intervals: number][] = [
  [10_000, 672],
  [16_384, 672],
  [31_623, 672],
  [100_000, 672],
  [316_228, 672],
  [1_000_000, 672],
]

async function measure(segments: number, intervals: number): Promise<void> {
  const shards = Array.from({ length: 16 }, (_, i) => `s${i}`)
  const start = 1_700_000_000_000 - (1_700_000_000_000 % HOUR_MS)
  const now = start + intervals * HOUR_MS
  const clock = { now: () => now, sleep: async () => {}, every: () => () => {} }
  const predictor = new Predictor({
    shards,
    buckets: segments,
    intervalMs: HOUR_MS,
    clock,
    random: seededRandom(1),
  } as never)
  const random = seededRandom(2)
  const rates = Float64Array.from({ length: segments }, () => 300 * (1 + random() * segments * 0.02) ** -0.9)
  const phases = Float64Array.from({ length: segments }, () => random() * DAY)
  const before = performance.now()
  let recorded = 0
  for (let t = 0; t < intervals; t++)
    for (let s = 0; s < segments; s++) {
      const expected = rates[s]! * (1 + 0.6 * Math.cos((2 * Math.PI * (t - phases[s]!)) / DAY))
      const count = Math.floor(expected + 0.7 * Math.sqrt(expected) * (random() + random() - 1) + random())
      if (count <= 0) continue
      predictor.record({ timestamp: start + t * HOUR_MS, key: `k${s}`, operation: 'read', count })
      recorded++
    }
  const recording = performance.now() - before
  const placement = Placement.initial({ shards, buckets: segments })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const times: number[] = []
  let moves = 0
  for (let k = 0; k < 2; k++) {
    delay.enable()
    const from = performance.now()
    const prediction = await predictor.predict({
      placement,
      horizonMs: 24 * HOUR_MS,
      budget: { maxMoves: 200 },
      now,
    })
    times.push(performance.now() - from)
    moves = prediction.shardAssignmentMap.size
  }
  const { slots, intervals: kept } = predictor.metrics
  const rss = process.resourceUsage().maxRSS / 1024
  console.log(
    `| ${slots} | ${kept} | ${((recording * 1e6) / recorded).toFixed(0)} | ${(times[0]! / 1000).toFixed(2)} | ${(times[1]! / 1000).toFixed(2)} | ${((times[1]! * 1000) / slots).toFixed(0)} | ${(delay.max / 1e6).toFixed(0)} | ${rss.toFixed(0)} | ${moves} |`,
  )
}

if (process.argv[2]) {
  const [segments, intervals] = process.argv[2].split('x').map(Number)
  await measure(segments!, intervals!)
} else {
  console.log(
    '| segments | intervals kept | record ns | first predict s | predict s | µs a segment | event loop held ms | RSS MiB | moves |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|')
  for (const [segments, intervals] of SIZES)
    spawnSync(process.execPath, ['--import', 'tsx', import.meta.filename, `${segments}x${intervals}`], {
      stdio: 'inherit',
    })
}
