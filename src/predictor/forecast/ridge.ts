/**
 * Ridge regression from a Gram matrix (Hoerl and Kennard, 1970), by Cholesky's decomposition in place.
 *
 * `gram`: upper triangle, row-major, `width` columns: target, regressors, constant. The penalty on each regressor
 * is `ridge` times its own sum of squares plus a floor, so that it does not depend on the unit of the series; the
 * constant is not penalised. Writes one coefficient per regressor, then the constant, to `coefficients`.
 * `work` holds (width − 1)² numbers.
 */
export function solveRidge(
  gram: Float64Array,
  width: number,
  ridge: number,
  coefficients: Float64Array,
  work: Float64Array,
): void {
  const p = width - 1
  for (let a = 0; a < p; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = gram[(b + 1) * width + a + 1]!
      if (a === b) sum += a < p - 1 ? ridge * sum + 1e-9 : 1e-9
      for (let k = 0; k < b; k++) sum -= work[a * p + k]! * work[b * p + k]!
      // A pivot that is not positive means a regressor that repeats the others: it gets a coefficient of nothing.
      if (a === b) work[a * p + a] = sum > 1e-12 ? Math.sqrt(sum) : Number.POSITIVE_INFINITY
      else work[a * p + b] = sum / work[b * p + b]!
    }
  }
  for (let a = 0; a < p; a++) {
    let sum = gram[a + 1]!
    for (let k = 0; k < a; k++) sum -= work[a * p + k]! * coefficients[k]!
    coefficients[a] = sum / work[a * p + a]!
  }
  for (let a = p - 1; a >= 0; a--) {
    let sum = coefficients[a]!
    for (let k = a + 1; k < p; k++) sum -= work[k * p + a]! * coefficients[k]!
    coefficients[a] = sum / work[a * p + a]!
  }
}
