import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkLinearizable, type HistoryOperation } from '../../src/testing/linearizability'
import { canonicalValue } from '../../src/testing/linearizability/canonical-value'

type Outcome = HistoryOperation['outcome']
type Call<K extends HistoryOperation['kind']> = Partial<Extract<HistoryOperation, { kind: K }>>

/** Operations on one key, each by a process of its own unless it is given one. */
let processes = 0
function op(kind: HistoryOperation['kind'], at: [number, number?], more: object): HistoryOperation {
  const [invokedAt, returnedAt] = at
  const outcome: Outcome = returnedAt === undefined ? 'unknown' : 'ok'
  return {
    process: `p${processes++}`,
    key: 'k',
    kind,
    invokedAt,
    returnedAt,
    outcome,
    ...more,
  } as HistoryOperation
}
const get = (at: [number, number?], output: unknown, more: Call<'get'> = {}) =>
  op('get', at, { output, ...more })
const has = (at: [number, number?], output: boolean, more: Call<'has'> = {}) =>
  op('has', at, { output, ...more })
const set = (at: [number, number?], input: unknown, more: Call<'set'> = {}) =>
  op('set', at, { input, ...more })
const remove = (at: [number, number?], output?: boolean, more: Call<'delete'> = {}) =>
  op('delete', at, { output, ...more })
const cas = (
  at: [number, number?],
  expected: unknown,
  value: unknown,
  output?: boolean,
  more: Call<'cas'> = {},
) => op('cas', at, { input: { expect: expected, value }, output, ...more })

const good = (...history: HistoryOperation[]) =>
  expect(checkLinearizable(history)).toMatchObject({ ok: true, keys: 1 })
function bad(...history: HistoryOperation[]) {
  const result = checkLinearizable(history)
  if (result.ok !== false) throw new Error(`taken for ${result.ok}`)
  return result
}

describe('a history is accepted when', () => {
  it('it is empty', () => {
    expect(checkLinearizable([])).toEqual({ ok: true, operations: 0, keys: 0 })
  })

  it('every read returns what was last written', () => {
    good(get([0, 1], undefined), set([2, 3], 'a'), get([4, 5], 'a'), set([6, 7], 'b'), get([8, 9], 'b'))
  })

  it('a read returns the old or the new value while a write is open', () => {
    good(set([0, 1], 'a'), set([2, 9], 'b'), get([3, 4], 'a'), get([5, 6], 'b'))
  })

  it('concurrent writes are seen in one order by all', () => {
    good(set([0, 9], 'a'), set([0, 9], 'b'), get([10, 11], 'a'), get([12, 13], 'a'))
  })

  it('an unknown write appears, at once or late, or never', () => {
    good(set([0, 1], 'a'), set([2], 'b'), get([3, 4], 'b'), get([5, 6], 'b'))
    good(set([0, 1], 'a'), set([2, 3], 'b', { outcome: 'unknown' }), get([4, 5], 'a'), get([90, 91], 'b'))
    good(set([0, 1], 'a'), set([2], 'b'), set([4, 5], 'c'), get([6, 7], 'c'), get([8, 9], 'b'))
    good(set([0, 1], 'a'), set([2], 'b'), get([4, 5], 'a'), get([90, 91], 'a'))
  })

  it('an unknown delete takes effect late', () => {
    good(set([0, 1], 'a'), remove([2]), get([3, 4], 'a'), get([5, 6], undefined))
  })

  it('conditional writes exclude each other', () => {
    good(set([0, 1], 'a'), cas([2, 9], 'a', 'b', true), cas([2, 9], 'a', 'c', false), get([10, 11], 'b'))
    good(cas([0, 9], undefined, 'a', true), cas([0, 9], undefined, 'b', false), has([10, 11], true))
    good(set([0, 1], 'a'), cas([2, 3], 'a', undefined, true), has([4, 5], false))
  })

  it('of two equal writes that return in one instant the later invoked came first', () => {
    const [late, after] = [set([1, 5], 'a', { process: 1 }), cas([5, 6], 'a', 'b', true, { process: 1 })]
    good(set([0, 5], 'a', { process: 2 }), late, after, get([7, 8], 'a'))
  })

  it('a chain of unknown conditional writes explains a read', () => {
    good(set([0, 1], 'a'), cas([2], 'a', 'b'), cas([3], 'b', 'c'), get([4, 5], 'c'))
    bad(set([0, 1], 'a'), cas([2], 'a', 'b'), cas([3], 'x', 'c'), get([4, 5], 'c'))
  })

  it('a delete says truly whether the key was there', () => {
    good(set([0, 1], 'a'), remove([2, 3], true), remove([4, 5], false), remove([6, 7]))
  })

  it('what is left after failed operations and unanswered reads is right', () => {
    const failed = set([2, 3], 'b', { outcome: 'failed' })
    const history = [set([0, 1], 'a'), failed, get([4], 'z'), has([4], false), get([6, 7], 'a')]
    expect(checkLinearizable(history)).toEqual({ ok: true, operations: 2, keys: 1 })
  })

  it('the key began with the value that a read returns', () => {
    const history = [get([0, 1], { n: 1, m: [2] })]
    expect(checkLinearizable(history, { initial: new Map([['k', { m: [2], n: 1 }]]) }).ok).toBe(true)
    expect(checkLinearizable(history).ok).toBe(false)
  })

  it('keys are right one by one, even with the names of prototype members', () => {
    const keys = ['__proto__', 'constructor', '']
    const history = keys.flatMap((key) => [set([0, 1], key, { key }), get([2, 3], key, { key })])
    expect(checkLinearizable(history)).toEqual({ ok: true, operations: 6, keys: 3 })
  })
})

