/** What of a ShardRouter an adapter uses: any of them fits. A backend stands below the router and cannot name it. */
export interface KeyvRouter {
  get(key: string): Promise<unknown>
  has(key: string): Promise<boolean>
  set(key: string, value: unknown, options?: { ttlMs?: number }): Promise<unknown>
  delete(key: string): Promise<{ deleted: boolean }>
  getMany(keys: Iterable<string>): Promise<Map<string, unknown>>
  setMany(
    entries: Iterable<readonly [key: string, value: unknown, options?: { ttlMs?: number }]>,
  ): Promise<unknown>
  entries(options?: { prefix?: string }): AsyncGenerator<[key: string, value: unknown]>
  close(): Promise<void>
}
