import type { FenceCommand, Proof } from '../../../src/placement/fence'
import { proofOf } from '../../../src/placement/fence'
import { isTagSegment, type SegmentId, type ShardId } from '../../../src/placement/segment'
import type { Change, Entry, SegmentAt, ShardStore } from '../../../src/shard-store'
import type { Stage } from './stage'

/** One request to one shard, that may arrive whenever it likes and as often as it likes. */
export interface Request {
  readonly name: string
  readonly shard: ShardId
  send(store: ShardStore): Promise<unknown>
}

/** A handoff by hand: what its migrator remembers. */
export interface Attempt {
  readonly at: SegmentAt
  readonly from: ShardId
  readonly to: ShardId
  readonly epoch: number
  readonly ticket: number
  /** The copy holds at least what the source had written by then. */
  n: number
  base: number | undefined
  /** The target kept what it had: nothing is copied but changes. */
  kept: boolean
  carved: string[]
  batch: number
  /** Read at the source, and not yet sent. */
  read: (Pick<Change, 'key' | 'tag'> & { entry?: Entry })[]
  proof: Proof | undefined
}

const LIMIT = 100

/** Handoffs made by hand, a request at a time, in any order: what late, repeated and superseded migrators send. */
export class Attempts {
  readonly #stage: Stage
  readonly #attempts = new Map<number, Attempt>()
  /** Every request that was ever composed. */
  readonly #bag = new Map<string, Request>()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  of(ticket: number): Attempt {
    const attempt = this.#attempts.get(ticket)
    if (!attempt) throw new Error(`nothing was begun under ticket ${ticket}; begin with: export, or: attempt`)
    return attempt
  }

  /** Reads the fence of the source, and sends nothing. */
  async begin(
    segment: SegmentId,
    from: ShardId,
    to: ShardId,
    ticket: number,
    epoch?: number,
  ): Promise<Attempt> {
    const at = { segment, bucketId: 0 }
    const { record } = await this.#stage.fence(from, at)
    const attempt: Attempt = {
      at,
      from,
      to,
      epoch: epoch ?? record.epoch,
      ticket,
      n: 0,
      base: undefined,
      kept: false,
      carved: [],
      batch: 0,
      read: [],
      proof: undefined,
    }
    this.#attempts.set(ticket, attempt)
    return attempt
  }

  /** Composes the request, and puts it in the bag. */
  remember(request: Request): Request {
    this.#bag.set(request.name, request)
    return request
  }

  remembered(name: string): Request {
    const request = this.#bag.get(name)
    if (!request)
      throw new Error(
        `no request was called ${JSON.stringify(name)}; there are: ${[...this.#bag.keys()].join(', ')}`,
      )
    return request
  }

  export(it: Attempt): Request {
    return this.#step(
      it,
      it.from,
      { step: 'export', epoch: it.epoch, ticket: it.ticket, peer: it.to },
      (record) => {
        it.n = record.seq
        it.base = record.trace ? record.base : undefined
        it.carved = [...record.carved]
      },
    )
  }

  prepare(it: Attempt): Request {
    const { epoch, ticket, base, carved } = it
    return this.#step(it, it.to, { step: 'prepare', epoch, ticket, base, carved }, (record) => {
      it.kept = record.kept
      if (record.kept) it.n = base ?? it.n
    })
  }

  hold(it: Attempt, durationMs: number): Request {
    return this.#step(it, it.from, { step: 'hold', epoch: it.epoch, ticket: it.ticket, durationMs })
  }

  cutover(it: Attempt, n: number): Request {
    return this.#step(
      it,
      it.from,
      { step: 'cutover', epoch: it.epoch, ticket: it.ticket, seq: n },
      (record) => {
        it.proof = proofOf(record)
      },
    )
  }

  activate(it: Attempt): Request {
    if (!it.proof)
      return {
        name: `activate ${it.ticket}`,
        shard: it.to,
        send: async () => this.#stage.tell('nobody has a proof'),
      }
    return this.#step(it, it.to, { step: 'activate', proof: it.proof })
  }

  abort(it: Attempt): Request {
    return this.#step(it, it.from, { step: 'abort', epoch: it.epoch, ticket: it.ticket })
  }

  discard(it: Attempt): Request {
    return this.#step(it, it.to, { step: 'discard', ticket: it.ticket })
  }

  /** What a rescue does to a shard that lost state: its owner, or moved to `peer`. */
  restore(it: Attempt, peer: ShardId, epoch: number, seq: number): Request {
    return this.#step(it, it.from, { step: 'restore', epoch, ticket: it.ticket, peer, seq, intact: false })
  }

  sweep(it: Attempt): Request {
    const { at, ticket, to } = it
    return {
      name: `sweep ${ticket}`,
      shard: to,
      send: (store) => store.erase({ ...at, step: 'sweep', ticket, limit: LIMIT }),
    }
  }

  /** Of what is left on the source; at the target, with `at`, of what an aborted attempt copied. */
  purge(it: Attempt, shard: ShardId, limit: number): Request {
    const { at, ticket, epoch } = it
    const request = { ...at, step: 'purge', epoch: epoch + 1, limit } as const
    return { name: `purge ${ticket}`, shard, send: (store) => store.erase(request) }
  }

  untrace(it: Attempt): Request {
    return this.#step(it, it.to, { step: 'untrace', epoch: it.epoch + 1 })
  }

  /** A page of the source; everything, where no key is named. */
  async readPage(it: Attempt, keys: readonly string[], tagOf: (key: string) => string): Promise<void> {
    const page = await this.#stage.store(it.from).scan({
      ...it.at,
      as: { role: 'source', ticket: it.ticket },
      want: 'values',
      ...(keys.length > 0 && { keys: keys.map((key) => ({ key, tag: tagOf(key) })) }),
      limit: LIMIT,
    })
    if (page.ok) it.read = page.entries.map((entry) => ({ key: entry.key, tag: entry.tag, entry }))
  }

  /** The oldest changes of the source after n. True: there are none left, and n is the source's seq. */
  async readChanges(it: Attempt, limit = LIMIT): Promise<boolean> {
    const { at, ticket, n, from } = it
    const answer = await this.#stage.store(from).changes({ ...at, ticket, after: n, limit })
    if (!answer.ok) return true
    it.read = [...answer.changes]
    it.n = answer.changes.at(-1)?.seq ?? answer.seq
    return answer.changes.length === 0
  }

  /** What was read last, as the next batch. */
  batch(it: Attempt): Request {
    const { at, epoch, ticket, to, read } = it
    const batch = ++it.batch
    it.read = []
    return {
      name: `batch ${batch} of ${ticket}`,
      shard: to,
      send: (store) => store.ingest({ ...at, epoch, ticket, batch, changes: read }),
    }
  }

  carving(
    step: 'split' | 'merge',
    segment: SegmentId,
    shard: ShardId,
    epoch: number,
    ticket: number,
  ): Request {
    if (!isTagSegment(segment)) throw new Error(`${segment} is no tag`)
    const at = { segment, bucketId: 0 }
    return { name: `${step} ${ticket}`, shard, send: (store) => store.step(at, { step, epoch, ticket }) }
  }

  #step(
    { at, ticket }: Attempt,
    shard: ShardId,
    command: FenceCommand,
    granted?: (record: Awaited<ReturnType<ShardStore['step']>>['record']) => void,
  ): Request {
    let heeded = false
    return {
      name: `${command.step} ${ticket}`,
      shard,
      // Nobody waits for the answer to a request that was delivered before.
      send: async (store) => {
        const answer = await store.step(at, command)
        if (answer.ok && !heeded) granted?.(answer.record)
        heeded = true
        return answer
      },
    }
  }
}
