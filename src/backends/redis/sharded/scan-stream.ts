import { Readable, type ReadableOptions } from 'node:stream'

export interface ScanStreamOptions extends ReadableOptions {
  match?: string
  type?: string
  count?: number | string
  noValues?: boolean
}

type Scan = (args: unknown[]) => Promise<[cursor: string | Buffer, elements: unknown[]]>

/** A scan as a stream of pages, as ioredis gives it. */
export class ScanStream extends Readable {
  readonly #scan: Scan
  readonly #key: string | Buffer | undefined
  readonly #options: ScanStreamOptions
  #cursor = '0'
  #drained = false

  constructor(scan: Scan, key: string | Buffer | undefined, options: ScanStreamOptions = {}) {
    super({ ...options, objectMode: true })
    this.#scan = scan
    this.#key = key
    this.#options = options
  }

  override _read(): void {
    if (this.#drained) {
      this.push(null)
      return
    }
    const { match, type, count, noValues } = this.#options
    const args: unknown[] = this.#key === undefined ? [this.#cursor] : [this.#key, this.#cursor]
    if (match) args.push('MATCH', match)
    if (type) args.push('TYPE', type)
    if (count) args.push('COUNT', String(count))
    if (noValues) args.push('NOVALUES')
    this.#scan(args).then(
      ([cursor, elements]) => {
        this.#cursor = String(cursor)
        if (this.#cursor === '0') this.#drained = true
        this.push(elements)
      },
      (error) => this.emit('error', error),
    )
  }

  close(): void {
    this.#drained = true
  }
}
