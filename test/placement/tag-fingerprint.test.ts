import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileTagRule, type DataRelationships, type SchemaInfo } from '../../src/placement/tag'
import { describeTagRule, differenceOfTagRules } from '../../src/placement/tag-fingerprint'

const fields = fc.constantFrom('x', 'y')
const schema: fc.Arbitrary<SchemaInfo> = fc
  .uniqueArray(
    fc.record(
      {
        name: fc.constantFrom('user', 'cart', 'order'),
        key: fc.constantFrom('user:{x}', 'cart:{x}:{y}', 'order:{y}', '{x}/{y}'),
        tag: fields,
      },
      { requiredKeys: ['name', 'key'] },
    ),
    { selector: ({ name }) => name, maxLength: 3 },
  )
  .map((entities) => ({
    entities: entities.map(({ tag, ...it }) => (tag && it.key.includes(`{${tag}}`) ? { ...it, tag } : it)),
  }))
const KEYS = ['user:1', 'cart:1:2', 'cart:2:1', 'order:1', 'order:2', '1/2', 'cart:1/2', '{t}:1', 'else']

describe('the fingerprint of a tag rule', () => {
  it('is that of another rule only if both give every key the same tag', () => {
    fc.assert(
      fc.property(schema, schema, (a, b) => {
        const [ruleA, ruleB] = [compileTagRule(a), compileTagRule(b)]
        const difference = differenceOfTagRules(describeTagRule(a), describeTagRule(b))
        if (difference === undefined) expect(KEYS.map(ruleA)).toEqual(KEYS.map(ruleB))
      }),
      { seed: 3, numRuns: 2000 },
    )
  })

  it('tells relationships apart that lead elsewhere, and the order in which entities are tried', () => {
    const entities = [
      { name: 'user', key: 'user:{u}' },
      { name: 'shop', key: 'shop:{s}' },
      { name: 'order', key: 'order:{u}:{s}' },
    ]
    const rule = (relationships: DataRelationships, reverse = false) =>
      describeTagRule({ entities: reverse ? entities.toReversed() : entities }, relationships)
    const byUser = rule([{ from: 'order', to: 'user', on: 'u' }])
    const byShop = rule([{ from: 'order', to: 'shop', on: 's' }])
    expect(differenceOfTagRules(byUser, byShop)).toBe(
      "entity 3 is 'order:{u}:{s} -> user:{u}' here, and entity 3 is 'order:{u}:{s} -> shop:{s}' there",
    )
    expect(differenceOfTagRules(byUser, rule([{ from: 'order', to: 'user', on: 'u' }], true))).toBeDefined()
    expect(differenceOfTagRules(byUser, rule([{ from: 'order', to: 'user', on: 'u' }]))).toBeUndefined()
    expect(differenceOfTagRules(describeTagRule(), describeTagRule({ entities: [] }))).toBeUndefined()
  })

  it('says so where only the version of the rule differs', () => {
    const ours = describeTagRule()
    expect(differenceOfTagRules(ours, { ...ours, fingerprint: 'of another version' })).toMatch(/version/)
  })
})