describe('a history is refused when', () => {
  it('a read is stale', () => {
    const result = bad(set([0, 1], 'a'), set([2, 3], 'b'), get([4, 5], 'a', { process: 'reader' }))
    expect(result.reason).toBe('reader: get read "a", but in every order of the others the key is "b" then')
  })

  it('a value comes from nowhere', () => {
    expect(bad(set([0, 1], 'a'), get([2, 3], 'b')).history).toMatchObject([{ kind: 'get' }])
  })

  it('an update is lost', () => {
    bad(set([0, 1], 0), cas([2, 6], 0, 1, true), cas([3, 7], 0, 1, true))
    bad(set([0, 1], 0), get([2, 3], 0), cas([4, 5], 0, 1, true), cas([6, 7], 0, 2, true))
  })

  it('an acknowledged write is lost', () => {
    bad(set([0, 1], 'a'), get([2, 3], undefined))
    bad(set([0, 1], 'a'), has([2, 3], false))
  })

  it('a deleted key comes back', () => {
    bad(set([0, 1], 'a'), remove([2, 3]), get([4, 5], undefined), get([6, 7], 'a'))
    bad(set([0, 1], 'a'), remove([2, 3], true), has([4, 5], true))
    bad(set([0, 1], 'a'), remove([2, 3], true), remove([4, 5], true))
  })

  it('reads go back', () => {
    bad(set([0, 1], 'a'), set([2, 9], 'b'), get([3, 4], 'b'), get([5, 6], 'a'))
  })

  it('readers disagree about the order of two writes', () => {
    const writes = [set([0, 1], 'a'), set([0, 1], 'b')]
    bad(...writes, get([2, 3], 'a'), get([4, 5], 'b'))
  })

  it('an unknown write appears and disappears', () => {
    bad(set([0, 1], 'a'), set([2], 'b'), get([3, 4], 'b'), get([5, 6], 'a'))
  })

  it('an unknown write takes effect twice', () => {
    bad(
      set([0, 1], 'a'),
      set([2], 'b'),
      get([3, 4], 'b'),
      set([5, 6], 'c'),
      get([7, 8], 'c'),
      get([9, 10], 'b'),
    )
  })

  it('an unknown write is seen before it was sent', () => {
    bad(set([0, 1], 'a'), get([2, 3], 'b'), set([4], 'b'))
  })

  it('a failed write is seen', () => {
    bad(set([0, 1], 'b', { outcome: 'failed' }), get([2, 3], 'b'))
  })

  it('a conditional write answers wrongly', () => {
    bad(set([0, 1], 'a'), cas([2, 3], 'a', 'b', false))
    bad(set([0, 1], 'a'), cas([2, 3], 'x', 'b', true))
    bad(set([0, 1], 'a'), cas([2, 3], undefined, 'b', true))
  })

  it('a process does not see its own write, though the clock did not tick', () => {
    bad(set([5, 5], 'a', { process: 1 }), get([5, 5], undefined, { process: 1 }))
    good(set([5, 5], 'a', { process: 1 }), get([5, 5], undefined, { process: 2 }))
  })
})

