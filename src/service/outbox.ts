/** Lines that are sent together, under one number: what was sent twice counts once. */
export interface OutboxBatch {
  readonly number: number
  readonly body: Buffer
  readonly entries: number
}

/**
 * Lines that wait to be sent, in batches, in bounded memory: where it is full the oldest batch that is not on its way is dropped
 * and counted.
 */
export class Outbox {
  /** Entries that were dropped for want of room. */
  dropped = 0
  /** Entries that wait, those on their way included. */
  entries = 0
  /** Bytes of the same. */
  bytes = 0
  readonly #batchBytes: number
  readonly #mostBytes: number
  readonly #sealed: OutboxBatch[] = []
  #onItsWay: OutboxBatch | undefined
  #lines: string[] = []
  #openBytes = 0
  #number = 0

  constructor(batchBytes: number, mostBytes: number) {
    this.#batchBytes = batchBytes
    this.#mostBytes = mostBytes
  }

  /** The number of the newest batch. */
  get newest(): number {
    return this.#number
  }

  /** Whether a full batch waits. */
  get due(): boolean {
    return this.#sealed.length > 0
  }

  /** Takes a line in, its newline included; returns how many entries were dropped for it. */
  add(line: string): number {
    const bytes = Buffer.byteLength(line)
    this.#lines.push(line)
    this.#openBytes += bytes
    this.entries++
    this.bytes += bytes
    if (this.#openBytes >= this.#batchBytes) this.seal()
    let dropped = 0
    while (this.bytes > this.#mostBytes) {
      const at = this.#sealed[0] === this.#onItsWay ? 1 : 0
      const [oldest] = this.#sealed.splice(at, 1)
      if (!oldest) break
      this.#forget(oldest)
      dropped += oldest.entries
    }
    this.dropped += dropped
    return dropped
  }

  /** Closes the batch that is being filled, and gives the number of the newest one. */
  seal(): number {
    if (this.#lines.length > 0) {
      const body = Buffer.from(this.#lines.join(''))
      this.#sealed.push({ number: ++this.#number, body, entries: this.#lines.length })
      this.#lines = []
      this.#openBytes = 0
    }
    return this.#number
  }

  /** The oldest batch, which is on its way from now on. */
  take(): OutboxBatch | undefined {
    this.#onItsWay = this.#sealed[0]
    return this.#onItsWay
  }

  /** It has arrived, or will never be taken. */
  finish(batch: OutboxBatch): void {
    this.#onItsWay = undefined
    if (this.#sealed[0] !== batch) return
    this.#sealed.shift()
    this.#forget(batch)
  }

  /** It did not arrive, and waits again. */
  putBack(): void {
    this.#onItsWay = undefined
  }

  /** Gives up what waits; returns how many entries that were. */
  clear(): number {
    const { entries } = this
    this.#sealed.length = 0
    this.#lines = []
    this.#openBytes = 0
    this.entries = 0
    this.bytes = 0
    this.dropped += entries
    return entries
  }

  #forget({ entries, body }: OutboxBatch): void {
    this.entries -= entries
    this.bytes -= body.length
  }
}
