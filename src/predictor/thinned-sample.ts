/** What a sample is made of. */
export interface Sampled {
  readonly timestamp: number
  /** Uniform in 0 … 2^32 − 1: who stays when the sample is thinned. */
  readonly hash: number
  /** How many such it stands for. */
  weight: number
}

export interface ThinnedState<T> {
  readonly chance: number
  readonly members: T[]
}

/**
 * A uniform sample of bounded size whose members are chosen by a hash. When there is no more room the chance to be taken is
 * halved, for those that are there too (adaptive sampling: Wegman 1984; Flajolet 1990). It takes more again where there is room.
 */
export class ThinnedSample<T extends Sampled> {
  readonly capacity: number
  readonly #sizeOf: (member: T) => number
  #members: T[] = []
  #chance = 1
  #size = 0

  constructor(capacity: number, sizeOf: (member: T) => number) {
    this.capacity = capacity
    this.#sizeOf = sizeOf
  }

  /** In the order in which they came. */
  get members(): readonly T[] {
    return this.#members
  }

  get size(): number {
    return this.#size
  }

  /** What a member that came now would stand for. */
  get weight(): number {
    return 1 / this.#chance
  }

  takes(hash: number): boolean {
    return hash < this.#chance * 2 ** 32
  }

  add(member: T): void {
    this.#members.push(member)
    this.grown(this.#sizeOf(member))
  }

  /** A member has grown by so much. */
  grown(by: number): void {
    this.#size += by
    while (this.#size > this.capacity) {
      this.#chance /= 2
      this.keep((member) => {
        if (member.weight >= this.weight) return true
        if (!this.takes(member.hash)) return false
        member.weight = this.weight
        return true
      })
    }
  }

  /** Forgets what is older, and takes more again where there is room. */
  forget(before: number): void {
    if (this.#members.some(({ timestamp }) => timestamp < before))
      this.keep(({ timestamp }) => timestamp >= before)
    if (this.#size < this.capacity / 4) this.#chance = Math.min(1, this.#chance * 2)
  }

  keep(keeps: (member: T) => boolean): void {
    this.#members = this.#members.filter(keeps)
    this.#size = this.#members.reduce((size, member) => size + this.#sizeOf(member), 0)
  }

  state(): ThinnedState<T> {
    return { chance: this.#chance, members: structuredClone(this.#members) }
  }

  adopt({ chance, members }: ThinnedState<T>): void {
    this.#chance = chance
    this.#members = structuredClone(members)
    this.keep(() => true)
  }
}
