import type { ParsedKey } from './key-template'

/** Templates that are compared, the most frequent ones. */
const MOST_TEMPLATES = 32
/** Keys of one template and transaction that are compared with the others. */
const OF_A_KIND = 4
/** Two fields agree if so many pairs were seen, so many of them have one value, and chance would make it so much less. */
const FEWEST_PAIRS = 16
const LEAST_AGREEMENT = 0.5
const LEAST_LIFT = 2

/** A field of a template. */
export interface Field {
  readonly template: number
  readonly place: number
}

export interface Evidence {
  readonly agreement: number
  readonly lift: number
  readonly pairs: number
}

/** How often fields of keys that share a transaction have one value. */
export class Agreement {
  readonly #fields: readonly number[]
  /** template -> number of its first field; and of all fields. */
  readonly #first: number[] = []
  readonly #width: number
  /** field · width + field: pairs of keys with one value there, by chance as many as `expected` says. */
  readonly #same: Float64Array
  readonly #pairs: Float64Array
  readonly #values: Map<string, number>[]
  readonly #seen: Float64Array

  /** `fields`: how many each template has; `transactions`: their distinct keys. */
  constructor(fields: readonly number[], transactions: readonly (readonly ParsedKey[])[]) {
    this.#fields = fields
    const counts = new Float64Array(fields.length)
    for (const keys of transactions) for (const { template } of keys) counts[template]!++
    const order = fields.map((_, template) => template).sort((a, b) => counts[b]! - counts[a]! || a - b)
    const compared = new Set(order.slice(0, MOST_TEMPLATES))
    let width = 0
    fields.forEach((count, template) => {
      this.#first.push(compared.has(template) ? width : -1)
      if (compared.has(template)) width += count
    })
    this.#width = width
    this.#same = new Float64Array(width * width)
    this.#pairs = new Float64Array(width * width)
    this.#values = Array.from({ length: width }, () => new Map<string, number>())
    this.#seen = counts
    for (const keys of transactions) this.#enter(keys.filter(({ template }) => compared.has(template)))
  }

  /** Sets of fields that may be one, at most one of each free template: grown from each field by whom it agrees with most. */
  *candidates(free: ReadonlySet<number>): IterableIterator<Field[]> {
    const tried = new Set<string>()
    for (const template of free) {
      if (this.#first[template]! < 0) continue
      for (let place = 0; place < this.#fields[template]!; place++) {
        const fields = this.#grow({ template, place }, free)
        const name = fields.map((field) => this.#index(field)).join()
        if (tried.has(name)) continue
        tried.add(name)
        yield fields
      }
    }
  }

  /** How well a field agrees with the others of its set, and with itself. */
  evidence(field: Field, others: readonly Field[]): Evidence {
    let same = 0
    let pairs = 0
    let chance = 0
    for (const other of others) {
      const at = this.#index(field) * this.#width + this.#index(other)
      same += this.#same[at]!
      pairs += this.#pairs[at]!
      if (this.#pairs[at]! > 0) chance += this.#pairs[at]! * this.#chance(field, other)
    }
    return {
      agreement: pairs > 0 ? same / pairs : 0,
      lift: chance > 0 ? same / chance : 0,
      pairs,
    }
  }

  #grow(seed: Field, free: ReadonlySet<number>): Field[] {
    const fields = [seed]
    const left = new Set([...free].filter((template) => this.#first[template]! >= 0))
    left.delete(seed.template)
    for (;;) {
      let best: { field: Field; same: number } | undefined
      for (const template of left)
        for (let place = 0; place < this.#fields[template]!; place++) {
          const field = { template, place }
          const { agreement, lift, pairs } = this.evidence(field, fields)
          if (pairs < FEWEST_PAIRS || agreement < LEAST_AGREEMENT || lift < LEAST_LIFT) continue
          const same = agreement * pairs
          if (best === undefined || same > best.same) best = { field, same }
        }
      if (best === undefined) break
      fields.push(best.field)
      left.delete(best.field.template)
    }
    return fields.sort((a, b) => this.#seen[b.template]! - this.#seen[a.template]! || a.template - b.template)
  }

  /** The probability that two keys drawn at random have one value in these fields. */
  #chance(a: Field, b: Field): number {
    const [left, right] = [this.#values[this.#index(a)]!, this.#values[this.#index(b)]!]
    const totals = [this.#seen[a.template]!, this.#seen[b.template]!]
    let chance = 0
    for (const [value, count] of left) chance += (count / totals[0]!) * ((right.get(value) ?? 0) / totals[1]!)
    // A value that was seen once may come again.
    return Math.max(chance, 1 / (totals[0]! + totals[1]!))
  }

  #index({ template, place }: Field): number {
    return this.#first[template]! + place
  }

  #enter(keys: readonly ParsedKey[]): void {
    for (const { template, fields } of keys)
      fields.forEach((text, place) => {
        const values = this.#values[this.#first[template]! + place]!
        values.set(text, (values.get(text) ?? 0) + 1)
      })
    const kinds = new Map<number, number>()
    const few = keys.filter(({ template }) => {
      const before = kinds.get(template) ?? 0
      kinds.set(template, before + 1)
      return before < OF_A_KIND
    })
    for (let i = 0; i < few.length; i++)
      for (let j = 0; j < few.length; j++) {
        if (i === j) continue
        const [a, b] = [few[i]!, few[j]!]
        for (let p = 0; p < a.fields.length; p++)
          for (let q = 0; q < b.fields.length; q++) {
            const at = (this.#first[a.template]! + p) * this.#width + this.#first[b.template]! + q
            this.#pairs[at]!++
            if (a.fields[p] === b.fields[q]) this.#same[at]!++
          }
      }
  }
}
