/** The words of a command: what it names by position, and what by a preposition: `export #0 from a to b ticket 5`. */
export class Words {
  readonly text: string
  readonly #positional: string[] = []
  readonly #named = new Map<string, string>()
  #next = 0

  constructor(text: string, names: readonly string[]) {
    this.text = text
    const words = text.split(/\s+/).filter(Boolean)
    for (let i = 0; i < words.length; i++) {
      if (!names.includes(words[i]!)) this.#positional.push(words[i]!)
      else {
        const value = words[++i]
        if (value === undefined)
          throw new Error(`${JSON.stringify(text)}: a word belongs after ${words[i - 1]}`)
        this.#named.set(words[i - 1]!, value)
      }
    }
  }

  /** The next word that stands for itself. */
  word(what: string): string {
    const word = this.#positional[this.#next++]
    if (word === undefined) throw new Error(`${JSON.stringify(this.text)}: which ${what}?`)
    return word
  }

  rest(): string[] {
    const rest = this.#positional.slice(this.#next)
    this.#next = this.#positional.length
    return rest
  }

  number(what: string): number {
    return toNumber(this.word(what), this.text)
  }

  /** What follows a preposition. */
  after(name: string): string | undefined {
    return this.#named.get(name)
  }

  numberAfter(name: string): number | undefined {
    const value = this.after(name)
    return value === undefined ? undefined : toNumber(value, this.text)
  }

  durationAfter(name: string): number | undefined {
    const value = this.after(name)
    return value === undefined ? undefined : duration(value)
  }
}

/** 50ms, 5s, 2min, 1h. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|min|h)$/.exec(text) ?? []
  if (!unit) throw new Error(`${JSON.stringify(text)} is no duration such as 50ms, 5s, 2min, 1h`)
  return Number(number) * { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 }[unit as 'ms' | 's' | 'min' | 'h']
}

function toNumber(word: string, text: string): number {
  if (!/^\d+$/.test(word)) throw new Error(`${JSON.stringify(text)}: ${word} is no number`)
  return Number(word)
}
