import type { Clock, Random } from '../clock'
import { invalid } from '../errors'
import { checkFields, type Fields } from '../options'
import type { SimulatedProcess } from './simulated-process'

/** Shares are of all calls, in [0, 1]; spans are [least, most] in ms, drawn evenly. Everything left out is off. */
export interface FaultRates {
  /** The way of a request to the store, and again that of the reply. */
  delayMs?: readonly [number, number]
  /** The request never arrives; the caller learns that nothing happened. */
  lostRequests?: number
  /** It is carried out; the caller only learns that the connection broke. */
  lostReplies?: number
  /** The caller gives up, and the request is carried out later all the same. */
  lateRequests?: number
  /** A step of a migrator, safe to repeat by contract, is delivered once more, later. */
  repeatedSteps?: number
  /** How much later: for late requests and repeated steps. */
  lateMs?: readonly [number, number]
  /** The calling process dies: before it sends, while the request is on its way, or before it sees the reply. */
  crashes?: number
  /** A sweep or purge takes so much longer to arrive, and deletes one key at a time. */
  slowErasesMs?: readonly [number, number]
  /** A batch of a copy arrives with one value damaged. Only until its copy is verified: what is not is never found out. */
  damagedBatches?: number
}

export interface FaultOptions extends FaultRates {
  random: Random
  clock: Clock
  /** The process at the caller's end of the connection. */
  process?: SimulatedProcess
  /** The process died of a call. */
  onCrash?: () => void
}

const FAULT_FIELDS: Fields<FaultOptions> = {
  delayMs: true,
  lostRequests: true,
  lostReplies: true,
  lateRequests: true,
  repeatedSteps: true,
  lateMs: true,
  crashes: true,
  slowErasesMs: true,
  damagedBatches: true,
  random: true,
  clock: true,
  process: true,
  onCrash: true,
}

/** Every kind of fault that a connection knows, and `calls`, of which they are a part. */
export const CONNECTION_FAULTS = [
  'calls',
  'reordered',
  'lostRequests',
  'lostReplies',
  'lateRequests',
  'repeatedSteps',
  'refusedWhileDown',
  'refusedAsFull',
  'crashes',
  'slowErases',
  'damagedBatches',
] as const
export type FaultCounts = Record<(typeof CONNECTION_FAULTS)[number], number>

/** One request over an unreliable connection. */
export interface Carried<T> {
  readonly send: () => Promise<T>
  /** The error of a request that certainly did not arrive. */
  readonly unavailable: (reason: string) => Error
  /** It changes something: it may be carried out late. */
  readonly writes: boolean
  /** A second delivery is harmless by contract. */
  readonly repeatable: boolean
  /** It deletes, and may be slow. */
  readonly erases?: boolean
}

/** The connection between one process and one store, and all that can go wrong on it. */
export class FaultInjector {
  readonly counts = Object.fromEntries(CONNECTION_FAULTS.map((name) => [name, 0])) as FaultCounts
  rates: FaultRates
  /** The store has no room for new values. */
  full = false
  readonly #random: Random
  readonly #clock: Clock
  readonly #process: SimulatedProcess | undefined
  readonly #onCrash: (() => void) | undefined
  #downUntil = Number.NEGATIVE_INFINITY
  #instant = Number.NaN
  #inThisInstant = 0
  /** How often the caller had to be slowed down, because it goes on and on and never pauses. */
  rushes = 0
  #late = 0
  /** The latest call, by its number, that has arrived. */
  #arrived = 0

  constructor(options: FaultOptions) {
    checkFields(options, FAULT_FIELDS, 'options')
    if (typeof options.random !== 'function') throw invalid('options.random', 'must be a function')
    if (typeof options.clock?.now !== 'function') throw invalid('options.clock', 'must be a Clock')
    const { random, clock, process, onCrash, ...rates } = options
    this.rates = checkRates(rates)
    this.#random = random
    this.#clock = clock
    this.#process = process
    this.#onCrash = onCrash
  }

  /** Requests that were given up or repeated and are still on their way. */
  get underWay(): number {
    return this.#late
  }

  /** Every fault ends, and every outage. What is under way still arrives. */
  calm(): void {
    this.rates = {}
    this.full = false
    this.#downUntil = Number.NEGATIVE_INFINITY
  }

  /** The store cannot be reached for so long. */
  down(ms = Number.POSITIVE_INFINITY): void {
    this.#downUntil = this.#clock.now() + ms
  }

  up(): void {
    this.#downUntil = Number.NEGATIVE_INFINITY
  }

