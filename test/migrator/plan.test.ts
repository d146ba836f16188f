import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import type { Step } from '../../src/migrator/gate'
import type { PlanRequest } from '../../src/migrator/plan'
import { bucketSegment, type SegmentId, tagSegment } from '../../src/placement/segment'
import type { SegmentAt } from '../../src/shard-store'
import { intercept, PLAN, World } from './world'

/** A bucket on shard a with two tags of three keys each, and some others. */
async function withTags(options = {}) {
  const world = await World.open({ latencyMs: 1, ...options })
  const home = world.bucketOn('a')
  const tags = [world.tagIn(home), world.tagIn(home, 1)]
  const keys = [...world.keysOf(home, 20), ...tags.flatMap((tag) => [1, 2, 3].map((i) => `{${tag}}:${i}`))]
  await world.until(world.fill(keys))
  return { world, home, x: tagSegment(tags[0]!), y: tagSegment(tags[1]!), keys }
}

const run = async (world: World, request: Partial<PlanRequest>, migrator = world.migrator()) =>
  world.until(migrator.run({ moves: [], ...PLAN, ...request }).done)

describe('a plan', () => {
  it('carves a tag out of its bucket before it moves it', async () => {
    const { world, home, x, keys } = await withTags()
    const report = await run(world, { moves: [{ segment: x, to: 'b' }] })
    expect(report).toMatchObject({ outcome: 'done', carved: [x], moved: [x], keysCopied: 3 })
    expect(await world.assigned(home)).toBe('a')
    expect(await world.assigned(x)).toBe('b')
    await world.until(world.set(keys.at(-1)!, 'still there'))
    await world.expectTruth()
    expect((await world.topologyNow()).history).toMatchObject([{ before: [], carved: [x], merged: [] }])
  })

  it('only carves a tag that stays where its bucket is', async () => {
    const { world, x } = await withTags()
    expect(await run(world, { moves: [{ segment: x, to: 'a' }] })).toMatchObject({
      outcome: 'done',
      carved: [x],
      moved: [],
      keysCopied: 0,
    })
    expect(await world.assigned(x)).toBe('a')
    await world.expectTruth()
  })

  it('may name a bucket and its tags at once, in any order', async () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ]) {
      const { world, home, x, y, keys } = await withTags()
      const stop = world.clients(keys, 3)
      const all = [
        { segment: home, to: 'b' },
        { segment: x, to: 'c' },
        { segment: y, to: 'b' },
      ]
      const report = await run(world, { moves: order.map((i) => all[i]!) })
      await world.until(stop())
      expect(report).toMatchObject({ outcome: 'done', failed: [] })
      expect([...report.moved].sort()).toEqual([home, x, y].sort())
      for (const { segment, to } of all) expect(await world.assigned(segment)).toBe(to)
      await world.expectTruth()
    }
  })

  it('folds a tag back into its bucket, wherever the two are', async () => {
    for (const [homeTo, tagTo] of [
      ['a', 'b'],
      ['b', 'a'],
      ['c', 'b'],
    ]) {
      const { world, home, x, keys } = await withTags()
      await run(world, { moves: [{ segment: x, to: tagTo! }] })
      const stop = world.clients(keys, 3)
      const report = await run(world, { moves: [{ segment: home, to: homeTo! }], merges: [x] })
      await world.until(stop())
      expect(report).toMatchObject({ outcome: 'done', merged: [x], failed: [] })
      expect(await world.assigned(x)).toBeUndefined()
      expect(await world.assigned(home)).toBe(homeTo)
      await world.expectTruth()
      expect((await world.topologyNow()).history.at(-1)).toMatchObject({ merged: [[x, tagTo]] })
    }
  })

  it('carves a tag out again after it was folded back, above all its earlier epochs', async () => {
    const { world, x, keys } = await withTags()
    const epochs: number[] = []
    for (let life = 0; life < 3; life++) {
      await run(world, { moves: [{ segment: x, to: 'b' }] })
      epochs.push([...(await world.topologyNow()).assignments].find((it) => it.segment === x)!.epoch)
      await world.until(world.set(keys.at(-4)!, `life ${life}`))
      await run(world, { merges: [x] })
    }
    expect(epochs).toEqual([...new Set(epochs)].sort((p, q) => p - q))
    await world.expectTruth()
  })

  it('does not fold a tag into a bucket that could not come', async () => {
    const { world, home, x } = await withTags()
    await run(world, { moves: [{ segment: x, to: 'b' }] })
    const b = intercept(world.raw.get('b')!, async (method, send, request) => {
      if (method === 'ingest' && (request as SegmentAt).segment === home)
        throw new ForeshardError(ErrorCode.SHARD_FULL, 'b has no room')
      return send()
    })
    const migrator = world.migrator({ store: (shard) => (shard === 'b' ? b : world.raw.get(shard)) })
    const report = await run(world, { moves: [{ segment: home, to: 'b' }], merges: [x] }, migrator)
    expect(report).toMatchObject({ outcome: 'failed', merged: [], retries: 0 })
    expect(report.failed.map((it) => [it.segment, it.code])).toEqual([
      [home, 'SHARD_FULL'],
      [x, 'SHARD_FULL'],
    ])
    expect(await world.assigned(x)).toBe('b')
    await world.expectTruth()
  })

  it('ignores a merge of what is no segment', async () => {
    const { world, x } = await withTags()
    expect(await run(world, { merges: [x] })).toMatchObject({ outcome: 'done', merged: [] })
    await world.expectTruth()
  })

  it('remembers where every segment was', async () => {
    const world = await World.open()
    const [p, q] = [world.bucketOn('a'), world.bucketOn('b')]
    const first = world.migrator().run({
      moves: [
        { segment: p, to: 'c' },
        { segment: q, to: 'a' },
      ],
      ...PLAN,
    })
    await world.until(first.done)
    const { history } = await world.topologyNow()
    const { confidence, reason } = PLAN
    expect(history).toMatchObject([{ id: first.id, confidence, reason, carved: [], merged: [] }])
    expect(new Map(history[0]!.before)).toEqual(
      new Map([
        [p, 'a'],
        [q, 'b'],
      ]),
    )
  })

  it('leaves alone what is where it should be', async () => {
    const world = await World.open()
    const segment = world.bucketOn('a')
    const report = await run(world, { moves: [{ segment, to: 'a' }] })
    expect(report).toMatchObject({ outcome: 'done', moved: [] })
    expect((await world.fence('a', segment)).epoch).toBe(1)
    expect((await world.topologyNow()).history).toEqual([])
  })

  it('waits for the one before it', async () => {
    const world = await World.open({ latencyMs: 2 })
    const segment = world.bucketOn('a')
    const migrator = world.migrator()
    const order: string[] = []
    migrator.on('plan', ({ id, phase }) => order.push(`${phase} ${id === first.id ? 1 : 2}`))
    const first = migrator.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    const second = migrator.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    await world.until(Promise.all([first.done, second.done]))
    expect(order).toEqual(['begun 1', 'ended 1', 'begun 2', 'ended 2'])
    expect(await world.assigned(segment)).toBe('c')
  })

  it('waits for the plan that another process carries out', async () => {
    const world = await World.open({ latencyMs: 2 })
    const segment = world.bucketOn('a')
    const [one, two] = [world.migrator(), world.migrator()]
    const first = one.run({ moves: [{ segment, to: 'b' }], ...PLAN })
    const second = two.run({ moves: [{ segment, to: 'c' }], ...PLAN })
    const reports = await world.until(Promise.all([first.done, second.done]))
    expect(reports.map((it) => it.outcome)).toEqual(['done', 'done'])
    expect((await world.topologyNow()).history).toHaveLength(2)
    await world.expectTruth()
  })

  it('is refused as a whole where a target is drained', async () => {
    const world = await World.open()
    const { shards } = await world.topologyNow()
    await world.topology.commit({
      shards: shards.map((it) => (it.id === 'b' ? { ...it, state: 'draining' } : it)),
    })
    const moves = [
      { segment: world.bucketOn('a'), to: 'c' },
      { segment: world.bucketOn('c'), to: 'b' },
    ]
    const report = await run(world, { moves })
    expect(report).toMatchObject({ outcome: 'failed', moved: [] })
    expect(report.failed.map((it) => it.code)).toEqual(['UNKNOWN_SHARD', 'UNKNOWN_SHARD'])
    await world.expectTruth()
  })

  it('names what is malformed before anything is changed', async () => {
    const world = await World.open()
    const migrator = world.migrator()
    const segment = world.bucketOn('a')
    const x = tagSegment('x')
    const refusals: [Partial<PlanRequest>, string][] = [
      [{ moves: [{ segment, to: 'nowhere' }] }, 'request.moves[0].to'],
      [
        {
          moves: [
            { segment, to: 'b' },
            { segment, to: 'c' },
          ],
        },
        'request.moves[1]',
      ],
      [{ moves: [{ segment: '#999' as SegmentId, to: 'b' }] }, 'segment'],
      [{ merges: [segment] }, 'request.merges[0]'],
      [{ merges: [x], moves: [{ segment: x, to: 'b' }] }, 'request.merges[0]'],
      [{ confidence: Number.NaN }, 'request.confidence'],
      [{ retainMs: -1 }, 'request.retainMs'],
      [{ maxKeysPerSecond: 0 }, 'request.maxKeysPerSecond'],
      [{ concurrency: 0.5 }, 'request.concurrency'],
    ]
    for (const [request, field] of refusals)
      expect(() => migrator.run({ moves: [], ...PLAN, ...request })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', field }),
      )
    expect((await world.topologyNow()).revision).toBe(1)
  })
})

