import { type Entry, Session } from './batch'
import {
  addCommandMethods,
  addScriptMethods,
  type Callback,
  type Commanding,
  type ScriptDefinition,
  withCallback,
} from './command-methods'
import type { Executor } from './executor'
import type { ReplyError } from './replies'

/** Of each command an error, or null and what it answered. */
export type Results = [error: Error | null, result?: unknown][]

export interface PipelineOwner {
  readonly executor: Executor
  readonly scripts: ReadonlyMap<string, ScriptDefinition>
  /** Why nothing can be sent any more, if so. */
  ended(): Error | undefined
}

/** Commands that are given one after the other and sent together, as ioredis' Pipeline; with multi as one transaction. */
export class Pipeline implements Commanding {
  readonly isPipeline = true
  /** Of the client, with its prefix. */
  readonly options: object
  readonly #owner: PipelineOwner
  readonly #isTransaction: boolean
  readonly #entries: { readonly entry: Entry; readonly callback: Callback | undefined }[] = []
  /** Transactions that were begun and not ended. */
  #open = 0
  #running: Promise<Results> | undefined

  constructor(owner: PipelineOwner, options: object, transaction: boolean) {
    this.#owner = owner
    this.options = options
    this.#isTransaction = transaction
    for (const [name, definition] of owner.scripts) addScriptMethods(this, name, definition)
    if (transaction) this.multi()
  }

  get length(): number {
    return this.#entries.length
  }

  issue(entry: Entry, callback: Callback | undefined): this {
    this.#entries.push({ entry, callback })
    return this
  }

  addBatch(commands: readonly (readonly unknown[])[]): this {
    for (const [name, ...args] of commands) {
      const method = (this as unknown as Record<string, (...args: unknown[]) => unknown>)[String(name)]!
      method.apply(this, args)
    }
    return this
  }

  multi(): this {
    this.#open++
    return this.issue({ name: 'multi', args: [], encoding: 'utf8' }, undefined)
  }

  /** Ends the transaction that is open, in a pipeline; else sends everything. */
  exec(callback?: (error: Error | null, results?: Results) => void): this | Promise<Results> {
    if (this.#open > 0) {
      this.#open--
      this.issue(
        { name: 'exec', args: [], encoding: 'utf8' },
        this.#isTransaction ? undefined : (callback as Callback | undefined),
      )
      if (!this.#isTransaction) return this
    }
    this.#running ??= this.#isTransaction ? this.#execTransaction() : this.#run()
    return withCallback(this.#running, callback)
  }

  execBuffer(callback?: (error: Error | null, results?: Results) => void) {
    return this.exec(callback)
  }

  async #run(): Promise<Results> {
    const { executor } = this.#owner
    const ended = this.#owner.ended()
    const session = new Session(executor)
    return Promise.all(
      this.#entries.map(async ({ entry, callback }): Promise<Results[number]> => {
        const running = ended ? Promise.reject(ended) : session.run(entry)
        withCallback(running, callback)
        try {
          return [null, await running]
        } catch (error) {
          return [error as Error]
        }
      }),
    )
  }

  async #execTransaction(): Promise<Results> {
    const results = await this.#run()
    const last = results.at(-1)!
    if (last[0]) {
      const error = last[0] as ReplyError
      error.previousErrors = results.slice(0, -1).flatMap(([it]) => (it ? [it] : []))
      throw error
    }
    return (last[1] as unknown[]).map((it) => (it instanceof Error ? [it] : [null, it]))
  }
}

addCommandMethods(Pipeline.prototype)

/** The arguments of `pipeline([...])`: lists of a name and arguments. */
export function isBatch(commands: unknown): commands is readonly (readonly unknown[])[] {
  return Array.isArray(commands)
}
