/** Steps of a unit, so that a byte reaches from −8 to 8 units. */
const STEPS = 16

/**
 * Errors of forecasts in units of their scale, a byte each: for every item, future and step. A million items with seven futures
 * of a day take 160 MiB; what lies beyond eight units is cut off there.
 */
export class PackedErrors {
  readonly #errors: Int8Array
  readonly #futures: number
  readonly #horizon: number

  constructor(items: number, futures: number, horizon: number) {
    this.#errors = new Int8Array(items * futures * horizon)
    this.#futures = futures
    this.#horizon = horizon
  }

  /** Takes over an item's errors: futures × horizon numbers. */
  put(item: number, errors: ArrayLike<number>): void {
    const at = item * this.#futures * this.#horizon
    for (let k = 0; k < errors.length; k++)
      this.#errors[at + k] = Math.max(-127, Math.min(127, Math.round(errors[k]! * STEPS)))
  }

  /** Position of an item's future: its first step. */
  at(item: number, future: number): number {
    return (item * this.#futures + future) * this.#horizon
  }

  /** The error at a position. */
  get(position: number): number {
    return this.#errors[position]! / STEPS
  }
}
