import type { FenceCommand } from '../../src/placement/fence'
import type { FenceRow } from '../../src/placement/fence-table'
import { isTagSegment } from '../../src/placement/segment'
import type { ShardStore } from '../../src/shard-store'
import { breakRows, rewriting } from './broken-table'
import type { Breakage } from './language/stage'

/** A rule of the protocol, taken out. */
export interface BrokenRule {
  /** Breaks rows of the fence table, for the test that is running. */
  table?: () => void
  /** Breaks what the table cannot express: the log, and the order in which shards are asked. */
  store?: Breakage
  /** A bucket's retained copy protects the keys of its tags. */
  movedProtects?: true
  /** Redundant, or of liveness only: no invariant breaks without it. */
  harmless?: true
}

type Command<S extends FenceCommand['step']> = Extract<FenceCommand, { step: S }>
const command = <S extends FenceCommand['step']>(it: FenceCommand) => it as Command<S>

/** The ticket of the bucket as a guard is shown it. */
function withTicket(ticket: number, { when }: FenceRow): FenceRow['when'] {
  return (c, r, f, s) =>
    when(
      c,
      r,
      {
        bucketId: f.bucketId,
        exporting: f.exporting,
        record: (at) => f.record(at),
        tags: () => f.tags(),
        ticket,
      },
      s,
    )
}

/** The store, with one method in another's place. */
function replaced<M extends keyof ShardStore>(store: ShardStore, method: M, by: ShardStore[M]): ShardStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === method) return by
      const member = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

const noEpochAtCutover = () =>
  breakRows(
    'cutover',
    (row, real) => {
      row.when = (c, r, f, s) => real.when({ ...command<'cutover'>(c), epoch: r.epoch }, r, f, s)
    },
    0,
  )
const noTicketAtActivation = () =>
  breakRows(
    'activate',
    (row) => {
      row.when = (c, r) => r.epoch === command<'activate'>(c).proof.epoch
    },
    0,
  )

