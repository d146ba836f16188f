/** Redis' patterns: `*`, `?`, `[a-c]`, `[^a]`, and a backslash before what stands for itself. Of bytes, as Redis matches. */
export function globMatcher(pattern: Buffer): (text: Buffer) => boolean {
  return (text) => matches(pattern, 0, text, 0)
}

const [STAR, QUESTION, OPEN, CLOSE, CARET, DASH, BACKSLASH] = [...Buffer.from('*?[]^-\\')] as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
]

function matches(pattern: Buffer, p: number, text: Buffer, t: number): boolean {
  /** Where the last star stood, and how much it has taken so far: only the last one need ever be reconsidered. */
  let star = -1
  let taken = 0
  for (;;) {
    if (p < pattern.length && pattern[p] === STAR) {
      star = p++
      taken = t
      continue
    }
    const one = p < pattern.length && t < text.length ? element(pattern, p, text[t]!) : undefined
    if (one?.fits) {
      p = one.next
      t++
      continue
    }
    if (p >= pattern.length && t >= text.length) return true
    if (star < 0 || taken >= text.length) return false
    p = star + 1
    t = ++taken
  }
}

/** Whether the element of the pattern at p fits a byte, and where the next one begins. */
function element(pattern: Buffer, p: number, byte: number): { fits: boolean; next: number } {
  const at = pattern[p]!
  if (at === QUESTION) return { fits: true, next: p + 1 }
  if (at === BACKSLASH && p + 1 < pattern.length) return { fits: pattern[p + 1] === byte, next: p + 2 }
  if (at !== OPEN) return { fits: at === byte, next: p + 1 }
  let i = p + 1
  const not = pattern[i] === CARET
  if (not) i++
  let found = false
  for (; i < pattern.length && pattern[i] !== CLOSE; i++) {
    if (pattern[i] === BACKSLASH && i + 1 < pattern.length) {
      if (pattern[++i] === byte) found = true
    } else if (i + 2 < pattern.length && pattern[i + 1] === DASH) {
      const [a, b] = [pattern[i]!, pattern[i + 2]!]
      if (byte >= Math.min(a, b) && byte <= Math.max(a, b)) found = true
      i += 2
    } else if (pattern[i] === byte) found = true
  }
  return { fits: found !== not, next: Math.min(i + 1, pattern.length) }
}
