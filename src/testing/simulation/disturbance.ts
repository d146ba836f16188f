import type { Random } from '../../clock'
import { ErrorCode, isForeshardError } from '../../errors'
import type { SegmentId, ShardId } from '../../placement/segment'
import type { AcceptedResharding } from '../../router/resharding'
import { ProcessDied } from '../simulated-process'
import type { VirtualTime } from '../virtual-time'
import { type Deployment, type Member, TOPOLOGY } from './deployment'

/**
 * How often each disturbance is chosen, relative to the others. Every simulation leaves out or exaggerates some of them:
 * what is rare beside everything else is common in a few (swarm testing, Groce et al. 2012).
 */
const WEIGHTS = {
  reshard: 60,
  rollback: 12,
  freeze: 6,
  kill: 5,
  cutOff: 6,
  cutOffTopology: 3,
  fillUp: 3,
  jump: 3,
} as const
const EXAGGERATIONS = [0, 0.3, 1, 1, 3]

/** The faults among them, as they are counted. */
export const DISTURBANCES = ['freezes', 'kills', 'outages', 'topologyOutages', 'fills', 'jumps'] as const

type Kind = keyof typeof WEIGHTS
const KINDS = Object.keys(WEIGHTS) as Kind[]

/** What a resharding or rollback may end with while shards fail and others change the same segments. */
const EXPECTED: ReadonlySet<string> = new Set([
  ErrorCode.LEASE_HELD,
  ErrorCode.CANCELLED,
  // A tag that was to be folded back and was folded back by someone else meanwhile.
  ErrorCode.UNKNOWN_SEGMENT,
  ErrorCode.SHARD_UNAVAILABLE,
  ErrorCode.SHARD_FULL,
  ErrorCode.TOPOLOGY_UNAVAILABLE,
  ErrorCode.OUTCOME_UNKNOWN,
])

export interface DisturbanceOptions {
  readonly time: VirtualTime
  readonly random: Random
  readonly deployment: Deployment
  readonly tags: readonly string[]
  /** Share of the reshardings that compare both copies before the cutover. */
  readonly verified: number
  /** Longest pause between two disturbances. */
  readonly restMs: number
  readonly tell: (what: string) => void
  readonly complain: (what: string) => void
}

/** Moves, carves, cancels and rollbacks, and everything that goes wrong meanwhile. One thing after the other, at random. */
export class Disturbance {
  readonly counts = {
    reshardings: 0,
    refused: 0,
    holds: 0,
    ended: 0,
    cancels: 0,
    rollbacks: 0,
    freezes: 0,
    kills: 0,
    outages: 0,
    topologyOutages: 0,
    fills: 0,
    jumps: 0,
  }
  readonly outcomes: Record<string, number> = Object.create(null)
  readonly #options: DisturbanceOptions
  readonly #accepted: string[] = []
  readonly #weights: ReadonlyMap<Kind, number>
  #pending = 0

