import { mix, murmur3 } from '../placement/hash'
import type { AccessLogEntry } from '../tracking/access-log'
import { type Sampled, ThinnedSample, type ThinnedState } from './thinned-sample'

/** Keys of transactions and single accesses that are kept: some 3 MB with names as they usually are. */
const TRANSACTION_KEYS = 12_288
const ACCESSES = 8_192
/** Longer names are not kept. */
export const LONGEST_SAMPLED_KEY = 256
/** Keys of one transaction that are kept: what belongs together shows in them. */
const KEYS_OF_ONE = 32

export interface SampledTransaction extends Sampled {
  readonly id: string
  /** Distinct. */
  readonly keys: string[]
}

export interface SampledAccess
  extends Sampled,
    Pick<AccessLogEntry, 'key' | 'operation' | 'count' | 'bytes'> {}

export interface KeySampleState {
  readonly seen: number
  readonly transactions: ThinnedState<SampledTransaction>
  readonly accesses: ThinnedState<SampledAccess>
}

/**
 * A sample of the log that keeps the names of keys, for whatever is to be learned from them: transactions, which tell what
 * belongs together, and single accesses, which tell how load is spread and are less lumpy for that.
 */
export class KeySample {
  readonly transactions: ThinnedSample<SampledTransaction>
  readonly accesses: ThinnedSample<SampledAccess>
  #byId = new Map<string, SampledTransaction>()
  /** Of the entry before: entries of one transaction mostly follow one another. */
  #lastId: string | undefined
  #last: SampledTransaction | undefined
  #seen = 0

  constructor(transactionKeys = TRANSACTION_KEYS, accesses = ACCESSES) {
    this.transactions = new ThinnedSample(transactionKeys, ({ keys }) => keys.length)
    this.accesses = new ThinnedSample(accesses, () => 1)
  }

  add({ transactionId: id, timestamp, key, operation, count, bytes }: AccessLogEntry): void {
    const draw = mix(this.#seen++, 0x2c1b3c6d)
    if (key.length > LONGEST_SAMPLED_KEY) return
    const { accesses } = this
    if (accesses.takes(draw))
      accesses.add({ timestamp, hash: draw, weight: accesses.weight, key, operation, count, bytes })
    if (id === undefined) return
    if (id !== this.#lastId) {
      this.#lastId = id
      this.#last = this.#find(id, timestamp)
    }
    const keys = this.#last?.keys
    if (keys === undefined || keys.length >= KEYS_OF_ONE || keys.includes(key)) return
    keys.push(key)
    const { weight } = this.transactions
    this.transactions.grown(1)
    if (this.transactions.weight !== weight) this.#reindex()
  }

  /** Forgets what is older. */
  forget(before: number): void {
    this.transactions.forget(before)
    this.accesses.forget(before)
    this.#reindex()
  }

  state(): KeySampleState {
    return { seen: this.#seen, transactions: this.transactions.state(), accesses: this.accesses.state() }
  }

  adopt({ seen, transactions, accesses }: KeySampleState): void {
    this.#seen = seen
    this.transactions.adopt(transactions)
    this.accesses.adopt(accesses)
    this.#reindex()
  }

  #find(id: string, timestamp: number): SampledTransaction | undefined {
    const { transactions } = this
    const hash = murmur3(id)
    if (!transactions.takes(hash)) return undefined
    let found = this.#byId.get(id)
    if (found === undefined) {
      found = { id, timestamp, hash, weight: transactions.weight, keys: [] }
      transactions.add(found)
      this.#byId.set(id, found)
    }
    return found
  }

  #reindex(): void {
    this.#byId = new Map(this.transactions.members.map((member) => [member.id, member]))
    this.#last = undefined
    this.#lastId = undefined
  }
}
