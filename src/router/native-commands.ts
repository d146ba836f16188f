import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, keysApart } from '../errors'
import type { CommandSet, NativeCommand, NativeReply } from '../shard-store'
import { closedError, type Dispatcher } from './dispatcher'
import { type EntryListingOptions, listEntries } from './entry-listing'
import type { NameTransaction } from './many'
import type { OperationLabels } from './operation-options'
import type { Operations } from './operations'
import type { ShardSet } from './shard-set'
import type { View } from './view'

export interface NativeAnswers {
  readonly replies: readonly NativeReply[]
  /** Of the segment when it answered: another one means that the key may lie on another server. */
  readonly epoch: number
}

export interface KeyPage {
  readonly bucketId: number
  readonly keys: readonly string[]
}

export interface NativeCommandsOptions {
  readonly view: View
  readonly shards: ShardSet
  readonly dispatcher: Dispatcher
  readonly operations: Operations
  readonly listing: EntryListingOptions
  readonly nameTransaction: NameTransaction
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
}

/**
 * The commands of the servers below, for wrappers that have the shape of such a server's client: located, fenced,
 * retried and tracked as every operation is. A key that one command names decides where it goes.
 */
export class NativeCommands {
  readonly clock: Clock
  readonly random: Random
  /** Aborted when the router closes. */
  readonly signal: AbortSignal
  readonly #set: CommandSet
  readonly #options: NativeCommandsOptions

  /** @throws NOT_SUPPORTED naming a shard whose store does not run these commands. */
  constructor(set: CommandSet, options: NativeCommandsOptions) {
    this.#set = set
    this.#options = options
    this.clock = options.clock
    this.random = options.random
    this.signal = options.signal
    this.#checkShards()
  }

  /** Of the topology. */
  get buckets(): number {
    return this.#options.view.buckets
  }

  /** The tag of a key. @throws INVALID_KEY, CLOSED. */
  tagOf(key: string): string {
    this.#options.operations.checkKey(key)
    return this.#options.view.tagOf(key)
  }

  /**
   * Commands in their order, in one atomic step. A command that the server refuses answers so in its place, and the others are
   * carried out. @throws KEYS_APART where the keys are not of one tag; nothing is sent.
   */
  async run(commands: readonly NativeCommand[], labels?: OperationLabels): Promise<NativeAnswers> {
    const { view, dispatcher, operations } = this.#options
    this.#checkShards()
    let first: string | undefined
    let tag = ''
    let writes = false
    for (const command of commands) {
      if (command.writes.length > 0) writes = true
      for (const places of [command.reads, command.writes])
        for (const place of places) {
          const key = String(command.argv[place])
          operations.checkKey(key)
          const its = view.tagOf(key)
          if (first === undefined) {
            first = key
            tag = its
          } else if (its !== tag) throw keysApart(first, key)
        }
    }
    if (first === undefined)
      throw new ForeshardError(ErrorCode.INVALID_ARGUMENT, 'commands without a key have no shard', {
        field: 'commands',
      })
    const outcome = await dispatcher.one(first, { kind: 'commands', commands, writes })
    const replies = outcome.done.replies!
    operations.commanded(outcome, commands, replies, labels)
    return { replies, epoch: outcome.call.epoch }
  }

  /** Labels that the accesses of one command share, where somebody observes. */
  transaction(): OperationLabels | undefined {
    const { operations, nameTransaction } = this.#options
    return operations.observed ? { transactionId: nameTransaction() } : undefined
  }

  /** Every live key once, in pages, bucket after bucket from `from` on; as `entries` of the router, without values. */
  async *keys(from = 0): AsyncGenerator<KeyPage> {
    const { view, listing, signal } = this.#options
    this.#checkShards()
    for await (const page of listEntries('', { ...listing, want: 'keys' }, from)) {
      if (signal.aborted) throw closedError()
      if (page.length === 0) continue
      const bucketId = view.bucketOfTag(page[0]!.tag)
      yield { bucketId, keys: page.map(({ key }) => key) }
    }
  }

  #checkShards(): void {
    const shard = this.#options.shards.without(this.#set)
    if (shard === undefined) return
    throw new ForeshardError(
      ErrorCode.NOT_SUPPORTED,
      `the store of shard ${shard} does not run ${this.#set} commands; every shard of this router must be a redisStore ` +
        "that goes by its server's clock",
      { field: 'router', shard },
    )
  }
}
