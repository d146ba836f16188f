import assert from 'node:assert/strict'
import type { Promised } from './promise'
import { arriving } from './shard-under-test'

const withTtl: Promised['needs'] = (supports) => !supports.ttl && 'supports.ttl is false'
const promise = (name: string, run: Promised['run']): Promised => ({ name, needs: withTtl, run })

/** F11: what expired is absent everywhere, and nothing brings it back. */
export const expiryPromises: Promised[] = [
  promise('a key is there until its expiry, and absent from then on', async (shard) => {
    await shard.set('k', 'v', { expiresAt: shard.clock.now() + 1000 })
    await shard.set('stays', 'v', { expiresAt: shard.clock.now() + 100_000 })
    await shard.clock.advance(900)
    assert.equal(await shard.get('k'), 'v')
    await shard.clock.advance(100)
    assert.equal(await shard.get('k'), undefined)
    const has = await shard.done('k', { kind: 'has' })
    assert.deepEqual([has.applied, has.version], [false, 0])
    assert.deepEqual(await shard.contents(), { stays: 'v' })
    const digests = await shard.scan({ role: 'owner', epoch: 1 }, { want: 'digests' })
    assert.deepEqual(
      digests.map((it) => it.key),
      ['stays'],
    )
    const page = await shard.store.scan({
      ...shard.at(),
      as: { role: 'owner', epoch: 1 },
      want: 'values',
      keys: [{ key: 'k', tag: 'k' }],
      limit: 10,
    })
    assert.deepEqual(page.ok && page.entries, [])
    assert.equal((await shard.delete('k')).applied, false)
  }),
  promise('expiry is no write: nothing is counted', async (shard) => {
    const { seq } = await shard.set('k', 'v', { expiresAt: shard.clock.now() + 1000 })
    await shard.clock.advance(1000)
    assert.equal((await shard.done('k', { kind: 'get' })).seq, seq)
  }),
  promise('ifVersion 0 creates in place of what expired', async (shard) => {
    const old = await shard.set('k', 'old', { expiresAt: shard.clock.now() + 1000 })
    await shard.clock.advance(1000)
    assert.equal((await shard.set('k', 'new', { ifVersion: old.version })).applied, false)
    assert.equal((await shard.set('k', 'new', { ifVersion: 0 })).applied, true)
    assert.equal(await shard.get('k'), 'new')
    await shard.clock.advance(100_000)
    assert.equal(await shard.get('k'), 'new')
  }),
  promise('a write replaces the expiry too, to later, earlier and never', async (shard) => {
    const now = shard.clock.now()
    await shard.set('later', 'v', { expiresAt: now + 1000 })
    await shard.set('later', 'v', { expiresAt: now + 5000 })
    await shard.set('earlier', 'v', { expiresAt: now + 5000 })
    await shard.set('earlier', 'v', { expiresAt: now + 1000 })
    await shard.set('never', 'v', { expiresAt: now + 1000 })
    await shard.set('never', 'v')
    await shard.clock.advance(2000)
    // Writes elsewhere take away what expired, and nothing else.
    for (let i = 0; i < 20; i++) await shard.set('busy', `${i}`)
    assert.deepEqual(await shard.contents(), { busy: '19', later: 'v', never: 'v' })
  }),
  promise(
    'a value that is born expired is a delete that counts, also with a negative time',
    async (shard) => {
      for (const expiresAt of [shard.clock.now(), 1, -5]) {
        const before = await shard.set('k', 'old')
        const dead = await shard.set('k', 'dead', { expiresAt })
        assert.deepEqual([dead.applied, dead.seq], [true, before.seq + 1])
        assert.equal(await shard.get('k'), undefined)
      }
    },
  ),
  promise('a time that is no number is refused', async (shard) => {
    for (const expiresAt of [Number.NaN, Number.POSITIVE_INFINITY])
      await assert.rejects(shard.set('k', 'v', { expiresAt }), { code: 'INVALID_ARGUMENT' })
  }),
  promise('a get tells when the key expires, so that a write that follows can keep it', async (shard) => {
    const expiresAt = shard.clock.now() + 60_000
    await shard.set('k', 'v', { expiresAt })
    await shard.set('stays', 'v')
    assert.equal((await shard.done('k', { kind: 'get' })).expiresAt, expiresAt)
    assert.equal((await shard.done('stays', { kind: 'get' })).expiresAt, 0)
    assert.equal((await shard.done('absent', { kind: 'get' })).expiresAt ?? 0, 0)
    await shard.importing(1)
    await shard.ingest(1, 1, [arriving('k', 'v', { expiresAt })])
    await shard.takes('#5', { step: 'activate', proof: { shard: 'b', epoch: 2, ticket: 1, seq: 1 } })
    assert.equal((await shard.done('k', { kind: 'get' }, { segment: '#5', epoch: 2 })).expiresAt, expiresAt)
  }),
  promise('the expiry travels as the time that it is', async (shard) => {
    const expiresAt = shard.clock.now() + 60_000
    await shard.set('k', 'v', { expiresAt })
    const [entry] = await shard.scan({ role: 'owner', epoch: 1 })
    assert.equal(entry!.expiresAt, expiresAt)
    await shard.importing(1)
    await shard.ingest(1, 1, [arriving('k', 'v', { expiresAt })])
    const [copied] = await shard.scan({ role: 'target', ticket: 1 }, { segment: '#5' })
    assert.equal(copied!.expiresAt, expiresAt)
  }),
  promise('a key that expired on the way is not revived', async (shard) => {
    const soon = shard.clock.now() + 1000
    await shard.set('k', 'v', { expiresAt: soon })
    await shard.takes('#3', { step: 'export', epoch: 1, ticket: 1, peer: 'b' })
    const { seq } = await shard.set('k', 'w', { expiresAt: soon })
    await shard.importing(2)
    await shard.clock.advance(1000)
    const { changes } = await shard.changes(1, seq - 1)
    assert.deepEqual(changes, [{ seq, key: 'k', tag: 'k' }])
    // As a source with a slower clock would send it.
    await shard.ingest(2, 1, [arriving('k', 'w', { expiresAt: soon }), arriving('alive', 'v')])
    assert.deepEqual(await shard.contents({ role: 'target', ticket: 2 }, '#5'), { alive: 'v' })
  }),
  promise('an expired arrival takes away what it replaces', async (shard) => {
    await shard.importing(1)
    await shard.ingest(1, 1, [arriving('k', 'old')])
    await shard.ingest(1, 2, [arriving('k', 'new', { expiresAt: shard.clock.now() - 1 })])
    assert.deepEqual(await shard.contents({ role: 'target', ticket: 1 }, '#5'), {})
  }),
]
