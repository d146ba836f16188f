// A store of one's own: rows in a file of lines, each line one commit. A line that a crash cut short never happened.
import { type FileHandle, open } from 'node:fs/promises'
import { type RowMap, rowStore } from 'foreshard'

class FileRows implements RowMap {
  readonly #path: string
  readonly #rows = new Map<string, Buffer>()
  #file!: FileHandle

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<void> {
    this.#file = await open(this.#path, 'a+')
    this.#rows.clear()
    const text = await this.#file.readFile('utf8')
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    await this.#file.truncate(Buffer.byteLength(whole))
    for (const line of whole.split('\n')) if (line) this.#take(JSON.parse(line))
  }

  get(names: readonly string[]) {
    return names.map((name) => this.#rows.get(name))
  }

  async commit(changes: ReadonlyMap<string, Uint8Array | undefined>): Promise<void> {
    const line = [...changes].map(
      ([name, row]) => [name, row ? Buffer.from(row).toString('base64') : null] as const,
    )
    const { size } = await this.#file.stat()
    try {
      await this.#file.appendFile(`${JSON.stringify(line)}\n`)
      await this.#file.datasync()
    } catch (error) {
      await this.#file.truncate(size)
      throw error
    }
    this.#take(line)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  #take(line: readonly (readonly [name: string, row: string | null])[]): void {
    for (const [name, row] of line)
      if (row === null) this.#rows.delete(name)
      else this.#rows.set(name, Buffer.from(row, 'base64'))
  }
}

export function fileStore(path: string) {
  return rowStore(new FileRows(path), { supports: { durable: true } })
}
