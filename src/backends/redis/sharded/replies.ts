import { ErrorCode, ForeshardError, shown } from '../../../errors'
import type { NativeFailure, NativeReply } from '../../../shard-store'
import type { Argument } from './key-places'

/** How the bulk of a reply is given: as text or as bytes. */
export type Encoding = 'utf8' | null

/** What Redis answers to a command that it does not carry out, as ioredis tells it. */
export class ReplyError extends Error {
  /** The command that it answers. */
  declare command?: { name: string; args: Argument[] }
  /** Of an EXECABORT: what was wrong with the commands of the transaction. */
  declare previousErrors?: Error[]

  constructor(message: string, name?: string, args: readonly Argument[] = []) {
    super(message)
    this.name = 'ReplyError'
    if (name !== undefined) this.command = { name, args: [...args] }
  }
}

export function isFailure(reply: NativeReply): reply is NativeFailure {
  return typeof reply === 'object' && reply !== null && 'error' in reply
}

/** The error that a failure is to the caller. */
export function errorOf({ error, foreign }: NativeFailure, name: string, args: readonly Argument[]): Error {
  if (foreign === undefined) return new ReplyError(error, name, args)
  return new ForeshardError(
    ErrorCode.NOT_SUPPORTED,
    `${shown(foreign)} was created by another client, past the router: it is not known to it and was left alone; ` +
      'write it through the router, or delete it with the client that made it',
    { field: 'key' },
  )
}

/** A reply as the caller gets it. `name`: as it was called, since ioredis makes an object of what hgetall answers. */
export function resultOf(reply: NativeReply, encoding: Encoding, name: string): unknown {
  const value = decoded(reply, encoding, name)
  return name === 'hgetall' && Array.isArray(value) ? objectOf(value) : value
}

function decoded(reply: NativeReply, encoding: Encoding, name: string): unknown {
  if (reply === null || typeof reply === 'number') return reply
  if (typeof reply === 'string') return encoding === null ? Buffer.from(reply) : reply
  if (reply instanceof Uint8Array) return encoding === null ? reply : (reply as Buffer).toString(encoding)
  if (isFailure(reply)) return errorOf(reply, name, [])
  return reply.map((it) => decoded(it, encoding, name))
}

function objectOf(list: readonly unknown[]): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  for (let i = 0; i < list.length; i += 2) {
    const key = String(list[i])
    const value = list[i + 1]
    if (key in object)
      Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true })
    else object[key] = value
  }
  return object
}
