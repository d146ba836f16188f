import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/clock'
import type { PolicyReport } from '../../src/rebalancer/report'
import { verdictOf } from '../../src/rebalancer/verdict'

const floor = { imbalance: 1.15, hottestTag: 1 }

/** A policy whose J scatters around a mean. */
function policy(name: string, mean: number, { intervals = 240, seed = 1, scatter = 0.1 } = {}): PolicyReport {
  const random = seededRandom(seed)
  const rows = Array.from({ length: intervals }, () => ({ J: mean + scatter * (random() - 0.5) }))
  const J = rows.reduce((sum, row) => sum + row.J, 0) / intervals
  return { name, J, intervals: rows } as unknown as PolicyReport
}
const verdict = (...policies: PolicyReport[]) =>
  verdictOf(Object.fromEntries(policies.map((it) => [it.name, it])), floor, 24)

describe('the verdict', () => {
  it('is that prediction helps where it does, with how much of what is possible', () => {
    const sentence = verdict(
      policy('hash', 1.5, { seed: 2 }),
      policy('reactive', 1.4, { seed: 3 }),
      policy('predictive', 1.3, { seed: 4 }),
      policy('clairvoyant', 1.2, { seed: 5 }),
    )
    expect(sentence).toMatch(
      /^Prediction helps here: J 1\.\d+ against 1\.\d+ for reactive and 1\.\d+ for hash/,
    )
    expect(Number(/(\d+) % of what/.exec(sentence)![1])).toBeGreaterThan(45)
    expect(Number(/(\d+) % of what/.exec(sentence)![1])).toBeLessThan(55)
    expect(sentence).toMatch(/Chance alone would keep imbalance at about 1\.150/)
  })

  it('is that it does not, where it costs', () => {
    const sentence = verdict(policy('reactive', 1.3, { seed: 3 }), policy('predictive', 1.4, { seed: 4 }))
    expect(sentence).toMatch(/^Prediction does not help here/)
  })

  it('is neither where chance explains the difference, or it is too small to matter', () => {
    const chance = verdict(
      policy('reactive', 1.4, { seed: 3, scatter: 3 }),
      policy('predictive', 1.35, { seed: 4, scatter: 3 }),
    )
    expect(chance).toMatch(/no difference here that stands out from chance/)
    const tiny = verdict(policy('reactive', 1.4), policy('predictive', 1.399))
    expect(tiny).toMatch(/no difference/)
  })

  it('is none after a handful of intervals', () => {
    const few = { intervals: 5 }
    expect(verdict(policy('reactive', 1.4, few), policy('predictive', 1.2, few))).toMatch(/too short to tell/)
  })

  it('ranks what it is given where prediction or a rival is missing', () => {
    expect(verdict(policy('mine', 1.4), policy('hash', 1.5))).toMatch(
      /^mine costs least: mine J 1\.\d+, hash J/,
    )
    expect(verdict(policy('hash', 1.5))).toMatch(/^hash costs J 1\.\d+\./)
  })

  it('says when one tag is too hot for any placement', () => {
    const sentence = verdictOf({ hash: policy('hash', 3) }, { imbalance: 1.1, hottestTag: 2.5 }, 24)
    expect(sentence).toMatch(/hottest tag alone keeps imbalance at 2\.500 at least; moving cannot help/)
  })
})
