import { inspect } from 'node:util'
import { expect } from 'vitest'
import { type ErrorCode, ForeshardError } from '../../src/errors'
import type { ShardRouter } from '../../src/router/router'
import type { ShardStore } from '../../src/shard-store'

/** The error of what was refused: coded, and in few words. Undefined where it was served. */
export async function refusalOf(attempt: () => unknown): Promise<ForeshardError | undefined> {
  try {
    await attempt()
    return undefined
  } catch (error) {
    expect(error, inspect(error)).toBeInstanceOf(ForeshardError)
    const refusal = error as ForeshardError
    expect(refusal.message.length).toBeLessThan(2_100)
    expect((refusal.field ?? '').length).toBeLessThan(300)
    return refusal
  }
}

/** It is refused with this code, for this field. */
export async function expectRefused(
  attempt: () => unknown,
  code: ErrorCode,
  field?: string,
): Promise<ForeshardError> {
  const refusal = await refusalOf(attempt)
  expect(refusal?.code, `${field}: ${refusal?.message}`).toBe(code)
  if (field !== undefined) expect(refusal!.field).toBe(field)
  return refusal!
}

/** All that a refused request could have changed: what the stores hold, where it lies, and what was counted. */
export async function stateOf(router: ShardRouter, stores: Readonly<Record<string, ShardStore>>) {
  const { shards, pending, revision } = router.metrics()
  return {
    sizes: await Promise.all(Object.values(stores).map((store) => store.size())),
    fences: await Promise.all(Object.values(stores).map((store) => store.fences())),
    placement: [...router.placement.segments()],
    counts: shards.map(({ shard, reads, writes, errors }) => ({ shard, reads, writes, errors })),
    pending,
    revision,
  }
}
