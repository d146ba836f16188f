import { describe, expect, it } from 'vitest'
import { ErrorCode, ForeshardError } from '../../src/errors'
import { compileTagRule, hashTag, plainTag } from '../../src/placement/tag'

describe('the tag of a key', () => {
  it('is the text between the first brace and the first closing one after it, as in Redis Cluster', () => {
    expect(hashTag('{user:42}:cart')).toBe('user:42')
    expect(hashTag('a{b}c{d}')).toBe('b')
    expect(hashTag('a{{b}}c')).toBe('{b')
    expect(hashTag('a}b{c}')).toBe('c')
  })

  it('is the whole key without a tag, with an empty one, and with one that is not closed', () => {
    for (const key of ['plain', '{}', '{', '}{', 'a{}b{c}', 'a{b', '']) expect(plainTag(key)).toBe(key)
  })
})

describe('the tag rule of a schema', () => {
  const user = { name: 'user', key: 'user:{userId}', tag: 'userId' }
  const cart = { name: 'cart', key: 'cart:{userId}:{item}', tag: 'userId' }

  it('lets a cart follow its user, by relationship', () => {
    const tag = compileTagRule({ entities: [user, { name: 'cart', key: 'cart:{userId}:{item}' }] }, [
      { from: 'cart', to: 'user', on: 'userId' },
    ])
    expect(tag('cart:42:9')).toBe('user:42')
    expect(tag('user:42')).toBe('user:42')
  })

  it('lets a cart follow its user by the tag field alone, where that field is the identity of one entity', () => {
    const tag = compileTagRule({ entities: [user, cart] })
    expect(tag('cart:42:9')).toBe(tag('user:42'))
  })

  it('keeps entities apart whose identities merely have the same field name', () => {
    const tag = compileTagRule({
      entities: [
        { name: 'user', key: 'user:{id}', tag: 'id' },
        { name: 'product', key: 'product:{id}', tag: 'id' },
      ],
    })
    expect(tag('user:5')).not.toBe(tag('product:5'))
  })

  it('follows relationships to their root', () => {
    const tag = compileTagRule(
      {
        entities: [
          { name: 'user', key: 'user:{userId}' },
          { name: 'order', key: 'order:{userId}:{order}' },
          { name: 'line', key: 'line:{buyer}:{order}:{n}' },
        ],
      },
      [
        { from: 'order', to: 'user', on: 'userId' },
        { from: 'line', to: 'user', on: 'buyer' },
      ],
    )
    expect(new Set([tag('user:7'), tag('order:7:1'), tag('line:7:1:2')])).toEqual(new Set(['user:7']))
  })

  it('lets a hash tag in the key win, and leaves keys that fit no pattern to themselves', () => {
    const tag = compileTagRule({ entities: [cart] })
    expect(tag('cart:{x}:9')).toBe('x')
    expect(tag('basket:42:9')).toBe('basket:42:9')
    expect(tag('cart:42')).toBe('cart:42')
    expect(tag('cart::9')).toBe('cart::9')
  })

  it('ignores for placement a relationship on a field that is not in the key', () => {
    const tag = compileTagRule({ entities: [user, { name: 'order', key: 'order:{orderId}' }] }, [
      { from: 'order', to: 'user', on: 'userId' },
    ])
    expect(tag('order:1')).toBe('order:1')
  })

  it('ends on relationships that go round', () => {
    const tag = compileTagRule(
      {
        entities: [
          { name: 'a', key: 'a:{x}' },
          { name: 'b', key: 'b:{x}' },
        ],
      },
      [
        { from: 'a', to: 'b', on: 'x' },
        { from: 'b', to: 'a', on: 'x' },
      ],
    )
    expect(typeof tag('a:1')).toBe('string')
  })

  it('reads names of the prototype as ordinary text', () => {
    const tag = compileTagRule({
      entities: [{ name: '__proto__', key: 'p:{constructor}', tag: 'constructor' }],
    })
    expect(tag('p:toString')).toBe('__proto__:toString')
  })

  it.each([
    [{ entities: 'x' }, 'schema.entities'],
    [{ entities: [{ name: '', key: 'a:{b}' }] }, 'schema.entities[0].name'],
    [{ entities: [{ name: 'a', key: 'a' }] }, 'schema.entities[0].key'],
    [{ entities: [{ name: 'a', key: '{x}{y}' }] }, 'schema.entities[0].key'],
    [{ entities: [{ name: 'a', key: 'a:{x}:{x}' }] }, 'schema.entities[0].key'],
    [{ entities: [{ name: 'a', key: 'a:{x}', tag: 'y' }] }, 'schema.entities[0].tag'],
    [{ entities: [user, user] }, 'schema.entities[1].name'],
  ])('refuses a malformed schema, naming the field: %j', (schema, field) => {
    try {
      compileTagRule(schema as never)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(ForeshardError)
      expect(error).toMatchObject({ code: ErrorCode.INVALID_ARGUMENT, field })
    }
  })
})