  constructor(options: DisturbanceOptions) {
    this.#options = options
    const { random } = options
    this.#weights = new Map(
      KINDS.map((kind) => [
        kind,
        WEIGHTS[kind] *
          (kind === 'reshard' ? 1 : EXAGGERATIONS[Math.floor(random() * EXAGGERATIONS.length)]!),
      ]),
    )
  }

  /** Reshardings and rollbacks that living processes were asked for and have not yet answered. */
  get pending(): number {
    return this.#pending
  }

  /** Until `stopped` says so. */
  async run(stopped: () => boolean): Promise<void> {
    const { time, random, restMs } = this.#options
    while (!stopped()) {
      await time.clock.sleep(Math.round(random() ** 2 * restMs))
      if (!stopped()) await this.#disturb(this.#chosen())
    }
  }

  async #disturb(kind: Kind): Promise<void> {
    const { random, deployment } = this.#options
    const member = deployment.members[Math.floor(random() * deployment.members.length)]!
    switch (kind) {
      case 'reshard':
        return this.#reshard(member)
      case 'rollback':
        return this.#rollback(member)
      case 'freeze':
        return this.#freeze(member)
      case 'kill':
        return this.#kill(member)
      case 'cutOff':
        this.counts.outages++
        return this.#cutOff(this.#randomShard())
      case 'cutOffTopology':
        this.counts.topologyOutages++
        return this.#cutOff(TOPOLOGY)
      case 'jump':
        return this.#jump(member)
      case 'fillUp':
        return this.#fillUp()
    }
  }

  async #reshard(member: Member): Promise<void> {
    const { random, tell, verified } = this.#options
    const { map, merge } = await this.#randomWish()
    this.counts.reshardings++
    const wishes = [...map].map(([segment, shard]) => `${segment} to ${shard}`)
    tell(`${member.name}: ${[...wishes, ...merge.map((segment) => `fold ${segment}`)].join(', ')}`)
    const asked = member.process.answer(
      member.router.requestResharding(1, map, {
        verify: random() < verified,
        retainMs: random() < 0.3 ? 0 : Math.round(random() * 8_000),
        concurrency: 1 + Math.floor(random() * 3),
        ...(random() < 0.2 ? { maxKeysPerSecond: 20 } : {}),
        reason: 'simulation',
        merge,
      }),
    )
    const answer = asked.then(async (resharding) => {
      if (!resharding.accepted) {
        this.counts.refused++
        return tell(`${member.name}: refused: ${resharding.reason}`)
      }
      this.#accepted.push(resharding.id)
      if (random() < 0.3) this.#cancel(member, resharding)
      const report = await member.process.answer(resharding.done)
      this.counts.ended++
      this.counts.holds += report.holds
      this.outcomes[report.outcome] = (this.outcomes[report.outcome] ?? 0) + 1
      tell(
        `${member.name}: ${report.id} ${report.outcome}${report.failed.map((it) => `; ${it.segment}: ${it.message}`)}`,
      )
    })
    this.#background(`${member.name}: resharding`, answer)
  }

  /** At any moment, or in the midst of it. */
  async #cancel({ name, router, process }: Member, resharding: AcceptedResharding): Promise<void> {
    const { random, time, tell } = this.#options
    if (random() < 0.3) await time.clock.sleep(Math.round(random() * 600))
    else {
      const isRunning = () => {
        const progress = router.monitorReshardingProgress()
        return progress.id === resharding.id && progress.phase !== 'waiting'
      }
      let over = false
      const end = () => {
        over = true
      }
      process.answer(resharding.done).then(end, end)
      while (!isRunning()) {
        await time.clock.sleep(100)
        if (over) return
      }
      await time.clock.sleep(Math.round(random() * 150))
    }
    this.counts.cancels++
    tell(`${name}: cancel ${resharding.id}`)
    await resharding.cancel()
  }

  async #rollback(member: Member): Promise<void> {
    const { random, tell } = this.#options
    const to = random() < 0.3 ? this.#accepted[Math.floor(random() * this.#accepted.length)] : undefined
    this.counts.rollbacks++
    tell(`${member.name}: rollback${to ? ` to before ${to}` : ''}`)
    const rollback = member.process
      .answer(member.router.rollback(to ? { to } : {}))
      .then(async (resharding) => {
        if (!resharding.accepted) return
        const report = await member.process.answer(resharding.done)
        this.outcomes[report.outcome] = (this.outcomes[report.outcome] ?? 0) + 1
        tell(`${member.name}: ${report.id} ${report.outcome}`)
      })
    this.#background(`${member.name}: rollback`, rollback)
  }

  async #freeze({ name, process }: Member): Promise<void> {
    const { random, time, tell } = this.#options
    if (!process.isRunning) return
    const ms = Math.round(random() ** 3 * 40_000)
    this.counts.freezes++
    tell(`${name}: frozen for ${ms} ms`)
    process.freeze()
    time.clock.sleep(ms).then(() => {
      if (!process.isDead) tell(`${name}: goes on`)
      process.thaw()
    })
  }

  async #kill(member: Member): Promise<void> {
    const { deployment, tell } = this.#options
    if (member.process.isDead) return
    this.counts.kills++
    tell(`${member.name}: killed`)
    const place = deployment.members.indexOf(member)
    deployment.kill(member)
    const successor = await deployment.start(place)
    tell(`${successor.name}: started in place of ${member.name}`)
  }

  #cutOff(store: string): void {
    const { random, deployment, tell } = this.#options
    const ms = Math.round(random() ** 2 * 8_000)
    tell(`${store} is down for ${ms} ms`)
    deployment.cutOff(store, ms)
  }

  /** Somebody sets the clock of a running process, by up to a minute and rarely by that much. */
  #jump({ name, process }: Member): void {
    const { random, tell } = this.#options
    const ms = Math.round((random() * 2 - 1) ** 3 * 60_000)
    this.counts.jumps++
    tell(`${name}: its clock jumps by ${ms} ms`)
    process.jump(ms)
  }

  async #fillUp(): Promise<void> {
    const { random, time, deployment, tell } = this.#options
    const shard = this.#randomShard()
    this.counts.fills++
    tell(`${shard} is full`)
    deployment.setFull(shard, true)
    time.clock.sleep(Math.round(random() * 3_000)).then(() => {
      tell(`${shard} has room again`)
      deployment.setFull(shard, false)
    })
  }

  async #randomWish(): Promise<{ map: Map<SegmentId, ShardId>; merge: SegmentId[] }> {
    const { random, deployment, tags } = this.#options
    const segments = await deployment.segments()
    const map = new Map<SegmentId, ShardId>()
    for (let count = 1 + Math.floor(random() * 3); count > 0; count--) {
      const segment: SegmentId =
        random() < 0.4
          ? `{${tags[Math.floor(random() * tags.length)]!}}`
          : segments[Math.floor(random() * segments.length)]!
      map.set(segment, this.#randomShard())
    }
    const merge = segments.filter((it) => it.startsWith('{') && !map.has(it) && random() < 0.12)
    return { map, merge }
  }

  #randomShard(): ShardId {
    const { random, deployment } = this.#options
    return deployment.shards[Math.floor(random() * deployment.shards.length)]!
  }

  #chosen(): Kind {
    let at = this.#options.random() * [...this.#weights.values()].reduce((sum, weight) => sum + weight, 0)
    for (const [kind, weight] of this.#weights) {
      at -= weight
      if (at < 0) return kind
    }
    return 'reshard'
  }

  #background(who: string, work: Promise<unknown>): void {
    const { tell, complain } = this.#options
    this.#pending++
    const failed = (error: unknown) => {
      const message = isForeshardError(error) ? `${error.code}: ${error.message}` : String(error)
      tell(`${who} ended with ${message}`)
      if (!isExpected(error))
        complain(`${who} ended with an unexpected error: ${error instanceof Error ? error.stack : error}`)
    }
    work.catch(failed).finally(() => this.#pending--)
  }
}

function isExpected(error: unknown): boolean {
  if (error instanceof ProcessDied) return true
  if (!isForeshardError(error)) return false
  // A resharding that changed nothing is not remembered, and so nothing to go back behind.
  return EXPECTED.has(error.code) || error.field === 'options.to'
}
