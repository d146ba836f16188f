import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryStore } from '../../src/backends/memory/memory-store'
import type * as Fence from '../../src/placement/fence'
import type * as Table from '../../src/placement/fence-table'
import type { SegmentId } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { type SimulationOptions, simulation } from '../../src/testing/simulation'

/**
 * The property test is worth something only if it fails for a protocol that is wrong. Here one rule at a time is taken
 * out, and a simulation must notice within a few seeds. The published code has no switch for this: the fence table is
 * replaced for the stores of this file.
 */
interface Broken {
  decide?: (real: typeof Table.decide) => typeof Table.decide
  serves?: typeof Fence.serves
  isProtected?: typeof Fence.isProtected
  store?: (real: ShardStore) => ShardStore
  /** The weather in which it shows soonest. */
  under?: Partial<SimulationOptions>
}

const broken = vi.hoisted(() => ({ rule: {} as Broken }))

vi.mock('../../src/placement/fence-table', async (original) => {
  const real = await original<typeof Table>()
  return {
    ...real,
    decide: ((...args) => (broken.rule.decide?.(real.decide) ?? real.decide)(...args)) as typeof Table.decide,
  }
})

vi.mock('../../src/placement/fence', async (original) => {
  const real = await original<typeof Fence>()
  return {
    ...real,
    serves: ((...args) => (broken.rule.serves ?? real.serves)(...args)) as typeof Fence.serves,
    isProtected: ((...args) =>
      (broken.rule.isProtected ?? real.isProtected)(...args)) as typeof Fence.isProtected,
  }
})

afterEach(() => {
  broken.rule = {}
})

/** Seeds until a simulation fails; `limit` when none does. */
async function seedsUntilNoticed(
  rule: Broken,
  limit: number,
): Promise<{ seeds: number; noticed: string | undefined }> {
  broken.rule = rule
  for (let seed = 1; seed <= limit; seed++) {
    const report = await simulation({
      seed,
      operations: 600,
      ...rule.under,
      store: (_shard, time) => {
        const store = memoryStore({ clock: time.clock, random: () => 0.5 })
        return rule.store?.(store) ?? store
      },
    })
    if (!report.ok) return { seeds: seed, noticed: report.problems[0] }
  }
  return { seeds: limit, noticed: undefined }
}

/** Breaks one kind of step, and leaves the others as they are. */
function breaking<S extends Fence.FenceStep>(
  step: S,
  decide: (
    real: Table.FenceDecision,
    fences: Fence.BucketFences,
    command: Extract<Fence.FenceCommand, { step: S }>,
    again: (command: Fence.FenceCommand) => Table.FenceDecision,
    segment: SegmentId,
  ) => Table.FenceDecision,
): Broken {
  return {
    decide: (real) => (fences, segment, command, now) => {
      const decision = real(fences, segment, command, now)
      if (command.step !== step) return decision
      const again = (other: Fence.FenceCommand) => real(fences, segment, other, now)
      return decide(decision, fences, command as Extract<Fence.FenceCommand, { step: S }>, again, segment)
    },
  }
}

/** Carried out with another record of what is imported. */
function rewritten(
  decision: Extract<Table.FenceDecision, { ok: true }>,
  rewrite: (record: Fence.FenceRecord) => Fence.FenceRecord,
): Pick<typeof decision, 'change' | 'record'> {
  const records = decision.change.records.map(
    ([segment, record]) => [segment, record.state === 'importing' ? rewrite(record) : record] as const,
  )
  return { change: { ...decision.change, records }, record: rewrite(decision.record) }
}

/** Carried out whatever the guard says. */
function forced(decision: Table.FenceDecision, change: Table.FenceChange): Table.FenceDecision {
  return { ok: true, row: undefined as never, change, record: decision.record }
}