/** By the names of the model's faults. */
export const BROKEN_RULES: Readonly<Record<string, BrokenRule>> = {
  ABORTB: {
    store: (store, { all, shard, clock }) =>
      replaced(store, 'step', async (at, it) => {
        if (it.step === 'abort') {
          const { ticket } = it
          for (const [other, peer] of all)
            if (other !== shard) await peer.step(at, { step: 'discard', ticket })
          await clock.sleep(1_000)
        }
        return store.step(at, it)
      }),
  },
  PREPFIRST: {
    store: (store, { all, clock }) =>
      replaced(store, 'step', async (at, it) => {
        if (it.step === 'export' && it.ticket > 1) {
          const { epoch, ticket, peer } = it
          await all.get(peer)!.step(at, { step: 'prepare', epoch, ticket })
          await clock.sleep(1_000)
        }
        return store.step(at, it)
      }),
  },
  REEXPORT: {
    table: () =>
      breakRows(
        'export',
        (row) => {
          row.when = (c, r, f) =>
            r.epoch === command<'export'>(c).epoch && f.ticket <= command<'export'>(c).ticket
        },
        0,
      ),
  },
  NOBATCH: {
    table: () =>
      breakRows(
        'ingest',
        (row) => {
          row.when = (c, r) => r.ticket === command<'ingest'>(c).ticket && r.loading
        },
        0,
      ),
  },
  FORGET: {
    table: () => {
      for (const step of ['abort', 'discard'] as const)
        breakRows(step, (row, real) => rewriting(row, real, (it) => ({ ...it, ticket: 0 }), { ticket: 0 }))
    },
  },
  SAMETERM: {
    table: () => {
      for (const step of ['export', 'prepare'] as const)
        breakRows(step, (row, real) => {
          row.when = (c, r, f, s) =>
            withTicket(f.ticket === command<'export'>(c).ticket ? -1 : f.ticket, real)(c, r, f, s)
        })
    },
  },
  NOTRACE: {
    table: () => {
      breakRows(
        'activate',
        (row, real) => rewriting(row, real, (it) => ({ ...it, trace: false, base: 0 })),
        0,
      )
      breakRows(
        'prepare',
        (row, real) => {
          row.when = (c, r, f, s) => real.when({ ...command<'prepare'>(c), base: r.seq }, r, f, s)
        },
        0,
      )
    },
  },
  NOINTACT: {
    table: () =>
      breakRows(
        'prepare',
        (row, real) => {
          row.when = (c, r, f, s) => real.when(c, { ...r, intact: true }, f, s)
        },
        0,
      ),
  },
  NOBASESEQ: {
    table: () =>
      breakRows(
        'prepare',
        (row, real) => {
          row.when = (c, r, f, s) => {
            const { base } = command<'prepare'>(c)
            return (
              base !== undefined &&
              real.when({ ...command<'prepare'>(c), base: r.seq, epoch: r.epoch }, r, f, s)
            )
          }
        },
        0,
      ),
  },
  PREPEPOCH: {
    harmless: true,
    table: () =>
      breakRows(
        'prepare',
        (row, real) => {
          row.when = (c, r, f, s) =>
            real.when(c, r, f, s) && (r.state === 'none' || r.epoch <= command<'prepare'>(c).epoch)
        },
        1,
      ),
  },
  NLATE: {
    store: (store) => {
      let first = true
      return replaced(store, 'changes', async (request) => {
        const { after, ...rest } = request
        const answer = await store.changes({ ...rest, after })
        if (!first || !answer.ok) return answer
        first = false
        return store.changes({ ...rest, after: answer.seq })
      })
    },
  },
  LOGORDER: {
    store: (store) =>
      replaced(store, 'changes', async (request) => {
        const answer = await store.changes({ ...request, limit: 1_000 })
        if (!answer.ok) return answer
        const changes = [...answer.changes].sort((x, y) => (x.key < y.key ? -1 : 1)).slice(0, request.limit)
        return { ...answer, changes }
      }),
  },
  NODELLOG: {
    store: (store) =>
      replaced(store, 'changes', async (request) => {
        const answer = await store.changes(request)
        return answer.ok ? { ...answer, changes: answer.changes.filter((it) => it.entry) } : answer
      }),
  },
  HOLDCUT: {
    table: () =>
      breakRows(
        'cutover',
        (row, real) => {
          row.when = (c, r, f, s) => real.when({ ...command<'cutover'>(c), seq: r.seq }, r, f, s)
        },
        0,
      ),
  },
  CLEARTRACE: {
    table: () =>
      breakRows(
        'export',
        (row, real) => {
          row.change = (c, r, f, s, now) => ({ ...real.change(c, r, f, s, now), clearLogs: [s] })
        },
        0,
      ),
  },
  NOSWEEP: {
    table: () =>
      breakRows('prepare', (row, real) =>
        rewriting(row, real, (it) => (it.state === 'importing' ? { ...it, loading: true } : it)),
      ),
  },
  PURGEANY: {
    table: () =>
      breakRows('purge', (row) => {
        row.from = ['owned', 'moved', 'importing', 'none']
        row.when = () => true
        row.change = () => ({ records: [] })
      }),
  },
  CUTTICKET: {
    table: () =>
      breakRows(
        'cutover',
        (row, real) => {
          row.when = (c, r, f, s) =>
            r.export !== 0 && real.when({ ...command<'cutover'>(c), ticket: r.export }, r, f, s)
        },
        0,
      ),
  },
  DISCARDANY: {
    table: () =>
      breakRows('discard', (row, real) => {
        row.when = () => true
        rewriting(row, real, (it) => it, { ticket: undefined })
      }),
  },
  SPLITEXPORT: {
    table: () => {
      noEpochAtCutover()
      breakRows(
        'split',
        (row, real) => {
          row.change = (c, r, f, s, now) => {
            const changed = real.change(c, r, f, s, now)
            const { export: alive, peer } = f.record('#0')
            const records = changed.records.map(
              ([at, it]) => [at, at === '#0' ? { ...it, export: alive, peer } : it] as const,
            )
            return { records, ticket: changed.ticket }
          }
        },
        0,
      )
    },
  },
  SPLITEPOCH1: {
    table: () => {
      noTicketAtActivation()
      breakRows('split', (row, real) =>
        rewriting(row, real, (it, at) => (isTagSegment(at) ? { ...it, epoch: 1 } : it)),
      )
    },
  },
  FENCEPERSEG: {
    table: () => {
      for (const step of [
        'export',
        'prepare',
        'sweep',
        'ingest',
        'abort',
        'discard',
        'split',
        'merge',
      ] as const)
        breakRows(step, (row, real) => {
          row.when = (c, r, f, s) => withTicket(r.ticket, real)(c, r, f, s)
        })
    },
  },
  NOSPLITEPOCH: {
    harmless: true,
    table: () =>
      breakRows('split', (row, real) => {
        row.change = (c, r, f, s, now) => {
          const changed = real.change(c, r, f, s, now)
          const { epoch } = f.record('#0')
          return {
            ...changed,
            records: changed.records.map(([at, it]) => [at, at === '#0' ? { ...it, epoch } : it] as const),
          }
        }
      }),
  },
  PROTMOVED: { movedProtects: true },
  KEEPSTALETAG: {
    table: () =>
      breakRows('prepare', (row, real) => {
        row.change = (c, r, f, s, now) => {
          const changed = real.change(c, r, f, s, now)
          return { ...changed, records: changed.records.filter(([at]) => at === s || !isTagSegment(at)) }
        }
      }),
  },
  KEEPSTALEBUCKET: {
    table: () =>
      breakRows('prepare', (row, real) => {
        row.change = (c, r, f, s, now) => {
          const changed = real.change(c, r, f, s, now)
          return { ...changed, records: changed.records.filter(([at]) => at === s || isTagSegment(at)) }
        }
      }),
  },
  NOSPOIL: {
    table: () => {
      for (const step of ['sweep', 'purge', 'prepare'] as const)
        breakRows(step, (row, real) => {
          row.change = (c, r, f, s, now) => {
            const changed = real.change(c, r, f, s, now)
            const spoiled = (at: string) => at === '#0' && s !== at && f.record(at).state === 'moved'
            return { ...changed, records: changed.records.filter(([at]) => !spoiled(at)) }
          }
        })
    },
  },
  // The discard comes too late, when the shard is open: here it does not come at all.
  LOSTORDER: {
    store: (store) =>
      replaced(store, 'step', async (at, it) => {
        if (it.step !== 'discard') return store.step(at, it)
        const [listing] = await store.fences([at])
        return { ok: true, record: listing!.record }
      }),
  },
  ACTEPOCH: { harmless: true, table: noTicketAtActivation },
  PURGEEPOCH: {
    harmless: true,
    table: () =>
      breakRows('purge', (row) => {
        row.when = () => true
      }),
  },
  CUTEPOCH: { harmless: true, table: noEpochAtCutover },
}
