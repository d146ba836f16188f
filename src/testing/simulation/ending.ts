import type { SegmentId, ShardId } from '../../placement/segment'
import type { History } from '../history'
import type { VirtualTime } from '../virtual-time'
import type { Deployment, Member } from './deployment'

/** A deployment that is to come to rest after its last disturbance must do so within this time. */
const REST_MS = 30 * 60_000
/** Longer than a request is waited for, a lease lasts, and the pause between two looks of a steward. */
const QUIET_MS = 40_000
/** Longer than the pause between two looks of a steward, where no request was lost. */
const QUIET_WITHOUT_FAULTS_MS = 4_000
/** Far less than the lease of a migrator that died lasts. */
const NO_WAIT_MS = 3_000

export interface EndingOptions {
  readonly time: VirtualTime
  readonly deployment: Deployment
  readonly history: History
  readonly keys: readonly string[]
  /** Reshardings under way. */
  readonly pending: () => number
  /** Whoever comes to this step of a migrator dies there; undefined: nobody. */
  readonly setDeath: (step: string | undefined, of?: string) => void
  readonly tell: (what: string) => void
  readonly complain: (what: string) => void
}

/** What must come true once faults have stopped. */
export class Ending {
  readonly #options: EndingOptions

  constructor(options: EndingOptions) {
    this.#options = options
  }

  /** Until for a while no plan is unfinished, nothing is retained and nothing is under way. */
  async comeToRest(quietMs = QUIET_MS): Promise<void> {
    const { time, deployment, pending } = this.#options
    const until = time.clock.now() + REST_MS
    let restingSince = time.clock.now()
    while (time.clock.now() < until && time.clock.now() - restingSince < quietMs) {
      await time.clock.sleep(1_000)
      const { plan, retained } = await deployment.topology()
      if (plan || retained.length > 0 || deployment.underWay > 0 || pending() > 0)
        restingSince = time.clock.now()
    }
  }

  /** A deployment at rest can move anything: nothing that stands in its way was left behind, and no fence is stuck. */
  async moveEverything(): Promise<void> {
    const { deployment, complain } = this.#options
    const member = deployment.living(0)!
    const { resharding, map } = await this.#everywhereElse(member)
    const report = resharding.accepted ? await member.process.answer(resharding.done) : undefined
    if (report?.outcome !== 'done')
      complain(`at rest, ${member.name} cannot move everything: ${JSON.stringify(report ?? resharding)}`)
    await this.comeToRest(QUIET_WITHOUT_FAULTS_MS)
    await this.#checkMoved(map)
  }

  /**
   * The migrator dies between a commit and its activation: nobody waits for the next one, because whoever comes to the
   * source carries the proof to the target (I7). Then another process finishes the plan.
   */
  async loseTheMigrator(): Promise<void> {
    const { deployment, setDeath, tell, complain, time } = this.#options
    const member = deployment.living(0)!
    setDeath('activate:before', member.name)
    const { resharding, map } = await this.#everywhereElse(member)
    if (!resharding.accepted) return complain(`at rest, ${member.name} refused: ${resharding.reason}`)
    await member.process.answer(resharding.done).catch(() => undefined)
    setDeath(undefined)
    if (!member.process.isDead) return complain(`${member.name} moved everything and activated nothing`)
    const now = time.clock.now()
    const place = deployment.members.indexOf(member)
    await this.#useAll(deployment.members.filter(({ process }) => !process.isDead))
    const waited = time.clock.now() - now
    tell(`all keys were read and written in ${waited} ms`)
    if (waited > NO_WAIT_MS) complain(`I7: clients waited ${waited} ms for a migrator that had died`)
    await deployment.start(place)
    await this.comeToRest(QUIET_WITHOUT_FAULTS_MS)
    await this.#checkMoved(map)
  }

  /** Everyone, however old the map, reads every key. */
  async readEverything(): Promise<void> {
    const { deployment, history, keys } = this.#options
    for (const { name, process, router } of deployment.members) {
      const client = history.client(`final ${name}`, router, process)
      for (const key of keys) await this.#mustSucceed(name, key, () => client.get(key))
    }
  }

  async #useAll(members: readonly Member[]): Promise<void> {
    const { history, keys } = this.#options
    for (const [i, { name, process, router }] of members.entries()) {
      const client = history.client(`orphan ${name}`, router, process)
      for (const [k, key] of keys.entries()) {
        // A write needs the commit as much as a read does.
        const use = (k + i) % 2 ? () => client.get(key) : () => client.set(key, `${name}.${key}`)
        await this.#mustSucceed(name, key, use)
      }
    }
  }

  async #mustSucceed(name: string, key: string, use: () => Promise<void>): Promise<void> {
    const { history, complain } = this.#options
    const failed = history.outcomes.failed + history.outcomes.unknown
    await use()
    if (history.outcomes.failed + history.outcomes.unknown > failed)
      complain(`at rest, ${name} has no access to ${key}: ${history.lastError}`)
  }

  /** Asks for every segment to go to the next shard. */
  async #everywhereElse({ process, router }: Member) {
    const ids = this.#options.deployment.shards
    const map = new Map<SegmentId, ShardId>()
    for (const { segment, shard } of router.placement.segments())
      map.set(segment, ids[(ids.indexOf(shard) + 1) % ids.length]!)
    const resharding = await process.answer(router.requestResharding(1, map, { retainMs: 0 }))
    return { resharding, map }
  }

  async #checkMoved(map: ReadonlyMap<SegmentId, ShardId>): Promise<void> {
    const { deployment, complain } = this.#options
    for (const { segment, shard } of (await deployment.topology()).assignments)
      if (shard !== map.get(segment))
        complain(`at rest, ${segment} was to move to ${map.get(segment)}, and is on ${shard}`)
  }
}
