import type { Clock } from '../../clock'
import type { FenceCommand, FenceRecord } from '../../placement/fence'
import { FENCE_TABLE, type FenceRow } from '../../placement/fence-table'
import type { SegmentId, ShardId } from '../../placement/segment'

/** Steps of a bucket that are told with what is wrong with it. */
const TOLD = 16
/** One fault makes many problems; the first ones tell. */
const MOST_PROBLEMS = 8

/** How a row of the fence table is named in counts. */
export function rowName({ step, from, guard, to }: FenceRow): string {
  return `${step}: ${from.join('|')} -> ${to}${isRepeat({ guard }) ? ', repeated' : ''}`
}

function isRepeat({ guard }: Pick<FenceRow, 'guard'>): boolean {
  return guard.startsWith('repeat')
}

/** What happened to every bucket of late, told with what is found to be wrong with it. */
export class Chronicle {
  /** How often each row of the fence table was taken. */
  readonly rows: Record<string, number> = Object.fromEntries(FENCE_TABLE.map((row) => [rowName(row), 0]))
  readonly #clock: Clock
  readonly #complain: (what: string) => void
  readonly #steps = new Map<number, string[]>()
  #problems = 0

  constructor(clock: Clock, complain: (what: string) => void) {
    this.#clock = clock
    this.#complain = complain
  }

  tell(bucketId: number, line: string): void {
    const steps = this.#steps.get(bucketId)
    const at = `${String(Math.round(this.#clock.now() - 1_000_000)).padStart(7)}  ${line}`
    if (!steps) this.#steps.set(bucketId, [at])
    else if (steps.push(at) > 4 * TOLD) steps.splice(0, 3 * TOLD)
  }

  took(
    shard: ShardId,
    bucketId: number,
    segment: SegmentId,
    command: FenceCommand,
    row: FenceRow,
    { state, epoch }: FenceRecord,
  ): void {
    const name = rowName(row)
    this.rows[name] = (this.rows[name] ?? 0) + 1
    const repeated = isRepeat(row) ? ', repeated' : ''
    this.tell(bucketId, `${shard}: ${describe(command)} of ${segment}${repeated}, ${state} @ ${epoch}`)
  }

  problem(bucketId: number, what: string): void {
    if (++this.#problems > MOST_PROBLEMS) return
    const last = (this.#steps.get(bucketId) ?? []).slice(-TOLD)
    this.#complain(
      [what, `  the last steps on #${bucketId} and its tags:`, ...last.map((line) => `  ${line}`)].join('\n'),
    )
  }

  /** The watch itself could not do what it has to. */
  failed(error: Error): void {
    this.#complain(`the watch failed: ${error.stack}`)
  }
}

export function describe(command: FenceCommand): string {
  const { step, ...rest } = command
  const named = Object.entries(rest).filter(([, value]) => typeof value === 'number')
  return [step, ...named.map(([name, value]) => `${name} ${value}`)].join(' ')
}
