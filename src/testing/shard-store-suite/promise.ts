import type { ShardStore, ShardSupports } from '../../shard-store'
import type { ShardUnderTest } from './shard-under-test'

export interface StoreUnderTest {
  /** Empty, and not yet opened. */
  store: ShardStore
  /** The clock that the store judges expiries and holds by; `advance` may really wait where it is a server's. */
  clock: { now(): number; advance(ms: number): Promise<void> }
  /** Of a durable store: what another process finds after this one is gone, not yet opened. */
  reopen?(): Promise<ShardStore>
  /** Called when the test is over and the store is closed: removes what was made for it. */
  close?(): Promise<void>
}

/** A test of the suite, and what a store must declare for it to make sense. */
export interface Promised {
  readonly name: string
  readonly needs?: (supports: ShardSupports) => string | false
  readonly run: (shard: ShardUnderTest, made: StoreUnderTest) => Promise<void>
}
