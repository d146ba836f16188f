import type { Clock, Random } from '../../../clock'
import type { NativeCommand, NativeReply } from '../../../shard-store'

/** What of a ShardRouter the client's shape uses: any of them fits. A backend stands below the router and cannot name it. */
export interface CommandRouter {
  nativeCommands(set: 'redis'): NativeAccess
}

export interface NativeAccess {
  readonly clock: Clock
  readonly random: Random
  /** Aborted when the router closes. */
  readonly signal: AbortSignal
  readonly buckets: number
  tagOf(key: string): string
  run(commands: readonly NativeCommand[], labels?: { transactionId?: string }): Promise<Ran>
  keys(from?: number): AsyncGenerator<{ readonly bucketId: number; readonly keys: readonly string[] }>
  /** Labels that accesses of one command share, where somebody observes. */
  transaction(): { transactionId?: string } | undefined
}

export interface Ran {
  readonly replies: readonly NativeReply[]
  readonly epoch: number
}
