import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type FenceRecord, NO_FENCE } from '../../src/placement/fence'
import type { SegmentId } from '../../src/placement/segment'
import { plainTag } from '../../src/placement/tag'
import { View } from '../../src/router/view'
import type { AssignmentEntry, Topology, TopologyDelta } from '../../src/topology-store'

const topology = (assignments: AssignmentEntry[], revision = 1): Topology => ({
  id: 't',
  revision,
  buckets: 4,
  seed: 0,
  founded: true,
  shards: ['a', 'b', 'c'].map((id) => ({ id, weight: 1, state: 'active', incarnation: 'i' })),
  tagRule: undefined,
  assignments,
  plan: undefined,
  history: [],
  retained: [],
})
const founded = [0, 1, 2, 3].map((b): AssignmentEntry => ({ segment: `#${b}`, shard: 'a', epoch: 1 }))
const open = () => new View(topology(founded), plainTag)
const record = (
  state: FenceRecord['state'],
  epoch: number,
  parts: Partial<FenceRecord> = {},
): FenceRecord => ({
  ...NO_FENCE,
  state,
  epoch,
  ...parts,
})
const delta = (
  revision: number,
  ...assignments: [SegmentId, string | undefined, number][]
): TopologyDelta => ({
  revision,
  assignments: assignments.map(([segment, shard, epoch]) => ({ segment, shard, epoch })),
})
/** A tag of bucket 1, and its home. */
const tag = [...Array(100).keys()].map((i) => `x${i}`).find((it) => open().bucketOfTag(it) === 1)!
const own = `{${tag}}` as SegmentId
const GET = { kind: 'get' } as const
const at = (view: View, key = tag) => {
  const { shard, segment, epoch } = view.aim(key, GET)
  return `${segment === own ? 'own' : segment} ${view.shardId(shard)}@${epoch}`
}

