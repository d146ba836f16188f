import type { ManualClock } from '../../../src/clock'
import { isForeshardError } from '../../../src/errors'
import type { FenceRecord } from '../../../src/placement/fence'
import type { ShardId } from '../../../src/placement/segment'
import type { Answer, Call, SegmentAt, ShardStore } from '../../../src/shard-store'
import {
  batchInWords,
  changesInWords,
  commandInWords,
  counted,
  entriesInWords,
  operationInWords,
  recordInWords,
  valueInWords,
} from './wording'

export interface Observer {
  readonly clock: ManualClock
  tell(line: string): void
  /** A write that was acknowledged to a client. */
  written(call: Call): void
}

/** A store that tells of every request that arrives at the shard, by whoever sent it, and of the answer. */
export function observedStore(store: ShardStore, shard: ShardId, observer: Observer): ShardStore {
  const { clock, tell, written } = observer
  const inWords = (record: FenceRecord) => recordInWords(record, clock.now())

  const attempted = async <T>(what: string, send: () => Promise<T>): Promise<T> => {
    try {
      return await send()
    } catch (error) {
      tell(`${shard}: ${what}: error ${isForeshardError(error) ? error.code : error}`)
      throw error
    }
  }

  /** A step: the answer, and what it changed besides the record that the answer shows. */
  const step = async <T extends { ok: boolean; record: FenceRecord }>(
    at: SegmentAt,
    what: string,
    send: () => Promise<T>,
    more: (answer: T) => string = () => '',
  ): Promise<T> => {
    const before = await fencesOf(store, at)
    const answer = await attempted(what, send)
    const after = await fencesOf(store, at)
    const changed = [...after].filter(([segment, it]) => before.get(segment)?.text !== it.text)
    const raised = before.get(at.segment)?.ticket !== after.get(at.segment)?.ticket
    const others = changed
      .filter(([segment]) => segment !== at.segment)
      .map(([segment, { record }]) => `, ${segment} ${inWords(record)}`)
    const outcome = !answer.ok ? 'REFUSED' : changed.length === 0 && !raised ? 'unchanged' : 'done'
    tell(`${shard}: ${what}: ${more(answer) || outcome}; ${inWords(answer.record)}${others.join('')}`)
    return answer
  }

  const answered = (call: Call, answer: Answer) => {
    const { segment, epoch, key, operation, proof } = call
    const carrying = proof ? ` with the proof of ticket ${proof.ticket}` : ''
    tell(
      `${shard}: ${operationInWords(key, operation)} in ${segment} @${epoch}${carrying}: ${answerInWords(call, answer)}`,
    )
  }
  const answerInWords = ({ operation }: Call, answer: Answer) => {
    if (!answer.ok && answer.reason === 'held') return `HELD for ${answer.retryAfterMs} ms`
    if (!answer.ok) return `REFUSED; ${answer.governs} ${inWords(answer.record)}`
    if (operation.kind === 'get') return answer.value ? valueInWords(answer.value) : 'absent'
    return answer.applied ? `done; seq ${answer.seq}` : 'nothing to do'
  }

  return {
    supports: store.supports,
    open: (binding) => store.open(binding),
    found: (buckets) => store.found(buckets),
    fences: (segments) => store.fences(segments),
    size: () => store.size(),
    close: () => store.close(),
    execute: async (calls) => {
      const answers = await attempted(`${calls.length} operations`, () => store.execute(calls))
      for (const [i, answer] of answers.entries()) {
        const call = calls[i]!
        answered(call, answer)
        const { kind } = call.operation
        if (answer.ok && answer.applied && (kind === 'set' || kind === 'delete')) written(call)
      }
      return answers
    },
    step: (at, command) => step(at, commandInWords(at.segment, command), () => store.step(at, command)),
    ingest: (request) => {
      const { segment, batch, ticket, changes } = request
      const what = `batch ${batch} of ${segment}, ticket ${ticket} (${batchInWords(changes)})`
      return step(request, what, () => store.ingest(request))
    },
    erase: (request) => {
      const which = request.step === 'sweep' ? `, ticket ${request.ticket}` : ` @${request.epoch}`
      return step(
        request,
        `${request.step} ${request.segment}${which}`,
        () => store.erase(request),
        (answer) => (answer.ok ? `${answer.deleted} deleted${answer.done ? '' : ', more to do'}` : ''),
      )
    },
    scan: async (request) => {
      const { segment, as, want } = request
      const whose = as.role === 'owner' ? `@${as.epoch}` : `for ticket ${as.ticket}`
      const what = `${want === 'values' ? 'page' : 'digests'} of ${segment} ${whose}`
      const page = await attempted(what, () => store.scan(request))
      if (!page.ok) tell(`${shard}: ${what}: REFUSED; ${inWords(page.record)}`)
      // How many pages there are is the store's own: one that comes after the last entry is not told.
      else if (request.cursor !== undefined && page.entries.length === 0) return page
      else if (want === 'values') tell(`${shard}: ${what}: ${entriesInWords(page.entries)}; seq ${page.seq}`)
      else tell(`${shard}: ${what}: ${counted(page.entries.length, 'key')}`)
      return page
    },
    changes: async (request) => {
      const { segment, after, ticket } = request
      const what = `changes of ${segment} after ${after} for ticket ${ticket}`
      const answer = await attempted(what, () => store.changes(request))
      if (answer.ok) tell(`${shard}: ${what}: ${changesInWords(answer.changes)}; seq ${answer.seq}`)
      else tell(`${shard}: ${what}: REFUSED; ${inWords(answer.record)}`)
      return answer
    },
  }
}

/** The records of the segment's bucket, and a text of each that differs where the record does. */
async function fencesOf(store: ShardStore, { bucketId }: SegmentAt) {
  const listings = (await store.fences()).filter((it) => it.bucketId === bucketId)
  return new Map(
    listings.map(({ segment, record, bucketTicket }) => {
      const text = JSON.stringify({ ...record, carved: [...record.carved].sort() })
      return [segment, { record, text, ticket: bucketTicket }] as const
    }),
  )
}
