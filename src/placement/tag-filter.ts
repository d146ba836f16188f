/** Bits of a word that a tag sets, of its 32: two. */
const TAGS_A_WORD = 2

/**
 * Answers for nearly every tag that is not carved out that it is not, at the cost of one word: a blocked Bloom filter
 * (Putze, Sanders, Singler, 2007), 2 to 4 bytes a tag. Tags are never taken out, so it may be shared by tables that have some of
 * its tags each.
 */
export class TagFilter {
  readonly #words: Int32Array
  readonly #shift: number
  #marks = 0

  /** `tags`: how many it is to hold until it is full. */
  constructor(tags: number) {
    const bits = Math.max(1, Math.ceil(Math.log2(tags / TAGS_A_WORD)))
    this.#words = new Int32Array(1 << bits)
    this.#shift = 32 - bits
  }

  /** From here on more and more tags are taken for carved ones. */
  get isFull(): boolean {
    return this.#marks >= this.#words.length * TAGS_A_WORD
  }

  /** False: certainly not. `hash`: of the tag, 32 bits. */
  has(hash: number): boolean {
    const mark = markOf(hash)
    return (this.#words[hash >>> this.#shift]! & mark) === mark
  }

  add(hash: number): void {
    this.#words[hash >>> this.#shift]! |= markOf(hash)
    this.#marks++
  }
}

/** The word is found by the upper bits, the mark in it is made of the lower ones. */
function markOf(hash: number): number {
  return (1 << hash) | (1 << (hash >>> 5))
}
