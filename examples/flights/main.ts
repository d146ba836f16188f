/**
 * The demo: real flights as bookings, in compressed time, over embedded LMDB shards. Eight clients book at the same time,
 * a Rebalancer in mode auto learns, forecasts and moves segments under them, and half way a shard joins. At the end every
 * value is compared with a reference that was kept beside it. `foreshard demo` does the same with generated traffic; the code is one.
 *
 *   npm run demo                 75,000 bookings
 *   npm run demo -- --every 12   250,000 bookings
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from 'foreshard'
import { lmdbStore, lmdbTopology } from 'foreshard/lmdb'
import { runDemo } from '../../src/cli/demo/demo'
import { bookings } from './bookings'

const { values: flags } = parseArgs({ options: { every: { type: 'string', default: '40' } } })
const every = Number(flags.every)
if (!Number.isInteger(every) || every < 1) {
  console.error('--every takes a whole number from 1: every how many of the 3,000,000 flights is booked')
  process.exit(1)
}

/** One booking counts the seat at both airports and on the route: three keys, one transaction. */
async function* transactions() {
  for await (const { at, origin, destination } of bookings(every))
    yield { at, keys: [`airport:${origin}`, `airport:${destination}`, `route:${origin}-${destination}`] }
}

const folder = mkdtempSync(join(tmpdir(), 'foreshard-demo-'))
const at = (name: string) => ({ path: join(folder, name), durability: 'process' as const })
const wrong = await runDemo({
  transactions: transactions(),
  words: {
    title: `Real flights, January to June 2001, every ${every}th one booked: each booking updates two airports and a route.`,
    many: 'bookings',
  },
  open: (shard) => lmdbStore(at(shard)),
  topology: lmdbTopology(at('topology')),
  joinAfter: 13,
  print: (line) => console.log(line),
  clock: systemClock,
})
rmSync(folder, { recursive: true, force: true })
process.exitCode = wrong === 0 ? 0 : 1
