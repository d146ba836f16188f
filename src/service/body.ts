import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Clock } from '../clock'
import { ErrorCode, ForeshardError, invalid } from '../errors'

export interface BodyLimits {
  readonly bytes: number
  /** A pause between two pieces, and the whole. */
  readonly idleMs: number
  readonly totalMs: number
}

/** Levels of a JSON body; our own have a dozen. */
const DEEPEST = 64

/**
 * The body of a request piece by piece, read as fast as it is taken. Who stops early ends the request's body.
 * @throws TOO_LARGE, TIMED_OUT
 */
export async function* piecesOf(
  request: Request,
  limits: BodyLimits,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const stated = Number(request.headers.get('content-length') ?? 0)
  if (stated > limits.bytes) throw tooLarge(limits.bytes)
  if (!request.body) return
  const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>
  const end = clock.now() + limits.totalMs
  let bytes = 0
  let done = false
  try {
    for (;;) {
      const reading = reader.read().catch(() => {
        throw invalid('body', 'broke off before its end')
      })
      const piece = await inTime(reading, Math.min(limits.idleMs, end - clock.now()), clock)
      done = piece.done
      if (piece.done) return
      bytes += piece.value.byteLength
      if (bytes > limits.bytes) throw tooLarge(limits.bytes)
      yield piece.value
    }
  } finally {
    // Not waited for: a sender that has stopped would be waited for again.
    if (!done) reader.cancel().catch(() => {})
  }
}

/** The same, unpacked where it says that it is gzipped. The limit holds for what comes out of it, too. */
export async function* unpackedPiecesOf(
  request: Request,
  limits: BodyLimits,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  const pieces = piecesOf(request, limits, clock)
  if (encoding === 'identity') {
    yield* pieces
    return
  }
  if (encoding !== 'gzip') throw invalid('Content-Encoding', 'must be gzip, or none')
  const packed = Readable.from(pieces)
  const gunzip = createGunzip({ chunkSize: 1 << 16 })
  packed.on('error', (error) => gunzip.destroy(error))
  packed.pipe(gunzip)
  let bytes = 0
  try {
    for await (const piece of gunzip as AsyncIterable<Uint8Array>) {
      bytes += piece.byteLength
      if (bytes > limits.bytes) throw tooLarge(limits.bytes)
      yield piece
    }
  } catch (error) {
    if (error instanceof ForeshardError) throw error
    throw invalid('body', 'is said to be gzipped but cannot be unpacked; is it cut off?')
  } finally {
    packed.destroy()
    gunzip.destroy()
  }
}

export function mediaTypeOf(request: Request): string {
  const [type = ''] = (request.headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase()
}

/** A JSON body as text that can be parsed: of bounded size and depth. */
export async function jsonTextOf(request: Request, limits: BodyLimits, clock: Clock): Promise<string> {
  if (mediaTypeOf(request) !== 'application/json') throw invalid('Content-Type', 'must be application/json')
  const encoding = request.headers.get('content-encoding')
  if (encoding !== null && encoding !== 'identity') throw invalid('Content-Encoding', 'must be none here')
  const pieces: Uint8Array[] = []
  for await (const piece of piecesOf(request, limits, clock)) pieces.push(piece)
  const bytes = Buffer.concat(pieces)
  if (depthOf(bytes) > DEEPEST) throw invalid('body', `is nested more than ${DEEPEST} levels deep`)
  return bytes.toString('utf8')
}

const QUOTE = 34
const BACKSLASH = 92

/** How deep brackets and braces are nested, those in strings left out. */
function depthOf(json: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!
    if (inString) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === 91 || byte === 123) deepest = Math.max(deepest, ++depth)
    else if (byte === 93 || byte === 125) depth--
  }
  return deepest
}

async function inTime<T>(reading: Promise<T>, ms: number, clock: Clock): Promise<T> {
  const over = new AbortController()
  const late = clock.sleep(Math.max(1, ms), over.signal).then(
    () => {
      throw new ForeshardError(ErrorCode.TIMED_OUT, 'the body did not come in time', { field: 'body' })
    },
    // Called off below.
    () => reading,
  )
  try {
    return await Promise.race([reading, late])
  } finally {
    over.abort()
    reading.catch(() => {})
  }
}

function tooLarge(bytes: number): ForeshardError {
  return new ForeshardError(ErrorCode.TOO_LARGE, `the body is larger than ${bytes} bytes`, { field: 'body' })
}
