/** Longer keys, and keys of more parts, belong to no template: what is learned stays small. */
const LONGEST_KEY = 256
const MOST_PARTS = 8
/** A word is part of the template if so many of the keys share it, or if there are only so few words in its place. */
const COMMON = 0.01
const FEW_WORDS = 32
/** So many keys must share it; as many with one and the same number in a place make that part of the template: 'v1:…'. */
const ENOUGH = 8
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi

/** The pattern that keys share: `stock:{}:{}`. */
export interface KeyTemplate {
  /** The text between fields, one piece more than there are fields: ['stock:', ':', '']. */
  readonly literals: readonly string[]
}

/** A key as a template and what stands in its fields. */
export interface ParsedKey {
  /** Index into the templates. */
  readonly template: number
  readonly fields: readonly string[]
}

/** The templates behind some keys, and each of the keys under them; a key that fits none is absent. */
export interface ParsedKeys {
  readonly templates: readonly KeyTemplate[]
  readonly of: ReadonlyMap<string, ParsedKey>
}

interface Split {
  readonly key: string
  readonly parts: readonly string[]
  readonly separators: readonly string[]
}

/**
 * Finds the templates of keys by their parts: what stands between `:` `/` `|` `#`, or where there is none of these, between
 * `.` `-` `_`. A part is a field if it varies: numbers that differ, words of which there are many. A key that
 * has a hash tag says itself where it belongs and fits none.
 */
export function parseKeys(keys: Iterable<string>): ParsedKeys {
  const shapes = new Map<string, Split[]>()
  for (const key of new Set(keys)) {
    const split = splitKey(key)
    if (split === undefined) continue
    const shape = `${split.parts.length} ${split.separators.join(' ')}`
    const alike = shapes.get(shape)
    if (alike) alike.push(split)
    else shapes.set(shape, [split])
  }
  const templates: KeyTemplate[] = []
  const of = new Map<string, ParsedKey>()
  const indexOf = new Map<string, number>()
  for (const alike of shapes.values()) {
    const fixed = alike[0]!.parts.map((_, place) => fixedParts(alike, place))
    for (const { key, parts, separators } of alike) {
      const literals = ['']
      const fields: string[] = []
      parts.forEach((part, place) => {
        if (place > 0) literals[literals.length - 1] += separators[place - 1]!
        if (fixed[place]!.has(part)) literals[literals.length - 1] += part
        else {
          fields.push(part)
          literals.push('')
        }
      })
      if (fields.length === 0) continue
      const name = literals.join('{}')
      let template = indexOf.get(name)
      if (template === undefined) {
        template = templates.push({ literals }) - 1
        indexOf.set(name, template)
      }
      of.set(key, { template, fields })
    }
  }
  return { templates, of }
}

function splitKey(key: string): Split | undefined {
  if (key.length > LONGEST_KEY || key.includes('{') || key.includes('}')) return undefined
  // A UUID is one part, whatever else is split at hyphens.
  const whole = key.replace(UUID, (uuid) => uuid.replaceAll('-', '\0'))
  const at = /[:/|#]/.test(whole) ? /[:/|#]/ : /[._-]/
  const parts = whole.split(at)
  if (parts.length > MOST_PARTS || parts.includes('')) return undefined
  const separators = [...whole.matchAll(new RegExp(at, 'g'))].map((match) => match[0])
  return { key, parts: parts.map((part) => part.replaceAll('\0', '-')), separators }
}

/** The texts in one place of keys of one shape that belong to the template. */
function fixedParts(alike: readonly Split[], place: number): ReadonlySet<string> {
  const counts = new Map<string, number>()
  for (const { parts } of alike) counts.set(parts[place]!, (counts.get(parts[place]!) ?? 0) + 1)
  if (counts.size === 1 && alike.length >= ENOUGH) return new Set(counts.keys())
  const words = [...counts].filter(([part]) => !/\d/.test(part))
  return new Set(
    words
      .filter(([, count]) => words.length <= FEW_WORDS || count >= Math.max(ENOUGH, COMMON * alike.length))
      .map(([word]) => word),
  )
}
