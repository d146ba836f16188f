import { bucketSegment, isTagSegment, type SegmentId, type ShardId, tagOfSegment } from './segment'

/**
 * The fence: the record by which a shard alone decides whether it serves a segment, and the one table of all its
 * transitions. Stores in JavaScript run the table itself; renderings in other languages are tested against it.
 * Model-checked as docs/protocol/handoff.pml and split.pml.
 */

export type FenceState = 'none' | 'owned' | 'importing' | 'moved'

/** What one shard holds about one segment. Immutable; `epoch`, `ticket` and `seq` never go back, in no state. */
export interface FenceRecord {
  readonly state: FenceState
  /** +1 with every change of owner, split and merge. Clients must name it exactly. */
  readonly epoch: number
  /** The highest ticket that changed this record. Never forgotten, also when the state returns to none. */
  readonly ticket: number
  /** Number of the segment's last write. Travels with the segment. */
  readonly seq: number
  /** Where to: of an export, or of a moved segment. '' otherwise. */
  readonly peer: ShardId
  /** owned: the ticket of the handoff in progress, or 0. */
  readonly export: number
  /** owned with an export: writes are answered "retry" before this time (ms since the epoch), or 0. */
  readonly holdUntil: number
  /** owned with an export: its one hold has been used. */
  readonly held: boolean
  /** owned: the change log is complete since activation, when seq was `base`. */
  readonly trace: boolean
  readonly base: number
  /** importing: leftovers are swept, batches are accepted. */
  readonly loading: boolean
  /** importing: the retained data was kept, only changes follow. */
  readonly kept: boolean
  /** importing: number of the batch expected next, from 1. */
  readonly nextBatch: number
  /** moved: the data is complete as of seq; no purge has begun. */
  readonly intact: boolean
  /** buckets only: the tags carved out of it. */
  readonly carved: ReadonlySet<string>
}

const NOTHING_CARVED: ReadonlySet<string> = new Set()

/** What a shard knows of a segment that it never had. */
export const NO_FENCE: FenceRecord = Object.freeze({
  state: 'none',
  epoch: 0,
  ticket: 0,
  seq: 0,
  peer: '',
  export: 0,
  holdUntil: 0,
  held: false,
  trace: false,
  base: 0,
  loading: false,
  kept: false,
  nextBatch: 0,
  intact: false,
  carved: NOTHING_CARVED,
})

/** All fences of one bucket on one shard: its own, and those of the tags carved out of it. */
export interface BucketFences {
  readonly bucketId: number
  /** The highest ticket of any step on any segment of the bucket: so that a split ends every older attempt. */
  readonly ticket: number
  /** The one segment of the bucket whose export stands, or ''. */
  readonly exporting: SegmentId | ''
  record(segment: SegmentId): FenceRecord
  /** The tags of this bucket that have a record here, whatever its state. */
  tags(): Iterable<SegmentId>
}

/** The commit of a handoff, as the source recorded it: whoever shows it to the target activates it. */
export interface Proof {
  readonly shard: ShardId
  readonly epoch: number
  readonly ticket: number
  readonly seq: number
}

