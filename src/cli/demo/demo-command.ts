import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { memoryStore } from '../../backends/memory/memory-store'
import { usage, whole } from '../arguments'
import { CliError, ExitCode } from '../exit-code'
import type { Terminal } from '../terminal'
import { runDemo } from './demo'
import { shopTraffic } from './shop-traffic'

const ORDERS = 14_000
const FEWEST = 700
const MOST = 10_000_000

export const DEMO_HELP = `foreshard demo [options]

Shows the whole of it on generated traffic: the orders of a chain of branches over ten weeks, in compressed time, carried out by
eight clients over four shards. A Rebalancer learns, forecasts and moves what should move under them, a fifth shard joins, and at
the end every value is compared with a reference that was kept beside it.

  --orders          how many; default ${ORDERS}
  --seed            of the traffic; default 1
  --store           memory or lmdb; default lmdb where the package lmdb is installed, in a folder that is removed at the end

Exit codes
  0  every value was there and equal
  1  an option or its value cannot be used
  3  a value was missing or differed, or anything else

Examples
  npx foreshard demo
  foreshard demo --orders 100000 --seed 7 --store memory
`

const OPTIONS = {
  orders: { type: 'string' },
  seed: { type: 'string' },
  store: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

export async function demoCommand(args: readonly string[], terminal: Terminal): Promise<void> {
  const values = parse(args)
  if (values.help) {
    terminal.stdout.write(DEMO_HELP)
    return
  }
  const orders = whole('orders', values.orders) ?? ORDERS
  if (orders < FEWEST || orders > MOST) throw usage(`--orders: from ${FEWEST} to ${MOST}`)
  const seed = whole('seed', values.seed) ?? 1
  const { store } = values
  if (store !== undefined && store !== 'memory' && store !== 'lmdb')
    throw usage(`--store: ${store} is unknown; there are memory, lmdb`)
  const lmdb = store === 'memory' ? undefined : await installedLmdb()
  if (store === 'lmdb' && !lmdb) throw usage('--store lmdb takes the package lmdb: npm install lmdb')
  const folder = lmdb && (await mkdtemp(join(tmpdir(), 'foreshard-demo-')))
  const at = (name: string) => ({ path: join(folder!, name), durability: 'process' as const })
  try {
    const wrong = await runDemo({
      transactions: shopTraffic(orders, seed),
      words: {
        title: `Orders of a chain of branches, generated (seed ${seed}), over ${lmdb ? 'LMDB' : 'memory'} shards: each touches a customer and two items.`,
        many: 'orders',
      },
      open: (shard) => (lmdb ? lmdb.lmdbStore(at(shard)) : memoryStore()),
      topology: lmdb?.lmdbTopology(at('topology')),
      joinAfter: 5,
      print: (line) => terminal.stdout.write(`${line}\n`),
      clock: terminal.clock,
    })
    if (wrong > 0) throw new CliError(ExitCode.FAILED, `${wrong} values are missing or differ`)
  } finally {
    if (folder) await rm(folder, { recursive: true, force: true })
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (error) {
    throw usage((error as Error).message)
  }
}

/** Undefined where it is not installed, or has no binary for this machine. */
async function installedLmdb() {
  try {
    return await import('../../backends/lmdb')
  } catch {
    return undefined
  }
}
