/**
 * Reading a log and replaying it, beside a bare loop over its lines by node:readline.
 *
 *   npm run bench -- replay                      # 300,000 lines
 *   LINES=10000000 npm run bench -- replay       # and the peak of memory
 *
 * The log is generated: 20,000 tags, skewed, two accesses a transaction, a week. `hash` decides nothing, so that its replay is
 * what every line costs; what other policies decide costs by interval and tag on top of that.
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { LogReader } from '../../src/cli/log-reader'
import { seededRandom } from '../../src/clock'
import { simulate } from '../../src/rebalancer/simulate'

const LINES = Number(process.env.LINES ?? 300_000)
const WEEK_MS = 604_800_000

async function generate(path: string): Promise<void> {
  const random = seededRandom(1)
  const out = createWriteStream(path)
  let text = 'timestamp,key,operation,transactionId,bytes\n'
  for (let i = 0; i < LINES; i++) {
    const key = Math.floor(20_000 * random() ** 3)
    const at = 1_600_000_000_000 + Math.floor((i * WEEK_MS) / LINES)
    text += `${at},user:${key},${random() < 0.2 ? 'write' : 'read'},t${i >> 1},${100 + (key % 900)}\n`
    if (text.length < 1 << 20) continue
    if (!out.write(text)) await new Promise((resolve) => out.once('drain', () => resolve(undefined)))
    text = ''
  }
  await new Promise<void>((resolve) => out.end(text, () => resolve()))
}

const folder = mkdtempSync(join(tmpdir(), 'foreshard-replay-'))
try {
  const path = join(folder, 'log.csv')
  await generate(path)
  const runs: [string, () => Promise<unknown>][] = [
    [
      'readline, nothing done',
      async () => {
        for await (const _ of createInterface({ input: createReadStream(path) }));
      },
    ],
    [
      'LogReader',
      async () => {
        for await (const _ of LogReader.open(path).batches());
      },
    ],
    ['simulate, hash', () => simulate(LogReader.open(path).batches(), { shards: 8, policies: ['hash'] })],
  ]
  let bare = 0
  for (const [name, run] of runs) {
    const before = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(before)
    const perLine = (user + system) / LINES
    bare ||= perLine
    const rate = Math.round(1e6 / perLine).toLocaleString('en')
    const peak = Math.round(process.resourceUsage().maxRSS / 1024)
    console.log(
      `${name.padEnd(24)} ${rate.padStart(10)} lines a CPU second, ${(perLine / bare).toFixed(1)} × readline, peak ${peak} MiB`,
    )
  }
} finally {
  rmSync(folder, { recursive: true })
}
