import { RealTransform } from './real-transform'

const transforms = new Map<number, RealTransform>()

function transformOf(size: number): RealTransform {
  let transform = transforms.get(size)
  if (!transform) {
    transform = new RealTransform(size)
    transforms.set(size, transform)
  }
  return transform
}

/**
 * Σ x(t)·x(t−lag) at the lags 0 … maxLag, for an x that was put into `transform.values` with zeros behind it, enough to
 * keep its end from meeting its beginning. Left in `transform.re`. (Wiener and Khinchin.)
 */
function correlate(transform: RealTransform): void {
  const { values, re, im } = transform
  const half = values.length / 2
  transform.run()
  // The power spectrum is real and even, so its transform is the autocovariance, real and even as well.
  for (let k = 0; k <= half; k++) {
    const power = (re[k]! * re[k]! + im[k]! * im[k]!) / values.length
    values[k] = power
    if (k > 0 && k < half) values[values.length - k] = power
  }
  transform.run()
}

/**
 * Autocorrelation of z at the lags 0 … maxLag, each divided by its number of pairs, after a straight line is taken out.
 * `known`, if given, marks with 0 what is no observation and takes part in no pair.
 */
export function autocorrelation(z: Float64Array, maxLag: number, known?: Uint8Array): Float64Array {
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
  let size = 4
  while (size < n + maxLag + 1) size <<= 1
  const transform = transformOf(size)
  const { values, re } = transform
  const out = new Float64Array(maxLag + 1)
  let pairs: Float64Array | undefined
  if (known) {
    values.fill(0, n)
    for (let t = 0; t < n; t++) values[t] = known[t]!
    correlate(transform)
    pairs = re.slice(0, maxLag + 1)
  }
  values.fill(0, n)
  for (let t = 0; t < n; t++) values[t] = known && !known[t] ? 0 : z[t]! - mean - slope * (t - middle)
  correlate(transform)
  const variance = re[0]! / (pairs ? pairs[0]! : n)
  if (!(variance > 1e-12 * (1 + mean * mean))) return out
  for (let lag = 0; lag <= maxLag; lag++) {
    const count = pairs ? pairs[lag]! : n - lag
    out[lag] = count > 0.5 ? re[lag]! / count / variance : 0
  }
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
export function findSeasons(z: Float64Array, known?: Uint8Array): Seasons {
  const n = z.length
  const maxLag = Math.floor(n / 2)
  const none = { periods: [], strengths: [] }
  if (maxLag < 4) return none
  const acf = autocorrelation(z, maxLag, known)
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
  const longer = longerSeason(acf, m, n)
  if (longer) return { periods: [m, longer], strengths: [acf[m]!, acf[longer]!] }
  // A week whose days differ much hides the day: its peak is the higher one by far.
  for (const { lag } of peaks) {
    const cycles = Math.round(m / lag)
    if (cycles < 5) break
    if (Math.abs(m - cycles * lag) <= 1 && acf[lag]! >= 0.35 * highest) {
      const day = Math.round(m / cycles)
      if (day * cycles === m) return { periods: [day, m], strengths: [acf[day]!, acf[m]!] }
    }
  }
  return { periods: [m], strengths: [acf[m]!] }
}

/** How much higher the autocorrelation at a multiple must be to count; a week needs no more than to be higher. */
const CLEARLY = 0.05

/** The multiple of m that explains clearly more than m, 0 if none: seven if that does, else the shortest that comes near the best. */
function longerSeason(acf: Float64Array, m: number, n: number): number {
  const gain = (k: number) => {
    const allowed = k * m <= (k === 7 ? n / 2 : n / 3) && k * m < acf.length
    const more = allowed ? acf[k * m]! - acf[m]! : 0
    return k === 7 || more > CLEARLY ? more : 0
  }
  const multiples = [7, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]
  const best = Math.max(0, ...multiples.map(gain))
  const longer = multiples.find((k) => best > 0 && gain(k) >= 0.5 * best)
  return longer ? longer * m : 0
}
