import { afterEach, describe, expect, it } from 'vitest'
import type { FenceCommand, FenceRecord } from '../../src/placement/fence'
import { breakRows, mendTable, type Row } from './broken-table'
import { Walk, type WalkResult } from './walk'

const SEEDS = Number(process.env.FORESHARD_WALKS ?? 3000)
const STEPS = 400

function firstBroken(seeds: number): (WalkResult & { seed: number }) | undefined {
  for (let seed = 1; seed <= seeds; seed++) {
    const result = new Walk(seed).run(STEPS)
    if (result.broken) return { ...result, seed }
  }
  return undefined
}

describe('a random walk through the fence table', () => {
  it(`keeps every invariant over ${SEEDS} seeds of ${STEPS} steps`, () => {
    let commits = 0
    let kept = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = new Walk(seed).run(STEPS)
      if (result.broken) throw new Error(`seed ${seed}: ${result.broken}\n${result.story.join('\n')}`)
      commits += result.commits
      kept += result.kept
    }
    // A walk that never commits, or never goes back over retained data, would prove nothing.
    expect(commits).toBeGreaterThan(SEEDS)
    expect(kept).toBeGreaterThan(SEEDS / 50)
  }, 120_000)
})

type Guard = (c: never, r: FenceRecord, f: { ticket: number }, s: string) => boolean

/** Breaks one row of a step, until the test ends. */
function breakRow(step: FenceCommand['step'], change: (row: Row, when: Guard) => void, index = 0): void {
  breakRows(step, (row, real) => change(row, real.when as Guard), index)
}

describe('a broken fence table is caught', () => {
  afterEach(mendTable)

  const mutations: Record<string, () => void> = {
    'cutover without comparing seq (HOLDCUT)': () =>
      breakRow('cutover', (row) => {
        row.when = (c: never, r) => r.export === (c as { ticket: number }).ticket
      }),
    'ingest without the batch number (NOBATCH)': () =>
      breakRow('ingest', (row) => {
        row.when = (c: never, r) => r.ticket === (c as { ticket: number }).ticket && r.loading
      }),
    'export that clears the log twice (REEXPORT)': () =>
      breakRow('export', (row) => {
        row.when = (c: never, r, f) =>
          r.epoch === (c as { epoch: number }).epoch && f.ticket <= (c as { ticket: number }).ticket
      }),
    'prepare that trusts retained data of another time (NOBASESEQ, without its epoch)': () =>
      breakRow('prepare', (row, when) => {
        row.when = (c: never, r, f, s) => {
          const command = c as { base?: number }
          return (
            command.base !== undefined && when({ ...command, base: r.seq, epoch: r.epoch } as never, r, f, s)
          )
        }
      }),
    'prepare that trusts purged data (NOINTACT)': () =>
      breakRow('prepare', (row, when) => {
        row.when = (c, r, f, s) => when(c as never, { ...r, intact: true }, f, s)
      }),
    'discard that forgets tickets (DISCARDANY)': () =>
      breakRow('discard', (row) => {
        row.when = () => true
        row.change = (_c, r, f, s) => ({
          records: [[s, { ...r, state: 'none', loading: false }]],
          ticket: f.ticket,
        })
      }),
    'purge that looks at no state (PURGEANY)': () =>
      breakRow('purge', (row) => {
        row.from = ['owned', 'moved', 'importing', 'none']
        row.when = () => true
      }),
    'prepare that an older ticket may still take (FORGET)': () => {
      for (const index of [0, 1])
        breakRow(
          'prepare',
          (row, when) => {
            row.when = (c, r, f, s) =>
              when(c as never, r, { ...f, record: f.record, tags: f.tags, ticket: -1 } as never, s)
          },
          index,
        )
    },
    'activate without comparing tickets': () =>
      breakRow('activate', (row) => {
        row.when = (c: never, r) => r.epoch >= (c as { proof: { epoch: number } }).proof.epoch
      }),
    'split that leaves the export alive (SPLITEXPORT)': () =>
      breakRow('split', (row) => {
        const { change } = row
        row.change = (c, r, f, s, now) => {
          const changed = change.call(row, c, r, f, s, now)
          const before = f.record('#0')
          return {
            ...changed,
            ticket: f.ticket,
            exporting: f.exporting,
            records: changed.records.map(([at, record]) =>
              at === '#0'
                ? [at, { ...record, export: before.export, peer: before.peer, epoch: before.epoch }]
                : [at, record],
            ),
          }
        }
      }),
    'a tag carved out of retained data that leaves it intact': () => {
      for (const index of [0, 1])
        breakRow(
          'purge',
          (row) => {
            row.change = (_c, r, _f, s) => ({ records: r.intact ? [[s, { ...r, intact: false }]] : [] })
          },
          index,
        )
      breakRow('sweep', (row) => {
        row.change = (c, r, _f, s) => ({
          records: (c as { empty: boolean }).empty ? [[s, { ...r, loading: true }]] : [],
        })
      })
    },
  }

  for (const [name, apply] of Object.entries(mutations))
    it(name, () => {
      apply()
      const broken = firstBroken(20_000)
      expect(broken?.broken, 'no seed found the fault').toBeDefined()
    }, 120_000)
})