/** `epoch` is always the source's epoch e of the handoff; the target will own the segment at e + 1. */
export type FenceCommand =
  | { readonly step: 'found' }
  | { readonly step: 'export'; readonly epoch: number; readonly ticket: number; readonly peer: ShardId }
  | {
      readonly step: 'prepare'
      readonly epoch: number
      readonly ticket: number
      /** The source's trace base, where it has one: retained data of that seq may be kept. */
      readonly base?: number
      /** Of a bucket: the tags carved out of it at the source. */
      readonly carved?: readonly string[]
    }
  | { readonly step: 'sweep'; readonly ticket: number; readonly empty: boolean }
  | { readonly step: 'ingest'; readonly epoch: number; readonly ticket: number; readonly batch: number }
  | { readonly step: 'hold'; readonly epoch: number; readonly ticket: number; readonly durationMs: number }
  | { readonly step: 'cutover'; readonly epoch: number; readonly ticket: number; readonly seq: number }
  | { readonly step: 'activate'; readonly proof: Proof }
  | { readonly step: 'abort'; readonly epoch: number; readonly ticket: number }
  | { readonly step: 'discard'; readonly ticket: number }
  | { readonly step: 'untrace'; readonly epoch: number }
  | { readonly step: 'purge'; readonly epoch: number }
  /** On a tag: carve it out of its bucket, whose epoch is named. */
  | { readonly step: 'split'; readonly epoch: number; readonly ticket: number }
  /** On a tag: fold it back into its bucket, whose epoch is named. */
  | { readonly step: 'merge'; readonly epoch: number; readonly ticket: number }

export type FenceStep = FenceCommand['step']

/** What a step changes. Everything named here is applied atomically, or nothing is. */
export interface FenceChange {
  readonly records: readonly (readonly [SegmentId, FenceRecord])[]
  readonly ticket?: number
  readonly exporting?: SegmentId | ''
  /** Segments whose change log is emptied. */
  readonly clearLogs?: readonly SegmentId[]
}

export interface FenceRow<S extends FenceStep = FenceStep> {
  readonly step: S
  readonly from: readonly FenceState[]
  readonly to: FenceState
  /** In words, for the documents; `when` and `change` are the truth. */
  readonly guard: string
  readonly effect: string
  when(
    command: Extract<FenceCommand, { step: S }>,
    record: FenceRecord,
    fences: BucketFences,
    segment: SegmentId,
  ): boolean
  change(
    command: Extract<FenceCommand, { step: S }>,
    record: FenceRecord,
    fences: BucketFences,
    segment: SegmentId,
    now: number,
  ): FenceChange
}

export type FenceDecision =
  | { readonly ok: true; readonly row: FenceRow; readonly change: FenceChange; readonly record: FenceRecord }
  | { readonly ok: false; readonly record: FenceRecord }

const UNCHANGED: FenceChange = { records: [] }
const row = <S extends FenceStep>(it: FenceRow<S>) => it as unknown as FenceRow

/**
 * The transition table. The first row whose step, state and guard fit is taken; where none fits the step is refused
 * and nothing changes. A row marked "repeat" answers a request that was carried out before as it was answered then.
 */
