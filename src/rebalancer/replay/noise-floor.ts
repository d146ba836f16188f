import { gammaln } from 'simple-statistics'

/**
 * Expected max/mean of `shards` independent Poisson counts of one mean: the imbalance that is left when every rate is
 * known and every shard is given exactly its share, because accesses come by chance. From the definition,
 * E[max] = Σ_{k≥0} 1 − F(k)^n; from MANY accesses a shard on by the normal approximation.
 */
export function noiseFloor(accesses: number, shards: number): number {
  const mean = accesses / shards
  if (!(mean > 0) || shards < 2) return 1
  if (mean > MANY) return 1 + normalMaximum(shards) / Math.sqrt(mean)
  const from = Math.max(0, Math.floor(mean - 10 * Math.sqrt(mean) - 10))
  const to = Math.ceil(mean + 10 * Math.sqrt(mean) + 20)
  let probability = Math.exp(from * Math.log(mean) - mean - (from < 2 ? 0 : gammaln(from + 1)))
  let below = probability
  let expected = from
  for (let k = from; k <= to; k++) {
    expected += 1 - Math.min(1, below) ** shards
    probability *= mean / (k + 1)
    below += probability
  }
  return expected / mean
}

const MANY = 10_000
const maxima = new Map<number, number>()

/** E[max] of n standard normal variables: ∫ z n φ(z) Φ(z)^(n−1) dz, by the trapezoid rule; Φ summed up on the way. */
function normalMaximum(n: number): number {
  const known = maxima.get(n)
  if (known !== undefined) return known
  const step = 0.01
  let below = 0
  let expected = 0
  for (let z = -8; z <= 8; z += step) {
    const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI)
    expected += z * n * density * (below + (density * step) / 2) ** (n - 1) * step
    below += density * step
  }
  maxima.set(n, expected)
  return expected
}
