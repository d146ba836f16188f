import type { BucketFences, FenceCommand, FenceRecord, FenceState, FenceStep } from './fence'
import { bucketSegment, isTagSegment, type SegmentId, tagOfSegment } from './segment'

/*
 * The one table of all transitions of a fence. Stores in JavaScript run the table itself; renderings in other languages
 * are tested against it. Model-checked as handoff.pml and split.pml, and walked through at random by the tests.
 */

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

  row<'restore'>({
    step: 'restore',
    from: ['owned'],
    to: 'owned',
    guard: 'no peer, epoch ≤ e, bucket ticket ≤ t; sent only after all others have given the segment up',
    effect:
      'owned @ e, carved as told, seq raised; no export, hold, trace or log; tags inside it become none',
    when: (c, r, f) => c.peer === '' && r.epoch <= c.epoch && f.ticket <= c.ticket,
    change: (c, r, f, s) => restore(c, r, f, s, 'owned'),
  }),
  row<'restore'>({
    step: 'restore',
    from: ['none', 'importing', 'moved'],
    to: 'owned',
    guard: 'no peer, epoch < e, bucket ticket ≤ t, intact if asked for; sent as above',
    effect: 'the same',
    when: (c, r, f) => c.peer === '' && r.epoch < c.epoch && f.ticket <= c.ticket && (r.intact || !c.intact),
    change: (c, r, f, s) => restore(c, r, f, s, 'owned'),
  }),
  row<'restore'>({
    step: 'restore',
    from: ['moved'],
    to: 'moved',
    guard: 'a peer, epoch ≤ e, bucket ticket ≤ t',
    effect: 'moved @ e to peer, not intact; no export, hold, trace or log; tags inside it become none',
    when: (c, r, f) => c.peer !== '' && r.epoch <= c.epoch && f.ticket <= c.ticket,
    change: (c, r, f, s) => restore(c, r, f, s, 'moved'),
  }),
  row<'restore'>({
    step: 'restore',
    from: ['none', 'importing', 'owned'],
    to: 'moved',
    guard: 'a peer, epoch < e, bucket ticket ≤ t',
    effect: 'the same',
    when: (c, r, f) => c.peer !== '' && r.epoch < c.epoch && f.ticket <= c.ticket,
    change: (c, r, f, s) => restore(c, r, f, s, 'moved'),
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
  const carved = new Set(command.carved)
  const records = overtaken(fences, segment, carved)
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

/** What a segment that begins anew here makes history of. */
function overtaken(
  fences: BucketFences,
  segment: SegmentId,
  carved: ReadonlySet<string>,
): [SegmentId, FenceRecord][] {
  const records: [SegmentId, FenceRecord][] = []
  if (isTagSegment(segment)) {
    // The tag is its own segment now: an import of the bucket with the tag inside is history.
    const home = bucketSegment(fences.bucketId)
    const bucket = fences.record(home)
    if (bucket.state === 'importing' && !bucket.carved.has(tagOfSegment(segment)!))
      records.push([home, { ...bucket, ...NOT_IMPORTING, state: 'none' }])
    records.push(...spoiled(fences, segment))
    return records
  }
  // The bucket contains these tags where it comes from: any record of them here is history.
  for (const tag of fences.tags()) {
    const old = fences.record(tag)
    if (old.state !== 'none' && !carved.has(tagOfSegment(tag)!))
      records.push([
        tag,
        {
          ...old,
          ...NOT_EXPORTED,
          ...NOT_IMPORTING,
          state: 'none',
          trace: false,
          base: 0,
          intact: false,
        },
      ])
  }
  return records
}

function restore(
  command: Extract<FenceCommand, { step: 'restore' }>,
  record: FenceRecord,
  fences: BucketFences,
  segment: SegmentId,
  state: 'owned' | 'moved',
): FenceChange {
  const { epoch, ticket, peer, seq } = command
  const carved = new Set(command.carved)
  const past = overtaken(fences, segment, carved)
  const ended = endExport(fences, segment, ...past.map(([other]) => other))
  const next: FenceRecord = {
    ...record,
    ...NOT_EXPORTED,
    ...NOT_IMPORTING,
    state,
    epoch,
    ticket,
    peer,
    seq: Math.max(record.seq, seq),
    trace: false,
    base: 0,
    intact: false,
    carved,
  }
  return {
    records: [...ended.records, ...past, [segment, next]],
    ticket,
    exporting: '',
    clearLogs: [...ended.clearLogs, ...past.map(([other]) => other), segment],
  }
}

function withTag(carved: ReadonlySet<string>, segment: SegmentId): ReadonlySet<string> {
  return new Set(carved).add(tagOfSegment(segment)!)
}

function withoutTag(carved: ReadonlySet<string>, segment: SegmentId): ReadonlySet<string> {
  const rest = new Set(carved)
  rest.delete(tagOfSegment(segment)!)
  return rest
}
