import { memoryStore } from '../backends/memory/memory-store'
import { memoryTopology } from '../backends/memory/memory-topology'
import { type Random, seededRandom } from '../clock'
import { HANDOFF_STEPS } from '../migrator/gate'
import { checkFields, type Fields } from '../options'
import { murmur3 } from '../placement/hash'
import type { SegmentId, ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import { CONNECTION_FAULTS, type FaultRates } from './fault-injector'
import { History } from './history'
import { inspect, servedEntries } from './inspection'
import { checkLinearizable, type HistoryOperation } from './linearizability'
import { Deployment } from './simulation/deployment'
import { DISTURBANCES, Disturbance } from './simulation/disturbance'
import { Ending } from './simulation/ending'
import { Openings } from './simulation/openings'
import { watchedTopology } from './simulation/topology-watch'
import { Watch } from './simulation/watch'
import { weatherOf } from './simulation/weather'
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
   * One tag is written to nearly all the time and moves often, so that cutovers need a hold. Default: of one seed in four.
   */
  hot?: boolean
  /** Share of the reshardings that compare both copies before the cutover; default 0.7. */
  verified?: number
  /**
   * Every second time that a migrator comes here, before or after a step, its process dies, and another one is started.
   * Default: nowhere, or in three seeds of ten somewhere.
   */
  crashAt?: string
  /** Most values are written with a time to live. Default: of three seeds in twenty. */
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
  /** Operations by outcome, plans by outcome, faults by kind: see FAULT_KINDS. */
  counts: Record<string, number>
  /** How often each row of the fence table was taken. */
  rows: Record<string, number>
  /** How often a migrator came to each of its steps. */
  steps: Record<string, number>
  /** How often the invariants were checked against fences and data. */
  checks: number
}

/** Every kind of fault; `counts` of a report has each. */
export const FAULT_KINDS: readonly string[] = [
  ...CONNECTION_FAULTS.filter((name) => name !== 'calls'),
  ...DISTURBANCES,
  'deaths',
]

/**
 * Routers in processes of their own over the same stores, clients that read and write, and everything that can go wrong,
 * all of it decided by the seed and in virtual time. At the end the deployment must come to rest, nothing may be left
 * behind, every router must read every key, and the history of every key must be linearizable.
 */
export async function simulation(options: SimulationOptions): Promise<SimulationReport> {
  checkFields(options, FIELDS, 'options')
  const { seed, shards = 3, routers = 3, buckets = 4, tags = 6, keysPerTag = 2, strands = 6 } = options
  const { operations = 1_000, skewMs = 200, disturbed = true } = options
  const time = new VirtualTime()
  const randomOf = (name: string) => seededRandom(murmur3(name, seed))
  const weather = weatherOf(randomOf('weather'))
  const { rates = weather.rates, expiring = weather.expiring, crashAt = weather.crashAt } = options
  const { verified = rates.damagedBatches ? 1 : weather.verified } = options
  const hot = options.hot ?? (weather.hot && !expiring)
  const problems: string[] = []
  const story: string[] = []
  const complain = (what: string) => problems.push(what)
  const tell = (what: string) =>
    story.push(`${String(Math.round(time.clock.now() - 1_000_000)).padStart(7)}  ${what}`)

  const watch = new Watch(time.clock, complain)
  const openings = new Openings()
  const bare = new Map<ShardId, ShardStore>()
  const stores = new Map<ShardId, ShardStore>()
  for (let i = 0; i < shards; i++) {
    const shard = String.fromCharCode(97 + i)
    const random = randomOf(`store ${shard}`)
    bare.set(shard, options.store?.(shard, time) ?? memoryStore({ clock: time.clock, random }))
    stores.set(shard, watch.store(shard, openings.counted(bare.get(shard)!)))
  }
  const bareTopology =
    options.topology?.(time, randomOf('topology')) ??
    memoryTopology({ clock: time.clock, random: randomOf('topology') })
  const epochAt = (shard: ShardId, segment: SegmentId) => watch.epochAt(shard, segment)
  const topology = watchedTopology(openings.counted(bareTopology), { complain, epochAt })
  const tagNames = Array.from({ length: tags }, (_, i) => `t${i}`)
  const keys = tagNames.flatMap((tag) => Array.from({ length: keysPerTag }, (_, i) => `{${tag}}:${i}`))

  const history = new History(time.clock)
  const fate = randomOf('fate')
  const steps: Record<string, number> = Object.fromEntries(HANDOFF_STEPS.map((step) => [step, 0]))
  let working = true
  let deaths = 0
  /** Where the migrator of a process is to die, once. */
  let death: { step: string | undefined; of?: string } = { step: undefined }
  const deployment = new Deployment({
    time,
    randomOf,
    stores,
    topology,
    buckets,
    rates,
    skewMs,
    migrator: { batchKeys: weather.batchKeys },
    diesAt: (step, name) => {
      steps[step]!++
      const dies = working ? step === crashAt && fate() < 0.5 : step === death.step && name === death.of
      if (dies) deaths++
      return dies
    },
    onDeath: (name, where) => {
      tell(`${name}: died at ${where}`)
      const place = deployment.members.findIndex((member) => member.name === name)
      // At the end whoever lets it die starts another one.
      if (!deployment.isCalm && place >= 0) deployment.start(place)
    },
  })
  const hotKeys = keys.slice(0, keysPerTag)
  const disturbance = new Disturbance({
    time,
    random: randomOf('disturbance'),
    deployment,
    tags: hot ? [...tagNames, ...Array.from({ length: 3 * tags }, () => tagNames[0]!)] : tagNames,
    verified,
    restMs: hot ? 300 : 1_500,
    tell,
    complain,
  })

  const strand = async (number: number, count: number) => {
    const random = randomOf(`strand ${number}`)
    let written = 0
    for (let i = 0; i < count; i++) {
      // In bursts: only writes that are close to each other find a handoff between two of its steps.
      await time.clock.sleep(Math.round(random() * (random() < (hot ? 0.97 : 0.85) ? (hot ? 5 : 20) : 900)))
      const living = deployment.living(number)
      if (!living) continue
      const { process, router } = living
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

  const ending = new Ending({
    time,
    deployment,
    history,
    keys,
    pending: () => disturbance.pending,
    setDeath: (step, of) => {
      death = { step, of }
    },
    tell,
    complain,
  })

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
    await ending.comeToRest()
    tell('at rest')
    // Before anything else: what is moved next may sweep away what was left behind.
    const atRest = async () => {
      // What has expired is counted as a key until it is reaped, and can no longer be told from a copy left behind.
      const { problems: found } = await inspect(bare, await deployment.topology(), { sizes: !expiring })
      problems.push(...found)
    }
    await atRest()
    await (fate() < 0.5 ? ending.moveEverything() : ending.loseTheMigrator())
    // Everyone, however old the map, and one who comes fresh.
    await deployment.start()
    await ending.readEverything()
    await atRest()
    for (const { process } of deployment.members) process.kill()
  }

  try {
    await time.run(main, 24 * 3_600_000)
  } catch (error) {
    problems.push(`the simulation ended with ${error instanceof Error ? error.stack : error}`)
  } finally {
    await openings.closeAll()
  }
  if (deployment.rushes > 0) problems.push('a process sent request after request and never paused')
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
    rows: watch.rows,
    steps,
    checks: watch.checks,
  }
}
