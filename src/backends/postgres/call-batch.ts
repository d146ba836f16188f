import { isTagSegment, tagOfSegment } from '../../placement/segment'
import type { Answer, Call } from '../../shard-store'
import type { Cell, Row } from './connection'
import { binaries, numbers, texts } from './literal'

/** Calls as the parameters of the functions in sql/execute.ts, and their answers. */

export type Kind = 'read' | 'write'

export function kindOf({ operation }: Call): Kind {
  return operation.kind === 'set' || operation.kind === 'delete' ? 'write' : 'read'
}

export function encodeCalls(kind: Kind, calls: readonly Call[], time: number | null): Cell[] {
  const common = [
    numbers(calls.map((it) => it.bucketId)),
    texts(calls.map((it) => (isTagSegment(it.segment) ? tagOfSegment(it.segment)! : ''))),
    numbers(calls.map((it) => it.epoch)),
    texts(calls.map((it) => it.key)),
    texts(calls.map((it) => it.tag)),
  ]
  if (kind === 'read')
    return [...common, numbers(calls.map((it) => (it.operation.kind === 'get' ? 1 : 0))), time]
  const operations = calls.map((it) => it.operation)
  return [
    ...common,
    binaries(operations.map((it) => (it.kind === 'set' ? it.value : undefined))),
    numbers(operations.map((it) => (it.kind === 'set' ? it.expiresAt : undefined))),
    numbers(operations.map((it) => ('ifVersion' in it ? it.ifVersion : undefined))),
    time,
  ]
}

/** The answer to a call; 'held' or 'elsewhere' where it was refused. */
export function decodeAnswer(kind: Kind, row: Row): Answer | 'held' | 'elsewhere' {
  if (kind === 'write') {
    const [verdict, seq, version] = row
    if (verdict === 'e' || verdict === 'h') return verdict === 'e' ? 'elsewhere' : 'held'
    return {
      ok: true,
      value: undefined,
      version: Number(version),
      seq: Number(seq),
      applied: verdict === 'y',
    }
  }
  const [seq, version, expires, value] = row
  if (seq === null) return 'elsewhere'
  const read = {
    ok: true,
    version: Number(version ?? 0),
    seq: Number(seq),
    applied: version !== null,
  } as const
  if (typeof value !== 'string') return { ...read, value: undefined }
  return { ...read, value: Buffer.from(value, 'hex'), expiresAt: Number(expires) }
}
