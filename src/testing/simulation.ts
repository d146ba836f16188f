import { memoryStore } from '../backends/memory/memory-store'
import { memoryTopology } from '../backends/memory/memory-topology'
import { type Random, seededRandom } from '../clock'
import { checkFields, type Fields } from '../options'
import { murmur3 } from '../placement/hash'
import type { SegmentId, ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import type { FaultCounts, FaultRates } from './fault-injector'
import { History } from './history'
import { inspect, servedEntries } from './inspection'
import { checkLinearizable, type HistoryOperation } from './linearizability'
import { Deployment } from './simulation/deployment'
import { Disturbance } from './simulation/disturbance'
import { randomOperation } from './simulation/workload'
import { VirtualTime } from './virtual-time'

export interface SimulationOptions {
  seed: number
  /** Of the clients, in all. */
  operations?: number
  shards?: number
  routers?: number
  buckets?: number
  tags?: number
  keysPerTag?: number
  /** Operations in flight at a time: the checker is quick up to about eight on one key. */
  strands?: number
  /** Of all connections; by default every seed has rates of its own. */
  rates?: FaultRates
  /** Clocks of processes differ by up to so much, either way. */
  skewMs?: number
  /** Moves, carves, rollbacks, crashes and outages. Default true. */
  disturbed?: boolean
  /**
   * One tag is written to nearly all the time and moves often, so that cutovers need a hold. Default: of one seed in five.
   */
  hot?: boolean
  /** Share of the reshardings that compare both copies before the cutover; default 0.7. */
  verified?: number
  /** Every second time that a migrator comes here its process dies, and another one is started. */
  crashAt?: string
  /** Most values are written with a time to live. Default false. */
  expiring?: boolean
  /** The bare stores; in memory by default. Those that do real work are to be wrapped in `externalStore`. */
  store?: (shard: ShardId, time: VirtualTime) => ShardStore
  topology?: (time: VirtualTime, random: Random) => TopologyStore
}

const FIELDS: Fields<SimulationOptions> = {
  seed: true,
  operations: true,
  shards: true,
  routers: true,
  buckets: true,
  tags: true,
  keysPerTag: true,
  strands: true,
  rates: true,
  skewMs: true,
  disturbed: true,
  hot: true,
  verified: true,
  crashAt: true,
  expiring: true,
  store: true,
  topology: true,
}

export interface SimulationReport {
  seed: number
  ok: boolean
  /** What went wrong, in words; empty when nothing did. */
  problems: string[]
  /** What happened, a line for each event with its virtual time. */
  story: string[]
  history: HistoryOperation[]
  counts: FaultCounts & Record<string, number>
}

/** Every seed has its own weather: what is rare in most simulations is common in some. */
function weather(random: Random): FaultRates {
  const oneOf = <T>(...choices: T[]) => choices[Math.floor(random() * choices.length)]!
  return {
    delayMs: [0, oneOf(3, 12, 12, 50)],
    lostRequests: oneOf(0, 0.01, 0.03),
    lostReplies: oneOf(0, 0.01, 0.03),
    lateRequests: oneOf(0, 0.005, 0.02),
    repeatedSteps: oneOf(0, 0.1, 0.5),
    lateMs: [1, oneOf(100, 1_000, 10_000)],
  }
}

/** A deployment that is to come to rest after its last disturbance must do so within this time. */
const REST_MS = 30 * 60_000
/** Longer than a request is waited for, a lease lasts, and the pause between two looks of a steward. */
const QUIET_MS = 40_000

/**
 * Routers in processes of their own over the same stores, clients that read and write, and everything that can go wrong,
 * all of it decided by the seed and in virtual time. At the end the deployment must come to rest, nothing may be left
 * behind, every router must read every key, and the history of every key must be linearizable.
 */
export async function simulation(options: SimulationOptions): Promise<SimulationReport> {
  checkFields(options, FIELDS, 'options')
  const { seed, shards = 3, routers = 3, buckets = 4, tags = 6, keysPerTag = 2, strands = 6 } = options
  const { operations = 1_000, skewMs = 200, disturbed = true, expiring = false, verified = 0.7 } = options
  const time = new VirtualTime()
  const randomOf = (name: string) => seededRandom(murmur3(name, seed))
  const rates = options.rates ?? weather(randomOf('weather'))
  const problems: string[] = []
  const story: string[] = []
  const tell = (what: string) =>
    story.push(`${String(Math.round(time.clock.now() - 1_000_000)).padStart(7)}  ${what}`)

  const stores = new Map<ShardId, ShardStore>()
  for (let i = 0; i < shards; i++) {
    const shard = String.fromCharCode(97 + i)
    const random = randomOf(`store ${shard}`)
    stores.set(shard, options.store?.(shard, time) ?? memoryStore({ clock: time.clock, random }))
  }
  const topology =
    options.topology?.(time, randomOf('topology')) ??
    memoryTopology({ clock: time.clock, random: randomOf('topology') })
  const tagNames = Array.from({ length: tags }, (_, i) => `t${i}`)
  const keys = tagNames.flatMap((tag) => Array.from({ length: keysPerTag }, (_, i) => `{${tag}}:${i}`))

  const history = new History(time.clock)
  const fate = randomOf('fate')
  let working = true
  let deaths = 0
  const deployment = new Deployment({
    time,
    randomOf,
    stores,
    topology,
    buckets,
    rates,
    skewMs,
    // Small batches, so that few keys make many.
    migrator: { batchKeys: [1, 2, 256][Math.floor(randomOf('batches')() * 3)]! },
    diesAt: (step) => working && step === options.crashAt && fate() < 0.5,
    onDeath: (name, step) => {
      deaths++
      tell(`${name}: died at ${step}`)
      const place = deployment.members.findIndex((member) => member.name === name)
      if (place >= 0) deployment.start(place)
    },
  })
  // A hot key that expires all the time is more than the checker can decide.
  const { hot = !expiring && randomOf('heat')() < 0.2 } = options
  const hotKeys = keys.slice(0, keysPerTag)
  const disturbance = new Disturbance({
    time,
    random: randomOf('disturbance'),
    deployment,
    tags: hot ? [...tagNames, ...Array.from({ length: 3 * tags }, () => tagNames[0]!)] : tagNames,
    verified,
    restMs: hot ? 300 : 1_500,
    tell,
    complain: (what) => problems.push(what),
  })

  const strand = async (number: number, count: number) => {
    const random = randomOf(`strand ${number}`)
    let written = 0
    for (let i = 0; i < count; i++) {
      // In bursts: only writes that are close to each other find a handoff between two of its steps.
      await time.clock.sleep(Math.round(random() * (random() < (hot ? 0.97 : 0.85) ? (hot ? 5 : 20) : 900)))
      const { process, router } = deployment.members[number % deployment.members.length]!
      const client = history.client(`s${number}`, router, process)
      const freshValue = () => `s${number}.${++written}`
      const ttl = () => (expiring && random() < 0.7 ? 1 + Math.round(random() ** 2 * 5_000) : undefined)
      await randomOperation(random, hot && random() < 0.9 ? hotKeys : keys, freshValue, client, ttl)
    }
  }

  /** Time and again, past all faults: whatever any shard holds expires when its writer said, wherever it travelled. */
  const audit = async (stopped: () => boolean) => {
    while (!stopped()) {
      await time.clock.sleep(200)
      for (const [shard, store] of stores)
        for (const { key, value: bytes, expiresAt } of await servedEntries(store)) {
          const value = JSON.parse(Buffer.from(bytes!).toString())
          const expected = history.expiries.get(value) ?? 0
          if (expiresAt !== expected)
            problems.push(
              `${key} = ${value} expires at ${expiresAt} on ${shard}, and was written to at ${expected}`,
            )
        }
    }
  }

  /** A deployment at rest can move anything: nothing that stands in its way was left behind, and no fence is stuck. */
  const moveOnce = async () => {
    const { name, process, router } = deployment.members[0]!
    const map = new Map<SegmentId, ShardId>()
    const ids = [...stores.keys()]
    for (const { segment, shard } of router.placement.segments())
      map.set(segment, ids[(ids.indexOf(shard) + 1) % ids.length]!)
    const resharding = await process.answer(router.requestResharding(1, map, { retainMs: 0 }))
    const report = resharding.accepted && (await process.answer(resharding.done))
    if (!report || report.outcome !== 'done')
      problems.push(`at rest, ${name} cannot move everything: ${JSON.stringify(report || resharding)}`)
    await comeToRest(() => disturbance.pending, deployment, time)
  }

  const main = async () => {
    for (let i = 0; i < routers; i++) await deployment.start()
    tell('all routers are open')
    const auditing = expiring ? audit(() => !working) : Promise.resolve()
    const disturbing = disturbed ? disturbance.run(() => !working) : Promise.resolve()
    const share = Math.ceil(operations / strands)
    await Promise.all(Array.from({ length: strands }, (_, number) => strand(number, share)))
    working = false
    await Promise.all([disturbing, auditing])
    tell('the clients are done; faults end')
    deployment.calm()
    await comeToRest(() => disturbance.pending, deployment, time)
    tell('at rest')
    await moveOnce()
    // Everyone, however old the map, and one who comes fresh.
    await deployment.start()
    for (const { name, process, router } of deployment.members) {
      const client = history.client(`final ${name}`, router, process)
      for (const key of keys) {
        const failed = history.outcomes.failed + history.outcomes.unknown
        await client.get(key)
        if (history.outcomes.failed + history.outcomes.unknown > failed)
          problems.push(`at rest, ${name} cannot read ${key}: ${history.lastError}`)
      }
    }
    // What has expired is counted as a key until it is reaped, and can no longer be told from a copy left behind.
    const { problems: found } = await inspect(stores, await deployment.topology(), { sizes: !expiring })
    problems.push(...found)
    for (const { process } of deployment.members) process.kill()
  }

  try {
    await time.run(main, 24 * 3_600_000)
  } catch (error) {
    problems.push(`the simulation ended with ${error instanceof Error ? error.stack : error}`)
  }
  for (const { key, kind, error } of history.unexpected)
    problems.push(
      `${kind} ${key} ended with an unexpected error: ${error instanceof Error ? error.stack : error}`,
    )
  for (const { key, value, lateMs } of history.revived)
    problems.push(`${key} was read as ${value} ${lateMs} ms after that had expired`)
  const verdict = checkLinearizable(history.operations)
  if (verdict.ok !== true)
    problems.push(`${verdict.key}: ${verdict.reason}${verdict.ok === false ? `\n${verdict.story}` : ''}`)
  return {
    seed,
    ok: problems.length === 0,
    problems,
    story,
    history: history.operations,
    counts: {
      ...deployment.counts,
      ...disturbance.counts,
      ...disturbance.outcomes,
      ...history.outcomes,
      deaths,
    },
  }
}

/** Until for a while no plan is unfinished, nothing is retained and nothing is under way. */
async function comeToRest(pending: () => number, deployment: Deployment, time: VirtualTime): Promise<void> {
  const until = time.clock.now() + REST_MS
  let restingSince = time.clock.now()
  while (time.clock.now() < until && time.clock.now() - restingSince < QUIET_MS) {
    await time.clock.sleep(500)
    const { plan, retained } = await deployment.topology()
    if (plan || retained.length > 0 || deployment.underWay > 0 || pending() > 0)
      restingSince = time.clock.now()
  }
}
