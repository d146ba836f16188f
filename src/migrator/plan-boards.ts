import type { Clock } from '../clock'
import { ErrorCode, ForeshardError } from '../errors'
import type { PlanEntry } from '../topology-store'
import type { Announcer } from './announcer'
import type { MoveFailure, MoveProgress, ReshardingProgress, ReshardingReport } from './progress'
import { ProgressBoard } from './progress-board'
import type { Tally } from './tally'

const PROGRESS_EVERY_MS = 200

/** The boards of the plans that one migrator carries out, one after the other, and what is told of each. */
export class PlanBoards {
  readonly #announcer: Announcer
  readonly #clock: Clock
  readonly #tally: Tally
  #last: ProgressBoard | undefined

  constructor(announcer: Announcer, clock: Clock, tally: Tally) {
    this.#announcer = announcer
    this.#clock = clock
    this.#tally = tally
  }

  /** That of the resharding under way, or else of the last one. */
  get last(): ProgressBoard | undefined {
    return this.#last
  }

  open(plan: PlanEntry, phase: ReshardingProgress['phase']): ProgressBoard {
    const { id } = plan
    let toldAt = Number.NEGATIVE_INFINITY
    const onMove = (progress: () => MoveProgress) => {
      if (this.#announcer.hasListener('move')) this.#announcer.tell('move', { id, ...progress() })
    }
    const onFailure = (failure: MoveFailure) => {
      if (failure.code === ErrorCode.FENCE_CONFLICT) this.#announcer.tell('conflict', { id, ...failure })
    }
    const onCopied = () => {
      if (!this.#announcer.hasListener('progress') || this.#clock.now() - toldAt < PROGRESS_EVERY_MS) return
      toldAt = this.#clock.now()
      this.#announcer.tell('progress', board.progress())
    }
    const onPace = () => {
      if (this.#announcer.hasListener('pace') && board.pace)
        this.#announcer.tell('pace', { id, ...board.pace.reading })
    }
    const told = { onMove, onFailure, onCopied, onPace }
    const board = new ProgressBoard(plan, this.#clock, told, this.#tally)
    board.turn(phase)
    this.#last = board
    return board
  }

  /** Nothing of the plan was begun. */
  refused(board: ProgressBoard, plan: PlanEntry, error: unknown): ReshardingReport {
    for (const { segment } of plan.moves) board.fail(segment, codeOf(error), messageOf(error))
    return this.ended(board)
  }

  /** What was not done before will not be. */
  failed(board: ProgressBoard, error: unknown): ReshardingReport {
    board.failRest(codeOf(error), messageOf(error))
    return this.ended(board)
  }

  ended(board: ProgressBoard): ReshardingReport {
    board.turn('done')
    const report = board.report()
    this.#tally.reshardings[report.outcome]++
    if (this.#announcer.hasListener('progress')) this.#announcer.tell('progress', board.progress())
    this.#announcer.tell('plan', { id: report.id, phase: 'ended', report })
    return report
  }
}

/** Of what ends a plan as a whole: without the topology nothing can be begun or ended. */
function codeOf(error: unknown): ErrorCode {
  return error instanceof ForeshardError ? error.code : ErrorCode.TOPOLOGY_UNAVAILABLE
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
