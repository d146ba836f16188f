import { ErrorCode, ForeshardError, invalid, shown } from '../errors'
import { nearestName } from '../options'

export interface Entity {
  name: string
  /** The pattern of its keys: `cart:{userId}:{item}`. Fields match any run of characters up to the next literal. */
  key: string
  /** The field whose value decides where a key lives. Without it, and without a relationship, the whole key does. */
  tag?: string
}
export interface SchemaInfo {
  entities: Entity[]
}
/** `{ from: 'cart', to: 'user', on: 'userId' }`: a cart lives where the user named by its userId lives. */
export type DataRelationships = { from: string; to: string; on: string }[]

export type TagRule = (key: string) => string

/**
 * The text between the first `{` and the first `}` after it, exactly Redis Cluster's rule: `{}` is no tag, and
 * nothing after the first `{` is looked at a second time. Undefined without a tag.
 */
export function hashTag(key: string): string | undefined {
  if (typeof key !== 'string')
    throw new ForeshardError(ErrorCode.INVALID_KEY, `key is ${shown(key)}; a key is a string`, {
      field: 'key',
    })
  const open = key.indexOf('{')
  if (open < 0) return undefined
  const close = key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : undefined
}

/** The rule without a schema: the hash tag, or else the whole key. */
export const plainTag: TagRule = (key) => hashTag(key) ?? key

/**
 * The rule of a schema. A hash tag in the key wins; then the first entity whose pattern fits gives the tag
 * `name:value` of the entity that it follows; any other key is its own tag.
 *
 * Whom an entity follows: the target of its relationship, and of that one's, to the root. Without a relationship
 * its tag field still means another entity if that field is the whole identity of exactly one
 * (`cart:{userId}:{item}` tagged by userId follows `user:{userId}`). A relationship on a field that is not part of
 * the key cannot place a key; it still tells the predictor what belongs together.
 */
export function compileTagRule(schema?: SchemaInfo, relationships: DataRelationships = []): TagRule {
  const patterns = followedEntities(schema, relationships).map((entity) => new Pattern(entity))
  if (patterns.length === 0) return plainTag
  return (key) => {
    const tag = hashTag(key)
    if (tag !== undefined) return tag
    for (const pattern of patterns) {
      const found = pattern.tag(key)
      if (found !== undefined) return found
    }
    return key
  }
}

export interface FollowedEntity {
  readonly key: string
  /** Of the key, in their order. */
  readonly fields: readonly string[]
  /** Where its keys live; undefined where each key stands for itself. */
  readonly root: Root | undefined
}

/** Whom each entity of a schema follows, in the order in which they are tried. */
export function followedEntities(
  schema?: SchemaInfo,
  relationships: DataRelationships = [],
): FollowedEntity[] {
  if (!Array.isArray(relationships)) throw invalid('relationships', 'must be an array of { from, to, on }')
  const entities = checkSchema(schema, relationships)
  return entities.map((entity) => ({
    key: entity.key,
    fields: fieldsOf(entity.key),
    root: rootOf(entity, entities, relationships),
  }))
}

interface Root {
  name: string
  /** The field of the following entity's own key that holds the root's identity. */
  field: string
}

/** Where the entity's keys live, undefined where each key stands for itself. */
function rootOf(entity: Entity, entities: Entity[], relationships: DataRelationships): Root | undefined {
  const first = followed(entity, entities, relationships)
  if (!first) return undefined
  let name = first.to
  for (const seen = new Set([entity.name]); !seen.has(name); ) {
    seen.add(name)
    const at = entities.find((other) => other.name === name)!
    const next = followed(at, entities, relationships)
    // The value at hand identifies `at`; it leads on only where `at` is itself named by the field it follows.
    if (next && isIdentity(at, next.on)) name = next.to
  }
  return { name, field: first.on }
}

/** The one relationship that places the entity: by its tag field, or else the first whose field is in the key. */
function followed(entity: Entity, entities: Entity[], relationships: DataRelationships) {
  const fields = entity.tag === undefined ? fieldsOf(entity.key) : [entity.tag]
  const stated = relationships.find(
    (r) =>
      r.from === entity.name &&
      r.to !== entity.name &&
      fields.includes(r.on) &&
      fieldsOf(entity.key).includes(r.on),
  )
  if (stated || entity.tag === undefined) return stated
  const owners = entities.filter((other) => isIdentity(other, entity.tag!))
  return { from: entity.name, to: owners.length === 1 ? owners[0]!.name : entity.name, on: entity.tag }
}

