import type { Clock } from '../../clock'
import { ErrorCode, ForeshardError } from '../../errors'
import type { KeyvTexts } from './keyv-texts'

const OWNER = 'owner'
const DOOR = 'door'
/** Beats of a lease: as many may fail as there are, less one. */
const BEATS = 3

interface Owner {
  readonly id: string
  readonly beat: number
  readonly at: number
}

/**
 * Who may use the rows, where nothing can be compared and set: the splitter of Lamport's fast mutual exclusion (1987) over two texts.
 * Of those who come at the same time at most one gets in, at whatever speed, if reads and writes of a text are atomic
 * and none is carried out after it was given up. Only that a holder has died is told by time.
 */
export class KeyvLease {
  readonly #texts: KeyvTexts
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #id: string
  #beat = 0
  /** When the lease was last seen to be ours. */
  #seenAt = 0
  #lost = false
  #stop: (() => void) | undefined
  #renewing: Promise<void> | undefined

  constructor(texts: KeyvTexts, clock: Clock, leaseMs: number, id: string) {
    this.#texts = texts
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#id = id
  }

  /** @throws SHARD_IN_USE. */
  async acquire(): Promise<void> {
    const [seen] = await this.#texts.get([OWNER])
    const owner = ownerOf(seen)
    if (owner) {
      const ageMs = this.#clock.now() - owner.at
      if (Math.abs(ageMs) < this.#leaseMs) throw this.#inUse(this.#leaseMs - ageMs)
      // By our clock it is dead. Its own may be another: is it beating?
      await this.#clock.sleep(this.#beatMs * 2)
    }
    const unchanged = async () => {
      if ((await this.#texts.get([OWNER]))[0] !== seen) throw this.#inUse(this.#leaseMs)
    }
    await unchanged()
    await this.#texts.set(DOOR, this.#id)
    await unchanged()
    await this.#write()
    if ((await this.#texts.get([DOOR]))[0] !== this.#id) throw this.#inUse(this.#leaseMs)
    this.#lost = false
    this.#stop = this.#clock.every(this.#beatMs, () => void this.renew().catch(() => {}))
  }

  /** The name of the text that says who has it, to be read along with any others. */
  get row(): string {
    return OWNER
  }

  /** Whether the lease was ours when this was read there. @throws SHARD_UNAVAILABLE where it was lost before. */
  holds(text: string | undefined): boolean {
    if (this.#lost) throw lost()
    if (ownerOf(text)?.id !== this.#id) return false
    this.#seenAt = this.#clock.now()
    return true
  }

  /** Before something is written: looks again where that was long ago. */
  async confirm(): Promise<void> {
    if (this.#lost) throw lost()
    if (Math.abs(this.#clock.now() - this.#seenAt) >= this.#beatMs) await this.renew()
  }

  /** @throws SHARD_UNAVAILABLE where another has it. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #renew(): Promise<void> {
    const [text, door] = await this.#texts.get([OWNER, DOOR])
    // Nobody deletes it.
    if (door === undefined) throw new Error('the Keyv answers as if it were empty')
    // Who came at the same time as we did and lost may have written the one or the other, but not both.
    if (ownerOf(text)?.id !== this.#id && door !== this.#id) {
      this.#lost = true
      this.#stop?.()
      throw lost()
    }
    if (this.#stop) await this.#write()
  }

  async release(): Promise<void> {
    this.#stop?.()
    this.#stop = undefined
    await this.#renewing?.catch(() => {})
    const [text] = await this.#texts.get([OWNER])
    if (ownerOf(text)?.id === this.#id) await this.#texts.set(OWNER, undefined)
  }

  async #write(): Promise<void> {
    const at = this.#clock.now()
    await this.#texts.set(OWNER, JSON.stringify({ id: this.#id, beat: ++this.#beat, at } satisfies Owner))
    this.#seenAt = at
  }

  get #beatMs(): number {
    return this.#leaseMs / BEATS
  }

  #inUse(afterMs: number): ForeshardError {
    return new ForeshardError(
      ErrorCode.SHARD_IN_USE,
      `this Keyv is open in another process or store object, and serves one only; close it there, or try again in ${Math.ceil(afterMs)} ms if that process is gone`,
    )
  }
}

function ownerOf(text: string | undefined): Owner | undefined {
  if (text === undefined) return undefined
  try {
    const owner = JSON.parse(text) as Owner
    if (typeof owner?.id === 'string' && Number.isFinite(owner.at)) return owner
  } catch {
    // As below.
  }
  throw new ForeshardError(ErrorCode.SHARD_MISMATCH, 'the Keyv holds records that are none of a shard')
}

function lost(): ForeshardError {
  return new ForeshardError(
    ErrorCode.SHARD_UNAVAILABLE,
    'another process has taken this Keyv over, as this one did not answer for long; close this router',
  )
}
