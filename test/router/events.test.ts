import { describe, expect, it } from 'vitest'
import { RouterEmitter } from '../../src/router/events'
import { inVirtualTime } from './harness'

describe('the listeners of a router', () => {
  it('cannot reach the data path, nor each other', async () => {
    const events = new RouterEmitter()
    const seen: unknown[] = []
    const errors: unknown[] = []
    events.on('topology', () => {
      throw new Error('first')
    })
    events.on('topology', (async () => {
      throw new Error('late')
    }) as never)
    events.on('topology', ({ revision }) => seen.push(revision))
    events.on('error', (error) => errors.push((error as Error).message))
    events.on('error', () => {
      throw new Error('of an error')
    })
    events.emit('topology', { revision: 1 })
    await Promise.resolve()
    expect(seen).toEqual([1])
    expect(errors).toEqual(['first', 'late'])
    expect(events.failures).toBe(4)
  })

  it('come and go by the function that was given', () => {
    const events = new RouterEmitter()
    const seen: unknown[] = []
    const listener = ({ revision }: { revision: number }) => seen.push(revision)
    events.on('topology', listener)
    events.once('topology', ({ revision }) => seen.push(-revision))
    events.emit('topology', { revision: 1 })
    events.emit('topology', { revision: 2 })
    events.off('topology', listener)
    events.emit('topology', { revision: 3 })
    expect(seen).toEqual([1, -1, 2])
  })

  it(
    'hear of changes of the topology, whoever makes them',
    inVirtualTime(async (h) => {
      const [one, two] = [await h.open(), await h.open()]
      const revisions: number[] = []
      two.on('topology', ({ revision }) => revisions.push(revision))
      const target = one.placement.shardOf('#0') === 'a' ? 'b' : 'a'
      const answer = await one.requestResharding(1, new Map([['#0', target]]))
      if (answer.accepted) await answer.done
      await h.time.settle()
      expect(revisions.length).toBeGreaterThan(0)
      expect(two.placement.shardOf('#0')).toBe(target)
    }),
  )

  it(
    'are not needed: a router that hears nothing polls',
    inVirtualTime(async (h) => {
      const [one, two] = [await h.open(), await h.openDeaf({ pollMs: 1000 })]
      const target = one.placement.shardOf('#0') === 'a' ? 'b' : 'a'
      const answer = await one.requestResharding(1, new Map([['#0', target]]))
      if (answer.accepted) await answer.done
      expect(two.placement.shardOf('#0')).not.toBe(target)
      await h.clock.sleep(1100)
      expect(two.placement.shardOf('#0')).toBe(target)
    }),
  )
})
