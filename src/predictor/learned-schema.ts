import type { DataRelationships, SchemaInfo } from '../placement/tag'

/** Why keys of one template are thought to belong to others. */
export interface LearnedRule {
  readonly entity: string
  /** As in the schema: `stock:{warehouse}:{stock2}`. */
  readonly key: string
  /** Tags of these keys are `<follows>:<value of the field>`. */
  readonly field: string
  readonly follows: string
  /** Of the keys that share a transaction with one of these, the share that has the same value in its field, */
  readonly agreement: number
  /** how many times that is what chance would make it, */
  readonly lift: number
  /** and in how many pairs of keys it was seen. */
  readonly pairs: number
}

/** A schema read out of the log: what in the names of keys tells which of them are accessed together. */
export interface LearnedSchema {
  readonly schema: SchemaInfo
  readonly relationships: DataRelationships
  readonly rules: readonly LearnedRule[]
  /** Share of later multi-key transactions that would touch several shards, tags spread by chance: without and with it. */
  readonly crossing: { readonly before: number; readonly after: number }
  /** Maximum over mean shard load as even as tags of that size allow. */
  readonly imbalance: { readonly before: number; readonly after: number }
  /** Tags in the sample, and the share of all load that the largest carries. */
  readonly tags: number
  readonly largestTag: number
  /** Probability that it lowers J. */
  readonly confidence: number
  readonly reasons: readonly string[]
}
