import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type * as Fence from '../../src/placement/fence'
import { memoryBackend } from '../scenarios/backends'
import { BROKEN_RULES } from './broken-rules'
import { mendTable } from './broken-table'
import { replay } from './language/performance'

/**
 * A transcript that no fault can change shows nothing. Each of those that show a fault of the model is played once on
 * shards without the rule that prevents it: the trace must differ, and, unless the rule is redundant, an invariant must break.
 */
const switches = vi.hoisted(() => ({ movedProtects: false }))

vi.mock('../../src/placement/fence', async (original) => {
  const real = await original<typeof Fence>()
  const isProtected: typeof Fence.isProtected = (fences, segment, tag) =>
    real.isProtected(fences, segment, tag) ||
    (switches.movedProtects && segment === `{${tag}}` && fences.record('#0').state === 'moved')
  return { ...real, isProtected }
})

afterEach(() => {
  mendTable()
  switches.movedProtects = false
})

describe('the transcript of a fault differs where its rule is taken out', () => {
  for (const [name, { table, store, movedProtects, harmless }] of Object.entries(BROKEN_RULES))
    it(name, async () => {
      table?.()
      switches.movedProtects = movedProtects ?? false
      const path = join(import.meta.dirname, `fault-${name}.txt`)
      const { written, performed } = await replay(path, memoryBackend(), store)
      expect(performed).not.toBe(written)
      if (!harmless) expect(breachesIn(performed)).toBeGreaterThan(breachesIn(written))
    })
})

function breachesIn(transcript: string): number {
  return transcript.split('\n').filter((line) => line.startsWith('BROKEN')).length
}
