/** One test of a contract, and what an implementation must declare for it to make sense. */
export interface ContractPromise<Made, Supports> {
  readonly name: string
  /** What is missing, in words; false where nothing is. */
  readonly needs?: (supports: Supports) => string | false
  readonly run: (made: Made) => Promise<void>
}

/** `test` of vitest, jest or node:test. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown

/**
 * Registers the promises of a contract as tests, at once where the factory answers at once: most runners take no test
 * after a turn of the event loop. What an implementation declares it cannot do is reported by a test of that name.
 */
export function registerContract<Made, Supports>(options: {
  readonly test: TestFunction
  readonly factory: () => Made | Promise<Made>
  readonly supports: Supports | undefined
  readonly supportsOf: (made: Made) => Supports
  readonly promises: readonly ContractPromise<Made, Supports>[]
  /** Ends what a test was given. */
  readonly dispose: (made: Made) => Promise<void>
}): void | Promise<void> {
  const { test, factory, supportsOf, promises, dispose } = options
  const register = (supports: Supports) => {
    for (const { name, needs, run } of promises) {
      const missing = needs?.(supports)
      if (missing) {
        test(`SKIPPED, ${missing}: ${name}`, async () => {})
        continue
      }
      test(name, async () => {
        const made = await factory()
        try {
          await run(made)
        } finally {
          await dispose(made)
        }
      })
    }
  }
  if (options.supports) return register(options.supports)
  const sample = factory()
  if (!(sample instanceof Promise)) {
    register(supportsOf(sample))
    void dispose(sample)
    return
  }
  return sample.then(async (made) => {
    const supports = supportsOf(made)
    await dispose(made)
    register(supports)
  })
}