describe('a view', () => {
  it('never goes back to an older epoch, whoever tells it', () => {
    const view = open()
    view.apply(delta(2, ['#1', 'b', 3]))
    expect(view.learn(2, '#1', record('owned', 2))).toBe(false)
    view.apply(delta(3, ['#1', 'c', 2]))
    view.load(topology(founded))
    expect(at(view)).toBe('#1 b@3')
    expect(view.revision).toBe(3)
    expect(view.learn(2, '#1', record('owned', 4))).toBe(true)
    expect(at(view)).toBe('#1 c@4')
    expect(view.learn(2, '#1', record('owned', 4))).toBe(false)
  })

  it('follows a moved segment to its new owner, with the proof until that has served it', () => {
    const view = open()
    const moved = record('moved', 2, { peer: 'b', ticket: 9, seq: 5 })
    expect(view.learn(0, '#1', moved)).toBe(true)
    const proof = { shard: 'b', epoch: 2, ticket: 9, seq: 5 }
    expect(view.aim(tag, GET)).toMatchObject({ shard: 1, epoch: 2, proof })
    expect(
      view.aim([...Array(50).keys()].map(String).find((it) => view.bucketOfTag(it) === 2)!, GET).proof,
    ).toBeUndefined()
    view.settle('#1', 2)
    expect(view.aim(tag, GET).proof).toBeUndefined()
    view.learn(0, '#1', moved)
    view.apply(delta(2, ['#1', 'c', 3]))
    expect(view.aim(tag, GET).proof).toBeUndefined()
    expect(view.proofFor('#1')).toBeUndefined()
  })

  it('learns nothing from a shard that knows nothing', () => {
    const view = open()
    expect(view.learn(1, '#1', record('none', 9))).toBe(false)
    expect(view.learn(1, '#1', record('importing', 9))).toBe(false)
    expect(at(view)).toBe('#1 a@1')
  })

  it('learns of carved tags with the bucket that they were carved out of, and where they are when it asks there', () => {
    const view = open()
    expect(view.learn(0, '#1', record('owned', 2, { carved: new Set([tag]) }))).toBe(true)
    expect([...view.carvedOf(1)]).toEqual([tag])
    expect(at(view)).toBe('own a@0')
    expect(view.learn(0, own, record('moved', 3, { peer: 'c', ticket: 1 }))).toBe(true)
    expect(at(view)).toBe('own c@3')
    expect(view.placement.locate(tag)).toMatchObject({ segment: own, shard: 'c', epoch: 3 })
  })

  it('folds a tag back when its bucket is above it without it, however it hears of that', () => {
    for (const tell of [
      (view: View) => view.learn(0, '#1', record('owned', 5)),
      (view: View) => view.learn(0, '#1', record('moved', 5, { peer: 'b', ticket: 3 })),
      (view: View) => view.apply(delta(3, [own, undefined, 4], ['#1', 'a', 5])),
      (view: View) =>
        view.load(topology([...founded.slice(0, 1), { segment: '#1', shard: 'a', epoch: 5 }], 3)),
    ]) {
      const view = open()
      const folded: unknown[] = []
      view.onFold = (...args) => folded.push(args)
      view.apply(delta(2, ['#1', 'a', 2], [own, 'c', 4]))
      expect(at(view)).toBe('own c@4')
      tell(view)
      expect(at(view)).toMatch(/^#1 [ab]@5$/)
      expect(folded).toEqual([[tag, 1]])
      expect(view.carvedOf(1)).toEqual([])
    }
  })

  it('keeps a tag of which it knows later news than that of its merging', () => {
    const view = open()
    view.learn(0, own, record('owned', 7))
    view.apply(delta(2, [own, undefined, 4], ['#1', 'a', 5]))
    expect(view.learn(1, '#1', record('moved', 6, { peer: 'a' }))).toBe(true)
    expect(at(view)).toBe('own a@7')
  })

  it('takes nothing from a record of the bucket that is older than what it knows', () => {
    const view = open()
    view.apply(delta(2, ['#1', 'b', 6]))
    const old = record('moved', 3, { peer: 'c', ticket: 2, carved: new Set([tag]) })
    expect(view.learn(0, '#1', old)).toBe(false)
    expect(view.carvedOf(1)).toEqual([])
    expect(view.proofFor('#1')).toBeUndefined()
  })

  it('gives the same immutable placement until something changes', () => {
    const view = open()
    const before = view.placement
    expect(view.placement).toBe(before)
    view.apply(delta(2, ['#1', 'b', 2]))
    expect(view.placement).not.toBe(before)
    expect(before.shardOf('#1')).toBe('a')
    expect(view.placement.shardOf('#1')).toBe('b')
    expect(view.placement.shards).toEqual(['a', 'b', 'c'])
  })

  it('knows a shard that only a refusal has told of, while it owns something', () => {
    const view = open()
    view.learn(0, '#1', record('moved', 2, { peer: 'new', ticket: 1 }))
    expect(view.placement.shards).toEqual(['a', 'b', 'c', 'new'])
    expect(view.placement.shardOf('#1')).toBe('new')
    view.learn(0, '#1', record('owned', 3))
    expect(view.placement.shards).toEqual(['a', 'b', 'c'])
  })

  it('comes to the same belief in whatever order the news arrive, and agrees with its placement', () => {
    // A history of one bucket and one tag: at each step one of them moves, or the tag is carved out or merged.
    const history = fc
      .array(fc.constantFrom('bucket', 'tag', 'split', 'merge'), { maxLength: 12 })
      .map((steps) => {
        const deltas: TopologyDelta[] = []
        let [bucket, mine, shard] = [1, 0, 0]
        for (const step of steps) {
          const to = 'abc'[++shard % 3]!
          const revision = deltas.length + 2
          if (step === 'bucket') deltas.push(delta(revision, ['#1', to, ++bucket]))
          else if (step === 'tag' && mine) deltas.push(delta(revision, [own, to, ++mine]))
          else if (step === 'split' && !mine) {
            mine = ++bucket
            deltas.push(delta(revision, ['#1', to, bucket], [own, to, mine]))
          } else if (step === 'merge' && mine) {
            bucket = Math.max(bucket, mine) + 1
            deltas.push(delta(revision, [own, undefined, mine], ['#1', to, bucket]))
            mine = 0
          }
        }
        return deltas
      })
    fc.assert(
      fc.property(history, fc.infiniteStream(fc.nat()), (deltas, random) => {
        const inOrder = open()
        for (const it of deltas) inOrder.apply(it)
        const late = open()
        // Some of the news come first from shards, then everything again from the topology, in order.
        for (const it of deltas)
          for (const { segment, shard, epoch } of it.assignments!)
            if (shard && random.next().value! % 3 === 0)
              late.learn(
                late.indexOf(shard),
                segment,
                record('owned', epoch, { carved: carvedAt(deltas, epoch) }),
              )
        for (const it of deltas) late.apply(it)
        expect(at(late)).toBe(at(inOrder))
        const { segment, shard, epoch } = late.placement.locate(tag)
        expect(`${segment === own ? 'own' : segment} ${shard}@${epoch}`).toBe(at(late))
      }),
      { seed: 5, numRuns: 300 },
    )
  })
})

/** The tags carved out of the bucket when it had this epoch. */
function carvedAt(deltas: readonly TopologyDelta[], epoch: number): Set<string> {
  let carved = false
  let bucket = 1
  for (const { assignments } of deltas) {
    const next = assignments!.find(({ segment }) => segment === '#1')?.epoch ?? bucket
    if (next > epoch) break
    bucket = next
    for (const it of assignments!) if (it.segment === own) carved = it.shard !== undefined
  }
  return new Set(carved ? [tag] : [])
}
