import type { Clock, Random } from '../clock'
import { invalid, shown } from '../errors'

/** Refuses a clock that tells no time and a source of chance that cannot be asked. Left out, they are well. */
export function checkTimeAndChance(clock: Clock | undefined, random?: Random): void {
  if (clock !== undefined && typeof clock?.now !== 'function')
    throw invalid('options.clock', `must be a Clock: { now, sleep, every }, not ${shown(clock)}`)
  if (random !== undefined && typeof random !== 'function')
    throw invalid('options.random', `must be a function that gives numbers from 0 to 1, not ${shown(random)}`)
}
