import { type FenceCommand, type FenceRecord, type Proof, proofOf } from '../placement/fence'
import type { SegmentId, ShardId } from '../placement/segment'
import { activate, erase, publish } from './completion'
import { type Attempt, Copy } from './copy'
import { Refusal, Unsteady } from './interruption'
import { verify } from './verify'
import { segmentAt, step, type Work } from './work'

/** Cutovers that are tried before writes are held. */
const TRIES_BEFORE_HOLD = 3
/** Cutovers that are tried under a hold, should the clock stand still. */
const TRIES_UNDER_HOLD = 32

/**
 * The handoff of one segment, from the first step to the last, in the order of docs/protocol. One attempt, under a ticket
 * of its own; whoever calls decides what an interruption means.
 */
export async function handoff(work: Work, attempt: Attempt): Promise<void> {
  const { segment, from, to, epoch, ticket } = attempt
  const gate = work.cancellable

  // 1. Export, at the source and before anything else: preparing the target first loses data.
  const exported = await step(work, gate, 'export', segment, () =>
    take(work, attempt, from, { step: 'export', epoch, ticket, peer: to }),
  )

  // 2. Prepare, at the target. What it kept of an earlier life is a base if the source logged all changes since then.
  const base = exported.trace ? exported.base : undefined
  const prepared = await step(work, gate, 'prepare', segment, () =>
    take(work, attempt, to, { step: 'prepare', epoch, ticket, base, carved: [...exported.carved] }),
  )
  const copy = new Copy(work, gate, attempt, prepared.kept ? base! : exported.seq)

  if (!prepared.kept) {
    // 3. Sweep leftovers.
    await step(work, gate, 'sweep', segment, () => sweep(work, attempt))
    // 4. Copy.
    await step(work, gate, 'copy', segment, () => copy.everything())
  }

  // 5. Catch up with what was written meanwhile.
  await step(work, gate, 'catch-up', segment, () => copy.catchUp())

  // 6. Verify.
  if (work.plan.verify) await step(work, gate, 'verify', segment, () => verify(segment, copy, work.clock))

  // 7. Cut over: the commit.
  const { proof, heldMs } = await cutOver(work, attempt, copy)
  work.onCutover({ segment, from, to, epoch: proof.epoch, seq: proof.seq, heldMs })

  // 8. Activate.
  await activate(work, segment, proof, work.patient)

  // 9. Publish, 10. retain.
  await publish(
    work,
    segment,
    [{ segment, shard: to, epoch: proof.epoch }],
    [{ shard: from, epoch: proof.epoch }],
  )
}

/**
 * "If your sequence number is still n, you have moved." Where a write came between, the copy follows and the source is
 * asked again, at last under a hold. The hold may end at any time: safety rests on n.
 */
async function cutOver(work: Work, attempt: Attempt, copy: Copy): Promise<{ proof: Proof; heldMs: number }> {
  const { segment, from, epoch, ticket } = attempt
  const gate = work.cancellable
  const at = segmentAt(work, segment)
  let heldAt = Number.NaN
  const heldMs = () => Math.min(work.maxHoldMs, work.clock.now() - heldAt) || 0
  try {
    for (let tries = 1; ; tries++) {
      if (tries === TRIES_BEFORE_HOLD + 1) {
        heldAt = work.clock.now()
        await step(work, gate, 'hold', segment, () =>
          take(work, attempt, from, { step: 'hold', epoch, ticket, durationMs: work.maxHoldMs }),
        )
      }
      if (tries > 1) await copy.catchUp({ unthrottled: tries > TRIES_BEFORE_HOLD })
      const command = { step: 'cutover', epoch, ticket, seq: copy.seq } as const
      const answer = await step(work, gate, 'cutover', segment, () =>
        gate.ask(from, (store) => store.step(at, command)),
      )
      if (answer.ok) return { proof: proofOf(answer.record)!, heldMs: heldMs() }
      const { record } = answer
      const written = record.state === 'owned' && record.epoch === epoch && record.export === ticket
      if (!written) throw new Refusal('cutover', segment, from, record)
      const over =
        work.clock.now() - heldAt >= work.maxHoldMs || tries >= TRIES_BEFORE_HOLD + TRIES_UNDER_HOLD
      if (over) throw new Unsteady(segment)
    }
  } finally {
    if (!Number.isNaN(heldAt)) work.board.heldFor(segment, heldMs())
  }
}

async function sweep(work: Work, { segment, to, ticket }: Attempt): Promise<void> {
  const refused = await erase(work.cancellable, to, { ...segmentAt(work, segment), step: 'sweep', ticket })
  if (refused) throw new Refusal('sweep', segment, to, refused)
}

/** One step of the fence table, which must be granted. */
async function take(
  work: Work,
  { segment }: { segment: SegmentId },
  shard: ShardId,
  command: FenceCommand,
): Promise<FenceRecord> {
  const at = segmentAt(work, segment)
  const answer = await work.cancellable.ask(shard, (store) => store.step(at, command))
  if (!answer.ok) throw new Refusal(command.step, segment, shard, answer.record)
  return answer.record
}
