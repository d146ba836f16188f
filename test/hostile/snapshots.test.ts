import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../src/clock'
import { murmur3 } from '../../src/placement/hash'
import { Predictor } from '../../src/predictor/predictor'
import { daily, generatedLog, HOUR } from '../predictor/generated-log'
import { KEYS } from './corpus'
import { expectRefused, refusalOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

type Tree = Record<string, unknown>

const HOURS = 30
const clock = () => new ManualClock(HOURS * HOUR)
let snapshot: { version: number; checksum: number; state: Tree }
let text: string
beforeAll(async () => {
  const predictor = new Predictor({ shards: ['a', 'b', 'c'], buckets: 16, hotTags: 8, clock: clock() })
  const log = generatedLog({
    keys: 40,
    hours: HOURS,
    start: 0,
    seed: 3,
    rate: (key, hour) => 5 * daily(hour, key % 24),
  })
  await predictor.ingest(log.map((entry, k) => ({ ...entry, bytes: 9, transactionId: `t${k >> 1}` })))
  for (const key of KEYS.served) predictor.record({ timestamp: (HOURS - 1) * HOUR, key, operation: 'read' })
  await predictor.predict({ now: HOURS * HOUR })
  text = JSON.stringify(predictor.snapshot())
  snapshot = JSON.parse(text)
})

const restore = (given: unknown) => Predictor.restore(given as never, { clock: clock() })
const forged = (state: unknown) => ({ ...snapshot, checksum: murmur3(JSON.stringify(state)), state })

/** The paths of all leaves. */
function leavesOf(tree: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof tree !== 'object' || tree === null) return [path]
  return Object.keys(tree).flatMap((name) => leavesOf((tree as Tree)[name], [...path, name]))
}

function withLeaf(path: readonly (string | number)[], value: unknown): unknown {
  const state = structuredClone(snapshot.state)
  let at: Tree = state
  for (const name of path.slice(0, -1)) at = at[name] as Tree
  at[path[path.length - 1]!] = value
  return state
}

describe('a snapshot', () => {
  it('is refused wherever it is cut, and whichever byte was changed', async () => {
    expect(restore(JSON.parse(text)).metrics.accepted).toBeGreaterThan(1000)
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }), async (at, code) => {
        const changed = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1)
        for (const other of [text.slice(0, at), changed]) {
          let parsed: unknown
          try {
            parsed = JSON.parse(other)
          } catch {
            continue
          }
          if (JSON.stringify(parsed) === text) continue
          await expectRefused(() => restore(parsed), 'SNAPSHOT_CORRUPT')
        }
      }),
      { numRuns: 100 },
    )
  })

  it('is refused of a newer version, and where it is no snapshot at all', async () => {
    const cyclic: Tree = {}
    cyclic.state = cyclic
    for (const given of [
      null,
      undefined,
      7,
      'text',
      [],
      {},
      cyclic,
      { ...snapshot, version: snapshot.version + 1 },
    ])
      await expectRefused(() => restore(given), 'SNAPSHOT_CORRUPT')
    await expectRefused(() => restore({ ...snapshot, state: cyclic }), 'SNAPSHOT_CORRUPT')
    await expectRefused(() => restore({ ...snapshot, state: { n: 1n } }), 'SNAPSHOT_CORRUPT')
    await expectRefused(
      () =>
        restore(forged({ ...snapshot.state, options: { ...(snapshot.state.options as Tree), newer: 1 } })),
      'SNAPSHOT_CORRUPT',
    )
  })

  it('that says a billion of something is refused before room is made for it', async () => {
    const before = process.memoryUsage()
    const paths = leavesOf(snapshot.state)
    let refused = 0
    for (const path of paths.filter((it) => /^[a-zA-Z]:\d/.test(String(leafAt(it))))) {
      const kind = String(leafAt(path))[0]!.toUpperCase()
      await expectRefused(() => restore(forged(withLeaf(path, `${kind}:268435456::`))), 'SNAPSHOT_CORRUPT')
      refused++
    }
    for (const path of [
      ['options', 'buckets'],
      ['options', 'history'],
      ['options', 'hotTags'],
      ['series', 'slots'],
    ])
      await expectRefused(() => restore(forged(withLeaf(path, 1e9))), 'SNAPSHOT_CORRUPT')
    expect(refused).toBeGreaterThan(10)
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    expect(arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed).toBeLessThan(256 * 1024 * 1024)
  })

  it('that was forged with a right checksum is refused, or predicts with finite numbers', async () => {
    // One of each kind of leaf: most are the hundreds of hashes of a sample.
    const kinds = new Map(
      leavesOf(snapshot.state).map((path) => [
        path.map((it) => (/^\d+$/.test(`${it}`) ? '#' : it)).join('.'),
        path,
      ]),
    )
    const paths = [...kinds.values()]
    const value = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        true,
        '',
        'x',
        '__proto__',
        -1,
        -0.5,
        0,
        0.5,
        7,
        1e9,
        1e300,
        2 ** 53,
        [],
        {},
        [[]],
      ),
      fc.double(),
      fc.string(),
    )
    let [served, refused] = [0, 0]
    await fc.assert(
      fc.asyncProperty(fc.nat(paths.length - 1), value, async (k, leaf) => {
        const state = JSON.parse(JSON.stringify(withLeaf(paths[k]!, leaf)))
        let restored: Predictor | undefined
        const refusal = await refusalOf(() => {
          restored = restore(forged(state))
        })
        if (refusal) {
          refused++
          expect(refusal.code).toBe('SNAPSHOT_CORRUPT')
          return
        }
        served++
        restored!.record({ timestamp: HOURS * HOUR, key: 'k', operation: 'read' })
        const prediction = await restored!.predict({ now: HOURS * HOUR })
        for (const number of [prediction.confidence, ...prediction.confidenceScores.values()])
          expect(number >= 0 && number <= 1, `${paths[k]} = ${leaf}`).toBe(true)
        expect(Number.isFinite(prediction.expected.netGain), `${paths[k]} = ${leaf}`).toBe(true)
        expect(
          restore(JSON.parse(JSON.stringify(restored!.snapshot()))).metrics.accepted,
        ).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 60 },
    )
    expect(Math.min(served, refused)).toBeGreaterThan(3)
  })
})

function leafAt(path: readonly (string | number)[]): unknown {
  let at: unknown = snapshot.state
  for (const name of path) at = (at as Tree)[name]
  return at
}