export const FENCE_TABLE: readonly FenceRow[] = [
  row<'found'>({
    step: 'found',
    from: ['none'],
    to: 'owned',
    guard: 'no record, and no step was ever taken on the bucket',
    effect: 'owned @ 1: the first owner of a new topology',
    when: (_c, r, f) => r.ticket === 0 && r.epoch === 0 && f.ticket === 0,
    change: (_c, r, _f, s) => ({ records: [[s, { ...r, state: 'owned', epoch: 1 }]] }),
  }),
  row<'found'>({
    step: 'found',
    from: ['owned', 'importing', 'moved', 'none'],
    to: 'owned',
    guard: 'repeat: the bucket has a history here',
    effect: 'none',
    when: () => true,
    change: () => UNCHANGED,
  }),

  row<'export'>({
    step: 'export',
    from: ['owned'],
    to: 'owned',
    guard: 'epoch = e, bucket ticket < t',
    effect:
      'export := t to peer, no hold; any other export of the bucket ends; log cleared unless a trace stands',
    when: (c, r, f) => r.epoch === c.epoch && f.ticket < c.ticket,
    change: (c, r, f, s) => {
      const ended = endExport(f, s)
      return {
        records: [
          ...ended.records,
          [s, { ...r, ticket: c.ticket, export: c.ticket, peer: c.peer, holdUntil: 0, held: false }],
        ],
        ticket: c.ticket,
        exporting: s,
        clearLogs: r.trace ? ended.clearLogs : [...ended.clearLogs, s],
      }
    },
  }),
  row<'export'>({
    step: 'export',
    from: ['owned'],
    to: 'owned',
    guard: 'repeat: epoch = e, bucket ticket = t, export = t',
    effect: 'none',
    when: (c, r, f) => r.epoch === c.epoch && f.ticket === c.ticket && r.export === c.ticket,
    change: () => UNCHANGED,
  }),

  row<'prepare'>({
    step: 'prepare',
    from: ['moved'],
    to: 'importing',
    guard: 'bucket ticket < t; moved @ e, intact, its seq = the base of the trace at the source',
    effect: 'importing @ e+1, loading, the retained data kept; histories that contradict it become none',
    when: (c, r, f, s) =>
      f.ticket < c.ticket &&
      r.intact &&
      r.epoch === c.epoch &&
      c.base !== undefined &&
      r.seq === c.base &&
      !contradicted(c.carved, f, s),
    change: (c, r, f, s) => prepare(c, r, f, s, true),
  }),
  row<'prepare'>({
    step: 'prepare',
    from: ['none', 'importing', 'moved'],
    to: 'importing',
    guard: 'bucket ticket < t; no tag that the bucket contains is owned here',
    effect: 'importing @ e+1, leftovers to be swept; histories that contradict it become none',
    when: (c, _r, f, s) => f.ticket < c.ticket && !contradicted(c.carved, f, s),
    change: (c, r, f, s) => prepare(c, r, f, s, false),
  }),
  row<'prepare'>({
    step: 'prepare',
    from: ['importing'],
    to: 'importing',
    guard: 'repeat: epoch = e+1, ticket = bucket ticket = t',
    effect: 'none',
    when: (c, r, f) => r.epoch === c.epoch + 1 && r.ticket === c.ticket && f.ticket === c.ticket,
    change: () => UNCHANGED,
  }),

  row<'sweep'>({
    step: 'sweep',
    from: ['importing'],
    to: 'importing',
    guard: 'ticket = bucket ticket = t, not loading',
    effect: 'leftovers that no live record governs are deleted; none left: loading',
    when: (c, r, f) => r.ticket === c.ticket && f.ticket === c.ticket && !r.loading,
    change: (c, r, f, s) => ({
      records: [...spoiled(f, s), ...written(s, c.empty ? { ...r, loading: true } : r, r)],
    }),
  }),
  row<'sweep'>({
    step: 'sweep',
    from: ['importing'],
    to: 'importing',
    guard: 'repeat: ticket = bucket ticket = t, loading',
    effect: 'none',
    when: (c, r, f) => r.ticket === c.ticket && f.ticket === c.ticket && r.loading,
    change: () => UNCHANGED,
  }),

  row<'ingest'>({
    step: 'ingest',
    from: ['importing'],
    to: 'importing',
    guard: 'epoch = e+1, ticket = bucket ticket = t, loading, next batch = i',
    effect: 'the batch is applied, next batch := i+1',
    when: (c, r, f) => importsFor(c, r, f) && r.nextBatch === c.batch,
    change: (c, r, _f, s) => ({ records: [[s, { ...r, nextBatch: c.batch + 1 }]] }),
  }),
  row<'ingest'>({
    step: 'ingest',
    from: ['importing'],
    to: 'importing',
    guard: 'repeat: the same, next batch > i',
    effect: 'none',
    when: (c, r, f) => importsFor(c, r, f) && r.nextBatch > c.batch,
    change: () => UNCHANGED,
  }),

  row<'hold'>({
    step: 'hold',
    from: ['owned'],
    to: 'owned',
    guard: 'epoch = e, export = t, its hold not yet used',
    effect: 'writes are held until the deadline; once per export',
    when: (c, r) => r.epoch === c.epoch && r.export === c.ticket && !r.held,
    change: (c, r, _f, s, now) => ({ records: [[s, { ...r, holdUntil: now + c.durationMs, held: true }]] }),
  }),
  row<'hold'>({
    step: 'hold',
    from: ['owned'],
    to: 'owned',
    guard: 'repeat: epoch = e, export = t, hold used',
    effect: 'none',
    when: (c, r) => r.epoch === c.epoch && r.export === c.ticket && r.held,
    change: () => UNCHANGED,
  }),

  row<'cutover'>({
    step: 'cutover',
    from: ['owned'],
    to: 'moved',
    guard: 'epoch = e, export = t, seq = n',
    effect: 'the commit: moved @ e+1 to peer, intact; export, hold, trace and log gone',
    when: (c, r) => r.epoch === c.epoch && r.export === c.ticket && r.seq === c.seq,
    change: (c, r, f, s) => ({
      records: [
        [
          s,
          {
            ...r,
            ...NOT_EXPORTED,
            state: 'moved',
            epoch: c.epoch + 1,
            peer: r.peer,
            trace: false,
            base: 0,
            intact: true,
          },
        ],
      ],
      exporting: f.exporting === s ? '' : f.exporting,
      clearLogs: [s],
    }),
  }),
  row<'cutover'>({
    step: 'cutover',
    from: ['moved'],
    to: 'moved',
    guard: 'repeat: epoch = e+1, ticket = t',
    effect: 'none',
    when: (c, r) => r.epoch === c.epoch + 1 && r.ticket === c.ticket,
    change: () => UNCHANGED,
  }),

  row<'activate'>({
    step: 'activate',
    from: ['importing'],
    to: 'owned',
    guard: "epoch and ticket = the commit's",
    effect: "owned, seq := the commit's; trace on with base seq, log empty",
    when: (c, r) => r.epoch === c.proof.epoch && r.ticket === c.proof.ticket,
    change: (c, r, _f, s) => ({
      records: [
        [
          s,
          {
            ...r,
            ...NOT_IMPORTING,
            state: 'owned',
            seq: c.proof.seq,
            trace: true,
            base: c.proof.seq,
            peer: '',
          },
        ],
      ],
      clearLogs: [s],
    }),
  }),
  row<'activate'>({
    step: 'activate',
    from: ['owned', 'moved'],
    to: 'owned',
    guard: "repeat: epoch ≥ the commit's",
    effect: 'none',
    when: (c, r) => r.epoch >= c.proof.epoch,
    change: () => UNCHANGED,
  }),

  row<'abort'>({
    step: 'abort',
    from: ['owned'],
    to: 'owned',
    guard: 'epoch = e, bucket ticket ≤ t',
    effect: 'ticket := t; no export, no hold; log cleared unless a trace stands',
    when: (c, r, f) => r.epoch === c.epoch && f.ticket <= c.ticket,
    change: (c, r, f, s) => {
      const ended = endExport(f, s)
      return {
        records: [...ended.records, [s, { ...r, ...NOT_EXPORTED, ticket: c.ticket }]],
        ticket: c.ticket,
        exporting: '',
        clearLogs: r.trace ? ended.clearLogs : [...ended.clearLogs, s],
      }
    },
  }),

  row<'discard'>({
    step: 'discard',
    from: ['importing', 'none'],
    to: 'none',
    guard: 'bucket ticket ≤ t; sent only after the source has aborted',
    effect: 'none, ticket := t; what was copied may be purged',
    when: (c, _r, f) => f.ticket <= c.ticket,
    change: (c, r, _f, s) => ({
      records: [[s, { ...r, ...NOT_IMPORTING, state: 'none', ticket: c.ticket }]],
      ticket: c.ticket,
    }),
  }),

  row<'untrace'>({
    step: 'untrace',
    from: ['owned'],
    to: 'owned',
    guard: 'epoch = e, no export stands',
    effect: 'no trace, log cleared',
    when: (c, r) => r.epoch === c.epoch && r.export === 0,
    change: (_c, r, _f, s) => ({ records: [[s, { ...r, trace: false, base: 0 }]], clearLogs: [s] }),
  }),

  row<'purge'>({
    step: 'purge',
    from: ['moved'],
    to: 'moved',
    guard: 'epoch = e+1',
    effect: 'not intact any more; remains that no live record governs are deleted; the record stays',
    when: (c, r) => r.epoch === c.epoch,
    change: (_c, r, f, s) => ({
      records: [...spoiled(f, s), ...written(s, r.intact ? { ...r, intact: false } : r, r)],
    }),
  }),
  row<'purge'>({
    step: 'purge',
    from: ['none'],
    to: 'none',
    guard: 'none',
    effect: 'remains that no live record governs are deleted',
    when: () => true,
    change: (_c, _r, f, s) => ({ records: spoiled(f, s) }),
  }),

  row<'split'>({
    step: 'split',
    from: ['none', 'moved', 'importing'],
    to: 'owned',
    guard: 'its bucket is owned @ e without it, bucket ticket < t',
    effect: "tag and bucket owned @ e+1, seq of the bucket; the bucket's export and trace end",
    when: (c, _r, f, s) => {
      const bucket = f.record(bucketSegment(f.bucketId))
      return (
        bucket.state === 'owned' &&
        bucket.epoch === c.epoch &&
        !bucket.carved.has(tagOfSegment(s)!) &&
        f.ticket < c.ticket
      )
    },
    change: (c, r, f, s) => {
      const home = bucketSegment(f.bucketId)
      const bucket = f.record(home)
      const ended = endExport(f, home)
      const raised = { ticket: c.ticket, epoch: c.epoch + 1, trace: false, base: 0 }
      return {
        records: [
          ...ended.records,
          [home, { ...bucket, ...NOT_EXPORTED, ...raised, carved: withTag(bucket.carved, s) }],
          [
            s,
            { ...r, ...NOT_EXPORTED, ...NOT_IMPORTING, ...raised, state: 'owned', seq: bucket.seq, peer: '' },
          ],
        ],
        ticket: c.ticket,
        exporting: '',
        clearLogs: [...ended.clearLogs, home, s],
      }
    },
  }),
  row<'split'>({
    step: 'split',
    from: ['owned'],
    to: 'owned',
    guard: 'repeat: tag and bucket at e+1, ticket = t',
    effect: 'none',
    when: (c, r, f) => r.ticket === c.ticket && r.epoch === c.epoch + 1 && f.ticket === c.ticket,
    change: () => UNCHANGED,
  }),

  row<'merge'>({
    step: 'merge',
    from: ['owned'],
    to: 'none',
    guard: 'its bucket is owned @ e here too, bucket ticket < t',
    effect: 'bucket @ max(bucket, tag)+1, seq := max; the tag is none; exports and traces of both end',
    when: (c, _r, f) => {
      const bucket = f.record(bucketSegment(f.bucketId))
      return bucket.state === 'owned' && bucket.epoch === c.epoch && f.ticket < c.ticket
    },
    change: (c, r, f, s) => {
      const home = bucketSegment(f.bucketId)
      const bucket = f.record(home)
      const ended = endExport(f, home, s)
      const epoch = Math.max(bucket.epoch, r.epoch) + 1
      const raised = { ticket: c.ticket, trace: false, base: 0 }
      return {
        records: [
          ...ended.records,
          [
            home,
            {
              ...bucket,
              ...NOT_EXPORTED,
              ...raised,
              epoch,
              seq: Math.max(bucket.seq, r.seq),
              carved: withoutTag(bucket.carved, s),
            },
          ],
          [s, { ...r, ...NOT_EXPORTED, ...raised, state: 'none' }],
        ],
        ticket: c.ticket,
        exporting: '',
        clearLogs: [...ended.clearLogs, home, s],
      }
    },
  }),
  row<'merge'>({
    step: 'merge',
    from: ['none'],
    to: 'none',
    guard: 'repeat: ticket = bucket ticket = t',
    effect: 'none',
    when: (c, r, f) => r.ticket === c.ticket && f.ticket === c.ticket,
    change: () => UNCHANGED,
  }),
]

