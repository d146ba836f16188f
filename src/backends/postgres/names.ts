import { invalid } from '../../errors'

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Postgres cuts names at 63 bytes; ours add up to 20. */
const LONGEST_TABLE = 40

/** Where the records of a shard or a topology lie. Several may lie in one database, under different names. */
export interface PlaceOptions {
  /** Default 'public'. */
  schema?: string
  /** What the names of the tables and functions begin with; default 'foreshard'. */
  table?: string
}

/** The names of our tables and functions, quoted. */
export class Names {
  readonly schema: string
  readonly table: string

  constructor({ schema = 'public', table = 'foreshard' }: PlaceOptions) {
    this.schema = checkIdentifier(schema, 'options.schema', 63)
    this.table = checkIdentifier(table, 'options.table', LONGEST_TABLE)
  }

  /** `"public"."foreshard_fence"` */
  of(part: string): string {
    return `"${this.schema}"."${this.table}_${part}"`
  }

  /** Without the schema: for indexes, which lie where their table does. */
  bare(part: string): string {
    return `"${this.table}_${part}"`
  }

  /** What is listened to for changes of the topology. */
  get channel(): string {
    return `${this.table}_${this.schema}`.slice(0, 63)
  }
}

function checkIdentifier(name: unknown, field: string, longest: number): string {
  if (typeof name !== 'string' || !IDENTIFIER.test(name) || name.length > longest)
    throw invalid(field, `must be letters, digits and _, at most ${longest}, not beginning with a digit`)
  return name
}
