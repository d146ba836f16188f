import type { Random } from '../../clock'
import type { Client } from '../history'

/** How often each operation is chosen, relative to the others. */
export const OPERATION_WEIGHTS = {
  get: 28,
  has: 6,
  set: 24,
  delete: 12,
  replace: 12,
  update: 8,
  getMany: 5,
  setMany: 5,
} as const

type OperationName = keyof typeof OPERATION_WEIGHTS
const NAMES = Object.keys(OPERATION_WEIGHTS) as OperationName[]
const TOTAL = NAMES.reduce((sum, name) => sum + OPERATION_WEIGHTS[name], 0)

/** One operation on random keys. Every value written is new, so that a checker can tell writes apart. */
export async function randomOperation(
  random: Random,
  keys: readonly string[],
  freshValue: () => string,
  client: Client,
  ttl: () => number | undefined,
): Promise<void> {
  const key = () => keys[Math.floor(random() * keys.length)]!
  switch (chosen(random)) {
    case 'get':
      return client.get(key())
    case 'has':
      return client.has(key())
    case 'set':
      return client.set(key(), freshValue(), { ttlMs: ttl() })
    case 'delete':
      return client.delete(key())
    case 'replace':
      return client.replace(key(), random() < 0.2 ? undefined : freshValue())
    case 'update':
      return client.update(key(), freshValue())
    case 'getMany':
      return client.getMany([...new Set([key(), key(), key()])])
    case 'setMany':
      return client.setMany(new Map([key(), key(), key()].map((name) => [name, freshValue()])))
  }
}

function chosen(random: Random): OperationName {
  let at = random() * TOTAL
  for (const name of NAMES) {
    at -= OPERATION_WEIGHTS[name]
    if (at < 0) return name
  }
  return 'get'
}
