import { murmur3 } from './hash'
import { type DataRelationships, followedEntities, literalsOf, type SchemaInfo } from './tag'

/** What can be said of a tag rule: enough to tell two of them apart, and to say in what they differ. */
export interface TagRuleDescription {
  /** Equal for rules that give every key the same tag: the names of fields are not in it. */
  readonly fingerprint: string
  /** A line for each entity, in the order in which they are tried: 'cart:{userId}:{item} -> user:{userId}'. */
  readonly rules: readonly string[]
}

/** Grows when hashTag or the meaning of a pattern changes, so that an old and a new version are told apart. */
const VERSION = 1

export function describeTagRule(schema?: SchemaInfo, relationships?: DataRelationships): TagRuleDescription {
  const followed = followedEntities(schema, relationships)
  const bare = followed.map(({ key, fields, root }) => [
    literalsOf(key),
    root ? [root.name, fields.indexOf(root.field)] : null,
  ])
  const text = JSON.stringify([VERSION, bare])
  const half = (seed: number) => murmur3(text, seed).toString(16).padStart(8, '0')
  return {
    fingerprint: half(1) + half(2),
    rules: followed.map(({ key, root }) => `${key} -> ${root ? `${root.name}:{${root.field}}` : 'itself'}`),
  }
}

/** In what two rules differ, in words; undefined where they give every key the same tag. */
export function differenceOfTagRules(
  ours: TagRuleDescription,
  theirs: TagRuleDescription,
): string | undefined {
  if (ours.fingerprint === theirs.fingerprint) return undefined
  for (let i = 0; i < Math.max(ours.rules.length, theirs.rules.length); i++)
    if (ours.rules[i] !== theirs.rules[i]) return `${told(ours, i)} here, and ${told(theirs, i)} there`
  return 'the rule has another version here than there'
}

function told({ rules }: TagRuleDescription, i: number): string {
  if (rules.length === 0) return 'there is no schema'
  return rules[i] === undefined ? `there is no entity ${i + 1}` : `entity ${i + 1} is '${rules[i]}'`
}