const NOT_EXPORTED = { export: 0, holdUntil: 0, held: false, peer: '' } as const
const NOT_IMPORTING = { loading: false, kept: false, nextBatch: 0 } as const

const rowsOf = new Map<FenceStep, FenceRow[]>()
for (const it of FENCE_TABLE) rowsOf.set(it.step, [...(rowsOf.get(it.step) ?? []), it])

/**
 * Looks a step up in the table. Pure: the caller applies the change, in the same atomic step in which it read the
 * fences. `now` is the shard's own clock, which alone judges its holds.
 */
export function decide(
  fences: BucketFences,
  segment: SegmentId,
  command: FenceCommand,
  now: number,
): FenceDecision {
  const record = fences.record(segment)
  for (const it of rowsOf.get(command.step)!) {
    if (!it.from.includes(record.state) || !it.when(command, record, fences, segment)) continue
    const change = it.change(command, record, fences, segment, now)
    const written = change.records.findLast(([other]) => other === segment)
    return { ok: true, row: it, change, record: written ? written[1] : record }
  }
  return { ok: false, record }
}

/** Whether a client that names this segment and epoch is served: I1 and I3 rest on the exact comparison. */
export function serves(record: FenceRecord, epoch: number, tag: string): boolean {
  return (
    record.state === 'owned' &&
    record.epoch === epoch &&
    (record.carved.size === 0 || !record.carved.has(tag))
  )
}

