import { shaOf } from '../command-queue'

/** Texts of scripts by their digest: what a server's script cache is, for all shards and for one client. */
export class UserScripts {
  readonly #texts = new Map<string, string>()

  /** Remembers a script. Returns its digest. */
  add(text: string): string {
    const sha = shaOf(text)
    this.#texts.set(sha, text)
    return sha
  }

  text(sha: string): string | undefined {
    return this.#texts.get(sha.toLowerCase())
  }

  clear(): void {
    this.#texts.clear()
  }
}
