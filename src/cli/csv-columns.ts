import { invalid } from '../errors'
import { FIELDS } from '../log/log-field'

export type Field = (typeof FIELDS)[number]

/** The unit of a timestamp that is a number; ISO 8601 is understood beside each. */
export const TIME_UNITS = { s: 1000, ms: 1, us: 1 / 1000, iso: Number.NaN } as const
export type TimeUnit = keyof typeof TIME_UNITS

export interface CsvColumnsOptions {
  /** Field -> the name of its column, its number from 1, or a template such as `cart:{user_id}:{item}`. */
  columns?: ReadonlyMap<Field, string>
  /** Of numbers; default ms. */
  time?: TimeUnit
  /** Of every line, where no column says it. */
  operation?: 'read' | 'write'
}

/** Where a field's text comes from: a column, or texts and columns in turn. */
export type Source = number | readonly (string | number)[]

/** What the words for an operation mean in logs that have other ones than ours. */
const OPERATIONS: Readonly<Record<string, 'read' | 'write'>> = Object.assign(Object.create(null), {
  ...Object.fromEntries(
    [
      'read',
      'r',
      'get',
      'gets',
      'mget',
      'head',
      'options',
      'select',
      'query',
      'load',
      'hit',
      'scan',
      '0',
    ].map((it) => [it, 'read']),
  ),
  ...Object.fromEntries(
    [
      'write',
      'w',
      'set',
      'put',
      'post',
      'patch',
      'delete',
      'del',
      'insert',
      'update',
      'upsert',
      'add',
      'replace',
      'append',
      'prepend',
      'cas',
      'incr',
      'decr',
      'store',
      '1',
    ].map((it) => [it, 'write']),
  ),
})

export function operationOf(word: string): string {
  return OPERATIONS[word.toLowerCase()] ?? word
}

/** Which column of a CSV log says what. */
export class CsvColumns {
  readonly sources: ReadonlyMap<Field, Source>
  readonly count: number
  readonly unitMs: number
  readonly operation: 'read' | 'write' | undefined
  /** Whether the columns are those of ours, by their own names: then the words are ours, too. */
  readonly native: boolean
  /** Columns were named by number: the first line is a record. */
  readonly headless: boolean

  /** `names` are those of the header, or as many as the first record has. */
  constructor(names: readonly string[], options: CsvColumnsOptions = {}) {
    const { columns = new Map<Field, string>(), time = 'ms', operation } = options
    this.native = columns.size === 0
    this.headless = isHeadless(options)
    this.count = names.length
    this.unitMs = TIME_UNITS[time]
    this.operation = operation
    const sources = new Map<Field, Source>()
    for (const field of FIELDS) {
      const given = columns.get(field)
      const at = given === undefined ? names.indexOf(field) : this.#sourceOf(given, field, names)
      if (given !== undefined || (at as number) >= 0) sources.set(field, at)
    }
    const missing = FIELDS.slice(0, 3).filter(
      (field) => !sources.has(field) && !(field === 'operation' && operation !== undefined),
    )
    if (missing.length)
      throw invalid(
        'log',
        `its header names no column ${missing.join(', ')}; the first line must be such as ${FIELDS.slice(0, 5).join(',')}, or the log be NDJSON, or --columns say where they are, as in --columns timestamp=ts,key=user_id, with --operation for a log that does not say`,
      )
    this.sources = sources
  }

  #sourceOf(given: string, field: Field, names: readonly string[]): Source {
    const find = (name: string) => {
      const at = this.headless ? Number(name) - 1 : names.indexOf(name)
      if (at >= 0 && at < names.length) return at
      throw invalid(
        'log',
        `--columns ${field}=${given}: there is no column ${name}; there are ${this.headless ? `1 to ${names.length}` : names.slice(0, 40).join(', ')}`,
      )
    }
    if (!given.includes('{')) return find(given)
    return given.split(/(\{[^{}]*\})/).flatMap((part): (string | number)[] => {
      if (part === '') return []
      return part.startsWith('{') && part.endsWith('}') ? [find(part.slice(1, -1))] : [part]
    })
  }
}

/** Every column that is named is named by number. */
export function isHeadless({ columns }: CsvColumnsOptions): boolean {
  if (!columns || columns.size === 0) return false
  const names = [...columns.values()].flatMap((given) =>
    given.includes('{') ? [...given.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!) : [given],
  )
  return names.every((name) => /^[1-9]\d{0,3}$/.test(name))
}
