import { ErrorCode, ForeshardError, shown } from '../errors'
import { murmur3 } from '../placement/hash'
import type { Observation } from './calibration'
import type { FleetSpreadState } from './fleet-spread'
import { type KeySampleState, LONGEST_SAMPLED_KEY } from './key-sample'
import type { PredictorOptions, Settings } from './options'
import { pack, unpack } from './packed'
import type { Pending } from './pending'
import type { Recommender } from './recommender'
import type { Recorder, Refusal } from './recorder'
import type { SegmentationState } from './segmentation'
import { outOfBounds } from './snapshot-bounds'
import type { Trial } from './track-record'
import type { Sampled, TransactionsState } from './transactions'

const VERSION = 2
/** No array of a snapshot is longer: a cut or altered one asks for no memory. */
const LONGEST = 1 << 28

/** Plain JSON. Opaque: only `Predictor.restore` reads it. */
export interface PredictorSnapshot {
  version: number
  /** murmur3 of the JSON text of `state`: finds what was cut or altered by accident. */
  checksum: number
  state: SnapshotState
}

interface SnapshotState {
  options: Omit<PredictorOptions, 'random' | 'clock'>
  accepted: number
  refused: [Refusal, number][]
  series: { newest: number; oldest: number; slots: number; rows: string[] }
  slotOf: string
  hot: { tag: string; hash: number; slot: number; since: number; load: number; pinned: boolean }[]
  sketch: string
  /** null: no tag can get in, all places are pinned. */
  threshold: number | null
  totals: { reads: string; writes: string; bytes: string; sized: string }
  registers: string
  transactions: TransactionsState
  /** Where no schema is given. */
  keys?: KeySampleState
  seed: number
  predictions: number
  seasonal: number
  rehearsed: number
  /** Interval of the last drift; not there before the first. */
  drifted?: number
  perMove: Observation[]
  perMap: Observation[]
  pending: (Omit<Pending, 'slots'> & { slots: string })[]
  trials: Trial[]
  drift: {
    up: string
    down: string
    watched: number
    spread: FleetSpreadState
    expectation?: { start: number; horizon: number; mean: string; scale: string; done: number }
  }
  segmentation: SegmentationState
}

export function writeSnapshot(
  settings: Settings,
  recorder: Recorder,
  recommender: Recommender,
): PredictorSnapshot {
  const { random: _random, clock: _clock, ...options } = settings
  const { series, hot, totals, transactions, cardinality } = recorder
  const { newest, oldest, slots, rows } = series.state()
  const { detector, expectation } = recommender.drift
  const state: SnapshotState = {
    options,
    accepted: recorder.accepted,
    refused: [...recorder.refused],
    series: { newest, oldest, slots, rows: rows.map(pack) },
    slotOf: pack(recorder.slotOf),
    hot: hot.tags.map((tag) => ({ ...tag })),
    sketch: pack(hot.sketch),
    threshold: hot.threshold === Number.POSITIVE_INFINITY ? null : hot.threshold,
    totals: {
      reads: pack(totals.reads),
      writes: pack(totals.writes),
      bytes: pack(totals.bytes),
      sized: pack(totals.sized),
    },
    registers: pack(cardinality.registers),
    transactions: transactions.state(),
    keys: recorder.keys?.state(),
    seed: recommender.seed,
    predictions: recommender.predictions,
    seasonal: recommender.seasonal,
    rehearsed: recommender.rehearsed,
    drifted: Number.isFinite(recommender.driftedAt) ? recommender.driftedAt : undefined,
    perMove: [...recommender.perMove.observations],
    perMap: [...recommender.perMap.observations],
    pending: recommender.outcomes.pending.map((pending) => ({ ...pending, slots: pack(pending.slots) })),
    trials: [...recommender.record.trials],
    drift: {
      up: pack(detector.up),
      down: pack(detector.down),
      watched: detector.watched,
      spread: { ...detector.spread.state },
      expectation: expectation && {
        ...expectation,
        mean: pack(expectation.mean),
        scale: pack(expectation.scale),
      },
    },
    segmentation: recommender.segmentation.state(),
  }
  // As JSON has it: what is undefined is left out, so that the checksum is the same after a round trip.
  const text = JSON.stringify(state)
  return { version: VERSION, checksum: murmur3(text), state: JSON.parse(text) }
}