describe('the answer', () => {
  it('tells a story that a person can follow', () => {
    const { story } = bad(
      set([0, 1], 'a', { process: 'w1' }),
      set([2, 3], 'b', { process: 'w2' }),
      has([3, 4], true, { process: 'r1' }),
      set([4], 'c', { process: 'w3' }),
      get([5, 6], 'c', { process: 'r1' }),
      get([7, 8], 'b', { process: 'r2' }),
    )
    expect(story).toBe(
      [
        'Key "k", at first absent:',
        '  2..3  w2: set "b"',
        '  4..  w3: set "c" (outcome unknown)',
        '  5..6  r1: get read "c"',
        '  7..8  r2: get read "b"   <- cannot be explained',
        'Longest order that can be: w2: set "b"; w3: set "c" (outcome unknown); r1: get read "c".',
        'After it r2: get read "b" does not fit; the key could then only be "c".',
      ].join('\n'),
    )
  })

  it('names the key and only the operations that contradict each other', () => {
    const rounds = Array.from({ length: 100 }, (_, i) => [
      set([10 * i, 10 * i + 3], i),
      get([10 * i + 2, 10 * i + 5], i),
      set([10 * i, 10 * i + 3], i, { key: 'fine' }),
    ]).flat()
    const wrong = [get([755, 756], 42), get([758, 759], 75)]
    const result = bad(...rounds, ...wrong)
    expect(result.key).toBe('k')
    expect(result.history.map((o) => `${o.kind} ${o.invokedAt}`)).toEqual(['set 420', 'set 430', 'get 755'])
  })

  it('is undecided, never right, when the search is cut short, but wrong if another key is', () => {
    const hard = Array.from({ length: 8 }, (_, i) => set([0, 100], i))
    const reads = [7, 3, 5].map((value, i) => get([101 + 2 * i, 102 + 2 * i], value))
    expect(checkLinearizable([...hard, ...reads], { maxStates: 5 })).toMatchObject({
      ok: 'undecided',
      key: 'k',
    })
    const stale = get([0, 1], 'x', { key: 'other' })
    expect(checkLinearizable([...hard, ...reads, stale], { maxStates: 5 })).toMatchObject({
      ok: false,
      key: 'other',
    })
  })

  it('refuses what is not a history, with the field', () => {
    const field = (history: object[], options = {}) => {
      try {
        checkLinearizable(history as HistoryOperation[], options)
      } catch (error) {
        return (error as { field: string }).field
      }
    }
    expect(field([{ ...get([0, 1], 1), kind: 'put' }])).toBe('history[0].kind')
    expect(field([{ ...get([0, 1], 1), outcome: 'fine' }])).toBe('history[0].outcome')
    expect(field([get([0, 1], 1), get([3, 2], 1)])).toBe('history[1].returnedAt')
    expect(field([{ ...get([0, 1], 1), returnedAt: undefined }])).toBe('history[0].returnedAt')
    expect(field([{ ...get([0, 1], 1), invokedAt: Number.NaN }])).toBe('history[0].invokedAt')
    expect(field([{ ...get([0, 1], 1), key: 7 }])).toBe('history[0].key')
    expect(field([{ ...get([0, 1], 1), process: {} }])).toBe('history[0].process')
    expect(field([set([0, 1], undefined)])).toBe('history[0].input')
    expect(field([cas([0, 1], 1, 2)])).toBe('history[0].output')
    expect(field([{ ...cas([0, 1], 1, 2, true), input: undefined }])).toBe('history[0].input')
    expect(field([get([0, 5], 1, { process: 1 }), get([3, 6], 1, { process: 1 })])).toBe('history[1].process')
    expect(field([], { maxStates: 0 })).toBe('options.maxStates')
  })
})

