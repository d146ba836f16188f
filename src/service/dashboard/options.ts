import { type Clock, systemClock } from '../../clock'
import { invalid, shown } from '../../errors'
import { checkFields, type Fields } from '../../options'
import { Predictor } from '../../predictor/predictor'
import type { Rebalancer } from '../../rebalancer/rebalancer'
import type { ShardRouter } from '../../router/router'
import type { GuardOptions } from '../guard'

export interface DashboardOptions extends GuardOptions {
  /** Shows loads, reshardings and history; takes rollbacks and cancels. */
  router?: ShardRouter
  /** Shows forecasts and the heat map; a function where it may be replaced by another. One at least of router and predictor. */
  predictor?: Predictor | (() => Predictor)
  /** Shows recommendations; takes 'accept' and 'reject'. */
  rebalancer?: Rebalancer
  /** What a shard can take, as load a second: drawn beside what it has. */
  capacities?: Readonly<Record<string, number>> | ReadonlyMap<string, number>
  /** Default 'Foreshard'. */
  title?: string
  /** Time between two looks at the loads, and between two messages to a page; default 2000. */
  sampleMs?: number
  /** Pages at the same time; default 20. */
  pages?: number
  clock?: Clock
}

export interface CheckedDashboardOptions {
  readonly router: ShardRouter | undefined
  readonly predictor: (() => Predictor) | undefined
  readonly rebalancer: Rebalancer | undefined
  readonly capacities: ReadonlyMap<string, number>
  readonly title: string
  readonly sampleMs: number
  readonly pages: number
  readonly clock: Clock
}

const FIELDS: Fields<DashboardOptions> = {
  router: true,
  predictor: true,
  rebalancer: true,
  capacities: true,
  title: true,
  sampleMs: true,
  pages: true,
  token: true,
  tokens: true,
  loopbackOnly: true,
  clock: true,
}
const LONGEST_TITLE = 100

/** Refuses what is malformed, naming the field; gives the rest with its defaults. */
export function checkDashboardOptions(options: DashboardOptions): CheckedDashboardOptions {
  checkFields(options, FIELDS, 'options')
  const { router, predictor, rebalancer, capacities = {}, title = 'Foreshard', clock = systemClock } = options
  const { sampleMs = 2000, pages = 20 } = options
  if (router === undefined && predictor === undefined)
    throw invalid('options.router', 'is missing, and so is options.predictor: there is nothing to show')
  if (router !== undefined && typeof router?.previewRollback !== 'function')
    throw invalid('options.router', 'must be a ShardRouter')
  if (predictor !== undefined && typeof predictor !== 'function' && !(predictor instanceof Predictor))
    throw invalid('options.predictor', 'must be a Predictor of this process, or a function that gives it')
  if (rebalancer !== undefined && typeof rebalancer?.tick !== 'function')
    throw invalid('options.rebalancer', 'must be a Rebalancer')
  if (capacities === null || typeof capacities !== 'object')
    throw invalid('options.capacities', 'must be an object or a Map from shard to load a second')
  const given = new Map(capacities instanceof Map ? capacities : Object.entries(capacities))
  for (const [shard, capacity] of given)
    if (!(typeof capacity === 'number' && capacity > 0))
      throw invalid(`options.capacities.${shard}`, `must be a number above 0, not ${shown(capacity)}`)
  if (typeof title !== 'string' || title.length > LONGEST_TITLE)
    throw invalid('options.title', `must be a string of at most ${LONGEST_TITLE} characters`)
  if (!(Number.isFinite(sampleMs) && sampleMs >= 100))
    throw invalid('options.sampleMs', `must be milliseconds from 100, not ${shown(sampleMs)}`)
  if (!(Number.isSafeInteger(pages) && pages >= 1))
    throw invalid('options.pages', `must be a whole number from 1, not ${shown(pages)}`)
  if (typeof clock?.every !== 'function')
    throw invalid('options.clock', 'must be a Clock: { now, sleep, every }')
  const present = predictor instanceof Predictor ? () => predictor : predictor
  return { router, predictor: present, rebalancer, capacities: given, title, sampleMs, pages, clock }
}