/** The options to make a predictor with, and what fills it. */
export function readSnapshot(snapshot: PredictorSnapshot): {
  options: PredictorOptions
  adopt: (recorder: Recorder, recommender: Recommender) => void
} {
  if (snapshot === null || typeof snapshot !== 'object') throw corrupt('is no snapshot')
  if (snapshot.version !== VERSION)
    throw corrupt(`has version ${shown(snapshot.version)}; this one reads version ${VERSION}`)
  const { state } = snapshot
  if (state === null || typeof state !== 'object') throw corrupt('has no state')
  let text: string
  try {
    text = JSON.stringify(state)
  } catch (cause) {
    throw corrupt('is no JSON', cause)
  }
  if (murmur3(text) !== snapshot.checksum) throw corrupt('was cut or altered: its checksum differs')
  return {
    options: state.options,
    adopt: (recorder, recommender) => {
      try {
        const beyond = outOfBounds(state, recorder)
        if (beyond !== undefined) throw corrupt(`${beyond} cannot be of this predictor`)
        fill(state, recorder, recommender)
      } catch (cause) {
        throw cause instanceof ForeshardError
          ? cause
          : corrupt(`cannot be read: ${(cause as Error).message}`, cause)
      }
    },
  }
}

function fill(state: SnapshotState, recorder: Recorder, recommender: Recommender): void {
  const { series: saved } = state
  const { series } = recorder
  const count = (value: unknown, least: number, what: string): number => {
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least)
      throw corrupt(`${what} is ${shown(value)}`)
    return value
  }
  count(saved.newest, -1, 'series.newest')
  count(saved.oldest, -1, 'series.oldest')
  count(saved.slots, 0, 'series.slots')
  if (saved.slots > recorder.slotOf.length + recorder.hot.capacity) throw corrupt('series.slots is too large')
  const first = saved.newest < 0 ? 0 : Math.max(saved.oldest, saved.newest - series.history + 1)
  const kept = saved.newest < 0 ? 0 : saved.newest - first + 1
  if (!Array.isArray(saved.rows) || saved.rows.length !== kept || saved.oldest > saved.newest)
    throw corrupt('series.rows do not cover the intervals')
  const rows = saved.rows.map((row, k) => loads(row, 'f', `series.rows[${k}]`))
  const slotOf = numbers(state.slotOf, 'i', 'slotOf')
  if (slotOf.length !== recorder.slotOf.length || slotOf.some((slot) => slot < -1 || slot >= saved.slots))
    throw corrupt('slotOf names slots that are not there')
  if (!Array.isArray(state.hot) || state.hot.length > recorder.hot.capacity) throw corrupt('hot is too long')
  for (const tag of state.hot) {
    if (typeof tag?.tag !== 'string' || tag.tag === '' || !(tag.slot >= 0 && tag.slot < saved.slots))
      throw corrupt('hot names no slot')
    count(tag.hash, 0, 'hot.hash')
    count(tag.since, 0, 'hot.since')
    count(tag.load, 0, 'hot.load')
  }
  const sketch = loads(state.sketch, 'f', 'sketch')
  if (sketch.length !== recorder.hot.sketch.length) throw corrupt('sketch has another size')
  const totals = {
    reads: loads(state.totals.reads, 'f', 'totals.reads'),
    writes: loads(state.totals.writes, 'f', 'totals.writes'),
    bytes: loads(state.totals.bytes, 'f', 'totals.bytes'),
    sized: loads(state.totals.sized, 'f', 'totals.sized'),
  }
  if (Object.values(totals).some((column) => column.length !== totals.reads.length))
    throw corrupt('totals differ in length')
  checkTransactions(state.transactions, count)
  if (state.keys) checkKeys(state.keys, count)
  const pending = state.pending.map((each, k) => {
    count(each.start, 0, `pending[${k}].start`)
    count(each.horizon, 1, `pending[${k}].horizon`)
    const shards = each.weights.length
    const slots = numbers(each.slots, 's', `pending[${k}].slots`)
    const known = (shard: number) => Number.isInteger(shard) && shard >= 0 && shard < shards
    if (
      slots.some((shard) => shard !== -1 && !known(shard)) ||
      !each.plans.every(({ moves }) => moves.every((m) => known(m.from) && known(m.to)))
    )
      throw corrupt(`pending[${k}] names shards that are not there`)
    return { ...each, slots }
  })
  const { drift } = state
  const up = loads(drift.up, 'd', 'drift.up')
  const down = loads(drift.down, 'd', 'drift.down')
  if (up.length !== down.length) throw corrupt('drift differs in length')
  for (const [name, value] of Object.entries(drift.spread)) count(value, 0, `drift.spread.${name}`)
  const expectation = drift.expectation && {
    ...drift.expectation,
    mean: numbers(drift.expectation.mean, 'f', 'drift.mean'),
    scale: numbers(drift.expectation.scale, 'f', 'drift.scale'),
  }
  for (const name of ['perMove', 'perMap'] as const)
    for (const { raw, held } of state[name])
      if (!(raw >= 0 && raw <= 1) || typeof held !== 'boolean') throw corrupt(`${name} holds no outcome`)

  for (const { start, gains } of state.trials) {
    count(start, 0, 'trials.start')
    for (const gain of Object.values(gains)) count(gain, Number.NEGATIVE_INFINITY, 'trials.gains')
  }

  // All of it is known to be good: only now is anything taken over.
  recorder.accepted = count(state.accepted, 0, 'accepted')
  for (const [reason, times] of state.refused) recorder.refused.set(reason, times)
  series.adopt({ newest: saved.newest, oldest: saved.oldest, slots: saved.slots, rows })
  recorder.slotOf.set(slotOf)
  recorder.hot.adopt(
    state.hot,
    sketch,
    state.threshold === null ? Number.POSITIVE_INFINITY : count(state.threshold, 0, 'threshold'),
  )
  recorder.totals = totals
  recorder.cardinality.registers = numbers(state.registers, 'b', 'registers')
  recorder.transactions.adopt(state.transactions)
  if (state.keys) recorder.keys?.adopt(state.keys)
  recommender.seed = count(state.seed, 0, 'seed')
  recommender.predictions = count(state.predictions, 0, 'predictions')
  recommender.seasonal = count(state.seasonal, 0, 'seasonal')
  recommender.rehearsed = count(state.rehearsed, 0, 'rehearsed')
  if (state.drifted !== undefined) recommender.driftedAt = count(state.drifted, 0, 'drifted')
  for (const outcome of state.perMove) recommender.perMove.observe(outcome)
  for (const outcome of state.perMap) recommender.perMap.observe(outcome)
  recommender.outcomes.pending.push(...pending)
  for (const trial of state.trials) recommender.record.add(trial)
  recommender.drift.detector.up = up
  recommender.drift.detector.down = down
  recommender.drift.detector.watched = count(drift.watched, 0, 'drift.watched')
  recommender.drift.detector.spread.state = { ...drift.spread }
  recommender.drift.expectation = expectation
  recommender.segmentation.adopt(state.segmentation)
}

