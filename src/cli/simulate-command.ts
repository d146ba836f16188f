import { writeFile } from 'node:fs/promises'
import type { PolicyReport } from '../rebalancer/report'
import { POLICY_NAMES, type PolicyName, type SimulateOptions, simulate } from '../rebalancer/simulate'
import { duration, parse, schemaOf, shardsOf, usage, whole } from './arguments'
import { type BudgetRun, htmlReport } from './html-report'
import { LOG_HELP, LOG_OPTIONS, openLog, tagEntities } from './log-arguments'
import { logJson, tellRefusals } from './refusals'
import { type Column, percent, table } from './table'
import { ProgressLine, type Terminal } from './terminal'
import { watched } from './watched-log'

export const SIMULATE_HELP = `foreshard simulate LOG --shards N [options]

Replays an access log against placement policies and prints what each would have cost.

${LOG_HELP}  --shards          how many (8), or which ones (a,b,c), with weights if need be (a:2,b:1)
  --policies        any of ${POLICY_NAMES.join(',')}; default all
  --interval        length of an interval; default 1h
  --horizon         time over which a move has to pay off; default 24 intervals
  --every           time between two decisions; default one interval
  --buckets         default 16384
  --max-moves       of every single decision
  --seed            of the bucket hash, and of all chance; default 0
  --html FILE       the report as one page: plots, tables and the verdict; asks nobody for anything
  --budgets         2,8,32: also what prediction comes to with so many moves a decision, for --html and --json; reads
                    LOG again for each, so that it must be a file
  --json            the whole report, every interval of it, on standard output

Examples
  foreshard simulate access.csv.gz --shards 8
  foreshard simulate access.csv --shards a:2,b,c --interval 15m --horizon 6h --policies hash,predictive
  foreshard simulate access.log --shards 8 --tag '/users/{user}/{rest}' --html report.html --budgets 2,8,32
  zcat *.ndjson.gz | foreshard simulate - --shards 4 --json | jq .verdict
`

const COLUMNS: Column<PolicyReport>[] = [
  { title: 'policy', cell: (it) => it.name },
  { title: 'imbalance', cell: (it) => it.imbalance.mean.toFixed(3) },
  { title: 'p99', cell: (it) => it.imbalance.p99.toFixed(2) },
  { title: 'by load', cell: (it) => it.imbalanceByLoad.mean.toFixed(3) },
  { title: 'p99', cell: (it) => it.imbalanceByLoad.p99.toFixed(2) },
  { title: 'cross-shard', cell: (it) => percent(it.crossShard) },
  { title: 'moves', cell: (it) => String(it.moves) },
  { title: 'load moved', cell: (it) => percent(it.loadMoved) },
  { title: 'J', cell: (it) => it.J.toFixed(4) },
]

export async function simulateCommand(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parse(args, [
    'shards',
    'policies',
    'interval',
    'horizon',
    'every',
    'buckets',
    'seed',
    ...LOG_OPTIONS,
    'max-moves',
    'html',
    'budgets',
    'json',
    'help',
  ])
  if (values.help) {
    terminal.stdout.write(SIMULATE_HELP)
    return
  }
  const line = new ProgressLine(terminal)
  const maxMoves = whole('max-moves', values['max-moves'])
  const options: SimulateOptions = {
    shards: shardsOf(values.shards),
    policies: policiesOf(values.policies),
    intervalMs: duration('interval', values.interval),
    horizonMs: duration('horizon', values.horizon),
    everyMs: duration('every', values.every),
    buckets: whole('buckets', values.buckets),
    seed: whole('seed', values.seed),
    budget: maxMoves === undefined ? undefined : { maxMoves },
    ...(await schemaOf(values.schema, tagEntities(values.tag))),
  }
  const budgets = budgetsOf(values.budgets)
  if (budgets.length > 0 && positionals[0] === '-')
    throw usage('--budgets reads LOG again and again: give a file')
  const { log, size } = await openLog(positionals, values, terminal)
  let report: Awaited<ReturnType<typeof simulate>>
  try {
    report = await simulate(watched(log, size, line), options)
  } finally {
    line.clear()
  }
  tellRefusals(log, report.entries.used, terminal)
  if (report.entries.late > 0)
    terminal.stderr.write(
      `left out for coming after their interval was over: ${report.entries.late}. Sort the log by time.\n`,
    )
  const runs: BudgetRun[] = []
  for (const most of budgets) {
    const again = await openLog(positionals, values, terminal)
    try {
      const { policies } = await simulate(watched(again.log, again.size, line), {
        ...options,
        policies: ['predictive'],
        budget: { maxMoves: most },
      })
      runs.push({ maxMoves: most, policy: policies.predictive! })
    } finally {
      line.clear()
    }
  }
  if (values.html !== undefined) await writeFile(values.html, htmlReport(report, runs))
  if (values.json) {
    terminal.stdout.write(
      `${JSON.stringify({ ...report, ...logJson(log), ...(runs.length > 0 && { budgets: runs }) })}\n`,
    )
    return
  }
  terminal.stdout.write(`${table(COLUMNS, Object.values(report.policies))}\n\n${report.verdict}\n`)
}

function budgetsOf(text: string | undefined): number[] {
  return text === undefined ? [] : text.split(',').map((part) => whole('budgets', part)!)
}

function policiesOf(text: string | undefined): PolicyName[] | undefined {
  if (text === undefined) return undefined
  return text.split(',').map((name) => {
    const policy = POLICY_NAMES.find((known) => known === name)
    if (!policy) throw usage(`--policies: ${name} is unknown; there are ${POLICY_NAMES.join(', ')}`)
    return policy
  })
}
