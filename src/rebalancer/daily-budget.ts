import { invalid, shown } from '../errors'
import { checkFields, type Fields } from '../options'
import type { MoveBudget } from '../predictor/prediction'

/** What reshardings that were handed over may come to in any 24 hours. */
export interface DailyBudget {
  readonly maxMoves?: number
  /** Share of all load that is moved, summed up; 1 is everything once. */
  readonly maxLoadShare?: number
  readonly maxBytes?: number
}

/** What a resharding was expected to take when it was handed over. */
export interface Spending {
  /** ms since the epoch. */
  readonly at: number
  readonly moves: number
  readonly loadShare: number
  readonly bytes: number
}

const BUDGET_FIELDS: Fields<DailyBudget> = { maxMoves: true, maxLoadShare: true, maxBytes: true }
const SPENDING_FIELDS: Fields<Spending> = { at: true, moves: true, loadShare: true, bytes: true }
export const DAY_MS = 86_400_000

/**
 * Invariant: what was spent in any span of 24 hours is within the budget. A span is half open, so that what was spent
 * exactly a day ago is free again.
 */
export class DailyAccount {
  readonly #budget: DailyBudget | undefined
  #spent: Spending[]

  constructor(budget: DailyBudget | undefined, spent: readonly Spending[] = []) {
    checkBudget(budget)
    checkSpent(spent)
    this.#budget = budget
    this.#spent = [...spent]
  }

  /** Of the last 24 hours, oldest first. A clock that was set back forgives nothing. */
  spent(now: number): readonly Spending[] {
    this.#spent = this.#spent.filter(({ at }) => at > now - DAY_MS)
    return this.#spent
  }

  /** What is left, undefined where there is no budget. */
  left(now: number): MoveBudget | undefined {
    const budget = this.#budget
    if (!budget) return undefined
    const spent = this.spent(now)
    const rest = (limit: number | undefined, of: (spending: Spending) => number) =>
      limit === undefined ? undefined : Math.max(0, limit - spent.reduce((sum, it) => sum + of(it), 0))
    return {
      maxMoves: rest(budget.maxMoves, (it) => it.moves),
      maxLoadShare: rest(budget.maxLoadShare, (it) => it.loadShare),
      maxBytes: rest(budget.maxBytes, (it) => it.bytes),
    }
  }

  /** Which limit this would go beyond, undefined where it fits. */
  exceededBy(spending: Spending): string | undefined {
    const left = this.left(spending.at)
    if (!left) return undefined
    const { maxMoves, maxLoadShare, maxBytes } = left
    // Sums of shares are rounded; a limit is not exceeded by that.
    if (spending.moves > (maxMoves ?? Number.POSITIVE_INFINITY))
      return `${maxMoves} moves are left of the day's budget`
    if (spending.loadShare > (maxLoadShare ?? Number.POSITIVE_INFINITY))
      return `${Number((100 * maxLoadShare!).toFixed(2))} % of the load are left of the day's budget`
    if (spending.bytes > (maxBytes ?? Number.POSITIVE_INFINITY))
      return `${Math.round(maxBytes!)} bytes are left of the day's budget`
    return undefined
  }

  /** Answers the function that takes it back, for what was not handed over after all. */
  spend(spending: Spending): () => void {
    this.#spent.push(spending)
    return () => {
      this.#spent = this.#spent.filter((it) => it !== spending)
    }
  }
}

/** The stricter of the budget of a resharding and of what is left of the day's, field by field. */
export function stricter(a: MoveBudget | undefined, b: MoveBudget | undefined): MoveBudget | undefined {
  if (!b) return a
  const least = (x: number | undefined, y: number | undefined) =>
    x === undefined ? y : y === undefined ? x : Math.min(x, y)
  const found = {
    maxMoves: least(a?.maxMoves, b.maxMoves),
    // Of one resharding, no more than everything.
    maxLoadShare: least(a?.maxLoadShare, b.maxLoadShare && Math.min(1, b.maxLoadShare)),
    maxBytes: least(a?.maxBytes, b.maxBytes),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
}

function checkBudget(budget: DailyBudget | undefined): void {
  if (budget === undefined) return
  checkFields(budget, BUDGET_FIELDS, 'options.dailyBudget')
  for (const [name, value] of Object.entries(budget))
    if (value !== undefined && !(typeof value === 'number' && value >= 0))
      throw invalid(`options.dailyBudget.${name}`, `must be a number from 0, not ${shown(value)}`)
}

function checkSpent(spent: readonly Spending[]): void {
  if (!Array.isArray(spent)) throw invalid('options.spent', 'must be an array, as rebalancer.spent gives it')
  spent.forEach((spending, i) => {
    const field = `options.spent[${i}]`
    checkFields(spending, SPENDING_FIELDS, field)
    for (const name of Object.keys(SPENDING_FIELDS) as (keyof Spending)[])
      if (!(typeof spending[name] === 'number' && spending[name] >= 0))
        throw invalid(`${field}.${name}`, `must be a number from 0, not ${shown(spending[name])}`)
  })
}
