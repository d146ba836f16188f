import { describe, expect, it } from 'vitest'
import type { SegmentId } from '../../src/placement/segment'
import type { ShardAssignmentPrediction } from '../../src/predictor/prediction'
import { type DecisionRules, decide, notNow } from '../../src/rebalancer/decision'

const rules: DecisionRules = {
  minConfidence: 0.6,
  minGain: 0.01,
  cooldownMs: 1000,
  costs: { perMove: 0.001, perMillionKeys: 0.1, perGibibyte: 0.2, perHour: 0 },
}

function prediction(more: {
  moves?: number
  merges?: number
  confidence?: number
  netGain?: number
  keysMoved?: number
  bytesMoved?: number
}): ShardAssignmentPrediction {
  const { moves = 2, merges = 0, confidence = 0.9, netGain = 0.1, keysMoved = 0, bytesMoved = 0 } = more
  return {
    shardAssignmentMap: new Map(Array.from({ length: moves }, (_, i) => [`#${i}` as SegmentId, 'a'])),
    merges: Array.from({ length: merges }, (_, i) => `{t${i}}` as SegmentId),
    confidenceScores: new Map(),
    confidence,
    triggers: [],
    hotSegments: [],
    expected: {
      imbalance: { before: 2, after: 1 },
      crossShard: { before: 0, after: 0 },
      bytesMoved,
      keysMoved,
      loadMoved: 0.1,
      netGain,
    },
    reasons: new Map(),
  }
}

describe('the time to act', () => {
  it('is not while a resharding is under way, nor until the cool-down is over', () => {
    const at = (now: number, reshardingInFlight = false) =>
      notNow(rules, { now, reshardingInFlight, quietSince: 5000 })?.because
    expect(at(9000, true)).toBe('resharding-in-flight')
    expect(at(5000)).toBe('cooling-down')
    expect(at(5999)).toBe('cooling-down')
    expect(at(6000)).toBeUndefined()
  })
})

describe('a prediction', () => {
  it('is acted on when it is sure enough and pays for itself; the bill is in the reason', () => {
    const decision = decide(prediction({ keysMoved: 200_000, bytesMoved: 2 ** 28 }), rules)
    expect(decision).toMatchObject({ act: true })
    if (!decision.act) throw new Error('it is')
    // 2 moves · .001 + .2 million keys · .1 + .25 GiB · .2
    expect(decision.cost).toBeCloseTo(0.002 + 0.02 + 0.05, 12)
    expect(decision.gain).toBeCloseTo(0.1 - 0.072, 12)
    expect(decision.reason).toBe(
      'J falls by 0.1, moving 2 segments, 200000 keys and 268435456 bytes costs 0.072',
    )
  })

  it.each([
    [{ moves: 0 }, 'nothing-to-move'],
    [{ confidence: 0.59 }, 'low-confidence'],
    [{ confidence: Number.NaN }, 'low-confidence'],
    [{ netGain: 0.009 }, 'low-gain'],
    [{ netGain: -1 }, 'low-gain'],
    [{ netGain: Number.NaN }, 'low-gain'],
    [{ keysMoved: 1_000_000 }, 'not-worth-its-cost'],
    [{ bytesMoved: 2 ** 30 }, 'not-worth-its-cost'],
    [{ netGain: 0.011 }, 'not-worth-its-cost'],
  ] as const)('%j is skipped: %s', (more, because) => {
    const decision = decide(prediction(more), rules)
    expect(decision).toMatchObject({ act: false, because })
    expect(decision.reason).not.toBe('')
  })

  it('that only folds tags back needs no gain', () => {
    expect(decide(prediction({ moves: 0, merges: 3, netGain: 0 }), rules)).toMatchObject({ act: true })
    expect(decide(prediction({ moves: 0, merges: 3, netGain: 0, confidence: 0 }), rules)).toMatchObject({
      act: true,
    })
  })
})
