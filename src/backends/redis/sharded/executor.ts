import { ErrorCode, ForeshardError, isForeshardError } from '../../../errors'
import type { NativeReply } from '../../../shard-store'
import { takeApart, waitFor } from './blocking'
import type { NativeAccess } from './command-router'
import { globMatcher } from './glob'
import { type Argument, keyPlaces } from './key-places'
import { Lanes } from './lanes'
import {
  type KeyRule,
  type Known,
  keyText,
  knownCommand,
  oneTag,
  type Prepared,
  prepare,
  refusal,
  withKeys,
} from './preparation'
import { isFailure, ReplyError } from './replies'
import { ScanSessions } from './scan-sessions'
import { UserScripts } from './user-scripts'
import type { Waiters } from './waiters'

/** Keys of one part of a command that is split: what Lua can hand on at once. */
const KEYS_A_PART = 2_000
const PAGE = 1_000

/** A command of a transaction: to be sent, or answered here. */
export type Queued = Prepared | { readonly reply: NativeReply }

/** Carries out commands: what of them is sent where, and how the answers are put together. */
export class Executor {
  readonly rule: KeyRule
  readonly #access: NativeAccess
  readonly #lanes: Lanes
  readonly #waiters: Waiters
  readonly #scans: ScanSessions
  readonly #scripts = new UserScripts()
  readonly #closed = new AbortController()

  constructor(access: NativeAccess, waiters: Waiters, prefix: string) {
    this.#access = access
    this.#waiters = waiters
    this.#lanes = new Lanes(access)
    this.#lanes.onWrite = (tag) => waiters.wake(tag)
    this.#scans = new ScanSessions(access)
    this.rule = { prefix, tagOf: (key) => access.tagOf(key) }
  }

