import { mix, murmur3, murmur3Bytes } from '../placement/hash'

const TWO_32 = 0x1_0000_0000

/**
 * 32 bits over key, value, version and absolute expiry: what two copies of an entry are compared by. Defined here
 * once, so that stores of different kinds agree: murmur3 of the value, seeded with murmur3 of the key, and then the
 * low and high words of version and expiry mixed in. The tag follows from the key and is left out.
 */
export function entryDigest(key: string, value: Uint8Array, version: number, expiresAt: number): number {
  let digest = murmur3Bytes(value, murmur3(key))
  digest = mix(mix(digest, version >>> 0), Math.floor(version / TWO_32))
  return mix(mix(digest, expiresAt % TWO_32), Math.floor(expiresAt / TWO_32))
}
