import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DAY_MS,
  DailyAccount,
  type DailyBudget,
  type Spending,
  stricter,
} from '../../src/rebalancer/daily-budget'

const HOUR = 3_600_000

describe('a budget of the day', () => {
  it('is never exceeded over any 24 hours, nor by a restart', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 9 * HOUR }),
      moves: fc.integer({ min: 0, max: 9 }),
      loadShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
      bytes: fc.integer({ min: 0, max: 500 }),
      restart: fc.boolean(),
      refused: fc.boolean(),
    })
    const budget: DailyBudget = { maxMoves: 12, maxLoadShare: 0.6, maxBytes: 900 }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let account = new DailyAccount(budget)
        let now = 1e12
        const done: Spending[] = []
        for (const { wait, moves, loadShare, bytes, restart, refused } of steps) {
          now += wait
          if (restart) account = new DailyAccount(budget, JSON.parse(JSON.stringify(account.spent(now))))
          const spending = { at: now, moves, loadShare, bytes }
          if (account.exceededBy(spending)) continue
          const takeBack = account.spend(spending)
          if (refused) takeBack()
          else done.push(spending)
        }
        for (const { at } of done) {
          const span = done.filter((it) => it.at > at - DAY_MS && it.at <= at)
          expect(span.reduce((sum, it) => sum + it.moves, 0)).toBeLessThanOrEqual(12)
          expect(span.reduce((sum, it) => sum + it.loadShare, 0)).toBeLessThanOrEqual(0.6 + 1e-9)
          expect(span.reduce((sum, it) => sum + it.bytes, 0)).toBeLessThanOrEqual(900)
        }
      }),
      { seed: 4, numRuns: 300 },
    )
  })

  it('narrows that of a single resharding, which is asked for no more than everything', () => {
    expect(stricter({ maxMoves: 5 }, { maxMoves: 3, maxLoadShare: 4, maxBytes: undefined })).toEqual({
      maxMoves: 3,
      maxLoadShare: 1,
    })
    expect(stricter({ maxMoves: 5 }, undefined)).toEqual({ maxMoves: 5 })
  })

  it.each([
    [{ maxMoves: -1 }, [], 'options.dailyBudget.maxMoves'],
    [{ moves: 1 }, [], 'options.dailyBudget.moves'],
    [{}, [{ at: 1, moves: 1, loadShare: 0 }], 'options.spent[0].bytes'],
  ])('%j with %j is refused by name', (budget, spent, field) => {
    expect(() => new DailyAccount(budget as never, spent as never)).toThrow(
      expect.objectContaining({ field }),
    )
  })
})