  /** Whether a batch is to be damaged. */
  damages(): boolean {
    if (!this.#chance(this.rates.damagedBatches)) return false
    this.counts.damagedBatches++
    return true
  }

  async carry<T>({ send, unavailable, writes, repeatable, erases = false }: Carried<T>): Promise<T> {
    const number = ++this.counts.calls
    const fate = this.#fate(writes)
    const deadlyMoment = this.#chance(this.rates.crashes) ? Math.floor(this.#random() * 3) : undefined
    await this.#process?.running()
    if (this.#isRush()) await this.#clock.sleep(1)
    if (deadlyMoment === 0) await this.#die()
    await this.#delay()
    if (erases && this.rates.slowErasesMs) {
      this.counts.slowErases++
      await this.#clock.sleep(this.#span(this.rates.slowErasesMs))
    }
    if (number < this.#arrived) this.counts.reordered++
    else this.#arrived = number
    // Nobody waits for it any more, and it arrives all the same.
    if (deadlyMoment === 1) void this.#die()
    if (this.#isDown()) {
      this.counts.refusedWhileDown++
      await this.#back()
      throw unavailable('it is down')
    }
    if (fate) this.counts[fate]++
    if (fate === 'lostRequests') {
      await this.#back()
      throw unavailable('the request was lost')
    }
    if (fate === 'lateRequests') {
      this.#later(send)
      await this.#back()
      throw new Error('the connection was lost (the request is still under way)')
    }
    // A failure of the store itself travels back like an answer.
    const answer = send()
    const [settled] = await Promise.allSettled([answer])
    if (repeatable && this.#chance(this.rates.repeatedSteps)) {
      this.counts.repeatedSteps++
      this.#later(send)
    }
    if (deadlyMoment === 2) await this.#die()
    await this.#back()
    if (fate === 'lostReplies') throw new Error('the connection was lost (the request had been carried out)')
    if (this.#isDown() && settled.status === 'fulfilled') {
      this.counts.lostReplies++
      throw new Error('the connection was lost (it went down before the reply)')
    }
    return answer
  }

  #fate(writes: boolean): 'lostRequests' | 'lostReplies' | 'lateRequests' | undefined {
    const { lostRequests = 0, lostReplies = 0, lateRequests = 0 } = this.rates
    const at = this.#random()
    if (at < lostRequests) return 'lostRequests'
    if (at < lostRequests + lostReplies) return 'lostReplies'
    if (at < lostRequests + lostReplies + lateRequests) return writes ? 'lateRequests' : 'lostReplies'
    return undefined
  }

  /** Delivered whatever becomes of the sender; nobody is left to read the answer. */
  #later(send: () => Promise<unknown>): void {
    const ms = this.#span(this.rates.lateMs ?? [1, 1_000])
    this.#late++
    const deliver = async () => {
      await this.#clock.sleep(ms)
      if (!this.#isDown()) await send()
    }
    const done = () => {
      this.#late--
    }
    deliver().then(done, done)
  }

  #isRush(): boolean {
    const now = this.#clock.now()
    if (now !== this.#instant) this.#inThisInstant = 0
    this.#instant = now
    if (++this.#inThisInstant <= RUSH) return false
    this.rushes++
    return true
  }

  /** Never resolves, unless faults have ended meanwhile. */
  #die(): Promise<void> {
    if (this.#process && !this.#process.isDead && this.rates.crashes) {
      this.counts.crashes++
      this.#process.kill()
      this.#onCrash?.()
    }
    return this.#process?.running() ?? Promise.resolve()
  }

  async #back(): Promise<void> {
    await this.#delay()
    await this.#process?.running()
  }

  #delay(): Promise<void> | undefined {
    const ms = this.rates.delayMs ? this.#span(this.rates.delayMs) : 0
    return ms > 0 ? this.#clock.sleep(ms) : undefined
  }

  #isDown(): boolean {
    return this.#clock.now() < this.#downUntil
  }

  #chance(share = 0): boolean {
    return share > 0 && this.#random() < share
  }

  #span([least, most]: readonly [number, number]): number {
    return Math.round(least + this.#random() * (most - least))
  }
}

/** Calls over one connection in one instant: virtual time would never pass for whoever never waits. */
const RUSH = 5_000

const SHARES = [
  'lostRequests',
  'lostReplies',
  'lateRequests',
  'repeatedSteps',
  'crashes',
  'damagedBatches',
] as const

function checkRates(rates: FaultRates): FaultRates {
  for (const name of SHARES) {
    const share = rates[name] ?? 0
    if (!(typeof share === 'number' && share >= 0 && share <= 1))
      throw invalid(`options.${name}`, 'is a share of calls, from 0 to 1')
  }
  for (const name of ['delayMs', 'lateMs', 'slowErasesMs'] as const) {
    const span = rates[name]
    if (span === undefined) continue
    const [least, most] = Array.isArray(span) ? span : []
    const numbers = typeof least === 'number' && typeof most === 'number'
    if (!(numbers && least >= 0 && least <= most && most < Number.POSITIVE_INFINITY))
      throw invalid(`options.${name}`, 'is [least, most] in ms')
  }
  return rates
}
