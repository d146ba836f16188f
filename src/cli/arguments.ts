import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { ShardWeight } from '../placement/ring'
import type { ShardId } from '../placement/segment'
import type { DataRelationships, SchemaInfo } from '../placement/tag'
import { durationOf } from './duration'
import { CliError, ExitCode } from './exit-code'

/** What commands take, each some of it. */
const OPTIONS = {
  shards: { type: 'string' },
  interval: { type: 'string' },
  horizon: { type: 'string' },
  every: { type: 'string' },
  policies: { type: 'string' },
  buckets: { type: 'string' },
  seed: { type: 'string' },
  schema: { type: 'string' },
  'max-moves': { type: 'string' },
  format: { type: 'string' },
  columns: { type: 'string' },
  time: { type: 'string' },
  operation: { type: 'string' },
  key: { type: 'string' },
  user: { type: 'string' },
  db: { type: 'string' },
  tag: { type: 'string', multiple: true },
  budgets: { type: 'string' },
  html: { type: 'string' },
  post: { type: 'string' },
  'token-env': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export type Arguments = ReturnType<typeof parse>['values']

export function parse(args: readonly string[], names: readonly (keyof typeof OPTIONS)[]) {
  const options = Object.fromEntries(names.map((name) => [name, OPTIONS[name]])) as unknown as typeof OPTIONS
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw usage((error as Error).message)
  }
}

export function usage(message: string): CliError {
  return new CliError(ExitCode.USAGE, message)
}

/** '8', or 'a,b,c', or with weights 'a:2,b:1'. */
export function shardsOf(text: string | undefined): number | (ShardId | ShardWeight)[] {
  if (text === undefined)
    throw usage('--shards is missing: how many, as 8, or which ones, as a,b,c or a:2,b:1')
  if (/^\d+$/.test(text)) return Number(text)
  if (Number.isFinite(Number(text))) throw usage(`--shards: ${text} is no whole number above 0`)
  return text.split(',').map((part) => {
    const at = part.lastIndexOf(':')
    if (at < 0) return part
    const weight = Number(part.slice(at + 1))
    if (!(weight > 0 && Number.isFinite(weight)))
      throw usage(`--shards: ${part}: the weight after the colon must be a number above 0`)
    return { id: part.slice(0, at), weight }
  })
}

export function duration(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = durationOf(text)
  if (ms === undefined) throw usage(`--${name}: ${text} is no duration; write 90s, 15m, 1h or 7d`)
  return ms
}

export function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw usage(`--${name}: ${text} is no whole number`)
  return Number(text)
}

/** A JSON file of { entities, relationships? }, and `more` entities after its own. */
export async function schemaOf(
  path: string | undefined,
  more: SchemaInfo['entities'] = [],
): Promise<{ schema?: SchemaInfo; relationships?: DataRelationships }> {
  if (path === undefined) return more.length > 0 ? { schema: { entities: more } } : {}
  const problem = (why: string) => new CliError(ExitCode.INPUT, `--schema ${path}: ${why}`)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw problem((error as Error).message)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw problem(`is not JSON: ${(error as Error).message}`)
  }
  if (value === null || typeof value !== 'object' || !Array.isArray((value as SchemaInfo).entities))
    throw problem('must be { "entities": […], "relationships": […] }')
  const { entities, relationships } = value as SchemaInfo & { relationships?: DataRelationships }
  return { schema: { entities: [...entities, ...more] }, relationships }
}
