import { ErrorCode, ForeshardError } from '../errors'
import { bucketSegment, type SegmentId } from '../placement/segment'
import type { AssignmentEntry } from '../topology-store'
import { publish } from './completion'
import { Refusal, Stop, Unsettled } from './interruption'
import { fenceOf, type Owner, settle } from './owner'
import { segmentAt, step, type Work } from './work'

/** Attempts at a split or merge, each with a ticket of its own. */
const ATTEMPTS = 5

/**
 * Carves a tag out of its bucket, at the shard that owns the bucket. Finding that shard publishes what someone carved or
 * folded back who died before he said so.
 */
export async function carve(work: Work, segment: SegmentId): Promise<void> {
  return persistently(work, segment, 'carve', async (home) => {
    if (work.topology.assigned(segment)) return
    const epoch = home.record.epoch
    const ticket = await work.cancellable.askTopology((topology) => topology.drawTicket())
    const at = segmentAt(work, segment)
    const answer = await work.cancellable.ask(home.shard, (store) =>
      store.step(at, { step: 'split', epoch, ticket }),
    )
    if (!answer.ok) throw new Refusal('split', segment, home.shard, answer.record)
    // Bucket and tag in one change: nobody may see the one without the other.
    await makeKnown(work, segment, [
      { segment: bucketSegment(work.bucketOf(segment)), shard: home.shard, epoch: epoch + 1 },
      { segment, shard: home.shard, epoch: epoch + 1 },
    ])
  })
}

/** Folds a tag back into its bucket, where one shard owns both. */
export async function merge(work: Work, segment: SegmentId): Promise<void> {
  return persistently(work, segment, 'merge', async (home) => {
    if (!work.topology.assigned(segment)) return
    const own = await settle(work, segment)
    if (own?.shard !== home.shard) throw new Refusal('merge', segment, home.shard, home.record)
    const ticket = await work.cancellable.askTopology((topology) => topology.drawTicket())
    const at = segmentAt(work, segment)
    const command = { step: 'merge', epoch: home.record.epoch, ticket } as const
    const answer = await work.cancellable.ask(home.shard, (store) => store.step(at, command))
    if (!answer.ok) throw new Refusal('merge', segment, home.shard, answer.record)
    // The bucket's new epoch is above the tag's, so it serves as the epoch at which the tag ended.
    const bucket = bucketSegment(work.bucketOf(segment))
    const { epoch, state } = await fenceOf(work, home.shard, bucket)
    if (state !== 'owned') throw new Refusal('merge', segment, home.shard, home.record)
    await makeKnown(work, segment, [
      { segment: bucket, shard: home.shard, epoch },
      { segment, shard: undefined, epoch },
    ])
  })
}

/** The shard has done it. Where the topology cannot be told, what is left of the plan tells it later. */
async function makeKnown(
  work: Work,
  segment: SegmentId,
  assignments: readonly AssignmentEntry[],
): Promise<void> {
  try {
    await publish(work, segment, assignments)
  } catch (error) {
    throw error instanceof Stop ? error : new Unsettled(segment, error)
  }
}

async function homeOf(work: Work, segment: SegmentId): Promise<Owner> {
  const home = await settle(work, bucketSegment(work.bucketOf(segment)))
  if (home) return home
  throw new ForeshardError(ErrorCode.UNKNOWN_SEGMENT, `the bucket of ${segment} is not in the topology`)
}

async function persistently(
  work: Work,
  segment: SegmentId,
  name: 'carve' | 'merge',
  act: (home: Owner) => Promise<void>,
): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    work.cancellable.pass()
    const home = await homeOf(work, segment)
    try {
      return await step(work, work.cancellable, name, segment, () => act(home))
    } catch (error) {
      if (!(error instanceof Refusal) || attempts === ATTEMPTS) throw error
      work.board.retried(segment)
      await work.cancellable.pause(attempts)
    }
  }
}
