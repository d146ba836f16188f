import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { type Evidence, type Loss, type Remedy, salvage } from '../../src/migrator/salvage'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import { KEYS, type Key, type Request, SEGMENTS, type Shard, Walk } from '../protocol/walk'

const SEEDS = Number(process.env.FORESHARD_WALKS ?? 3000)
const SHARDS = ['a', 'b', 'c']

/** What a shard would hold if it lost all that came after this moment. */
function memoryOf(shard: Shard) {
  return {
    ticket: shard.ticket,
    exporting: shard.exporting,
    records: new Map(shard.records),
    data: new Map([...shard.data].map(([key, entry]) => [key, { ...entry }])),
    logs: new Map([...shard.logs].map(([segment, log]) => [segment, new Map(log)])),
  }
}
type Memory = ReturnType<typeof memoryOf>

function remember(shard: Shard, memory: Memory): void {
  Object.assign(shard, { ticket: memory.ticket, exporting: memory.exporting })
  for (const part of ['records', 'data', 'logs'] as const) {
    const now = shard[part] as Map<unknown, unknown>
    now.clear()
    for (const [key, value] of memory[part]) now.set(key, value)
  }
}

/** The topology as somebody published it who saw these fences. */
function published(walk: Walk): Evidence['assigned'] {
  const assigned = new Map<SegmentId, { shard: ShardId; epoch: number }>()
  for (const shard of walk.shards)
    for (const segment of SEGMENTS) {
      const { state, epoch } = shard.record(segment)
      if (state === 'owned') assigned.set(segment, { shard: shard.id, epoch })
    }
  return assigned
}

function evidenceOf(walk: Walk, assigned: Evidence['assigned'], lost: ReadonlySet<ShardId>): Evidence {
  const fences = new Map(walk.shards.map((shard) => [shard.id, new Map(shard.records)]))
  return { bucketId: 0, fences, assigned, lost }
}

function requestOf(remedy: Remedy, ticket: number): Request {
  const { shard, segment, ...command } = remedy
  return { shard: SHARDS.indexOf(shard), segment, command: { ...command, ticket } } as Request
}

/** Takes the steps; where one is refused, looks again. Between them the others go on. */
function rescue(
  walk: Walk,
  assigned: Evidence['assigned'],
  lost: ReadonlySet<ShardId>,
  between: () => void,
  adopt: (shard: Shard, segment: SegmentId, losses: ReadonlyMap<SegmentId, Loss>) => void,
) {
  const losses = new Map<SegmentId, Loss>()
  for (let look = 1; look <= 20; look++) {
    const ticket = walk.drawTicket()
    const { remedies, losses: found, conflict } = salvage(evidenceOf(walk, assigned, lost))
    if (conflict) throw new Error(`conflict: ${conflict}`)
    // A second look finds a copy that the first one made do with.
    for (const { segment, loss } of found)
      if (LOSSES.indexOf(loss) >= LOSSES.indexOf(losses.get(segment) ?? 'latest')) losses.set(segment, loss)
    let refused = false
    for (const remedy of remedies) {
      between()
      refused = !walk.send(requestOf(remedy, ticket)).ok
      if (refused) break
      const { step, shard, segment } = remedy
      if (step !== 'restore' || remedy.peer !== '') continue
      adopt(walk.shards[SHARDS.indexOf(shard)]!, segment, losses)
    }
    if (!refused && !remedies.some(({ step }) => step === 'activate')) return losses
  }
  throw new Error('the rescue comes to no end')
}

interface Play {
  seed: number
  /** How many shards lose state. */
  shards: number
  /** Changes a list of remedies, to see that it is noticed. */
  losses: Map<SegmentId, Loss>
  broken?: string
  story: string[]
}

