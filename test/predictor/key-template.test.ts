import { describe, expect, test } from 'vitest'
import { parseKeys } from '../../src/predictor/key-template'

/** The template of a key, with its fields in brackets; the key itself where none fits. */
function parsed(keys: readonly string[], key: string): string {
  const { templates, of } = parseKeys(keys)
  const found = of.get(key)
  if (!found) return key
  return templates[found.template]!.literals.reduce(
    (text, literal, k) => text + (k === 0 ? literal : `[${found.fields[k - 1]}]${literal}`),
    '',
  )
}

const numbered = (pattern: (n: number) => string, count = 40) =>
  Array.from({ length: count }, (_, n) => pattern(n))

describe('templates of keys', () => {
  test('have a field where numbers differ, and keep the words', () => {
    const keys = numbered((n) => `stock:${n % 4}:${n}`)
    expect(parsed(keys, 'stock:3:7')).toBe('stock:[3]:[7]')
  })

  test('tell entities of one shape apart by their words', () => {
    const keys = numbered((n) => `${['order', 'cart', 'note'][n % 3]}:${n}:x${n}`)
    expect(parseKeys(keys).templates.map(({ literals }) => literals[0])).toEqual(['order:', 'cart:', 'note:'])
  })

  test('take a word for a field where there are many', () => {
    const names = numbered((n) => `user:${String.fromCharCode(97 + (n % 26))}${'x'.repeat(n)}y:profile`)
    expect(parsed(names, names[5]!)).toBe('user:[fxxxxxy]:profile')
  })

  test('keep a number that never differs', () => {
    expect(
      parsed(
        numbered((n) => `v1:user:${n}`),
        'v1:user:9',
      ),
    ).toBe('v1:user:[9]')
  })

  test('split at dots, hyphens and underscores only where nothing stronger splits', () => {
    expect(
      parsed(
        numbered((n) => `tenant-${n}-doc`),
        'tenant-7-doc',
      ),
    ).toBe('tenant-[7]-doc')
    expect(
      parsed(
        numbered((n) => `tenant/a-${n}/doc`),
        'tenant/a-7/doc',
      ),
    ).toBe('tenant/[a-7]/doc')
  })

  test('take a UUID for one field', () => {
    const uuid = (n: number) => `0a1b2c3d-0000-4000-8000-${String(n).padStart(12, '0')}`
    expect(
      parsed(
        numbered((n) => `doc-${uuid(n)}-page`),
        `doc-${uuid(3)}-page`,
      ),
    ).toBe(`doc-[${uuid(3)}]-page`)
  })

  test.each(['{user:1}:cart:5', 'a::5', ':5', '5:', 'plain', `k:${'9'.repeat(300)}`, '1:2:3:4:5:6:7:8:9'])(
    'do not fit %s',
    (key) => {
      expect(parsed([...numbered((n) => `user:${n}`), key], key)).toBe(key)
    },
  )
})
