import type { TopologyStore } from '../../topology-store'
import type { ContractPromise } from '../contract-suite'

export interface TopologyUnderTest {
  /** Empty, and not yet opened. */
  topology: TopologyStore
  /** The clock that leases are judged by; `advance` may really wait where it is a server's. */
  clock: { now(): number; advance(ms: number): Promise<void> }
  /** Of a durable topology: what another process finds after this one is gone, not yet opened. */
  reopen?(): Promise<TopologyStore>
  /** Of one for several processes: the same topology, as another process would open it beside the first. */
  beside?(): Promise<TopologyStore>
  /** Called when the test is over and the topology is closed. */
  close?(): Promise<void>
}

/** A test of the suite, and what a topology store must declare for it to make sense. */
export type TopologyPromise = ContractPromise<TopologyUnderTest, TopologyStore['supports']>