function checkTransactions(
  { open, sample, ...rest }: TransactionsState,
  count: (value: unknown, least: number, what: string) => number,
): void {
  for (const [name, value] of Object.entries(rest)) count(value, 0, `transactions.${name}`)
  const hashes = (list: unknown) =>
    Array.isArray(list) && list.length <= 61 && list.every((hash) => Number.isInteger(hash) && hash >= 0)
  for (const each of open) {
    if (typeof each.id !== 'string' || !hashes(each.tags) || !hashes(each.keys))
      throw corrupt('transactions.open holds no transaction')
    count(each.opened, 0, 'transactions.open.opened')
  }
  for (const each of sample as Sampled[]) {
    if (!hashes(each.tags)) throw corrupt('transactions.sample holds no transaction')
    count(each.weight, 0, 'transactions.sample.weight')
    count(each.interval, 0, 'transactions.sample.interval')
  }
}

function checkKeys(
  { seen, transactions, accesses }: KeySampleState,
  count: (value: unknown, least: number, what: string) => number,
): void {
  count(seen, 0, 'keys.seen')
  const names = (list: unknown[]) =>
    list.every((key) => typeof key === 'string' && key.length <= LONGEST_SAMPLED_KEY)
  for (const [what, { chance, members }] of Object.entries({ transactions, accesses })) {
    if (!(chance > 0 && chance <= 1)) throw corrupt(`keys.${what}.chance is ${String(chance)}`)
    for (const { timestamp, hash, weight } of members) {
      count(timestamp, 0, `keys.${what}.timestamp`)
      count(hash, 0, `keys.${what}.hash`)
      count(weight, 1, `keys.${what}.weight`)
    }
  }
  if (!transactions.members.every(({ id, keys }) => typeof id === 'string' && names(keys)))
    throw corrupt('keys.transactions holds no transaction')
  if (!names(accesses.members.map(({ key }) => key))) throw corrupt('keys.accesses holds no access')
}

function numbers<K extends 'f' | 'd' | 'i' | 's' | 'b'>(text: unknown, kind: K, what: string) {
  const found = unpack(text, kind, LONGEST)
  if (found === undefined) throw corrupt(`${what} is no array`)
  return found
}

/** Numbers that cannot be negative or anything but finite. */
function loads<K extends 'f' | 'd'>(text: unknown, kind: K, what: string) {
  const found = numbers(text, kind, what)
  for (const value of found)
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw corrupt(`${what} holds ${value}`)
  return found
}

function corrupt(what: string, cause?: unknown): ForeshardError {
  return new ForeshardError(ErrorCode.SNAPSHOT_CORRUPT, `snapshot: ${what}`, { field: 'snapshot', cause })
}