/** Whether writes are held at `now`. A hold ends by itself; without an export there is none. */
export function isHeld(record: FenceRecord, now: number): boolean {
  return record.export !== 0 && now < record.holdUntil
}

/** Whether a write must be entered into the change log. */
export function logsChanges(record: FenceRecord): boolean {
  return record.export !== 0 || record.trace
}

/** The commit that a moved record testifies to. */
export function proofOf(record: FenceRecord): Proof | undefined {
  return record.state === 'moved'
    ? { shard: record.peer, epoch: record.epoch, ticket: record.ticket, seq: record.seq }
    : undefined
}

/**
 * Whether a sweep or purge of `segment` must spare a key with this tag, because another record governs it (I8): a
 * carved tag's record protects its keys from the bucket's sweeps, an owned or importing bucket that contains the tag
 * protects them from the tag's. A moved bucket protects nothing.
 */
export function isProtected(fences: BucketFences, segment: SegmentId, tag: string): boolean {
  if (!isTagSegment(segment)) return fences.record(`{${tag}}`).state !== 'none'
  const bucket = fences.record(bucketSegment(fences.bucketId))
  return (bucket.state === 'owned' || bucket.state === 'importing') && !bucket.carved.has(tag)
}

/**
 * What this shard can say about who governs a key, for a caller that was refused: the tag's own record, or the
 * bucket's where that contains the tag.
 */
