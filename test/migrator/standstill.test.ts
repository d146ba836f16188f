import { describe, expect, it } from 'vitest'
import { Standstill } from '../../src/migrator/standstill'

describe('a standstill', () => {
  it('lets everybody go on when it ends, and nobody before', async () => {
    const standstill = new Standstill()
    const signal = new AbortController().signal
    await standstill.over(signal)
    expect(standstill.begin()).toBe(true)
    expect(standstill.begin()).toBe(false)
    const gone: number[] = []
    const all = [1, 2].map((who) => standstill.over(signal).then(() => gone.push(who)))
    await Promise.resolve()
    expect(gone).toEqual([])
    expect(standstill.end()).toBe(true)
    await Promise.all(all)
    expect(gone).toEqual([1, 2])
    expect(standstill.end()).toBe(false)
  })

  it('ends for those who are told to stop, and for them alone', async () => {
    const standstill = new Standstill()
    standstill.begin()
    const stop = new AbortController()
    const stopped = standstill.over(stop.signal)
    const other = standstill.over(new AbortController().signal)
    stop.abort(new Error('cancelled'))
    await expect(stopped).rejects.toThrow('cancelled')
    standstill.end()
    await other
  })

  it('holds those who came while it ended and began again', async () => {
    const standstill = new Standstill()
    const signal = new AbortController().signal
    standstill.begin()
    let gone = false
    const waiting = standstill.over(signal).then(() => {
      gone = true
    })
    standstill.end()
    standstill.begin()
    await new Promise((resolve) => setImmediate(resolve))
    expect(gone).toBe(false)
    standstill.end()
    await waiting
  })
})
