import { describe, expect, it } from 'vitest'
import { Outbox } from '../../src/service/outbox'

const line = (i: number) => `${String(i).padStart(9, '0')}\n`
/** Batches of ten lines, room for thirty. */
const filled = (lines: number) => {
  const outbox = new Outbox(100, 300)
  for (let i = 0; i < lines; i++) outbox.add(line(i))
  return outbox
}

describe('an outbox', () => {
  it('gives its lines away in order, in batches whose numbers grow', () => {
    const outbox = filled(25)
    outbox.seal()
    const taken: string[] = []
    for (let batch = outbox.take(); batch; batch = outbox.take()) {
      taken.push(`${batch.number}: ${batch.body.toString().length / 10}`)
      outbox.finish(batch)
    }
    expect(taken).toEqual(['1: 10', '2: 10', '3: 5'])
    expect(outbox).toMatchObject({ entries: 0, bytes: 0, dropped: 0 })
  })

  it('drops the oldest batch for want of room, but never the one that is on its way', () => {
    const outbox = filled(20)
    const first = outbox.take()!
    for (let i = 20; i < 50; i++) outbox.add(line(i))
    expect(outbox).toMatchObject({ entries: 30, bytes: 300, dropped: 20 })
    outbox.finish(first)
    expect(outbox.entries).toBe(20)
    expect(outbox.take()!.body.toString().startsWith(line(30))).toBe(true)
  })

  it('gives a batch that was put back away again, under its number', () => {
    const outbox = filled(10)
    const first = outbox.take()!
    outbox.putBack()
    expect(outbox.take()).toBe(first)
    outbox.putBack()
    for (let i = 10; i < 40; i++) outbox.add(line(i))
    expect(outbox.take()!.number).toBe(2)
    expect(outbox.dropped).toBe(10)
  })
})
