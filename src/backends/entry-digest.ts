import { Murmur3, mix, murmur3, murmur3Bytes } from '../placement/hash'

const TWO_32 = 0x1_0000_0000

/**
 * 32 bits over key, value, version and absolute expiry: what two copies of an entry are compared by. Defined here
 * once, so that stores of different kinds agree: murmur3 of the value, seeded with murmur3 of the key, and then the
 * low and high words of version and expiry mixed in. The tag follows from the key and is left out.
 */
export function entryDigest(key: string, value: Uint8Array, version: number, expiresAt: number): number {
  return sealed(murmur3Bytes(value, murmur3(key)), version, expiresAt)
}

/** The same of a value that is not held in one piece. */
export class PartedDigest {
  readonly #hash: Murmur3

  constructor(key: string) {
    this.#hash = new Murmur3(murmur3(key))
  }

  update(part: Uint8Array): void {
    this.#hash.update(part)
  }

  digest(version: number, expiresAt: number): number {
    return sealed(this.#hash.digest(), version, expiresAt)
  }
}

function sealed(hash: number, version: number, expiresAt: number): number {
  const digest = mix(mix(hash, version >>> 0), Math.floor(version / TWO_32))
  return mix(mix(digest, expiresAt % TWO_32), Math.floor(expiresAt / TWO_32))
}
