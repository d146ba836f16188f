import type { NativeReply } from '../../../shard-store'
import type { Executor, Queued } from './executor'
import type { Argument } from './key-places'
import { type Encoding, errorOf, isFailure, ReplyError, resultOf } from './replies'

/** A command as it was called. */
export interface Entry {
  readonly name: string
  readonly args: readonly Argument[]
  readonly encoding: Encoding
}

/** A command of an open transaction: what Redis will do with it, or what is wrong with it. */
interface Pending {
  readonly entry: Entry
  readonly queued: Queued | undefined
}

/** What one connection knows of itself: the transaction that is open on it, if one is. */
export class Session {
  readonly #executor: Executor
  #pending: Pending[] | undefined
  #broken = false

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** The value that the caller gets. Commands are taken in the order of the calls. */
  async run(entry: Entry): Promise<unknown> {
    const { name, args, encoding } = entry
    const lower = name.toLowerCase()
    if (lower === 'multi') return this.#begin(entry)
    if (this.#pending) {
      if (lower === 'exec') return this.#exec(entry)
      if (lower === 'discard') {
        this.#pending = undefined
        return status('OK', encoding)
      }
      return this.#queue(entry, this.#pending)
    }
    const reply = await this.#executor.execute(name, args)
    return settled(reply, entry)
  }

  #begin({ name, args, encoding }: Entry): unknown {
    if (args.length > 0) throw new ReplyError("ERR wrong number of arguments for 'multi' command", name, args)
    if (this.#pending) throw new ReplyError('ERR MULTI calls can not be nested', name, args)
    this.#pending = []
    this.#broken = false
    return status('OK', encoding)
  }

  #queue(entry: Entry, pending: Pending[]): unknown {
    try {
      pending.push({ entry, queued: this.#executor.queue(entry.name, entry.args) })
    } catch (error) {
      this.#broken = true
      throw error
    }
    return status('QUEUED', entry.encoding)
  }

  async #exec({ name, args }: Entry): Promise<unknown> {
    const pending = this.#pending!
    this.#pending = undefined
    if (this.#broken)
      throw new ReplyError('EXECABORT Transaction discarded because of previous errors.', name, args)
    const replies = await this.#executor.transaction(pending.map(({ queued }) => queued!))
    return replies.map((reply, i) => {
      const { entry } = pending[i]!
      return isFailure(reply)
        ? errorOf(reply, entry.name, entry.args)
        : resultOf(reply, entry.encoding, entry.name)
    })
  }
}

/** @throws what the server answered instead of carrying it out. */
function settled(reply: NativeReply, { name, args, encoding }: Entry): unknown {
  if (isFailure(reply)) throw errorOf(reply, name, args)
  return resultOf(reply, encoding, name)
}

function status(text: string, encoding: Encoding): string | Buffer {
  return encoding === null ? Buffer.from(text) : text
}
