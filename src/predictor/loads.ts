/** What items were used like, interval by interval. */
export interface Loads {
  /** item · intervals + column, oldest first. */
  readonly loads: Float32Array
  readonly items: number
  readonly intervals: number
  /** Number of the interval of column 0. */
  readonly first: number
  /** Load of each item over the whole history. */
  readonly sums: Float64Array
}
