import type { Clock } from '../../../src/clock'
import type { TopologyChange, TopologyStore } from '../../../src/topology-store'
import { durationInWords } from './wording'

/** A topology store that tells of what is published, retained and released, and of plans. */
export function observedTopology(
  store: TopologyStore,
  clock: Clock,
  tell: (line: string) => void,
): TopologyStore {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      if (name !== 'commit') return member.bind(target)
      return async (change: TopologyChange) => {
        const revision = await target.commit(change)
        const words = changeInWords(change, clock.now())
        if (words) tell(`topology: ${words}${revision === undefined ? ': REFUSED' : ''}`)
        return revision
      }
    },
  })
}

function changeInWords({ assignments, plan, retain, release }: TopologyChange, now: number): string {
  const words: string[] = []
  for (const { segment, shard, epoch } of assignments ?? [])
    words.push(
      shard === undefined
        ? `${segment} is no segment any more @${epoch}`
        : `${segment} on ${shard} @${epoch}`,
    )
  for (const { segment, shard, epoch, until } of retain ?? [])
    words.push(`${shard} retains ${segment} @${epoch} for ${durationInWords(until - now)}`)
  for (const { segment, shard, epoch } of release ?? [])
    words.push(`${shard} retains ${segment} @${epoch} no more`)
  if (plan === null) words.push('the plan has ended')
  else if (plan) {
    const moves = plan.moves.map(({ segment, from, to }) =>
      to ? `${segment} from ${from || 'its bucket'} to ${to}` : segment,
    )
    const merges = plan.merges.map((segment) => `merge ${segment}`)
    words.push(`${plan.cancelled ? 'cancelled' : 'plan'}: ${[...moves, ...merges].join(', ')}`)
  }
  return words.join('; ')
}
