import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import { AssignmentTable } from '../../src/placement/assignment-table'
import { murmur3 } from '../../src/placement/hash'
import type { SegmentId } from '../../src/placement/segment'
import { ShardIndex } from '../../src/placement/shard-index'

type Model = Map<SegmentId, { shard: string; epoch: number }>

const founded = (buckets: number, seed = 0) => {
  const table = new AssignmentTable(buckets, seed)
  for (let bucketId = 0; bucketId < buckets; bucketId++)
    table.apply({ segment: `#${bucketId}`, shard: 'a', epoch: 1 })
  return table
}
const contents = (table: AssignmentTable): Model =>
  new Map([...table].map(({ segment, shard, epoch }) => [segment, { shard, epoch }]))

const tag = fc.oneof(
  fc.constantFrom(
    'x',
    'y',
    '__proto__',
    'constructor',
    'abcd',
    'abcde',
    'caf\u00e9',
    '\u0141abc',
    'A\u0001bc',
  ),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 9 }),
  fc.integer({ min: 0, max: 60 }).map((i) => `user:tenant-42:${i}`),
  fc.constant('long'.repeat(700)),
)
const segment = fc.oneof(
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }).map((it): SegmentId => `#${it}`) },
  { weight: 6, arbitrary: tag.map((it): SegmentId => `{${it}}`) },
)
const step = fc.record({
  segment,
  shard: fc.constantFrom('a', 'b', 'c', undefined),
  epoch: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 2 ** 31, max: Number.MAX_SAFE_INTEGER })),
  fork: fc.integer({ min: 0, max: 9 }),
})

/** What AssignmentTable.apply says, over a Map. */
function applied(
  model: Model,
  { segment, shard, epoch }: { segment: SegmentId; shard?: string; epoch: number },
) {
  const known = model.get(segment)
  if (shard === undefined) {
    if (segment.startsWith('{') && known && known.epoch <= epoch) model.delete(segment)
  } else if (!known || known.epoch < epoch) model.set(segment, { shard, epoch })
}

describe('an assignment table', () => {
  it('is a map from segment to shard and epoch, and so are all its forks, whatever becomes of the others', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const tables = [{ table: founded(4, 9), model: contents(founded(4, 9)) }]
        for (const { fork, ...it } of steps) {
          const one = tables[fork % tables.length]!
          if (it.segment.startsWith('{') || it.shard) {
            one.table.apply(it as never)
            applied(one.model, it as never)
          }
          if (fork === 9) tables.push({ table: one.table.fork(), model: new Map(one.model) })
          if (fork === 8) for (let b = 0; b < 4; b++) one.table.share(b, tables[0]!.table)
          if (fork === 7) one.table.trim()
        }
        for (const { table, model } of tables) {
          expect(contents(table)).toEqual(model)
          expect(table.carvedTags).toBe(model.size - 4)
          const held = [...table.shards].map((id, number) => [id, table.heldBy(number)])
          for (const [id, count] of held)
            expect(count).toBe([...model.values()].filter(({ shard }) => shard === id).length)
          for (const [name, { shard, epoch }] of model) {
            const place = table.placeOf(name)!
            expect([table.shards.idOf(place.shard), place.epoch]).toEqual([shard, epoch])
            if (name.startsWith('{')) expect(table.shardOfTag(name.slice(1, -1))).toBe(place.shard)
          }
          for (let bucketId = 0; bucketId < 4; bucketId++)
            expect(table.tagsOf(bucketId).sort()).toEqual(
              [...model.keys()]
                .flatMap((it) => {
                  const own = it.slice(1, -1)
                  return it.startsWith('{') && murmur3(own, 9) % 4 === bucketId ? [own] : []
                })
                .sort(),
            )
        }
      }),
      { seed: 7, numRuns: 400 },
    )
  })

  it('finds every one of many tags, and none that is not there, also while its filter is made anew', () => {
    for (const buckets of [1, 16, 4096]) {
      const table = founded(buckets)
      for (let i = 0; i < 20_000; i++) {
        table.apply({ segment: `{t${i}}`, shard: 'b', epoch: 2 })
        if (i % 997 === 0) for (let j = 0; j <= i; j += 13) expect(table.placeOfTag(`t${j}`)?.epoch).toBe(2)
      }
      for (let i = 0; i < 20_000; i++) {
        expect(table.placeOfTag(`t${i}`)).toBeDefined()
        expect(table.placeOfTag(`u${i}`)).toBeUndefined()
      }
    }
  })

  it('has exactly the tags that are there after thousands came and went', () => {
    const table = founded(64)
    const random = seededRandom(4)
    const carved = new Set<string>()
    for (let i = 0; i < 30_000; i++) {
      const name = `t${Math.floor(random() * 1_000_000)}`
      carved.add(name)
      table.apply({ segment: `{${name}}`, shard: 'b', epoch: 2 })
      if (carved.size < 50) continue
      const [first] = carved
      carved.delete(first!)
      table.apply({ segment: `{${first!}}`, shard: undefined, epoch: 3 })
    }
    expect([...table.tags()].sort()).toEqual([...carved].sort())
  })

  it('keeps once what two of them have in common, and parts again where they differ', () => {
    const index = new ShardIndex(['a', 'b'])
    const topology = { buckets: 1, seed: 0, shards: [], assignments: founded(1) }
    const one = AssignmentTable.of(topology, index)
    const two = AssignmentTable.of(topology, index)
    for (const table of [one, two])
      for (const name of table === one ? ['x', 'y'] : ['y', 'x'])
        table.apply({ segment: `{${name}}`, shard: 'b', epoch: 2 })
    expect(one.share(0, two)).toBe(true)
    one.apply({ segment: '{x}', shard: 'a', epoch: 3 })
    expect(two.placeOfTag('x')).toEqual({ shard: 1, epoch: 2 })
    expect(one.share(0, two)).toBe(false)
    two.apply({ segment: '{x}', shard: 'a', epoch: 3 })
    expect(one.share(0, two)).toBe(true)
    two.apply({ segment: '{y}', shard: 'a', epoch: 4 })
    expect(one.placeOfTag('y')).toEqual({ shard: 1, epoch: 2 })
    two.apply({ segment: '{y}', shard: undefined, epoch: 9 })
    expect([one.tagsOf(0).sort(), two.tagsOf(0)]).toEqual([['x', 'y'], ['x']])
  })

  it('is made of any assignments, and numbers shards as it is told', () => {
    const index = new ShardIndex(['c', 'b'])
    const assignments = [
      { segment: '#0', shard: 'b', epoch: 4 },
      { segment: '{x}', shard: 'a', epoch: 5 },
    ] as const
    const topology = { buckets: 2, seed: 1, shards: [{ id: 'a' }], assignments }
    const table = AssignmentTable.of(topology, index)
    expect([...table]).toEqual(assignments)
    expect(table.unassigned).toBe(1)
    expect(table.placeOf('#0')).toEqual({ shard: 1, epoch: 4 })
    // Of a table that numbers them otherwise it makes another one.
    const other = AssignmentTable.of({ ...topology, assignments: table })
    expect(other.placeOf('{x}')).toEqual({ shard: 0, epoch: 5 })
    expect([...other]).toEqual([...table])
  })
})
