import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ChangeLog } from '../../src/backends/memory/change-log'
import { ExpiryQueue } from '../../src/backends/memory/expiry-queue'
import { MemoryLedger } from '../../src/backends/memory/memory-ledger'
import { seededRandom } from '../../src/clock'

const VALUE = Buffer.from('value')

describe('the expiry queue', () => {
  test('gives expiries in the order of their time, also after what is out of date was dropped', () => {
    const random = seededRandom(1)
    const queue = new ExpiryQueue()
    const times = Array.from({ length: 500 }, () => Math.floor(random() * 1000))
    for (const [i, at] of times.entries()) queue.push({ at, bucketId: i, key: 'k' })
    const first = Array.from({ length: 100 }, () => queue.pop()!.at)
    queue.compact((it) => it.bucketId % 2 === 0)
    const rest: number[] = []
    for (let it = queue.pop(); it; it = queue.pop()) rest.push(it.at)
    const sorted = [...times].sort((a, b) => a - b)
    assert.deepEqual(first, sorted.slice(0, 100))
    assert.deepEqual(
      rest,
      [...rest].sort((a, b) => a - b),
    )
    assert.ok(rest.length > 150 && rest.length < 250)
  })
})

describe('the change log', () => {
  test('does not grow with writes to the same keys, and still pages by seq', () => {
    const log = new ChangeLog()
    for (let seq = 1; seq <= 10_000; seq++) log.add(seq, `k${seq % 10}`, 't')
    const changes = log.after(0, 1000)
    assert.deepEqual(
      changes.map((it) => it.seq),
      [9991, 9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999, 10_000],
    )
    assert.deepEqual(
      log.after(9995, 2).map((it) => it.seq),
      [9996, 9997],
    )
    assert.ok(log.length <= 100)
  })
})

describe('the memory ledger', () => {
  test('takes away what expired, a few at a time, and what was prolonged not', () => {
    const ledger = new MemoryLedger()
    const bucket = ledger.bucket(1)
    for (let i = 0; i < 10; i++) bucket.put(`k${i}`, 't', VALUE, 1, 100)
    bucket.put('k0', 't', VALUE, 2, 500)
    bucket.put('k1', 't', VALUE, 2, 0)
    ledger.reap(99, 100)
    assert.equal(ledger.size().keys, 10)
    ledger.reap(100, 4)
    assert.ok(ledger.size().keys >= 6 && ledger.size().keys < 10)
    ledger.reap(100, 100)
    assert.deepEqual(ledger.size(), { keys: 2, bytes: 10 })
    ledger.reap(500, 100)
    assert.deepEqual(ledger.size(), { keys: 1, bytes: 5 })
  })

  test('does not remember expiries without end of a key that is prolonged again and again', () => {
    const ledger = new MemoryLedger()
    const bucket = ledger.bucket(1)
    for (let i = 0; i < 50_000; i++) {
      bucket.put('session', 't', VALUE, i, 1_000_000 + i)
      ledger.reap(i, 2)
    }
    assert.ok(ledger.expiriesRemembered < 5_000)
    assert.equal(ledger.size().keys, 1)
  })

  test('pauses a walk over a large bucket in which a tag has few keys', () => {
    const ledger = new MemoryLedger()
    const bucket = ledger.bucket(1)
    for (let i = 0; i < 25_000; i++) bucket.put(`k${i}`, i === 24_000 ? 'rare' : 'common', VALUE, 1, 0)
    const seen: string[] = []
    let pages = 0
    let cursor: string | undefined
    do {
      cursor = bucket.walk({ tag: 'rare' }, cursor, ({ key }) => seen.push(key) > 0)
      pages++
    } while (cursor !== undefined)
    assert.deepEqual(seen, ['k24000'])
    assert.equal(pages, 3)
  })

  test('keeps the order of a walk when most of a bucket is deleted', () => {
    const ledger = new MemoryLedger()
    const bucket = ledger.bucket(1)
    for (let i = 0; i < 1000; i++) bucket.put(`k${i}`, 't', VALUE, 1, 0)
    const seen: string[] = []
    let cursor: string | undefined
    do {
      let room = 10
      cursor = bucket.walk({}, cursor, ({ key }) => {
        seen.push(key)
        return --room > 0
      })
      for (let i = 0; i < 100; i++) if (i % 10) bucket.delete(`k${(seen.length * 7 + i) % 1000}`)
    } while (cursor !== undefined)
    assert.equal(new Set(seen).size, seen.length)
    for (let i = 0; i < 1000; i++) if (bucket.get(`k${i}`)) assert.ok(seen.includes(`k${i}`), `k${i}`)
  })
})
