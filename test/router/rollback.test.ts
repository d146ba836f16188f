import { describe, expect, it } from 'vitest'
import type { SegmentId } from '../../src/placement/segment'
import { newestStanding, rollbackReason, wayBack } from '../../src/router/rollback'
import type { HistoryEntry } from '../../src/topology-store'

const entry = (id: string, parts: Partial<HistoryEntry> = {}): HistoryEntry => ({
  id,
  at: 0,
  confidence: 1,
  reason: 'requested',
  before: [],
  carved: [],
  merged: [],
  ...parts,
})
const back = (id: string, to: string) => entry(id, { reason: rollbackReason(to) })
const now = (where: Record<string, string>) => (segment: SegmentId) => where[segment]

describe('what a rollback goes back to', () => {
  it('is the newest resharding that no rollback has undone', () => {
    expect(newestStanding([])).toBeUndefined()
    expect(newestStanding([entry('1'), entry('2')])).toBe('2')
    expect(newestStanding([entry('1'), entry('2'), back('3', '2')])).toBe('1')
    expect(newestStanding([entry('1'), entry('2'), back('3', '1')])).toBeUndefined()
    expect(newestStanding([entry('1'), entry('2'), back('3', '2'), entry('4')])).toBe('4')
    expect(newestStanding([entry('1'), entry('2'), back('3', '2'), entry('4'), back('5', '4')])).toBe('1')
    // Redo: before the rollback, the second stood.
    expect(newestStanding([entry('1'), entry('2'), back('3', '2'), back('4', '3')])).toBe('2')
    // Nothing is known of what stood before a target that is forgotten.
    expect(newestStanding([entry('7'), back('8', 'forgotten'), entry('9')])).toBe('9')
    expect(newestStanding([entry('7'), back('8', 'forgotten')])).toBeUndefined()
  })
})

describe('the way back', () => {
  it('is that of the oldest of the reshardings undone, and leaves out what is there already', () => {
    const history = [
      entry('1', {
        before: [
          ['#1', 'a'],
          ['#2', 'a'],
        ],
      }),
      entry('2', {
        before: [
          ['#1', 'b'],
          ['#3', 'c'],
        ],
      }),
    ]
    const where = now({ '#1': 'c', '#2': 'a', '#3': 'a' })
    expect(wayBack(history, where, '1')).toEqual({
      to: '1',
      moves: new Map([
        ['#1', 'a'],
        ['#3', 'c'],
      ]),
      merges: [],
    })
    expect(wayBack(history, where)!.moves.get('#1')).toBe('b')
  })

  it('folds back what was carved out since, and carves out what was merged', () => {
    const history = [
      entry('1', { before: [['{x}', 'a']], merged: [['{y}', 'b']] }),
      entry('2', { carved: ['{z}'] }),
      entry('3', { before: [['{z}', 'a']], carved: ['{y}'] }),
      entry('4', { merged: [['{x}', 'c']] }),
    ]
    const where = now({ '{z}': 'c', '{y}': 'c' })
    expect(wayBack(history, where, '1')).toEqual({
      to: '1',
      moves: new Map([
        ['{x}', 'a'],
        ['{y}', 'b'],
      ]),
      merges: ['{z}'],
    })
    expect(wayBack(history, where, '3')).toEqual({
      to: '3',
      moves: new Map([
        ['{x}', 'c'],
        ['{z}', 'a'],
      ]),
      merges: ['{y}'],
    })
  })

  it('does not exist where nothing stands, and is refused to what is not remembered', () => {
    expect(wayBack([], now({}))).toBeUndefined()
    expect(() => wayBack([entry('1')], now({}), '2')).toThrow('options.to')
  })
})
