import { ErrorCode, isForeshardError } from '../../../errors'
import type { NativeCommand, NativeReply } from '../../../shard-store'
import { scriptOf } from '../command-batch'
import type { NativeAccess, Ran } from './command-router'

/** Commands of one step: it blocks the server, and what travels together fails together. */
const COMMANDS_A_STEP = 32

interface Job {
  readonly commands: readonly NativeCommand[]
  readonly labels: { transactionId?: string } | undefined
  readonly alone: boolean
  resolve(ran: Ran): void
  reject(error: unknown): void
}

/**
 * Commands on one tag are carried out in the order in which they were given, as on one connection: while one step is
 * under way the next ones gather, and go out together as one step. A refusal that is followed elsewhere would let a later
 * command overtake otherwise. Commands on different tags do not wait for each other.
 */
export class Lanes {
  /** Called with a tag of which something may have been written. */
  onWrite: (tag: string) => void = () => {}
  readonly #access: NativeAccess
  readonly #lanes = new Map<string, Job[]>()

  constructor(access: NativeAccess) {
    this.#access = access
  }

  /** Commands whose keys all have this tag, in one atomic step. */
  run(tag: string, commands: readonly NativeCommand[], labels?: { transactionId?: string }): Promise<Ran> {
    return new Promise((resolve, reject) => {
      const alone = labels !== undefined || commands.some((it) => scriptOf(it) !== undefined)
      const job: Job = { commands, labels, alone, resolve, reject }
      const lane = this.#lanes.get(tag)
      if (lane) {
        lane.push(job)
        return
      }
      this.#lanes.set(tag, [job])
      // After all that is asked for in this tick.
      process.nextTick(() => void this.#drain(tag))
    })
  }

  async #drain(tag: string): Promise<void> {
    const lane = this.#lanes.get(tag)!
    while (lane.length > 0) await this.#step(tag, takeStep(lane))
    this.#lanes.delete(tag)
  }

  async #step(tag: string, jobs: readonly Job[]): Promise<void> {
    const commands = jobs.length === 1 ? jobs[0]!.commands : jobs.flatMap((job) => job.commands)
    let ran: Ran
    try {
      ran = await this.#access.run(commands, jobs.length === 1 ? jobs[0]!.labels : undefined)
    } catch (error) {
      // What was refused because of one of them had no effect: the others may do without it.
      if (jobs.length > 1 && isRefused(error)) for (const job of jobs) await this.#step(tag, [job])
      else for (const job of jobs) job.reject(error)
      return
    }
    let at = 0
    for (const job of jobs) {
      const replies: readonly NativeReply[] =
        jobs.length === 1 ? ran.replies : ran.replies.slice(at, at + job.commands.length)
      at += job.commands.length
      job.resolve({ replies, epoch: ran.epoch })
    }
    if (commands.some(({ writes }) => writes.length > 0)) this.onWrite(tag)
  }
}

function takeStep(lane: Job[]): Job[] {
  const step = [lane.shift()!]
  if (step[0]!.alone) return step
  let room = COMMANDS_A_STEP - step[0]!.commands.length
  while (lane.length > 0 && !lane[0]!.alone && lane[0]!.commands.length <= room) {
    room -= lane[0]!.commands.length
    step.push(lane.shift()!)
  }
  return step
}

const REFUSED: readonly ErrorCode[] = [
  ErrorCode.INVALID_ARGUMENT,
  ErrorCode.INVALID_KEY,
  ErrorCode.INVALID_VALUE,
  ErrorCode.SHARD_FULL,
]

function isRefused(error: unknown): boolean {
  return isForeshardError(error) && REFUSED.includes(error.code)
}
