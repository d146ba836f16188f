import { describe, expect, test } from 'vitest'
import { ManualClock, seededRandom } from '../../src/clock'
import { cluster } from '../../src/predictor/clusters'
import { Pace } from '../../src/predictor/pace'

const pace = () => new Pace(new ManualClock())

/** Points around centres, the same number around each, in turn. */
function around(centres: number[][], each: number, seed = 3): number[][] {
  const random = seededRandom(seed)
  return Array.from({ length: each * centres.length }, (_, k) =>
    centres[k % centres.length]!.map((x) => x + 0.2 * (random() - 0.5)),
  )
}

const CENTRES = [
  [0, 0],
  [10, 0],
  [0, 10],
]

describe('clusters', () => {
  test('are found, and so is their number', async () => {
    const { labels, silhouette } = await cluster(around(CENTRES, 30), [], 1, pace())
    expect(new Set(labels).size).toBe(3)
    expect(silhouette).toBeGreaterThan(0.8)
    for (let k = 0; k < 90; k++) expect(labels[k]).toBe(labels[k % 3])
  })

  test('keep their labels when they are found again on newer points', async () => {
    const first = await cluster(around(CENTRES, 30), [], 1, pace())
    const shifted = CENTRES.map(([x, y]) => [x! + 1, y! - 1])
    const again = await cluster(around([...shifted].reverse(), 30, 8), first.centroids, 2, pace())
    expect([0, 1, 2].map((k) => again.labels[k])).toEqual([2, 1, 0].map((k) => first.labels[k]))
  })

  test('give a new group a new label, and the old ones theirs', async () => {
    const first = await cluster(around(CENTRES, 30), [], 1, pace())
    const again = await cluster(around([...CENTRES, [30, 30]], 30), first.centroids, 1, pace())
    expect([0, 1, 2].map((k) => again.labels[k])).toEqual([0, 1, 2].map((k) => first.labels[k]))
    expect([...first.labels]).not.toContain(again.labels[3])
  })

  test('are one where all points are alike', async () => {
    const { labels } = await cluster(
      Array.from({ length: 50 }, () => [3, 4]),
      [],
      1,
      pace(),
    )
    expect(new Set(labels)).toEqual(new Set([0]))
  })

  test('are one where nothing sets them apart', async () => {
    const random = seededRandom(4)
    const rows = Array.from({ length: 100 }, () => Array.from({ length: 9 }, () => random()))
    expect(new Set((await cluster(rows, [], 1, pace())).labels).size).toBe(1)
  })

  test.each([0, 1, 2, 3])('can be asked for with %d points', async (points) => {
    const { labels } = await cluster(around(CENTRES, 1).slice(0, points), [], 1, pace())
    expect(labels).toHaveLength(points)
  })

  test('are not spoilt by points that are no numbers', async () => {
    const rows = [...around(CENTRES, 30), [Number.NaN, 0], [Number.POSITIVE_INFINITY, Number.NaN]]
    const { labels, centroids } = await cluster(rows, [], 1, pace())
    expect(new Set(labels.slice(0, 90)).size).toBe(3)
    expect(centroids.flatMap((centroid) => centroid ?? []).every(Number.isFinite)).toBe(true)
  })

  test('are the same for the same seed', async () => {
    const rows = around(CENTRES, 50)
    const [a, b] = [await cluster(rows, [], 6, pace()), await cluster(rows, [], 6, pace())]
    expect(a).toEqual(b)
  })
})
