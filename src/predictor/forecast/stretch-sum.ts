/** Σ x(s) over s in [from, to). Four sums at a time: one would wait for the addition before it. */
export function stretchSum(x: Float64Array, from: number, to: number): number {
  let a = 0
  let b = 0
  let c = 0
  let e = 0
  let s = from
  for (; s + 3 < to; s += 4) {
    a += x[s]!
    b += x[s + 1]!
    c += x[s + 2]!
    e += x[s + 3]!
  }
  for (; s < to; s++) a += x[s]!
  return a + b + (c + e)
}
