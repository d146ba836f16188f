/**
 * Copying stands still while somebody wants it to. Moves that need no more copying are finished, and the lease is kept: another
 * process does not go on in its place.
 */
export class Standstill {
  #waiting: (() => void)[] = []
  #wanted = false

  get wanted(): boolean {
    return this.#wanted
  }

  /** False if it stands still already. */
  begin(): boolean {
    if (this.#wanted) return false
    this.#wanted = true
    return true
  }

  /** False if it does not stand still. */
  end(): boolean {
    if (!this.#wanted) return false
    this.#wanted = false
    for (const go of this.#waiting.splice(0)) go()
    return true
  }

  /** Resolves when nobody wants it any more. Rejects with the signal's reason. */
  async over(signal: AbortSignal): Promise<void> {
    while (this.#wanted)
      await new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const onAbort = () => {
          this.#waiting = this.#waiting.filter((it) => it !== go)
          reject(signal.reason)
        }
        const go = () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        this.#waiting.push(go)
        signal.addEventListener('abort', onAbort, { once: true })
      })
  }
}
