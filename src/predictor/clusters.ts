import { kmeansGenerator } from 'ml-kmeans'
import type { Pace } from './pace'

/** Points that the clusters are found on, and those that their number is judged on. */
const FIT_POINTS = 1_000
/** Rows that the columns are standardised by. */
const SCALE_POINTS = 4_096
const SILHOUETTE_POINTS = 240
const MOST_CLUSTERS = 8
const ITERATIONS = 40
/** One cluster unless the silhouette of several says at least this. */
const LEAST_SILHOUETTE = 0.15

export interface Clusters {
  /** Row -> label. Labels of a refit continue those of the fit before. */
  readonly labels: Int32Array
  /** label -> centroid in the features' own units; undefined for a label that has died out. */
  readonly centroids: readonly (readonly number[] | undefined)[]
  readonly silhouette: number
  /** Standard deviation of each column of the features. */
  readonly spread: readonly number[]
}

/**
 * Groups rows of features: k-means++ (ml-kmeans) on standardised columns, their number by silhouette (Rousseeuw 1987). A label keeps
 * its meaning: each new centroid takes over the label of the nearest old one. Rows that are not finite are left out and get
 * the label of the nearest centroid that their finite columns allow. Deterministic for a seed.
 */
export async function cluster(
  rows: readonly ArrayLike<number>[],
  before: readonly (readonly number[] | undefined)[],
  seed: number,
  pace: Pace,
): Promise<Clusters> {
  const labels = new Int32Array(rows.length)
  const usable: ArrayLike<number>[] = []
  for (let k = 0; k < rows.length; k++) {
    if (Array.prototype.every.call(rows[k]!, Number.isFinite)) usable.push(rows[k]!)
    if (k % 512 === 0) await pace.rest()
  }
  if (usable.length === 0) return { labels, centroids: before, silhouette: 0, spread: [] }
  const scale = Standard.of(everyFew(usable, SCALE_POINTS))
  await pace.rest()
  const points = everyFew(usable, FIT_POINTS).map((row) => scale.to(row))
  const distinct = new Set(points.map((point) => point.join())).size
  let best = { centers: [mean(points)], silhouette: 0 }
  for (let k = 2; k <= Math.min(MOST_CLUSTERS, distinct - 1); k++) {
    let centers: number[][] = []
    let clusters: number[] = []
    let round = 0
    for (const state of kmeansGenerator(points, k, { seed, maxIterations: ITERATIONS, tolerance: 1e-4 })) {
      centers = state.centroids
      clusters = state.clusters
      await pace.rest()
      if (++round >= ITERATIONS) break
    }
    // An empty cluster has no centroid to speak of.
    const used = new Set(clusters)
    centers = centers.filter((center, c) => used.has(c) && center.every(Number.isFinite))
    if (centers.length < 2) continue
    const score = silhouette(points, centers)
    await pace.rest()
    if (score > Math.max(LEAST_SILHOUETTE, best.silhouette + 0.01)) best = { centers, silhouette: score }
  }
  const centers = best.centers.map((center) => scale.from(center))
  const names = carryOver(
    best.centers,
    before.map((old) => old && scale.to(old)),
  )
  const centroids: (readonly number[] | undefined)[] = before.map(() => undefined)
  centers.forEach((center, c) => {
    centroids[names[c]!] = center
  })
  for (let k = 0; k < rows.length; k++) {
    labels[k] = names[nearest(scale.to(rows[k]!), best.centers)]!
    if (k % 512 === 0) await pace.rest()
  }
  return { labels, centroids, silhouette: best.silhouette, spread: scale.deviation }
}

/** At most `most` of the rows, evenly spread. */
function everyFew<T>(rows: readonly T[], most: number): T[] {
  const step = Math.max(1, rows.length / most)
  const some: T[] = []
  for (let k = 0; k < rows.length; k += step) some.push(rows[Math.floor(k)]!)
  return some
}

/** The label of a row by centroids that were found earlier. */
export function labelOf(
  row: ArrayLike<number>,
  centroids: readonly (readonly number[] | undefined)[],
  spread: readonly number[],
): number {
  let best = -1
  let least = Number.POSITIVE_INFINITY
  centroids.forEach((centroid, label) => {
    if (!centroid) return
    let distance = 0
    for (let j = 0; j < centroid.length; j++) {
      const d = Number.isFinite(row[j]) ? (row[j]! - centroid[j]!) / (spread[j] || 1) : 0
      distance += d * d
    }
    if (distance < least) {
      least = distance
      best = label
    }
  })
  return best
}