/** A history, in which a shard then loses its last steps and is rescued, and then the history goes on. */
function play(seed: number, { all = false, both = false, hasty = false } = {}): Play {
  const random = seededRandom(seed * 7919 + 13)
  const walk = new Walk(seed)
  const result: Play = { seed, shards: both ? 2 : 1, losses: new Map(), story: walk.result.story }
  try {
    const places = [0, 1, 2].filter((place) => place !== Math.floor(random() * 3)).slice(0, both ? 2 : 1)
    walk.live(Math.floor(random() * 250))
    const memories = places.map((place) => memoryOf(walk.shards[place]!))
    const since = new Map<Key, Set<number | undefined>>(
      KEYS.map((key) => [key, new Set([walk.truth.get(key)])]),
    )
    let assigned = published(walk)
    for (let steps = Math.floor(random() ** 2 * 60); steps > 0; steps--) {
      walk.live(1)
      for (const key of KEYS) since.get(key)!.add(walk.truth.get(key))
      if (random() < 0.1 && published(walk).has('#0')) assigned = published(walk)
    }
    if (!assigned.has('#0')) return result
    places.forEach((place, i) => {
      const shard = walk.shards[place]!
      if (all)
        remember(shard, { ticket: 0, exporting: '', records: new Map(), data: new Map(), logs: EMPTY_LOGS() })
      else remember(shard, memories[i]!)
      walk.suspended.add(place)
    })
    const lost = new Set(places.map((place) => walk.shards[place]!.id))
    if (hasty) walk.suspended.clear()
    walk.result.story.push(`${[...lost]} lost state`)
    // What is lost is lost; from here on what was saved is the truth.
    const adopt = (shard: Shard, segment: SegmentId, losses: ReadonlyMap<SegmentId, Loss>) => {
      for (const key of shard.keysOf(segment)) {
        const value = shard.data.get(key)?.value
        const loss = (key === 'tagged' && losses.get('{x}')) || losses.get(segment)
        const isOld = !since.get(key)!.has(value) && value !== walk.truth.get(key)
        if (isOld && !all && !both && loss !== 'older' && loss !== 'everything')
          throw new Error(`${key} is ${value} on ${shard.id}, which is older than what was lost`)
        since.get(key)!.add(value)
        if (value === undefined) walk.truth.delete(key)
        else walk.truth.set(key, value)
      }
    }
    result.losses = rescue(walk, assigned, lost, () => walk.live(random() < 0.5 ? 0 : 2), adopt)
    walk.suspended.clear()
    for (const key of KEYS) {
      const owners = walk.ownersOf(key)
      if (owners.length > 1) throw new Error(`${key} is served by ${owners.map((it) => it.shard.id)}`)
    }
    walk.live(150)
    const { broken } = walk.run(0)
    if (broken) throw new Error(broken)
  } catch (error) {
    result.broken = (error as Error).message
  }
  return result
}

const LOSSES: readonly Loss[] = ['latest', 'former', 'older', 'everything']
const EMPTY_LOGS = () => new Map(SEGMENTS.map((segment) => [segment, new Map<Key, number>()]))

function expectKept(options: Parameters<typeof play>[1]) {
  const tally = new Map<string, number>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { broken, story, losses } = play(seed, options)
    if (broken) throw new Error(`seed ${seed}: ${broken}\n${story.join('\n')}`)
    for (const loss of losses.values()) tally.set(loss, (tally.get(loss) ?? 0) + 1)
  }
  return tally
}

describe('after a shard lost state, at any moment of any history', () => {
  it('its latest steps: one owner of each segment, and nothing lost but what that shard had alone', () => {
    const tally = expectKept({})
    for (const loss of ['latest', 'former', 'older'] as const)
      expect(tally.get(loss), loss).toBeGreaterThan(SEEDS / 100)
  }, 120_000)

  it('everything it had', () => {
    const tally = expectKept({ all: true })
    for (const loss of ['former', 'everything'] as const)
      expect(tally.get(loss), loss).toBeGreaterThan(SEEDS / 100)
  }, 120_000)

  it('together with another shard', () => {
    expectKept({ both: true })
  }, 120_000)
})
