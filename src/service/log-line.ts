import { FIELDS } from '../log/log-field'
import type { AccessLogEntry } from '../tracking/access-log'

/** An entry as a line of NDJSON: its own fields and no others. */
export function lineOf(entry: AccessLogEntry): string {
  const own: Record<string, unknown> = {}
  for (const field of FIELDS) own[field] = entry[field]
  return `${JSON.stringify(own)}\n`
}