  /** The reply of Redis, failures included. @throws ForeshardError, and ReplyError of what is known to be wrong here. */
  async execute(name: string, args: readonly Argument[]): Promise<NativeReply> {
    const known = knownCommand(name, args)
    switch (known.row.how) {
      case 'tag':
        return this.#sent(prepare(known, this.rule))
      case 'split':
        return this.#split(known)
      case 'script':
        return this.#sent(this.#script(known))
      case 'block': {
        const { signal } = this.#closed
        const options = { access: this.#access, lanes: this.#lanes, waiters: this.#waiters, signal }
        return waitFor(takeApart(known, this.rule), options)
      }
      case 'all':
        return this.#everywhere(known)
      default:
        return this.#answer(known)
    }
  }

  /** What a transaction does for a command. @throws what makes Redis abort the transaction. */
  queue(name: string, args: readonly Argument[]): Queued {
    const known = knownCommand(name, args)
    switch (known.row.how) {
      case 'tag':
      case 'split':
        return prepare(known, this.rule)
      case 'script':
        return this.#script(known)
      case 'block':
        return takeApart(known, this.rule).attempt
      case 'client':
        if (name !== 'multi' && name !== 'exec' && name !== 'discard' && name !== 'quit')
          return { reply: this.#here(known) }
    }
    throw refusal(`${known.row.name.toUpperCase()} cannot be part of a transaction`)
  }

  /** All of them in one atomic step. @throws KEYS_APART. */
  async transaction(queued: readonly Queued[]): Promise<NativeReply[]> {
    const sent = queued.filter((it): it is Prepared => 'command' in it)
    const replies = queued.map((it) => ('reply' in it ? it.reply : null))
    if (sent.length === 0) return replies
    const leader = sent.find((it) => !it.anywhere) ?? sent[0]!
    const { tag } = leader
    // What is malformed goes with the others; the tags of those are compared by whoever sends them.
    const commands = sent.map((it) =>
      it.anywhere && it !== leader ? { ...it.command, reads: [] } : it.command,
    )
    const ran = await this.#lanes.run(tag, commands, this.#access.transaction())
    let at = 0
    return queued.map((it) => {
      if ('reply' in it) return it.reply
      const reply = ran.replies[at++]!
      return it.finish ? it.finish(reply, ran.epoch) : reply
    })
  }

  /** Ends what waits. */
  close(reason: Error): void {
    this.#closed.abort(reason)
    this.#scans.close()
  }

  async #sent({ tag, command, finish }: Prepared): Promise<NativeReply> {
    const several = command.reads.length + command.writes.length > 1
    const labels = several ? this.#access.transaction() : undefined
    const { replies, epoch } = await this.#lanes.run(tag, [command], labels)
    return finish ? finish(replies[0]!, epoch) : replies[0]!
  }

  /** MGET, MSET, DEL, UNLINK, EXISTS, TOUCH: a part for each tag, at the same time. */
  async #split(known: Known): Promise<NativeReply> {
    const { row, argv, name, args } = known
    const width = row.name === 'mset' ? 2 : 1
    if ((argv.length - 1) % width !== 0)
      throw new ReplyError("ERR wrong number of arguments for 'mset' command", name, args)
    const parts: { tag: string; argv: Argument[]; places: number[] }[] = []
    const open = new Map<string, (typeof parts)[number]>()
    for (let at = 1; at < argv.length; at += width) {
      const tag = this.rule.tagOf(this.rule.prefix + keyText(argv[at]!))
      let part = open.get(tag)
      if (!part || part.places.length === KEYS_A_PART) {
        part = { tag, argv: [argv[0]!], places: [] }
        parts.push(part)
        open.set(tag, part)
      }
      part.argv.push(...argv.slice(at, at + width))
      part.places.push((at - 1) / width)
    }
    const labels = argv.length - 1 > width ? this.#access.transaction() : undefined
    const settled = await Promise.allSettled(
      parts.map(async (part) => {
        const command = withKeys(part.argv, keyPlaces(row, part.argv)!, this.rule)
        return (await this.#lanes.run(part.tag, [command], labels)).replies[0]!
      }),
    )
    const failed = settled.filter((it) => it.status === 'rejected').map(({ reason }) => reason as unknown)
    if (failed.length > 0) throw worstOf(failed, settled.length)
    const replies = settled.map((it) => (it as PromiseFulfilledResult<NativeReply>).value)
    const failure = replies.find(isFailure)
    if (failure) return failure
    if (row.name === 'mset') return replies[0]!
    if (row.name !== 'mget') return replies.reduce<number>((sum, it) => sum + Number(it), 0)
    const values = new Array<NativeReply>(argv.length - 1).fill(null)
    parts.forEach(({ places }, i) => {
      const found = replies[i] as readonly NativeReply[]
      places.forEach((place, j) => {
        values[place] = found[j]!
      })
    })
    return values
  }

  /** A script becomes EVAL with its text: where it is sent it may never have been. */
  #script({ row, argv, name, args }: Known): Prepared {
    const base = row.name.startsWith('evalsha') ? 'evalsha' : 'eval'
    const text = base === 'eval' ? String(argv[1]) : this.#scripts.text(String(argv[1]))
    if (text === undefined) throw new ReplyError('NOSCRIPT No matching script. Please use EVAL.', name, args)
    const count = String(argv[2])
    if (!/^-?(0|[1-9]\d{0,17})$/.test(count))
      throw new ReplyError('ERR value is not an integer or out of range', name, args)
    const keys = Number(count)
    if (keys > argv.length - 3)
      throw new ReplyError("ERR Number of keys can't be greater than number of args", name, args)
    if (keys < 0) throw new ReplyError("ERR Number of keys can't be negative", name, args)
    if (keys === 0)
      throw refusal('a script without keys has no shard: name a key of the tag that it is about in KEYS')
    if (base === 'eval') this.#scripts.add(text)
    const reads = row.name.endsWith('_ro') || /^#!lua\b[^\n]*\bno-writes\b/.test(text)
    const places = Array.from({ length: keys }, (_, i) => i + 3)
    const script = [reads ? 'eval_ro' : 'eval', text, ...argv.slice(2)]
    const command = withKeys(
      script,
      reads ? { reads: places, writes: [] } : { reads: [], writes: places },
      this.rule,
    )
    return { tag: oneTag(command, this.rule), command }
  }

  /** Remembers a script, so that EVALSHA finds it. */
  define(text: string): string {
    return this.#scripts.add(text)
  }