describe('two values are the same exactly if', () => {
  it('they are deeply equal', () => {
    const distinct = [
      null,
      true,
      0,
      1,
      Number.NaN,
      1n,
      '1',
      'null',
      [],
      [1],
      ['1'],
      {},
      { a: 1 },
      { a: [1] },
      [[1]],
    ]
    const more = [
      new Date(1),
      new Uint8Array([1]),
      new Map([[1, 2]]),
      new Set([1]),
      '=',
      '\ud800',
      '\ud801',
      [undefined],
    ]
    const all = [...distinct, ...more].map((value) => canonicalValue(value))
    expect(new Set(all).size).toBe(all.length)
    expect(canonicalValue({ b: 1, a: { d: -0, c: 2 } })).toBe(canonicalValue({ a: { c: 2, d: 0 }, b: 1 }))
    expect(canonicalValue(Buffer.from('x'))).toBe(canonicalValue(new Uint8Array([120])))
  })

  it('the function given by the caller says so, and is needed for what is not plain data', () => {
    class Money {
      constructor(readonly cents: number) {}
    }
    const history = [set([0, 1], new Money(5)), get([2, 3], new Money(5))]
    const canonical = (value: unknown) => String((value as Money).cents)
    expect(checkLinearizable(history, { canonical }).ok).toBe(true)
    expect(() => checkLinearizable(history)).toThrow('a Money')
    const circle: unknown[] = []
    circle.push(circle)
    expect(() => canonicalValue(circle)).toThrow('contains itself')
  })
})

/** Every order, nothing remembered, its own reading of what the operations mean. */
function bruteForce(history: HistoryOperation[], initial: unknown): boolean {
  const relevant = history.filter(
    (o) => o.outcome !== 'failed' && !(o.outcome === 'unknown' && /get|has/.test(o.kind)),
  )
  const before = (a: HistoryOperation, b: HistoryOperation) => {
    if (a.outcome !== 'ok' || a === b) return false
    if (a.returnedAt! < b.invokedAt) return true
    if (b.outcome !== 'ok' || a.process !== b.process || a.returnedAt !== b.invokedAt) return false
    // Both ways only if neither takes any time: then the place in the history counts.
    return b.returnedAt !== a.invokedAt || history.indexOf(a) < history.indexOf(b)
  }
  const apply = (o: HistoryOperation, state: unknown): [boolean, unknown] => {
    const answered = o.outcome === 'ok'
    if (o.kind === 'get') return [o.output === state, state]
    if (o.kind === 'has') return [o.output === (state !== undefined), state]
    if (o.kind === 'set') return [true, o.input]
    if (o.kind === 'delete')
      return [!answered || o.output === undefined || o.output === (state !== undefined), undefined]
    const applies = state === o.input.expect
    return [!answered || o.output === applies, applies ? o.input.value : state]
  }
  const place = (left: HistoryOperation[], state: unknown): boolean =>
    left.every((o) => o.outcome === 'unknown') ||
    left.some((o) => {
      if (left.some((other) => before(other, o))) return false
      const [possible, next] = apply(o, state)
      return (
        possible &&
        place(
          left.filter((other) => other !== o),
          next,
        )
      )
    })
  return place(relevant, initial)
}

interface Load {
  processes: number
  operations: number
  values: number | 'unique'
  unknown: number
}

