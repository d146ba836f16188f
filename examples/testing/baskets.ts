import type { ShardRouter } from 'foreshard'

/** A repository, as an application has them: it knows nothing of shards. */
export class Baskets {
  readonly #router: ShardRouter

  constructor(router: ShardRouter) {
    this.#router = router
  }

  async add(user: string, item: string): Promise<void> {
    await this.#router.update<string[]>(keyOf(user), (items = []) => [...items, item], { ttlMs: 3_600_000 })
  }

  async items(user: string): Promise<string[]> {
    return (await this.#router.get<string[]>(keyOf(user))) ?? []
  }
}

export const keyOf = (user: string) => `{user:${user}}:basket`
