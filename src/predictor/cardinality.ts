import { mix } from '../placement/hash'

const REGISTERS = 16
/** HyperLogLog's bias correction for 16 registers. */
const ALPHA = 0.673

/**
 * Roughly how many distinct keys each slot has seen: HyperLogLog (Flajolet et al. 2007) with 16 registers a slot, within
 * about a quarter; linear counting below forty keys.
 */
export class Cardinality {
  registers = new Uint8Array(REGISTERS * 64)

  add(slot: number, keyHash: number): void {
    // Mixed again: all keys of a bucket agree in hash % buckets.
    const h = mix(keyHash, 0x51ed)
    const at = slot * REGISTERS + (h & (REGISTERS - 1))
    if (at >= this.registers.length) this.#grow(at)
    const rank = Math.clz32(h & ~(REGISTERS - 1)) + 1
    if (this.registers[at]! < rank) this.registers[at] = rank
  }

  clear(slot: number): void {
    this.registers.fill(0, slot * REGISTERS, (slot + 1) * REGISTERS)
  }

  estimate(slot: number): number {
    let sum = 0
    let empty = 0
    for (let i = 0; i < REGISTERS; i++) {
      const rank = this.registers[slot * REGISTERS + i] ?? 0
      if (rank === 0) empty++
      sum += 2 ** -rank
    }
    if (empty === REGISTERS) return 0
    const raw = (ALPHA * REGISTERS * REGISTERS) / sum
    return raw <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : raw
  }

  #grow(at: number): void {
    let size = this.registers.length
    while (size <= at) size *= 2
    const wider = new Uint8Array(size)
    wider.set(this.registers)
    this.registers = wider
  }
}
