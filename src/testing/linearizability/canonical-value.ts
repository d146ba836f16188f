import { invalid } from '../../errors'

/**
 * A readable string that two values share exactly if they are deeply equal: the order of object keys, map entries and
 * set members does not count, 0 equals -0, a Buffer equals a Uint8Array of the same bytes.
 */
export function canonicalValue(value: unknown, ancestors: readonly object[] = []): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'symbol' || typeof value === 'function') throw notComparable(`a ${typeof value}`)
  // Adding 0 turns -0 into 0.
  if (typeof value === 'number') return String(value + 0)
  if (typeof value !== 'object' || value === null) return String(value)
  if (ancestors.includes(value)) throw notComparable('a value that contains itself')
  const within = [...ancestors, value]
  const inner = (member: unknown) => canonicalValue(member, within)
  if (Array.isArray(value)) return `[${Array.from(value, inner).join(',')}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof Uint8Array) return `bytes(${Buffer.from(value).toString('hex')})`
  if (value instanceof Map) return `Map{${Array.from(value, ([k, v]) => `${inner(k)}=>${inner(v)}`).sort()}}`
  if (value instanceof Set) return `Set{${Array.from(value, inner).sort()}}`
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype)
    throw notComparable(`a ${prototype.constructor?.name}`)
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${inner(member)}`)
  return `{${members.sort().join(',')}}`
}

function notComparable(what: string) {
  return invalid('history', `holds ${what}, which has no canonical form; give options.canonical`)
}
