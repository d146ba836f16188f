import { LATEST_MS } from '../tracking/access-log'
import { KINDS_OF_NUMBERS } from './packed'
import type { Recorder } from './recorder'

/** Entries of the lists that a predictor bounds by itself; a list of a snapshot that is longer was never its own. */
const LISTS = {
  refused: 64,
  hot: 16_384,
  perMove: 2_000,
  perMap: 2_000,
  pending: 32,
  trials: 64,
} as const
const MOST_OPEN_TRANSACTIONS = 1_024
const MOST_SAMPLED = 24_576
const MOST_CENTROIDS = 64
const LONGEST_HORIZON = 1_000

/** A row is made half as wide again when it has become too narrow. */
const widest = (slots: number) => 2 * slots + 64

/**
 * What in a snapshot's state is larger than the predictor that it claims to be of: asked before anything is allocated, so
 * that a text of a few bytes that says "a billion" costs nothing. Undefined where all is within bounds.
 */
export function outOfBounds(state: object, { slotOf, hot, series }: Recorder): string | undefined {
  const root = state as Tree
  const slots = at(root, 'series', 'slots')
  const newest = at(root, 'series', 'newest')
  if (!isCount(slots) || slots > slotOf.length + hot.capacity) return 'series.slots'
  if (typeof newest !== 'number' || !(newest * series.intervalMs <= LATEST_MS)) return 'series.newest'
  for (const [name, most] of Object.entries(LISTS)) if (!isList(root[name], most)) return name
  if (!isList(at(root, 'series', 'rows'), series.history)) return 'series.rows'
  if (!isList(at(root, 'transactions', 'open'), MOST_OPEN_TRANSACTIONS)) return 'transactions.open'
  if (!isList(at(root, 'transactions', 'sample'), MOST_SAMPLED)) return 'transactions.sample'
  const centroids = at(root, 'segmentation', 'centroids')
  if (!isList(centroids, MOST_CENTROIDS)) return 'segmentation.centroids'
  for (const row of [at(root, 'segmentation', 'spread'), ...centroids])
    if (row !== null && !(isList(row, 1_000) && row.every(Number.isFinite))) return 'segmentation'
  for (const name of ['fittedAt', 'fittedItems'])
    if (!Number.isSafeInteger(at(root, 'segmentation', name))) return `segmentation.${name}`

  const expectation = at(root, 'drift', 'expectation') as Tree | undefined
  const horizon = expectation === undefined ? 0 : expectation.horizon
  if (expectation !== undefined) {
    const { start, done } = expectation
    if (!isCount(horizon) || horizon < 1 || horizon > LONGEST_HORIZON) return 'drift.expectation.horizon'
    if (!isCount(start) || !isCount(done) || done > horizon) return 'drift.expectation'
    const [mean, scale] = [lengthOf(expectation.mean), lengthOf(expectation.scale)]
    if (mean !== scale || mean % horizon !== 0) return 'drift.expectation.mean'
  }
  const packed: [string, unknown, number][] = [
    ['slotOf', root.slotOf, slotOf.length],
    ['sketch', root.sketch, hot.sketch.length],
    ['registers', root.registers, 16 * widest(slots) + 1024],
    ['drift.up', at(root, 'drift', 'up'), slots],
    ['drift.down', at(root, 'drift', 'down'), slots],
    ['drift.mean', expectation?.mean ?? '', slots * (horizon as number)],
    ['drift.scale', expectation?.scale ?? '', slots * (horizon as number)],
  ]
  for (const name of ['reads', 'writes', 'bytes', 'sized'])
    packed.push([`totals.${name}`, at(root, 'totals', name), widest(slots)])
  for (const row of at(root, 'series', 'rows') as unknown[]) packed.push(['series.rows', row, widest(slots)])
  for (const each of root.pending as Tree[]) packed.push(['pending.slots', each?.slots, slots])
  for (const [name, text, most] of packed) if (!(lengthOf(text) <= most)) return name
  return undefined
}

type Tree = Readonly<Record<string, unknown>>

function at(tree: Tree, ...path: string[]): unknown {
  let found: unknown = tree
  for (const name of path) found = (found as Tree | null | undefined)?.[name]
  return found
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isList(value: unknown, most: number): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= most
}

/** Of numbers that are packed as text, see packed.ts; NaN for a text that is none, 0 for an empty one. */
function lengthOf(text: unknown): number {
  if (text === '') return 0
  const [kind, length] = typeof text === 'string' ? text.slice(0, 32).split(':') : []
  return kind && KINDS_OF_NUMBERS.includes(kind) && length && isCount(Number(length))
    ? Number(length)
    : Number.NaN
}
