import type { PlacementPolicy } from './placement-policy'

/** Consistent hashing alone: nothing ever moves. What every other policy is measured against. */
export function hashPolicy(): PlacementPolicy {
  return { name: 'hash', decide: () => undefined }
}