export function governing(fences: BucketFences, tag: string): { segment: SegmentId; record: FenceRecord } {
  const home = bucketSegment(fences.bucketId)
  const bucket = fences.record(home)
  const own: SegmentId = `{${tag}}`
  const record = fences.record(own)
  if (record.state === 'owned' || record.state === 'importing') return { segment: own, record }
  if (bucket.state === 'owned' || bucket.state === 'importing')
    return bucket.carved.has(tag) ? { segment: own, record } : { segment: home, record: bucket }
  // Both are history here: the later one leads further.
  if (bucket.carved.has(tag) || record.epoch > bucket.epoch) return { segment: own, record }
  return { segment: home, record: bucket }
}

function importsFor(
  command: { epoch: number; ticket: number },
  record: FenceRecord,
  fences: BucketFences,
): boolean {
  return (
    record.epoch === command.epoch + 1 &&
    record.ticket === command.ticket &&
    fences.ticket === command.ticket &&
    record.loading
  )
}

/**
 * A bucket that moved away with the tag inside keeps the tag's keys as part of its retained data. Whoever deletes or
 * overwrites keys of the tag makes that data incomplete, so that no way back may build on it. (Neither model has both
 * carved tags and retained data; without this a late purge of a merged tag loses its keys at the bucket's rollback.)
 */