describe('handoffs', () => {
  /** Which segments are under way at the same time. */
  async function overlaps(world: World, moves: PlanRequest['moves'], concurrency: number) {
    const underWay = new Set<SegmentId>()
    const together: SegmentId[][] = []
    const migrator = world.migrator({
      failpoint: (step, segment) => {
        const [name, when] = step.split(':') as [Step, string]
        if (name === 'export' && when === 'before') {
          underWay.add(segment)
          together.push([...underWay])
        }
        if (name === 'publish' && when === 'after') underWay.delete(segment)
      },
    })
    await run(world, { moves, concurrency }, migrator)
    await world.expectTruth()
    return together
  }

  it('of one bucket never overlap', async () => {
    const { world, home, x, y } = await withTags({ latencyMs: 3 })
    await run(world, { moves: [x, y].map((segment) => ({ segment, to: 'a' })) })
    const moves = [home, x, y].map((segment) => ({ segment, to: 'b' }))
    expect(await overlaps(world, moves, 4)).toEqual([[x], [y], [home]])
  })

  it('of several buckets go on side by side, so many as are allowed', async () => {
    const world = await World.open({ latencyMs: 3, buckets: 24 })
    const moves = Array.from({ length: 12 }, (_, i) => ({ segment: bucketSegment(i), to: 'b' }))
    await world.until(world.fill(moves.flatMap(({ segment }) => world.keysOf(segment, 3))))
    const together = await overlaps(world, moves, 3)
    expect(Math.max(...together.map((it) => it.length))).toBe(3)
  })
})
