import type { Clock } from '../clock'
import type { MaintenanceWindows } from '../maintenance-window'
import type { SegmentId, ShardId } from '../placement/segment'
import type { ShardStore } from '../shard-store'
import type { TopologyStore } from '../topology-store'
import type { Gate } from './gate'
import type { KnownTopology } from './known-topology'
import type { LatencyProbe, PaceOptions } from './pace'
import type { Standstill } from './standstill'
import type { Tally } from './tally'

import type { Cutover } from './work'

/** What the tenures of one migrator share. */
export interface Office {
  readonly topology: TopologyStore
  readonly known: KnownTopology
  readonly gate: Gate
  readonly clock: Clock
  /** Of the lease, and in what is told to the channels of the process. */
  readonly holder: string
  readonly tally: Tally
  readonly store: (shard: ShardId) => ShardStore | undefined
  readonly bucketOf: (segment: SegmentId) => number
  readonly batchKeys: number
  readonly batchBytes: number
  readonly maxHoldMs: number
  /** How long a plan waits for a shard that does not answer, before it undoes what it can. */
  readonly outageMs: number
  /** Of every plan that waits here or is carried out here. */
  readonly cancels: Map<string, AbortController>
  readonly pace: PaceOptions | undefined
  readonly probe: LatencyProbe | undefined
  readonly windows: MaintenanceWindows | undefined
  readonly standstill: Standstill
  readonly onCutover: (cutover: Cutover & { id: string }) => void
  readonly onError: (error: unknown) => void
}
