import { ErrorCode, isForeshardError } from '../../errors'
import type { Answer, Call } from '../../shard-store'
import { decodeAnswer, encodeCall } from './call-batch'
import type { Argument, Reply } from './connection'
import { EXECUTE_LUA } from './lua/execute'
import { Script } from './script'
import type { ShardServer } from './shard-server'

const EXECUTE = new Script(EXECUTE_LUA)
/** A script blocks its server, for 3 µs a read and up to 10 µs a write [measured]: so much for half a millisecond. */
const WORK_AT_ONCE = 100
const WORK_OF_A_WRITE = 2
const BYTES_AT_ONCE = 1 << 20

interface Waiting {
  /** Of the server, when it was asked for. */
  readonly incarnation: string
  readonly calls: readonly Call[]
  readonly answers: Answer[]
  /** Parts of it that are under way or still to be sent. */
  open: number
  done: number
  failure: unknown
  resolve(answers: Answer[]): void
  reject(error: unknown): void
}

/** Some calls of one who waits; a batch is made of such parts. */
interface Part {
  readonly of: Waiting
  readonly from: number
  readonly to: number
}

/** Sends what is asked for in the same tick together: one script carries many operations, each atomic by itself. */
export class CallQueue {
  readonly #server: ShardServer
  #waiting: Waiting[] = []

  constructor(server: ShardServer) {
    this.#server = server
  }

  execute(calls: readonly Call[]): Promise<Answer[]> {
    if (calls.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      // After all that is asked for by what the last answers have woken.
      if (this.#waiting.length === 0) process.nextTick(() => this.#flush())
      const answers = new Array<Answer>(calls.length)
      const { incarnation } = this.#server
      this.#waiting.push({
        incarnation,
        calls,
        answers,
        open: 0,
        done: 0,
        failure: undefined,
        resolve,
        reject,
      })
    })
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const batches: Part[][] = []
    let batch: Part[] = []
    let room = WORK_AT_ONCE
    let bytes = BYTES_AT_ONCE
    for (const of of waiting) {
      // What was meant for the server before it was restarted is not for what it has become.
      if (of.incarnation !== this.#server.incarnation) {
        of.reject(this.#server.restarted())
        continue
      }
      for (let from = 0; from < of.calls.length; ) {
        if (room <= 0 || bytes <= 0) {
          batches.push(batch)
          batch = []
          room = WORK_AT_ONCE
          bytes = BYTES_AT_ONCE
        }
        let to = from
        for (; to < of.calls.length && room > 0 && bytes > 0; to++) {
          const { operation } = of.calls[to]!
          const writes = operation.kind === 'set' || operation.kind === 'delete'
          room -= writes ? WORK_OF_A_WRITE : 1
          if (operation.kind === 'set') bytes -= operation.value.byteLength
        }
        batch.push({ of, from, to })
        of.open++
        from = to
      }
    }
    if (batch.length > 0) batches.push(batch)
    for (const parts of batches) void this.#send(parts)
  }

  async #send(parts: readonly Part[]): Promise<void> {
    const keys: Argument[] = [this.#server.expiriesKey]
    const args: Argument[] = [this.#server.time]
    for (const { of, from, to } of parts)
      for (let i = from; i < to; i++) {
        const call = of.calls[i]!
        encodeCall(call, this.#server.bucketKey(call.bucketId), keys, args)
      }
    let reply: Reply[]
    try {
      reply = (await this.#server.run(EXECUTE, keys, args)) as Reply[]
    } catch (error) {
      // A write that finds no room makes all that travel with it fail; the others may do without.
      if (parts.length > 1 && isForeshardError(error, ErrorCode.SHARD_FULL))
        for (const part of parts) void this.#send([part])
      else for (const { of } of parts) settle(of, error)
      return
    }
    let at = 0
    for (const { of, from, to } of parts) {
      let failure: unknown
      for (let i = from; i < to; i++, at += 3)
        try {
          of.answers[i] = decodeAnswer(of.calls[i]!, reply, at)
        } catch (error) {
          failure = error
        }
      of.done++
      settle(of, failure)
    }
  }
}

function settle(waiting: Waiting, failure: unknown): void {
  waiting.failure ??= failure
  if (--waiting.open > 0) return
  const { failure: first, done } = waiting
  if (first === undefined) waiting.resolve(waiting.answers)
  else if (done === 0) waiting.reject(first)
  // A failure without effect is none where another part was carried out.
  else if (isForeshardError(first, ErrorCode.NOT_SUPPORTED)) waiting.reject(first)
  else waiting.reject(new Error(`only a part was carried out: ${(first as Error).message}`, { cause: first }))
}
