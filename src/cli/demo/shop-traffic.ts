import { seededRandom } from '../../clock'
import type { DemoTransaction } from './demo'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** A Monday. */
const START = Date.UTC(2024, 0, 1)
const DAYS = 70
const BRANCHES = 24
const CUSTOMERS = 10
const ITEMS = 6
/** Orders at a branch that is not one's own. */
const STRANGERS = 0.05

/**
 * Orders of a chain of branches over ten weeks, the same for the same seed: each touches a customer, and two items of one branch. Branches
 * have their own hours, busy days and sizes, and every customer has one of them. Nothing in the names tells who belongs together.
 */
export function* shopTraffic(orders: number, seed: number): Generator<DemoTransaction> {
  const random = seededRandom(seed)
  const branches = Array.from({ length: BRANCHES }, (_, branch) => ({
    size: 1 / (1 + branch) ** 0.8,
    peak: Math.floor(24 * random()),
    weekend: 0.3 + 1.4 * random(),
  }))
  // Names are shuffled, so that neighbours in name are none in use.
  const customer = shuffled(BRANCHES * CUSTOMERS, random)
  const item = shuffled(BRANCHES * ITEMS, random)
  for (let day = 0; day < DAYS; day++) {
    const start = START + day * DAY
    const busy = branches.map(({ size, weekend }) => size * (day % 7 >= 5 ? weekend : 1))
    const total = busy.reduce((sum, load) => sum + load, 0)
    const today: DemoTransaction[] = []
    const many = Math.floor(((day + 1) * orders) / DAYS) - Math.floor((day * orders) / DAYS)
    for (let k = 0; k < many; k++) {
      const at = drawn(busy, total, random)
      const home = random() < STRANGERS ? Math.floor(BRANCHES * random()) : at
      const first = Math.floor(ITEMS * random() ** 2)
      const second = (first + 1 + Math.floor((ITEMS - 1) * random())) % ITEMS
      today.push({
        at: start + hourOf(branches[at]!.peak, random) * HOUR + Math.floor(HOUR * random()),
        keys: [
          `customer:${customer[home * CUSTOMERS + Math.floor(CUSTOMERS * random() ** 2)]}`,
          `item:${item[at * ITEMS + first]}`,
          `item:${item[at * ITEMS + second]}`,
        ],
      })
    }
    yield* today.sort((a, b) => a.at - b.at)
  }
}

function drawn(weights: readonly number[], total: number, random: () => number): number {
  let left = total * random()
  for (let k = 0; k < weights.length; k++) {
    left -= weights[k]!
    if (left < 0) return k
  }
  return weights.length - 1
}

/** Around the peak: the sum of three draws is bell-shaped. */
function hourOf(peak: number, random: () => number): number {
  return (peak + Math.floor(4 * (random() + random() + random())) + 18) % 24
}

function shuffled(length: number, random: () => number): number[] {
  const numbers = Array.from({ length }, (_, i) => i + 1)
  for (let i = length - 1; i > 0; i--) {
    const k = Math.floor((i + 1) * random())
    ;[numbers[i], numbers[k]] = [numbers[k]!, numbers[i]!]
  }
  return numbers
}
