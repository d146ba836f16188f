interface Recorded {
  /**
   * Who called. A process does one thing at a time on one key, so that its answered operations are in order even where
   * the clock did not tick between them (then by their place in the history). Strands that run at once need names of
   * their own. After an unknown outcome the process may go on under its name.
   */
  process: string | number
  key: string
  /** Any unit, one clock for all processes. Operations that touch in one instant count as concurrent. */
  invokedAt: number
  /** Needed of an answered operation. Of an unknown one it is only shown: the effect may come later. */
  returnedAt?: number | undefined
  /**
   * `ok`: answered. `failed`: certainly without effect. `unknown`: took effect once at any time after the invocation, or
   * never (a crash, OUTCOME_UNKNOWN).
   */
  outcome: 'ok' | 'failed' | 'unknown'
}

/**
 * One operation of a history. `undefined` as a value means that the key is absent. Values are recorded as a read would
 * return them, that is, as they come out of the codec.
 *
 * - `get`, `has`: an unknown one says nothing.
 * - `delete`: the output, if known, says whether the key existed.
 * - `cas`: becomes `value` if it was `expect` (absent: `undefined`, on either side); the output says whether it was applied.
 *   It also records `ifVersion` (expect what was read with the version), an `update` (from what was last read to what was
 *   written), and an expiry: a `cas` by a process of its own from the value to `undefined`, in the time the store has for it.
 */
export type HistoryOperation = Recorded &
  (
    | { kind: 'get'; input?: undefined; output?: unknown }
    | { kind: 'has'; input?: undefined; output?: boolean | undefined }
    | { kind: 'set'; input: unknown; output?: unknown }
    | { kind: 'delete'; input?: undefined; output?: boolean | undefined }
    | { kind: 'cas'; input: { expect: unknown; value: unknown }; output?: boolean | undefined }
  )