/** Mean and standard deviation of each column; a constant column counts for nothing. */
export class Standard {
  readonly #mean: number[]
  readonly deviation: number[]

  private constructor(mean: number[], deviation: number[]) {
    this.#mean = mean
    this.deviation = deviation
  }

  static of(rows: readonly ArrayLike<number>[]): Standard {
    const width = rows[0]?.length ?? 0
    const mean = new Array<number>(width).fill(0)
    const deviation = new Array<number>(width).fill(0)
    for (const row of rows) for (let j = 0; j < width; j++) mean[j]! += row[j]! / rows.length
    for (const row of rows)
      for (let j = 0; j < width; j++) deviation[j]! += (row[j]! - mean[j]!) ** 2 / rows.length
    return new Standard(
      mean,
      deviation.map((square) => (square > 1e-18 ? Math.sqrt(square) : 0)),
    )
  }

  to(row: ArrayLike<number>): number[] {
    return this.#mean.map((mean, j) => {
      const deviation = this.deviation[j]!
      return deviation > 0 && Number.isFinite(row[j]) ? (row[j]! - mean) / deviation : 0
    })
  }

  from(point: readonly number[]): number[] {
    return this.#mean.map((mean, j) => mean + point[j]! * this.deviation[j]!)
  }
}

function mean(points: readonly number[][]): number[] {
  return points[0]!.map((_, j) => points.reduce((sum, point) => sum + point[j]!, 0) / points.length)
}

function nearest(point: readonly number[], centers: readonly (readonly number[])[]): number {
  let best = 0
  let least = Number.POSITIVE_INFINITY
  centers.forEach((center, c) => {
    const distance = squared(point, center)
    if (distance < least) {
      least = distance
      best = c
    }
  })
  return best
}

/** Mean silhouette of a sample; distances to all other points of the sample. */
function silhouette(points: readonly number[][], centers: readonly number[][]): number {
  const step = Math.max(1, points.length / SILHOUETTE_POINTS)
  const sample: { point: number[]; cluster: number }[] = []
  for (let k = 0; k < points.length; k += step) {
    const point = points[Math.floor(k)]!
    sample.push({ point, cluster: nearest(point, centers) })
  }
  let total = 0
  const sums = new Float64Array(centers.length)
  const counts = new Float64Array(centers.length)
  for (const { point, cluster } of sample) {
    sums.fill(0)
    counts.fill(0)
    for (const other of sample) {
      if (other.point === point) continue
      sums[other.cluster]! += Math.sqrt(squared(point, other.point))
      counts[other.cluster]!++
    }
    if (counts[cluster] === 0) continue
    const own = sums[cluster]! / counts[cluster]!
    let next = Number.POSITIVE_INFINITY
    for (let c = 0; c < centers.length; c++)
      if (c !== cluster && counts[c]! > 0) next = Math.min(next, sums[c]! / counts[c]!)
    if (!Number.isFinite(next)) continue
    total += Math.max(own, next) > 0 ? (next - own) / Math.max(own, next) : 0
  }
  return total / sample.length
}

/** New centroid -> label: pairs of new and old by distance, nearest first; what is left over gets a label that is free. */
function carryOver(
  centers: readonly (readonly number[])[],
  before: readonly (readonly number[] | undefined)[],
): number[] {
  const pairs: { center: number; label: number; distance: number }[] = []
  centers.forEach((center, c) => {
    before.forEach((old, label) => {
      if (old) pairs.push({ center: c, label, distance: squared(center, old) })
    })
  })
  pairs.sort((a, b) => a.distance - b.distance)
  const names = new Array<number>(centers.length).fill(-1)
  const taken = new Set<number>()
  for (const { center, label } of pairs) {
    if (names[center]! >= 0 || taken.has(label)) continue
    names[center] = label
    taken.add(label)
  }
  let free = 0
  return names.map((name) => {
    if (name >= 0) return name
    while (taken.has(free)) free++
    taken.add(free)
    return free
  })
}

function squared(a: readonly number[], b: readonly number[]): number {
  let sum = 0
  for (let j = 0; j < a.length; j++) sum += (a[j]! - b[j]!) ** 2
  return sum
}
