import type { RowMap, RowsFound } from '../rows/row-map'
import type { KeyvLease } from './keyv-lease'
import type { KeyvTexts } from './keyv-texts'

const JOURNAL = 'journal'
const ROW = 'row:'
/** Of the same, before it fails. */
const READS = 3

/**
 * Rows in a Keyv, which writes one text at a time: what belongs together is first written down as one text, the journal, and
 * done again from there by whoever comes after a failure.
 */
export class KeyvRows implements RowMap {
  readonly #texts: KeyvTexts
  readonly #lease: KeyvLease
  /** Whether all that the journal says was done, as far as is known. */
  #settled = false

  constructor(texts: KeyvTexts, lease: KeyvLease) {
    this.#texts = texts
    this.#lease = lease
  }

  async open(): Promise<void> {
    this.#settled = false
    await this.#lease.acquire()
    try {
      await this.#settle()
    } catch (error) {
      await this.close().catch(() => {})
      throw error
    }
  }

  async get(names: readonly string[]): Promise<RowsFound> {
    await this.#settle()
    const rows = await this.#read(names.map((name) => ROW + name))
    return rows.map((text) => (text === undefined ? undefined : Buffer.from(text, 'base64')))
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    await this.#settle()
    await this.#lease.confirm()
    const texts = [...changes].map(
      ([name, row]) => [name, row === undefined ? null : Buffer.from(row).toString('base64')] as const,
    )
    this.#settled = false
    await this.#texts.set(JOURNAL, JSON.stringify(texts))
    await this.#apply(texts)
    this.#settled = true
  }

  async close(): Promise<void> {
    await this.#lease.release()
  }

  /** Reads the lease along: an adapter that answers its failures with nothing is found out by that too. */
  async #read(names: readonly string[]): Promise<readonly (string | undefined)[]> {
    for (let attempt = 1; ; attempt++) {
      const [owner, ...texts] = await this.#texts.get([this.#lease.row, ...names])
      if (this.#lease.holds(owner)) return texts
      if (attempt === READS) throw new Error('the Keyv does not answer with what it was given')
      await this.#lease.renew()
    }
  }

  async #settle(): Promise<void> {
    if (this.#settled) return
    const [journal] = await this.#read([JOURNAL])
    if (journal !== undefined) await this.#apply(JSON.parse(journal) as [string, string | null][])
    this.#settled = true
  }

  async #apply(texts: readonly (readonly [name: string, text: string | null])[]): Promise<void> {
    await Promise.all(texts.map(([name, text]) => this.#texts.set(ROW + name, text ?? undefined)))
  }
}
