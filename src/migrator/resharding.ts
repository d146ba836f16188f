import { moveChannel } from '../channels'
import { ErrorCode, isForeshardError } from '../errors'
import { isTagSegment, type SegmentId } from '../placement/segment'
import type { HistoryEntry, MoveEntry, PlanEntry } from '../topology-store'
import { carve, merge } from './carving'
import { isMistake } from './gate'
import { Refusal, Stop, Unsettled, Unsteady } from './interruption'
import type { KnownTopology } from './known-topology'
import { move } from './move'
import type { ProgressBoard } from './progress-board'
import { undo } from './undo'
import type { Work } from './work'

/**
 * Carries out a plan: every bucket's moves one after the other, since its segments share one fence ticket, several
 * buckets at a time. Answers the moves of which it could not be found out whether they happened.
 */
export async function carryOut(work: Work): Promise<MoveEntry[]> {
  const chains = chainsOf(work)
  const unsettled: MoveEntry[] = []
  const workers = Array.from({ length: Math.min(work.plan.concurrency, chains.length) }, async () => {
    for (let chain = chains.shift(); chain; chain = chains.shift())
      unsettled.push(...(await carryOutChain(work, chain)))
  })
  // All of them have come to rest before anyone hears that one was stopped.
  for (const result of await Promise.allSettled(workers))
    if (result.status === 'rejected') throw result.reason
  return unsettled
}

/** Moves by bucket, in the order of the plan; tags before their bucket, so that nothing travels twice. */
function chainsOf({ plan, bucketOf }: Work): MoveEntry[][] {
  const chains = new Map<number, MoveEntry[]>()
  for (const entry of [...plan.moves].sort((a, b) => Number(isBucket(a)) - Number(isBucket(b)))) {
    const chain = chains.get(bucketOf(entry.segment))
    if (chain) chain.push(entry)
    else chains.set(bucketOf(entry.segment), [entry])
  }
  return [...chains.values()]
}

function isBucket({ segment }: MoveEntry): boolean {
  return !isTagSegment(segment)
}

async function carryOutChain(work: Work, chain: readonly MoveEntry[]): Promise<MoveEntry[]> {
  const { board, topology, cancellable } = work
  const merges = chain.filter(({ segment }) => work.merges.has(segment))
  const failed = new Map<SegmentId, unknown>()
  const unsettled: MoveEntry[] = []
  const attempt = async (entry: MoveEntry, act: () => Promise<void>) => {
    if (failed.has(entry.segment)) return
    try {
      await act()
    } catch (error) {
      if (error instanceof Stop || isMistake(error)) throw error
      // Folded back already, by someone who died or lost his lease: it is where it should be.
      if (work.merges.has(entry.segment) && !topology.assigned(entry.segment)) return
      if (error instanceof Unsettled || (work.takenOver && isOutOfReach(error))) unsettled.push(entry)
      failed.set(entry.segment, error)
      board.fail(entry.segment, codeOf(error), error instanceof Error ? error.message : String(error))
    }
  }

  // All carving comes first, while the bucket is where its tags are.
  for (const entry of chain) {
    if (entry.from !== '') continue
    // A cancelled plan carves nothing, and the move below undoes what its last owner may have begun.
    if (!cancellable.signal.aborted) await attempt(entry, () => carveFor(work, entry))
    if (topology.assigned(entry.segment)) board.carved(entry.segment)
  }
  for (const entry of chain) await attempt(entry, () => carryOutMove(work, entry))
  const home = chain.find(isBucket)
  for (const entry of merges) {
    await attempt(entry, async () => {
      // A tag cannot be folded back into a bucket that did not come.
      if (home && failed.has(home.segment)) throw failed.get(home.segment)
      if (!topology.assigned(entry.segment)) return
      cancellable.pass()
      await merge(work, entry.segment)
    })
    if (!topology.assigned(entry.segment)) board.merged(entry.segment)
  }
  for (const { segment } of chain) if (!failed.has(segment)) board.enter(segment, 'done')
  return unsettled
}

/** Where it fails there will be no move; what a process that died had begun of it must not stay. */
async function carveFor(work: Work, entry: MoveEntry): Promise<void> {
  try {
    await carve(work, entry.segment)
  } catch (error) {
    if (work.takenOver && !(error instanceof Stop)) await undo(work, entry)
    throw error
  }
}

async function carryOutMove(work: Work, entry: MoveEntry): Promise<void> {
  const { segment, from, to } = entry
  const { board, topology, cancellable } = work
  if (!cancellable.signal.aborted && to !== '') {
    // What others may have begun is ended, whatever the time is.
    if (!work.takenOver) await work.throttle.open(cancellable.signal)
    const moved = await (moveChannel.hasSubscribers
      ? moveChannel.tracePromise(() => move(work, entry), {
          migrator: work.holder,
          resharding: work.plan.id,
          segment,
          from,
          to,
        })
      : move(work, entry))
    if (moved || (from !== '' && from !== to)) board.moved(segment)
    return
  }
  // Not begun, or begun by a process that died, or left over from an earlier plan.
  if (work.takenOver || to === '') await undo(work, entry)
  const assigned = topology.assigned(segment)
  if (to !== '' && assigned?.shard !== to) cancellable.pass()
  if (to !== '' && from !== '' && from !== to) board.moved(segment)
}

function codeOf(error: unknown): ErrorCode {
  if (isForeshardError(error)) return error.code
  if (error instanceof Refusal || error instanceof Unsteady) return ErrorCode.TOO_MANY_REFUSALS
  return ErrorCode.SHARD_UNAVAILABLE
}

/** Errors that leave open what an earlier process began. */
function isOutOfReach(error: unknown): boolean {
  return (
    isForeshardError(error) && error.code !== ErrorCode.CANCELLED && error.code !== ErrorCode.FENCE_CONFLICT
  )
}

/** What it takes to go back, by where the segments now are; undefined where the plan changed nothing. */
export function historyOf(plan: PlanEntry, topology: KnownTopology, at: number): HistoryEntry | undefined {
  const { id, confidence, reason } = plan
  const merges = new Set(plan.merges)
  const before: [SegmentId, string][] = []
  const carved: SegmentId[] = []
  const merged: [SegmentId, string][] = []
  for (const { segment, from } of plan.moves) {
    const assigned = topology.assigned(segment)
    if (!assigned) {
      if (merges.has(segment)) merged.push([segment, from])
    } else if (from === '') carved.push(segment)
    else if (assigned.shard !== from) before.push([segment, from])
  }
  if (before.length + carved.length + merged.length === 0) return undefined
  return { id, at, confidence, reason, before, carved, merged }
}

/** Reads off what another process made of a plan that was begun here. */
export function readOff(plan: PlanEntry, topology: KnownTopology, board: ProgressBoard): void {
  for (const { segment, from, to } of plan.moves) {
    const assigned = topology.assigned(segment)
    if (assigned && from === '') board.carved(segment)
    if (!assigned && plan.merges.includes(segment)) board.merged(segment)
    else if (assigned?.shard !== to) {
      const message = 'another process took the plan over, and ended it without this move'
      board.fail(segment, ErrorCode.LEASE_HELD, message)
      continue
    } else if (from !== '' && from !== to) board.moved(segment)
    board.enter(segment, 'done')
  }
}
