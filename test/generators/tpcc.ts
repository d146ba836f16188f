import { type Random, seededRandom } from '../../src/clock'
import type { SchemaInfo } from '../../src/placement/tag'
import type { AccessLogEntry } from '../../src/tracking/access-log'

export interface TpccShape {
  /** Default 16. */
  warehouses?: number
  /** Default 40,000. */
  transactions?: number
  seed?: number
  /** Default 6000: forty thousand transactions are 66 hours. */
  everyMs?: number
  start?: number
}

const DISTRICTS = 10
const CUSTOMERS = 3_000
const STOCK = 100_000
/** Orders that were there before the log begins, a district. */
const FIRST_ORDER = 3_001
/** Of the specification's twenty, so that one transaction in 25 does not make up half of the log. */
const STOCK_LEVEL_ORDERS = 4

/** What keys of TPC-C say of themselves; with it, everything of a warehouse lives together. */
export const TPCC_SCHEMA: SchemaInfo = {
  entities: [
    { name: 'warehouse', key: 'warehouse:{w}' },
    { name: 'district', key: 'district:{w}:{d}', tag: 'w' },
    { name: 'customer', key: 'customer:{w}:{d}:{c}', tag: 'w' },
    { name: 'stock', key: 'stock:{w}:{i}', tag: 'w' },
    { name: 'order', key: 'order:{w}:{d}:{o}', tag: 'w' },
    { name: 'neworder', key: 'neworder:{w}:{d}:{o}', tag: 'w' },
    { name: 'orderline', key: 'orderline:{w}:{d}:{o}:{n}', tag: 'w' },
    { name: 'history', key: 'history:{w}:{d}:{h}', tag: 'w' },
  ],
}

interface Order {
  readonly id: number
  readonly customer: number
  /** `warehouse:item` of each line. */
  readonly stock: readonly string[]
}

type Touch = (operation: 'read' | 'write', key: string) => void

/**
 * A log shaped like TPC-C (revision 5.11): its mix of transactions, its skew of customers and items, its shares of remote stock and
 * remote customers. Items are left out: they never change, and every deployment of TPC-C keeps them everywhere. A delivery
 * takes one district, as the specification allows.
 */
export function* tpcc({
  warehouses = 16,
  transactions = 40_000,
  seed = 1,
  everyMs = 6_000,
  start = 0,
}: TpccShape = {}): Generator<AccessLogEntry> {
  const random = seededRandom(seed)
  const upTo = (n: number) => 1 + Math.floor(random() * n)
  const open = new Map<string, Order[]>()
  const last = new Map<string, Order>()
  const recent = new Map<string, Order[]>()
  const counts = new Map<string, number>()
  let payments = 0
  /** Another warehouse than w. */
  const remote = (w: number) => 1 + ((w + Math.floor(random() * (warehouses - 1))) % warehouses)

  for (let n = 0; n < transactions; n++) {
    const entries: AccessLogEntry[] = []
    const timestamp = start + n * everyMs
    const touch: Touch = (operation, key) =>
      entries.push({ timestamp, key, operation, transactionId: `t${n}` })
    const w = upTo(warehouses)
    const d = upTo(DISTRICTS)
    const district = `${w}:${d}`
    const kind = random()
    if (kind < 0.45) {
      const c = nurand(random, 1023, CUSTOMERS)
      const id = (counts.get(district) ?? FIRST_ORDER - 1) + 1
      counts.set(district, id)
      touch('read', `warehouse:${w}`)
      touch('write', `district:${district}`)
      touch('read', `customer:${district}:${c}`)
      touch('write', `order:${district}:${id}`)
      touch('write', `neworder:${district}:${id}`)
      const stock: string[] = []
      for (let line = 1, lines = 4 + upTo(11); line <= lines; line++) {
        const supplier = warehouses > 1 && random() < 0.01 ? remote(w) : w
        stock.push(`${supplier}:${nurand(random, 8191, STOCK)}`)
        touch('write', `stock:${stock[line - 1]}`)
        touch('write', `orderline:${district}:${id}:${line}`)
      }
      const order = { id, customer: c, stock }
      last.set(`${district}:${c}`, order)
      open.set(district, [...(open.get(district) ?? []), order].slice(-50))
      recent.set(district, [...(recent.get(district) ?? []), order].slice(-STOCK_LEVEL_ORDERS))
    } else if (kind < 0.88) {
      const home = warehouses === 1 || random() >= 0.15 ? w : remote(w)
      const customer = `${home}:${home === w ? d : upTo(DISTRICTS)}:${nurand(random, 1023, CUSTOMERS)}`
      touch('write', `warehouse:${w}`)
      touch('write', `district:${district}`)
      touch('write', `customer:${customer}`)
      touch('write', `history:${district}:${++payments}`)
    } else if (kind < 0.92) {
      const c = nurand(random, 1023, CUSTOMERS)
      touch('read', `customer:${district}:${c}`)
      const order = last.get(`${district}:${c}`)
      if (order) {
        touch('read', `order:${district}:${order.id}`)
        order.stock.forEach((_, k) => {
          touch('read', `orderline:${district}:${order.id}:${k + 1}`)
        })
      }
    } else if (kind < 0.96) {
      const order = open.get(district)?.shift()
      if (!order) continue
      touch('write', `neworder:${district}:${order.id}`)
      touch('write', `order:${district}:${order.id}`)
      order.stock.forEach((_, k) => {
        touch('write', `orderline:${district}:${order.id}:${k + 1}`)
      })
      touch('write', `customer:${district}:${order.customer}`)
    } else {
      touch('read', `district:${district}`)
      for (const { id, stock } of recent.get(district) ?? [])
        stock.forEach((item, k) => {
          touch('read', `orderline:${district}:${id}:${k + 1}`)
          // Stock of the own warehouse is what is looked at.
          if (item.startsWith(`${w}:`)) touch('read', `stock:${item}`)
        })
    }
    yield* entries
  }
}

/** NURand of the specification, 2.1.6: a skewed whole number from 1 to n. */
function nurand(random: Random, a: number, n: number): number {
  const high = Math.floor(random() * (a + 1))
  const low = 1 + Math.floor(random() * n)
  return ((high | low) % n) + 1
}
