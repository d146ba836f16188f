import { createHash } from 'node:crypto'
import type { Answer } from '../../shard-store'
import { type CommandCall, decodeCommands, encodeCommands, scriptOf } from './command-batch'
import type { Argument, Reply } from './connection'
import { COMMAND_LUA, scriptedCommandLua } from './lua/command'
import { Script } from './script'
import { type ShardServer, UncompilableScript } from './shard-server'

const COMMANDS = new Script(COMMAND_LUA)
const NO_FUNCTIONS: ReadonlyMap<string, number> = new Map()
/** Commands of a batch, which block the server together. */
const COMMANDS_AT_ONCE = 50
const BYTES_AT_ONCE = 1 << 20
/** Scripts of the application that are kept ready. */
const SCRIPTS = 256

interface Waiting {
  /** Of the server, when it was asked for. */
  readonly incarnation: string
  readonly call: CommandCall
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/**
 * Sends the native commands that are asked for in the same tick together, in their order. Those of one call stay in one
 * script, however many they are; a script of the application travels alone.
 */
export class CommandQueue {
  readonly #server: ShardServer
  readonly #scripts = new Map<string, Script>()
  /** Scripts that this server has compiled by themselves. */
  readonly #sound = new Set<string>()
  #waiting: Waiting[] = []

  constructor(server: ShardServer) {
    this.#server = server
  }

  execute(call: CommandCall): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) process.nextTick(() => this.#flush())
      this.#waiting.push({ incarnation: this.#server.incarnation, call, resolve, reject })
    })
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    let batch: Waiting[] = []
    let room = COMMANDS_AT_ONCE
    let bytes = BYTES_AT_ONCE
    const send = () => {
      if (batch.length > 0) void this.#send(batch, COMMANDS, NO_FUNCTIONS)
      batch = []
      room = COMMANDS_AT_ONCE
      bytes = BYTES_AT_ONCE
    }
    for (const it of waiting) {
      // What was meant for the server before it was restarted is not for what it has become.
      if (it.incarnation !== this.#server.incarnation) {
        it.reject(this.#server.restarted())
        continue
      }
      const { commands } = it.call.operation
      if (commands.some((command) => scriptOf(command) !== undefined)) {
        void this.#sendScripted(it)
        continue
      }
      const size = sizeOf(it.call)
      if (room < commands.length || bytes < size) send()
      batch.push(it)
      room -= commands.length
      bytes -= size
    }
    send()
  }

  async #sendScripted(waiting: Waiting): Promise<void> {
    const { commands, writes } = waiting.call.operation
    const functions = new Map<string, number>()
    for (const command of commands) {
      const text = scriptOf(command)
      if (text !== undefined && !functions.has(text)) functions.set(text, functions.size + 1)
    }
    try {
      // What does not compile by itself could end the function that it becomes, and go on as our own code.
      for (const text of functions.keys())
        if (!this.#sound.has(text)) {
          await this.#server.compile(text)
          if (this.#sound.size === SCRIPTS) this.#sound.clear()
          this.#sound.add(text)
        }
    } catch (error) {
      if (!(error instanceof UncompilableScript)) return waiting.reject(error)
      return waiting.resolve(notRun(waiting.call, error.message))
    }
    const texts = [...functions.keys()]
    const name = `${writes ? 'w' : 'r'} ${texts.map(shaOf).join(' ')}`
    let script = this.#scripts.get(name)
    if (!script) {
      const scripts = texts.map((text) => ({ text, sha: shaOf(text) }))
      script = new Script(scriptedCommandLua(scripts, !writes))
      if (this.#scripts.size === SCRIPTS) this.#scripts.clear()
      this.#scripts.set(name, script)
    }
    await this.#send([waiting], script, functions)
  }

  async #send(
    batch: readonly Waiting[],
    script: Script,
    functions: ReadonlyMap<string, number>,
  ): Promise<void> {
    const keys: Argument[] = [this.#server.expiriesKey]
    const args: Argument[] = []
    for (const { call } of batch) {
      keys.push(this.#server.bucketKey(call.bucketId))
      encodeCommands(call, functions, args)
    }
    let reply: Reply[]
    try {
      reply = (await this.#server.run(script, keys, args)) as Reply[]
    } catch (error) {
      for (const it of batch) it.reject(error)
      return
    }
    for (const [i, it] of batch.entries()) it.resolve(decodeCommands(it.call, reply[i] as Reply[]))
  }
}

/** Nothing of a call is tried whose script does not compile: Redis would not have taken it into a transaction. */
function notRun({ operation }: CommandCall, error: string): Answer {
  const replies = operation.commands.map(() => ({ error }))
  return { ok: true, version: 0, seq: 0, applied: false, replies }
}

function sizeOf({ operation }: CommandCall): number {
  let bytes = 0
  for (const { argv } of operation.commands) for (const it of argv) bytes += it.length
  return bytes
}

export function shaOf(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}
