import type { RetainedEntry } from '../topology-store'

export type RetainedName = Pick<RetainedEntry, 'segment' | 'shard' | 'epoch'>

/** By which a retained copy is found again: one segment may lie on several shards, and on one of them from several times. */
export function retainedName({ segment, shard, epoch }: RetainedName): string {
  return JSON.stringify([segment, shard, epoch])
}
