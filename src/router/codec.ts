import { ErrorCode, ForeshardError, invalid } from '../errors'
import { isWellFormed } from '../placement/key'

/** Turns the application's values into the bytes that stores keep, and back. */
export interface Codec<V = unknown> {
  encode(value: V): Uint8Array
  decode(bytes: Uint8Array): V
}

export type CodecOption = 'json' | 'utf8' | 'bytes' | Codec<never> | Codec<unknown>

/**
 * The codec of that name. 'json' keeps what JSON can spell, 'utf8' strings, 'bytes' byte arrays, which are copied on
 * the way in and out.
 */
export function codecOf(option: unknown, field: string): Codec {
  if (option === undefined || option === 'json') return json
  if (option === 'utf8') return utf8
  if (option === 'bytes') return bytes
  const { encode, decode } = (option ?? {}) as Partial<Codec>
  if (typeof encode !== 'function' || typeof decode !== 'function')
    throw invalid(field, "must be 'json', 'utf8', 'bytes' or { encode, decode }")
  return custom(option as Codec)
}

const json: Codec = {
  encode(value) {
    if (typeof value === 'number' && !Number.isFinite(value))
      throw badValue(`is ${value}, which JSON turns into null; store a string or null`)
    let text: string | undefined
    try {
      text = JSON.stringify(value)
    } catch (cause) {
      const what = (cause as Error).message.split('\n')[0]
      throw badValue(
        `cannot be written as JSON (${what}); turn BigInt into strings, break cycles, or give a codec of your own`,
        cause,
      )
    }
    if (text === undefined)
      throw badValue(`is ${typeof value}, which JSON cannot spell; use null, or delete the key`)
    return Buffer.from(text)
  },
  decode(data) {
    try {
      return JSON.parse(asBuffer(data).toString())
    } catch (cause) {
      throw badValue('as stored is not JSON; open the router with the codec that wrote it', cause)
    }
  },
}

const utf8: Codec = {
  encode(value) {
    if (typeof value !== 'string') throw badValue(`is ${typeof value}; the codec 'utf8' stores strings`)
    if (!isWellFormed(value))
      throw badValue("holds an unpaired surrogate, which UTF-8 cannot spell; use the codec 'json' or 'bytes'")
    return Buffer.from(value)
  },
  decode: (data) => asBuffer(data).toString(),
}

const bytes: Codec = {
  encode(value) {
    if (!(value instanceof Uint8Array))
      throw badValue(`is ${typeof value}; the codec 'bytes' stores Uint8Array and Buffer`)
    return new Uint8Array(value)
  },
  decode: (data) => new Uint8Array(data),
}

function custom(codec: Codec): Codec {
  return {
    encode(value) {
      let data: unknown
      try {
        data = codec.encode(value)
      } catch (cause) {
        throw badValue(`was refused by the codec: ${messageOf(cause)}`, cause)
      }
      if (!(data instanceof Uint8Array)) throw badValue('was encoded to something else than a Uint8Array')
      return data
    },
    decode(data) {
      try {
        return codec.decode(data)
      } catch (cause) {
        throw badValue(`as stored cannot be read by the codec: ${messageOf(cause)}`, cause)
      }
    },
  }
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function badValue(message: string, cause?: unknown): ForeshardError {
  return new ForeshardError(ErrorCode.INVALID_VALUE, `value ${message}`, { field: 'value', cause })
}
