import type { Clock, Random } from '../../clock'
import { invalid, shown } from '../../errors'
import { checkTimeAndChance } from '../injected'
import type { PlaceOptions } from './names'

export const TIMEOUT_MS = 10_000
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

/** What a store and a topology in Postgres are told alike. */
export interface CommonOptions extends PlaceOptions {
  /** Creates or upgrades the tables at open; default true. Without it run `migrate` before. */
  migrate?: boolean
  /**
   * Whether the server keeps over a crash what it acknowledged. Default true with a Pool, where a server that says
   * otherwise (fsync, synchronous_commit) is refused; false with PGlite, which may live in memory.
   */
  durable?: boolean
  /** How long a statement is waited for, and a connection before it; default 10 seconds. */
  timeoutMs?: number
  /** Takes the place of the server's clock, for simulations. */
  clock?: Clock
  random?: Random
}

export function checkCommonOptions({ migrate, durable, timeoutMs, clock, random }: CommonOptions): void {
  for (const [field, value] of Object.entries({ migrate, durable }))
    if (value !== undefined && typeof value !== 'boolean')
      throw invalid(`options.${field}`, `must be true or false, not ${shown(value)}`)
  if (timeoutMs !== undefined) checkWhole(timeoutMs, LONGEST_TIMEOUT_MS, 'options.timeoutMs')
  checkTimeAndChance(clock, random)
}

export function checkWhole(value: unknown, most: number, field: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > most)
    throw invalid(field, `must be a whole number from 1 to ${most}, not ${shown(value)}`)
}