const RULES: Record<string, Broken> = {
  // State, epoch and list of carved tags each rule out what the others do, as long as routers keep to the protocol: only
  // all three together are missed.
  'the fence check: whoever has a record serves': {
    serves: (record) => record.state !== 'none',
  },
  'the sequence check of the cutover': breaking('cutover', (real, _f, command, again) =>
    real.ok || real.record.state !== 'owned' ? real : again({ ...command, seq: real.record.seq }),
  ),
  'the purge guard: an owner and an importer are purged too': breaking('purge', (real) =>
    real.ok ? real : forced(real, { records: [] }),
  ),
  'the purge guard: keys that another record governs are not spared': {
    isProtected: () => false,
  },
  'deletes are missing in the change log': {
    store: (real) => ({
      ...delegated(real),
      changes: async (request) => {
        const answer = await real.changes(request)
        return answer.ok ? { ...answer, changes: answer.changes.filter((it) => it.entry) } : answer
      },
    }),
  },
  'the batch number: a late duplicate is applied again': {
    under: { rates: { delayMs: [0, 12], repeatedSteps: 1, lateMs: [1, 60] }, verified: 0 },
    ...breaking('ingest', (real, _f, _c, _again, segment) =>
      real.ok && real.change.records.length === 0
        ? { ...real, change: { records: [[segment, real.record]] } }
        : real,
    ),
  },
  'the ticket: an abort and a discard forget it': {
    under: { rates: { delayMs: [0, 20], repeatedSteps: 1, lateMs: [1, 60_000] } },
    decide: (real) => (fences, segment, command, now) => {
      const decision = real(fences, segment, command, now)
      if (!decision.ok || (command.step !== 'abort' && command.step !== 'discard')) return decision
      const records = decision.change.records.map(
        ([other, record]) => [other, { ...record, ticket: 0 }] as const,
      )
      return { ...decision, change: { ...decision.change, ticket: 0, records } }
    },
  },
  'the sweep: what lies at the target is taken for copied': breaking('prepare', (real) =>
    real.ok ? { ...real, ...rewritten(real, (record) => ({ ...record, loading: true })) } : real,
  ),
  'the base: retained data is kept whatever it is': breaking(
    'prepare',
    (real, fences, command, _again, segment) => {
      const before = fences.record(segment)
      return real.ok && before.state === 'moved' && command.base !== undefined
        ? { ...real, ...rewritten(real, (record) => ({ ...record, loading: true, kept: true })) }
        : real
    },
  ),
  'the expiry: an import counts the time to live anew': {
    under: { expiring: true },
    store: (real) => ({
      ...delegated(real),
      ingest: (request) =>
        real.ingest({
          ...request,
          changes: request.changes.map((it) =>
            it.entry && it.entry.expiresAt > 0
              ? { ...it, entry: { ...it.entry, expiresAt: it.entry.expiresAt + 100 } }
              : it,
          ),
        }),
    }),
  },
}

/** A store whose methods can be replaced one by one. */
function delegated(real: ShardStore): ShardStore {
  return {
    supports: real.supports,
    open: (binding) => real.open(binding),
    execute: (calls) => real.execute(calls),
    step: (at, command) => real.step(at, command),
    found: (buckets) => real.found(buckets),
    fences: (segments) => real.fences(segments),
    scan: (request) => real.scan(request),
    changes: (request) => real.changes(request),
    ingest: (request) => real.ingest(request),
    erase: (request) => real.erase(request),
    size: () => real.size(),
    close: () => real.close(),
  }
}

describe('a simulation notices when a rule is taken out', () => {
  for (const [rule, breakage] of Object.entries(RULES))
    it(rule, async () => {
      const { seeds, noticed } = await seedsUntilNoticed(breakage, 100)
      expect(noticed, `not noticed in ${seeds} seeds`).toBeDefined()
    })

  it('and nothing where none is', async () => {
    for (const { under } of Object.values(RULES))
      expect(await seedsUntilNoticed({ under }, under ? 8 : 1)).toMatchObject({ noticed: undefined })
  })
})
