import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/clock'
import { Calibration } from '../../src/predictor/calibration'

describe('the calibration', () => {
  test('believes scores less than they seem to say until outcomes come in', () => {
    const calibration = new Calibration()
    expect(calibration.of(0.99)).toBeLessThan(0.9)
    expect(calibration.of(0.99)).toBeGreaterThan(0.7)
    expect(calibration.of(0.01)).toBeGreaterThan(0.15)
    for (let k = 0; k < 8; k++) calibration.observe({ raw: 0.95, held: true })
    expect(calibration.of(0.95)).toBeGreaterThan(0.75)
    expect(calibration.of(0.95)).toBeLessThan(0.98)
  })

  test('is never certain, whatever came', () => {
    const calibration = new Calibration()
    for (let k = 0; k < 2_000; k++) calibration.observe({ raw: k % 2 ? 1 : 0, held: k % 2 === 1 })
    expect(calibration.of(1)).toBeLessThan(1)
    expect(calibration.of(0)).toBeGreaterThan(0)
  })

  test('learns that scores are too high', () => {
    const calibration = new Calibration()
    const random = seededRandom(5)
    for (let k = 0; k < 1_500; k++) {
      const raw = random()
      calibration.observe({ raw, held: random() < raw ** 2 })
    }
    expect(calibration.of(0.5)).toBeGreaterThan(0.17)
    expect(calibration.of(0.5)).toBeLessThan(0.34)
    expect(calibration.of(0.9)).toBeGreaterThan(0.7)
  })

  test('of all that are given p, about p hold: on outcomes that it has not seen', () => {
    const calibration = new Calibration()
    const random = seededRandom(8)
    const truth = (raw: number) => 0.3 + 0.4 * raw
    for (let k = 0; k < 2_000; k++) {
      const raw = random()
      calibration.observe({ raw, held: random() < truth(raw) })
    }
    for (const raw of [0.1, 0.4, 0.6, 0.95])
      expect(Math.abs(calibration.of(raw) - truth(raw))).toBeLessThan(0.08)
  })

  test('never ranks a higher score lower', () => {
    const calibration = new Calibration()
    const random = seededRandom(2)
    for (let k = 0; k < 300; k++) calibration.observe({ raw: random(), held: random() < 0.5 })
    let last = 0
    for (let raw = 0; raw <= 1; raw += 0.01) {
      expect(calibration.of(raw)).toBeGreaterThanOrEqual(last)
      last = calibration.of(raw)
    }
  })

  test('forgets what is long past', () => {
    const calibration = new Calibration()
    for (let k = 0; k < 2_000; k++) calibration.observe({ raw: 0.8, held: false })
    for (let k = 0; k < 2_000; k++) calibration.observe({ raw: 0.8, held: true })
    expect(calibration.of(0.8)).toBeGreaterThan(0.95)
  })
})
