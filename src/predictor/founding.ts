import type { Placement } from '../placement/assignment'
import { TaggedMap } from '../placement/founding-map'
import type { ShardAssignmentMap } from '../placement/segment'
import { compileTagRule } from '../placement/tag'
import type { KeySample } from './key-sample'
import type { LearnedSchema } from './learned-schema'
import type { CheckedRequest, Settings } from './options'
import type { Pace } from './pace'
import type { FoundingAdvice } from './prediction'
import { Recommender } from './recommender'
import { Recorder } from './recorder'
import { learnSchema } from './schema-learner'

/** Accesses of the sample that make an interval: with fewer, their load would be mostly chance. */
const PER_INTERVAL = 2_000
/** Examples of a schema, by which it is known whether another tags keys alike. */
const EXAMPLES = 64

/**
 * What the sample says about founding the placement's topology with a schema of its own; undefined if nothing. `moves`: what is
 * recommended without it; the advice starts from there and contains them.
 */
export async function adviseFounding(
  sample: KeySample,
  placement: Placement,
  moves: ShardAssignmentMap,
  request: CheckedRequest,
  settings: Settings,
  seed: number,
  pace: Pace,
): Promise<FoundingAdvice | undefined> {
  const learned = await learnSchema(sample, placement.shards.length, settings.objective, pace)
  if (learned === undefined) return undefined
  const { schema, relationships } = learned
  // Where nothing lies yet, nothing has to move.
  const objective = { ...settings.objective, churn: 0 }
  const longer = intervalsInOne(sample, settings.intervalMs)
  const intervalMs = longer * settings.intervalMs
  const founded = { ...settings, schema, relationships, objective, intervalMs }
  const recorder = await replayed(sample, founded, pace)
  const start = placement.tagged(schema, relationships).with(moves)
  const { shardAssignmentMap, expected } = await new Recommender(founded, recorder, seed).predict(start, {
    ...request,
    horizon: Math.ceil(request.horizon / longer),
    inFlight: new Map(),
    rates: new Map(),
  })
  return {
    ...learned,
    shardAssignmentMap: new TaggedMap([...moves, ...shardAssignmentMap], examplesOf(learned, sample)),
    expected,
  }
}

/** How many intervals have enough of the sample. */
function intervalsInOne({ accesses: { members, size } }: KeySample, intervalMs: number): number {
  const times = members.map(({ timestamp }) => Math.floor(timestamp / intervalMs))
  const spanned =
    times.reduce((a, b) => Math.max(a, b), 0) - times.reduce((a, b) => Math.min(a, b), times[0] ?? 0) + 1
  const intervals = Math.min(spanned, Math.max(1, Math.floor(size / PER_INTERVAL)))
  return Math.ceil(spanned / intervals)
}

/** A recorder that tags keys by the schema, and has seen the sample. */
export async function replayed(sample: KeySample, settings: Settings, pace: Pace): Promise<Recorder> {
  const recorder = new Recorder(settings)
  const accesses = sample.accesses.members.map(({ key, operation, count = 1, bytes, timestamp, weight }) => ({
    entries: [{ key, operation, bytes, timestamp, count: count * weight }],
    timestamp,
  }))
  // What is accessed together, without the load, which is told already.
  const together = sample.transactions.members.map(({ id, timestamp, keys }) => ({
    entries: keys.map((key) => ({ key, operation: 'read', timestamp, transactionId: id, count: 0 })),
    timestamp,
  }))
  let n = 0
  for (const { entries } of [...accesses, ...together].sort((a, b) => a.timestamp - b.timestamp)) {
    for (const entry of entries) recorder.offer(entry)
    if (++n % 256 === 0) await pace.rest()
  }
  return recorder
}

/** Keys of the sample that the schema tags, spread over its entities, and their tags. */
function examplesOf({ schema, relationships }: LearnedSchema, sample: KeySample): Map<string, string> {
  const tagOf = compileTagRule(schema, relationships)
  const examples = new Map<string, string>()
  for (const { key } of sample.accesses.members) {
    if (examples.size >= EXAMPLES) break
    if (tagOf(key) !== key) examples.set(key, tagOf(key))
  }
  return examples
}
