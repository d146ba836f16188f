import { invalid, shown } from './errors'

/** The names of all fields of T: the compiler sees to it that none is missing and none is too many. */
export type Fields<T> = { readonly [K in keyof T]-?: true }

/** Names further apart than a third of their letters are not taken for each other, unless one begins the other. */
const ALIKE = 1 / 3
const SHORTEST_BEGINNING = 3
const LONGEST_NAME = 64

/**
 * Refuses what is no object, and a field that nobody reads: a name that is not known is a mistake of spelling far more
 * often than it is harmless. Own fields only, so that `__proto__` out of JSON is a field like any other.
 */
export function checkFields<T extends object>(
  given: unknown,
  known: Fields<T>,
  field: string,
): asserts given is T {
  if (given === null || typeof given !== 'object' || Array.isArray(given))
    throw invalid(field, `must be an object { ${Object.keys(known).join(', ')} }`)
  for (const name of Object.keys(given))
    if (!Object.hasOwn(known, name)) throw unknownName(name, known, field)
}

/** The same for options that may be left out. */
export function checkOptionalFields<T extends object>(
  given: unknown,
  known: Fields<T>,
  field: string,
): asserts given is T | undefined {
  if (given !== undefined) checkFields(given, known, field)
}

/** Refuses an event that is never told, and a listener that cannot be called. */
export function checkEvent<T extends object>(event: unknown, listener: unknown, known: Fields<T>): void {
  if (typeof event !== 'string' || !Object.hasOwn(known, event)) {
    const names = Object.keys(known)
    const nearest = typeof event === 'string' ? nearestName(event, names) : undefined
    const cure = nearest ? `did you mean ${nearest}?` : `there are ${names.join(', ')}`
    throw invalid('event', `${shown(event)} is never told; ${cure}`)
  }
  if (typeof listener !== 'function') throw invalid('listener', `must be a function, not ${shown(listener)}`)
}

/** The known name that this one was probably meant to be, undefined where none is near. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  if (name.length > LONGEST_NAME) return undefined
  let nearest: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const [a, b] = [name.toLowerCase(), candidate.toLowerCase()]
    const edits = distance(a, b)
    const begins = Math.min(a.length, b.length) >= SHORTEST_BEGINNING && (a.startsWith(b) || b.startsWith(a))
    if (edits < least && (begins || edits <= Math.max(a.length, b.length) * ALIKE)) {
      least = edits
      nearest = candidate
    }
  }
  return nearest
}

function unknownName(name: string, known: object, field: string) {
  const names = Object.keys(known)
  const nearest = nearestName(name, names)
  const cure = nearest ? `did you mean ${nearest}?` : `known are ${names.join(', ')}`
  return invalid(`${field}.${name.slice(0, LONGEST_NAME)}`, `is unknown; ${cure}`)
}

/** Letters to insert, delete or replace (Levenshtein 1966). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]!
}
