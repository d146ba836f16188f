/** foreshard/testing: what a store's author, and whoever tests an application over shards, needs. Re-exports only. */

export { ManualClock, type Random, seededRandom } from '../clock'
export type { TestFunction } from './contract-suite'
export { externalStore } from './external-store'
export type { FaultCounts, FaultOptions, FaultRates } from './fault-injector'
export { type FaultyStore, faultyStore } from './faulty-store'
export { type FaultyTopology, faultyTopology } from './faulty-topology'
export { type Inspection, inspect } from './inspection'
export {
  checkLinearizable,
  type HistoryOperation,
  type LinearizabilityOptions,
  type LinearizabilityResult,
} from './linearizability'
export { testShardStore } from './shard-store-suite'
export type { StoreUnderTest } from './shard-store-suite/promise'
export { ProcessDied, SimulatedProcess } from './simulated-process'
export { type SimulationOptions, type SimulationReport, simulation } from './simulation'
export type { CutoverFailure } from './steered-store'
export { TestDeployment, type TestDeploymentOptions, testDeployment } from './test-deployment'
export { testTopologyStore } from './topology-store-suite'
export type { TopologyUnderTest } from './topology-store-suite/promise'
export { VirtualTime } from './virtual-time'