/** What processes would record of one real register, with random delays; times are coarse, so that many are equal. */
function simulated(seed: number, { processes, operations, values, unknown }: Load): HistoryOperation[] {
  let s = seed | 0
  const below = (n: number): number => {
    s = (s + 0x6d2b79f5) | 0
    let t = Math.imul(s ^ (s >>> 15), 1 | s)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
  const free = Array.from({ length: processes }, () => below(3))
  const calls = Array.from({ length: operations }, (_, i) => {
    const process = below(processes)
    const invokedAt = free[process]! + below(3)
    const effectAt = invokedAt + below(4)
    const returnedAt = effectAt + below(4)
    free[process] = returnedAt
    const crashed = below(100) < unknown
    // A crashed call takes effect much later, or never.
    return { i, process, invokedAt, returnedAt, crashed, effectAt: crashed ? effectAt + below(30) : effectAt }
  })
  const value = (i: number): number | undefined => (values === 'unique' ? i + 1 : 1 + below(values))
  let state: number | undefined
  const past: (number | undefined)[] = [undefined]
  const history: HistoryOperation[] = []
  for (const { i, process, invokedAt, returnedAt, crashed } of calls.sort(
    (a, b) => a.effectAt - b.effectAt || a.i - b.i,
  )) {
    const base = { process, key: 'k', invokedAt, returnedAt, outcome: crashed ? 'unknown' : 'ok' } as const
    const happens = !crashed || below(2) === 0
    const was = state
    const kind = (['get', 'get', 'has', 'set', 'set', 'delete', 'cas', 'cas'] as const)[below(8)]!
    if (kind === 'get') history[i] = { ...base, kind, output: state }
    else if (kind === 'has') history[i] = { ...base, kind, output: state !== undefined }
    else if (kind === 'set') {
      const input = value(i)
      history[i] = { ...base, kind, input }
      if (happens) state = input
    } else if (kind === 'delete') {
      history[i] = { ...base, kind, output: below(3) === 0 ? undefined : state !== undefined }
      if (happens) state = undefined
    } else {
      const input = {
        expect: below(2) ? state : past[below(past.length)],
        value: below(8) ? value(i) : undefined,
      }
      const output = input.expect === state
      history[i] = { ...base, kind, input, output }
      if (happens && output) state = input.value
    }
    if (state !== was) past.push(state)
  }
  return history
}

/** The same with one answer replaced by another that was possible at some time. */
function mutated(history: HistoryOperation[], pick: number): HistoryOperation[] {
  const values = [undefined, ...history.flatMap((o) => (o.kind === 'set' ? [o.input] : []))]
  const at = history.findIndex((o, i) => i >= pick % history.length && o.outcome === 'ok' && o.kind !== 'set')
  return history.map((o, i) => {
    if (i !== at) return o
    if (o.kind === 'get') return { ...o, output: values[pick % values.length] }
    return { ...o, output: o.output === undefined ? true : !o.output } as HistoryOperation
  })
}

const seeds = fc.integer()

describe('in random histories', () => {
  it('what a real register did is accepted', () => {
    const load = fc.record({
      processes: fc.integer({ min: 1, max: 8 }),
      operations: fc.integer({ min: 1, max: 120 }),
      values: fc.constantFrom(1, 2, 3, 'unique' as const),
      unknown: fc.constantFrom(0, 10, 40),
    })
    fc.assert(
      fc.property(seeds, load, (seed, shape) => {
        expect(checkLinearizable(simulated(seed, shape)).ok).toBe(true)
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('the verdict is that of trying every order', () => {
    const load = fc.record({
      processes: fc.integer({ min: 1, max: 4 }),
      operations: fc.integer({ min: 1, max: 7 }),
      values: fc.constantFrom(1, 2, 'unique' as const),
      unknown: fc.constantFrom(0, 20, 50),
    })
    const verdicts = { true: 0, false: 0 }
    fc.assert(
      fc.property(seeds, load, fc.array(fc.nat(99), { maxLength: 3 }), (seed, shape, picks) => {
        const history = picks.reduce(mutated, simulated(seed, shape))
        const initial = seed % 3 === 0 ? 1 : undefined
        const truth = bruteForce(history, initial)
        verdicts[`${truth}`]++
        const result = checkLinearizable(history, { initial: new Map([['k', initial]]) })
        expect(result.ok).toBe(truth)
        if (result.ok === false) expect(bruteForce(result.history, initial)).toBe(false)
      }),
      { numRuns: 5000, seed: 2 },
    )
    expect(Math.min(verdicts.true, verdicts.false)).toBeGreaterThan(1000)
  })

  it('a window of a long wrong history is wrong by itself and short', () => {
    const shape: Load = { processes: 6, operations: 100, values: 'unique', unknown: 10 }
    let wrong = 0
    for (let seed = 0; seed < 40; seed++) {
      const result = checkLinearizable(mutated(simulated(seed, shape), 50 + seed))
      expect(result.ok).not.toBe('undecided')
      if (result.ok !== false) continue
      wrong++
      expect(result.history.length).toBeLessThan(20)
      expect(checkLinearizable(result.history).ok).toBe(false)
    }
    expect(wrong).toBeGreaterThan(10)
  })

  it('hundreds of operations by eight processes, many never answered, are decided', () => {
    const shape: Load = { processes: 8, operations: 500, values: 'unique', unknown: 15 }
    for (let seed = 0; seed < 4; seed++) {
      const history = simulated(seed, shape)
      expect(checkLinearizable(history, { maxStates: 100_000 }).ok).toBe(true)
      const wrong = [...history, get([1e6, 1e6 + 1], 'never written')]
      expect(checkLinearizable(wrong, { maxStates: 100_000 }).ok).toBe(false)
    }
  })
})
