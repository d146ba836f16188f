import type { NativeCommand } from '../../../shard-store'
import type { CommandRow, KeySpec } from './command-table'

export type Argument = string | Buffer

/** Where the keys of a command stand in argv, or undefined where it is malformed. As COMMAND GETKEYS finds them. */
export function keyPlaces(
  { name, keys }: CommandRow,
  argv: readonly Argument[],
): Pick<NativeCommand, 'reads' | 'writes'> | undefined {
  const reads: number[] = []
  const writes: number[] = []
  for (const spec of keys) {
    const places = placesOf(spec, argv)
    if (!places) return undefined
    ;(spec.written ? writes : reads).push(...places)
  }
  // Its place is not told by a rule: the last one counts.
  if (name === 'sort')
    for (let i = argv.length - 2; i >= 2; i--)
      if (wordOf(argv[i]!) === 'STORE') {
        writes.push(i + 1)
        break
      }
  return { reads, writes }
}

function placesOf({ begin, find }: KeySpec, argv: readonly Argument[]): number[] | undefined {
  let first: number
  if (typeof begin === 'number') first = begin
  else {
    const at = argv.findIndex((it, i) => i >= begin.from && wordOf(it) === begin.word)
    // A word that is not there: no key of that kind.
    if (at < 0) return []
    first = at + 1
  }
  if (find === undefined) return first < argv.length ? [first] : undefined
  if (find === 'count') {
    const count = Number(String(argv[first]))
    if (!Number.isSafeInteger(count) || count < 0 || first + count >= argv.length) return undefined
    return Array.from({ length: count }, (_, i) => first + 1 + i)
  }
  const { last, step, part } = find
  // `last` counts from the first key, or from the end.
  let end = last < 0 ? argv.length + last : first + last
  if (part > 1) end = first + Math.floor((argv.length - first) / part) - 1
  if (end >= argv.length) return undefined
  const places: number[] = []
  for (let at = first; at <= end; at += step) places.push(at)
  return places
}

function wordOf(it: Argument): string {
  return String(it).toUpperCase()
}
