import { ManualClock, seededRandom } from '../clock'
import { Placement } from '../placement/assignment'
import { MOST_SHARDS } from '../placement/ring'
import type { ShardAssignmentPrediction } from '../predictor/prediction'
import { Predictor } from '../predictor/predictor'
import { billOf, billText, DEFAULT_COSTS } from '../rebalancer/bill'
import { duration, parse, schemaOf, shardsOf, usage, whole } from './arguments'
import { deliver, deliveryOf } from './delivery'
import { LOG_HELP, LOG_OPTIONS, openLog, tagEntities } from './log-arguments'
import { logJson, tellRefusals } from './refusals'
import { type Column, percent, table } from './table'
import { ProgressLine, type Terminal } from './terminal'
import { watched } from './watched-log'

export const PREDICT_HELP = `foreshard predict LOG --shards N [options]

Reads an access log and prints what should move now, at its end: which segments, where to, how sure that is, and why.
The placement to start from is the one that a new topology of these shards has.

${LOG_HELP}  --shards          how many (8), or which ones (a,b,c), with weights if need be (a:2,b:1)
  --interval        length of an interval; default 1h
  --horizon         how far ahead to plan; default 24 intervals
  --buckets         default 16384
  --max-moves       of the recommendation
  --seed            of the bucket hash, and of all chance; default 0
  --json            the whole prediction on standard output
  --post URL        posts that JSON instead, once; whoever takes it answers 2xx
  --token-env NAME  the environment variable that holds the token to send with it (Authorization: Bearer)

Examples
  foreshard predict access.csv.gz --shards 8
  foreshard predict access.csv --shards a,b,c --max-moves 10 --json | jq .shardAssignmentMap
  foreshard predict access.csv --shards a,b,c --post https://ops.example.org/recommendations --token-env OPS_TOKEN
`

export async function predictCommand(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parse(args, [
    'shards',
    'interval',
    'horizon',
    'buckets',
    'seed',
    ...LOG_OPTIONS,
    'max-moves',
    'post',
    'token-env',
    'json',
    'help',
  ])
  if (values.help) {
    terminal.stdout.write(PREDICT_HELP)
    return
  }
  const delivery = deliveryOf(values.post, values['token-env'])
  const given = shardsOf(values.shards)
  if (typeof given === 'number' && (given < 1 || given > MOST_SHARDS))
    throw usage(`--shards: from 1 to ${MOST_SHARDS}`)
  const shards = typeof given === 'number' ? Array.from({ length: given }, (_, i) => `s${i + 1}`) : given
  const intervalMs = duration('interval', values.interval) ?? 3_600_000
  const horizonMs = duration('horizon', values.horizon)
  const seed = whole('seed', values.seed) ?? 0
  const maxMoves = whole('max-moves', values['max-moves'])
  const schema = await schemaOf(values.schema, tagEntities(values.tag))
  const common = { shards, buckets: whole('buckets', values.buckets), seed, ...schema }
  const placement = Placement.initial(common)
  // Now is the end of the log.
  const clock = new ManualClock()
  const predictor = new Predictor({ ...common, intervalMs, clock, random: seededRandom(seed) })
  const { log, size } = await openLog(positionals, values, terminal)
  const line = new ProgressLine(terminal)
  let used = 0
  try {
    for await (const batch of watched(log, size, line))
      for (const entry of batch) {
        if (entry.timestamp > clock.now()) clock.jump(entry.timestamp)
        if (predictor.record(entry)) used++
      }
  } finally {
    line.clear()
  }
  tellRefusals(log, used, terminal)
  const now = (Math.floor(clock.now() / intervalMs) + 1) * intervalMs
  clock.jump(now)
  const budget = maxMoves === undefined ? undefined : { maxMoves }
  const prediction = await predictor.predict({ placement, horizonMs, budget, now })
  const bill = billOf(prediction.shardAssignmentMap.size, prediction.expected, DEFAULT_COSTS)
  const json = () => JSON.stringify({ now, ...plain(prediction), bill, ...logJson(log) })
  if (delivery) {
    await deliver(delivery, json())
    terminal.stderr.write(`posted: ${prediction.shardAssignmentMap.size} segments to move\n`)
  }
  if (values.json) terminal.stdout.write(`${json()}\n`)
  else if (!delivery) terminal.stdout.write(textOf(prediction, placement))
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1)
}

/** Maps as objects. Segments start with # or {, so that none of them is a name with a meaning. */
function plain(prediction: ShardAssignmentPrediction) {
  const { shardAssignmentMap, confidenceScores, reasons, ...rest } = prediction
  return {
    ...rest,
    shardAssignmentMap: Object.fromEntries(shardAssignmentMap),
    confidenceScores: Object.fromEntries(confidenceScores),
    reasons: Object.fromEntries(reasons),
  }
}

function textOf(prediction: ShardAssignmentPrediction, placement: Placement): string {
  const { shardAssignmentMap, confidenceScores, confidence, reasons, expected, triggers } = prediction
  const lines = triggers.map((trigger) => `${trigger.kind}: ${trigger.message}`)
  if (shardAssignmentMap.size === 0) return `${[...lines, 'Nothing is worth moving.'].join('\n')}\n`
  const columns: Column<readonly [`#${number}` | `{${string}}`, string]>[] = [
    { title: 'segment', cell: ([segment]) => shown(segment) },
    { title: 'from', cell: ([segment]) => placement.shardOf(segment) },
    { title: 'to', cell: ([, shard]) => shard },
    { title: 'confidence', cell: ([segment]) => (confidenceScores.get(segment) ?? 0).toFixed(2) },
  ]
  const why = [...reasons].map(([segment, reason]) => `  ${shown(segment)}: ${reason}`)
  const { imbalance, crossShard, loadMoved, netGain } = expected
  return `${[
    ...lines,
    table(columns, [...shardAssignmentMap]),
    '',
    `Imbalance ${imbalance.before.toFixed(3)} -> ${imbalance.after.toFixed(3)}, cross-shard ${percent(crossShard.before)} -> ${percent(crossShard.after)}, load moved ${percent(loadMoved)}.`,
    `${capital(billText(billOf(shardAssignmentMap.size, expected, DEFAULT_COSTS)))}.`,
    `J falls by ${netGain.toFixed(4)}, churn paid; confidence ${confidence.toFixed(2)}.`,
    '',
    ...why,
  ].join('\n')}\n`
}

/** A tag may hold anything, also what a terminal would obey. */
function shown(segment: string): string {
  return /^[\x20-\x7e]*$/.test(segment) ? segment : JSON.stringify(segment)
}
