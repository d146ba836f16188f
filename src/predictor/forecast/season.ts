import { RealTransform } from './real-transform'

const transforms = new Map<number, RealTransform>()

/** Autocorrelation of z at the lags 0 … maxLag, each divided by its number of pairs, after a straight line is taken out. */
export function autocorrelation(z: Float64Array, maxLag: number): Float64Array {
  const n = z.length
  let sum = 0
  let tilt = 0
  const middle = (n - 1) / 2
  for (let t = 0; t < n; t++) {
    sum += z[t]!
    tilt += z[t]! * (t - middle)
  }
  const mean = sum / n
  const slope = n > 1 ? (tilt * 12) / (n * (n * n - 1)) : 0
  // Zeros behind the series keep its end from meeting its beginning at any lag that is asked for.
  let size = 4
  while (size < n + maxLag + 1) size <<= 1
  let transform = transforms.get(size)
  if (!transform) {
    transform = new RealTransform(size)
    transforms.set(size, transform)
  }
  const { values, re, im } = transform
  values.fill(0, n)
  for (let t = 0; t < n; t++) values[t] = z[t]! - mean - slope * (t - middle)
  transform.run()
  // The power spectrum is real and even, so its transform is the autocovariance, real and even as well.
  const half = size / 2
  for (let k = 0; k <= half; k++) {
    const power = re[k]! * re[k]! + im[k]! * im[k]!
    values[k] = power
    if (k > 0 && k < half) values[size - k] = power
  }
  transform.run()
  const out = new Float64Array(maxLag + 1)
  const variance = re[0]! / n
  if (!(variance > 1e-12 * size * (1 + mean * mean))) return out
  for (let lag = 0; lag <= maxLag; lag++) out[lag] = re[lag]! / (n - lag) / variance
  return out
}

export interface Seasons {
  /** Ascending, at most two. */
  periods: number[]
  /** Autocorrelation at each. */
  strengths: number[]
}

/**
 * The seasons that the data shows. The first is the shortest pronounced peak of the autocorrelation that comes near the
 * highest one, corrected by up to a twelfth to the period whose multiples fit best: a peak read off at one lag can
 * be one or two intervals off, its multiples cannot. The second is the multiple of the first, up to a fortnight of
 * it, that explains clearly more; of two that are equally good the week (seven of the first), else the shorter, since 336 repeats 168.
 */
export function findSeasons(z: Float64Array): Seasons {
  const n = z.length
  const maxLag = Math.floor(n / 2)
  const none = { periods: [], strengths: [] }
  if (maxLag < 4) return none
  const acf = autocorrelation(z, maxLag)
  // Three cycles at least, and the highest of n/3 noisy lags must not pass for a season.
  const longest = Math.floor(n / 3)
  const noise = (lag: number) => Math.min(0.9, 3.5 / Math.sqrt(n - lag))
  let lowest = 1
  let highest = 0
  const peaks: { lag: number; height: number }[] = []
  for (let lag = 1; lag <= longest && lag < maxLag; lag++) {
    const here = acf[lag]!
    if (lag > 1 && here >= acf[lag - 1]! && here >= acf[lag + 1]!) {
      if (here > noise(lag) && here - lowest > noise(lag) + 0.05) {
        peaks.push({ lag, height: here })
        if (here > highest) highest = here
      }
    }
    if (here < lowest) lowest = here
  }
  const first = peaks.find((p) => p.height >= 0.75 * highest)
  if (!first) return none
  let m = first.lag
  let fit = Number.NEGATIVE_INFINITY
  const slack = Math.floor(first.lag / 12)
  for (let lag = first.lag - slack; lag <= first.lag + slack; lag++) {
    const multiples = Math.min(7, Math.floor(maxLag / (first.lag + slack)))
    let sum = 0
    for (let k = 1; k <= multiples; k++) sum += acf[k * lag]!
    if (sum > fit) {
      fit = sum
      m = lag
    }
  }
  if (acf[m]! < noise(m) || (2 * m <= maxLag && acf[2 * m]! < noise(m) / 2)) return none
  let best = 0
  for (let k = 2; k <= 14 && k * m <= maxLag; k++) best = Math.max(best, acf[k * m]! - acf[m]!)
  let second = 0
  for (const k of [7, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]) {
    if (best > 0 && k * m <= maxLag && acf[k * m]! - acf[m]! >= 0.5 * best) {
      second = k * m
      break
    }
  }
  return second
    ? { periods: [m, second], strengths: [acf[m]!, acf[second]!] }
    : { periods: [m], strengths: [acf[m]!] }
}