  async #everywhere({ row, argv, name, args }: Known): Promise<NativeReply> {
    switch (row.name) {
      case 'scan':
        return this.#scan(argv, name, args)
      case 'keys': {
        const fits = globMatcher(bytesOf(argv[1]!))
        const found: Buffer[] = []
        for await (const { keys } of this.#access.keys())
          for (const key of keys) {
            const bytes = Buffer.from(key)
            if (fits(bytes)) found.push(bytes)
          }
        return found
      }
      case 'dbsize': {
        let count = 0
        for await (const { keys } of this.#access.keys()) count += keys.length
        return count
      }
      case 'randomkey': {
        const from = Math.floor(this.#access.random() * this.#access.buckets)
        for (const start of [from, 0])
          for await (const { keys } of this.#access.keys(start))
            return Buffer.from(keys[Math.floor(this.#access.random() * keys.length)]!)
        return null
      }
      default: {
        for await (const { keys } of this.#access.keys()) {
          const prefixed = keys.map((key) => (key.startsWith(this.rule.prefix) ? key : undefined))
          const own = prefixed.filter((key) => key !== undefined)
          if (own.length === 0) continue
          const names = own.map((key) => key.slice(this.rule.prefix.length))
          const reply = await this.#split(knownCommand('unlink', names))
          if (isFailure(reply)) return reply
        }
        return 'OK'
      }
    }
  }

  async #scan(argv: readonly Argument[], name: string, args: readonly Argument[]): Promise<NativeReply> {
    const cursor = String(argv[1])
    if (!/^\d{1,20}$/.test(cursor)) throw new ReplyError('ERR invalid cursor', name, args)
    let [count, pattern, type]: [number, Buffer | undefined, string | undefined] = [10, undefined, undefined]
    for (let i = 2; i < argv.length; i += 2) {
      const word = String(argv[i]).toUpperCase()
      const value = argv[i + 1]
      if (value === undefined) throw new ReplyError('ERR syntax error', name, args)
      if (word === 'COUNT') {
        if (!/^-?\d{1,18}$/.test(String(value)))
          throw new ReplyError('ERR value is not an integer or out of range', name, args)
        count = Number(String(value))
        if (count < 1) throw new ReplyError('ERR syntax error', name, args)
      } else if (word === 'MATCH') pattern = bytesOf(value)
      else if (word === 'TYPE') type = String(value).toLowerCase()
      else throw new ReplyError('ERR syntax error', name, args)
    }
    const page = await this.#scans.page(cursor, Math.min(count, PAGE))
    let keys = page.keys.map((key) => Buffer.from(key))
    if (pattern) keys = keys.filter(globMatcher(pattern))
    if (type !== undefined) {
      const types = await Promise.all(keys.map((key) => this.#typeOf(key)))
      keys = keys.filter((_, i) => types[i] === type)
    }
    return [Buffer.from(page.cursor), keys]
  }

  async #typeOf(key: Buffer): Promise<string> {
    const tag = this.rule.tagOf(String(key))
    const { replies } = await this.#lanes.run(tag, [{ argv: ['type', String(key)], reads: [1], writes: [] }])
    return String(replies[0])
  }

  async #answer(known: Known): Promise<NativeReply> {
    return this.#here(known)
  }

  /** Commands that no shard is asked about. */
  #here({ row, argv, name, args }: Known): NativeReply {
    switch (row.name) {
      case 'ping':
        if (argv.length > 2)
          throw new ReplyError("ERR wrong number of arguments for 'ping' command", name, args)
        return argv[1] === undefined ? 'PONG' : bytesOf(argv[1])
      case 'echo':
        return bytesOf(argv[1]!)
      case 'time': {
        const ms = this.#access.clock.now()
        const seconds = Math.floor(ms / 1000)
        const micros = Math.floor((ms - seconds * 1000) * 1000)
        return [Buffer.from(String(seconds)), Buffer.from(String(micros))]
      }
      case 'script load':
        return Buffer.from(this.#scripts.add(String(argv[2])))
      case 'script exists':
        return argv.slice(2).map((sha) => (this.#scripts.text(String(sha)) === undefined ? 0 : 1))
      case 'script flush':
        this.#scripts.clear()
        return 'OK'
      case 'exec':
      case 'discard':
        throw new ReplyError(`ERR ${row.name.toUpperCase()} without MULTI`, name, args)
      default:
        throw refusal(`${row.name.toUpperCase()} is a method of its own here`)
    }
  }
}

/** Of a command that was split: what was carried out and what was not is known of each key only by reading it. */
function worstOf(errors: readonly unknown[], parts: number): unknown {
  const worst = errors.find((it) => isForeshardError(it, ErrorCode.OUTCOME_UNKNOWN)) ?? errors[0]
  if (!isForeshardError(worst) || errors.length === parts) return worst
  return new ForeshardError(
    worst.code,
    `${errors.length} of ${parts} parts of the command failed, the others were carried out; the first: ${worst.message}`,
    { shard: worst.shard, field: worst.field, cause: worst },
  )
}

function bytesOf(it: Argument): Buffer {
  return typeof it === 'string' ? Buffer.from(it) : it
}