function spoiled(fences: BucketFences, segment: SegmentId): [SegmentId, FenceRecord][] {
  if (!isTagSegment(segment)) return []
  const home = bucketSegment(fences.bucketId)
  const bucket = fences.record(home)
  if (bucket.state !== 'moved' || !bucket.intact || bucket.carved.has(tagOfSegment(segment)!)) return []
  return [[home, { ...bucket, intact: false }]]
}

/** The record, if it changed. */
function written(segment: SegmentId, next: FenceRecord, before: FenceRecord): [SegmentId, FenceRecord][] {
  return next === before ? [] : [[segment, next]]
}

/** Ends the export that stands in the bucket, unless it is of one of `except`, whose records the caller writes. */
function endExport(fences: BucketFences, ...except: SegmentId[]) {
  const segment = fences.exporting
  if (segment === '' || except.includes(segment)) return { records: [], clearLogs: [] }
  const record = fences.record(segment)
  const records: [SegmentId, FenceRecord][] = [[segment, { ...record, ...NOT_EXPORTED }]]
  return { records, clearLogs: record.trace ? [] : [segment] }
}

/** A tag that the arriving bucket contains is owned here as a segment of its own: two owners, which cannot be. */
function contradicted(
  carved: readonly string[] | undefined,
  fences: BucketFences,
  segment: SegmentId,
): boolean {
  if (isTagSegment(segment)) return false
  for (const tag of fences.tags())
    if (fences.record(tag).state === 'owned' && !carved?.includes(tagOfSegment(tag)!)) return true
  return false
}

function prepare(
  command: Extract<FenceCommand, { step: 'prepare' }>,
  record: FenceRecord,
  fences: BucketFences,
  segment: SegmentId,
  kept: boolean,
): FenceChange {
  const records: [SegmentId, FenceRecord][] = []
  const carved = new Set(command.carved)
  if (isTagSegment(segment)) {
    // The tag is its own segment now: an import of the bucket with the tag inside is history.
    const home = bucketSegment(fences.bucketId)
    const bucket = fences.record(home)
    if (bucket.state === 'importing' && !bucket.carved.has(tagOfSegment(segment)!))
      records.push([home, { ...bucket, ...NOT_IMPORTING, state: 'none' }])
    records.push(...spoiled(fences, segment))
  } else {
    // The bucket contains these tags where it comes from: any record of them here is history.
    for (const tag of fences.tags()) {
      const old = fences.record(tag)
      if (old.state !== 'none' && !carved.has(tagOfSegment(tag)!))
        records.push([tag, { ...old, ...NOT_EXPORTED, ...NOT_IMPORTING, state: 'none', intact: false }])
    }
  }
  records.push([
    segment,
    {
      ...record,
      state: 'importing',
      epoch: command.epoch + 1,
      ticket: command.ticket,
      peer: '',
      nextBatch: 1,
      loading: kept,
      kept,
      intact: false,
      carved,
    },
  ])
  return { records, ticket: command.ticket }
}

function withTag(carved: ReadonlySet<string>, segment: SegmentId): ReadonlySet<string> {
  return new Set(carved).add(tagOfSegment(segment)!)
}

function withoutTag(carved: ReadonlySet<string>, segment: SegmentId): ReadonlySet<string> {
  const rest = new Set(carved)
  rest.delete(tagOfSegment(segment)!)
  return rest
}
