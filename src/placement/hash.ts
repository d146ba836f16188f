const C1 = 0xcc9e2d51
const C2 = 0x1b873593
const encoder = new TextEncoder()

/**
 * MurmurHash3 x86 32 (A. Appleby) of the string's UTF-8 bytes, an unsigned 32-bit integer. Equal to
 * murmurhash3js-revisited's `x86.hash32` of the encoded string; inlined because it sits on the path of
 * every operation: ASCII strings are hashed from their char codes, without an allocation.
 */
export function murmur3(text: string, seed = 0): number {
  const length = text.length
  const blocks = length & ~3
  let h = seed | 0
  let any = 0
  let i = 0
  for (; i < blocks; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    any |= a | b | c | d
    h ^= scramble(a | (b << 8) | (c << 16) | (d << 24))
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let shift = 0; i < length; i++, shift += 8) {
    const code = text.charCodeAt(i)
    any |= code
    tail |= code << shift
  }
  // A code above 0x7f is more than one byte of UTF-8: what was mixed so far is void.
  if (any > 0x7f) return murmur3Bytes(encoder.encode(text), seed)
  if (length & 3) h ^= scramble(tail)
  return finish(h, length)
}

/** MurmurHash3 x86 32 of bytes, an unsigned 32-bit integer. */
export function murmur3Bytes(bytes: Uint8Array, seed = 0): number {
  return finish(absorb(bytes, seed | 0), bytes.length)
}

/** The same of bytes that come in parts. Only the last part may be of another length than a multiple of four. */
export class Murmur3 {
  #h: number
  #length = 0

  constructor(seed = 0) {
    this.#h = seed | 0
  }

  update(part: Uint8Array): void {
    this.#h = absorb(part, this.#h)
    this.#length += part.length
  }

  digest(): number {
    return finish(this.#h, this.#length)
  }
}

function absorb(bytes: Uint8Array, seed: number): number {
  const length = bytes.length
  const blocks = length & ~3
  let h = seed
  let i = 0
  for (; i < blocks; i += 4) {
    h ^= scramble(bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  if (length & 3) {
    let tail = 0
    for (let shift = 0; i < length; i++, shift += 8) tail |= bytes[i]! << shift
    h ^= scramble(tail)
  }
  return h
}

function scramble(block: number): number {
  const k = Math.imul(block, C1)
  return Math.imul((k << 15) | (k >>> 17), C2)
}

function finish(hash: number, length: number): number {
  let h = hash ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A well-mixed unsigned 32-bit integer from two of them (murmur3 of the 8 bytes). */
export function mix(a: number, b: number): number {
  let h = a | 0
  h ^= scramble(b)
  h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  return finish(h, 8)
}