/** Whether the entity's key consists of that one field, so that the field names the entity. */
function isIdentity(entity: Entity, field: string): boolean {
  const fields = fieldsOf(entity.key)
  return fields.length === 1 && fields[0] === field
}

/** What stands around the fields of a pattern. */
export function literalsOf(pattern: string): string[] {
  return pattern.split(/\{[^{}]*\}/)
}

function fieldsOf(pattern: string): string[] {
  return [...pattern.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!)
}

class Pattern {
  readonly #literals: string[]
  readonly #at: number
  /** undefined: the tag is the whole key. */
  readonly #prefix: string | undefined

  constructor({ key, fields, root }: FollowedEntity) {
    this.#literals = literalsOf(key)
    this.#at = root ? fields.indexOf(root.field) : -1
    this.#prefix = root && `${root.name}:`
  }

  /** The tag of a key that fits, undefined for one that does not. */
  tag(key: string): string | undefined {
    const literals = this.#literals
    if (!key.startsWith(literals[0]!)) return undefined
    let from = literals[0]!.length
    let value = ''
    for (let i = 1; i < literals.length; i++) {
      const literal = literals[i]!
      const last = i === literals.length - 1
      // The last field runs to the end; a closing literal is looked for from there.
      const to = last ? key.length - literal.length : key.indexOf(literal, from + 1)
      if (to <= from || (last && !key.endsWith(literal))) return undefined
      if (i - 1 === this.#at) value = key.slice(from, to)
      from = to + literal.length
    }
    if (from !== key.length) return undefined
    return this.#prefix === undefined ? key : this.#prefix + value
  }
}

function checkSchema(schema: SchemaInfo | undefined, relationships: DataRelationships): Entity[] {
  if (schema === undefined) {
    if (relationships.length)
      throw invalid('relationships', 'need a schema that names the entities they join')
    return []
  }
  if (!Array.isArray(schema?.entities))
    throw invalid('schema.entities', 'must be an array of { name, key, tag? }')
  const names = new Set<string>()
  schema.entities.forEach((entity, i) => {
    const field = `schema.entities[${i}]`
    if (typeof entity?.name !== 'string' || entity.name === '')
      throw invalid(`${field}.name`, 'must be a non-empty string')
    checkSpelling(entity, ['name', 'key', 'tag'], field)
    if (names.has(entity.name))
      throw invalid(`${field}.name`, `${shown(entity.name)} is there twice; names are unique`)
    names.add(entity.name)
    if (typeof entity.key !== 'string')
      throw invalid(`${field}.key`, "must be a pattern such as 'cart:{userId}:{item}'")
    const fields = fieldsOf(entity.key)
    if (fields.length === 0) throw invalid(`${field}.key`, `${shown(entity.key)} names no {field}`)
    if (fields.some((name) => name === '') || new Set(fields).size !== fields.length)
      throw invalid(
        `${field}.key`,
        `${shown(entity.key)} has an empty or repeated field; name each field once`,
      )
    if (/\}\{/.test(entity.key))
      throw invalid(`${field}.key`, `${shown(entity.key)}: two fields need a literal between them`)
    if (entity.tag !== undefined && !fields.includes(entity.tag))
      throw invalid(`${field}.tag`, `${shown(entity.tag)} is not a field of ${shown(entity.key)}`)
  })
  relationships.forEach((relationship, i) => {
    for (const end of ['from', 'to'] as const)
      if (!names.has(relationship?.[end]))
        throw invalid(
          `relationships[${i}].${end}`,
          `${shown(relationship?.[end])} is not an entity of the schema`,
        )
    if (typeof relationship.on !== 'string')
      throw invalid(`relationships[${i}].on`, 'must be the name of a field')
  })
  return schema.entities
}

/** A schema may say more of an entity than is read here; but a misspelt `tag` would place keys elsewhere, unseen. */
function checkSpelling(given: object, known: readonly string[], field: string): void {
  for (const name of Object.keys(given)) {
    const nearest = known.includes(name) ? undefined : nearestName(name, known)
    if (nearest) throw invalid(`${field}.${name}`, `is unknown; did you mean ${nearest}?`)
  }
}
