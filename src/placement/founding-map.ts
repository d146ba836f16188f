import { invalid, shown } from '../errors'
import type { SegmentId, ShardAssignmentMap, ShardId } from './segment'
import type { DataRelationships, SchemaInfo, TagRule } from './tag'

/** Where the keys of a topology yet to be founded are to live: how they are tagged, and where their segments go. */
export interface Tagging {
  readonly schema: SchemaInfo
  readonly relationships: DataRelationships
  readonly assignments: TaggedMap
}

/**
 * A map that holds for keys tagged by a certain schema, and says nothing about those that are not. Whoever carries it out
 * checks it by its examples first.
 */
export class TaggedMap extends Map<SegmentId, ShardId> {
  /** Keys, and the tags that they have by the schema. */
  readonly examples: ReadonlyMap<string, string>

  constructor(entries: Iterable<readonly [SegmentId, ShardId]>, examples: ReadonlyMap<string, string>) {
    super(entries)
    this.examples = examples
  }
}

/**
 * A map like any other, and beside it a better way to tag keys altogether, which can be chosen as long as no data lies
 * there: a placement that is not founded takes the tagging and its assignments; to all others it is its entries.
 */
export class FoundingMap extends Map<SegmentId, ShardId> {
  readonly tagging: Tagging

  constructor(entries: Iterable<readonly [SegmentId, ShardId]>, tagging: Tagging) {
    super(entries)
    this.tagging = tagging
  }
}

/** Refuses a map that presupposes tags which keys do not have here. */
export function checkTags(map: ShardAssignmentMap, tagOf: TagRule, field: string): void {
  if (!(map instanceof TaggedMap)) return
  for (const [key, tag] of map.examples)
    if (tagOf(key) !== tag)
      throw invalid(
        field,
        `is for a schema under which ${shown(key)} has the tag ${shown(tag)}; here it has ${shown(tagOf(key))}, and that is fixed ` +
          'for the life of a deployment: open a new topology with that schema and its relationships, or predict for router.placement',
      )
}
