import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** What was ever found to be taken for something else; whoever finds more adds it here. */
interface Sorted {
  readonly served: readonly string[]
  readonly refused: readonly string[]
}

/** Read by JSON.parse itself: other readers of JSON stumble over unpaired surrogates. */
function read<T>(name: string): T {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, 'corpus', `${name}.json`), 'utf8'))
}

export const KEYS = read<Sorted>('keys')
export const LOG_LINES = read<{ csv: Sorted & { header: string }; ndjson: Sorted }>('log-lines')
