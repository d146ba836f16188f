import type { AccessLogEntry } from '../tracking/access-log'

const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/
/** ISO 8601 as RFC 3339 has it; a space for the T is common, and without a zone it is UTC. */
const ISO = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?$/

let lastText = ''
let lastUnit = 1
let lastTime = Number.NaN

/** ms since the epoch, of ISO 8601 or a number of units; NaN for what is no time. */
export function timestampOf(value: unknown, unitMs = 1): number {
  if (typeof value === 'number') return value * unitMs
  if (typeof value !== 'string') return Number.NaN
  // Neighbouring lines of a log often share their timestamp.
  if (value === lastText && unitMs === lastUnit) return lastTime
  const iso = value.charCodeAt(4) === 45 ? ISO.exec(value) : null
  lastTime = iso ? Date.parse(`${iso[1]}T${iso[2]}${iso[3] ?? 'Z'}`) : numberOf(value)! * unitMs
  lastText = value
  lastUnit = unitMs
  return lastTime
}

/** A decimal number, undefined for an empty field, NaN for anything else. */
export function numberOf(value: string): number | undefined {
  if (value === '') return undefined
  return NUMBER.test(value) ? Number(value) : Number.NaN
}

/** The names of an entry's fields, and of a CSV log's columns. */
export const FIELDS = [
  'timestamp',
  'key',
  'operation',
  'transactionId',
  'bytes',
  'count',
  'queryType',
  'userProfile',
] as const satisfies readonly (keyof AccessLogEntry)[]
