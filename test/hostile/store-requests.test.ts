import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock'
import type { ShardStore } from '../../src/shard-store'
import { PLACES, type Place } from './places'
import { expectRefused, refusalOf } from './refusal'

// The same draws every time; FORESHARD_SEED asks for others.
fc.configureGlobal({ seed: Number(process.env.FORESHARD_SEED ?? 20_260) })

/** Bucket 3 is served; all others have no record. */
const AT = { segment: '#3', bucketId: 3 } as const
const CALL = { ...AT, epoch: 1, key: 'k', tag: 'k', operation: { kind: 'get' } } as const
const SET = { kind: 'set', value: new Uint8Array(1), expiresAt: 0 } as const
const ENTRY = { key: 'k', tag: 'k', version: 1, expiresAt: 0, value: new Uint8Array(1) }

type Request = readonly [method: string, ...args: unknown[]]

/** What no caller of ours would ask; each refused by every store before it looks at anything. */
const NONSENSE: readonly Request[] = [
  ['execute', undefined],
  ['execute', [null]],
  ...[-1, 64, 1.5, Number.NaN, '3', null, undefined].map(
    (bucketId): Request => ['execute', [{ ...CALL, bucketId }]],
  ),
  ...['#4', '#03', '3', '', '{', '{}', '{a\ud800}', `{${'t'.repeat(70_000)}}`, 3, null].map(
    (segment): Request => ['execute', [{ ...CALL, segment, tag: 'k' }]],
  ),
  ['execute', [{ ...CALL, segment: '{other}', tag: 'k' }]],
  ...[Number.NaN, 1.5, '1', null, undefined, 1n, 2 ** 60].map(
    (epoch): Request => ['execute', [{ ...CALL, epoch }]],
  ),
  ...['', 7, null, undefined, 'a\ud800'].map((tag): Request => ['execute', [{ ...CALL, tag }]]),
  ...[undefined, null, 'get', {}, { kind: 'drop' }, { kind: '__proto__' }, { kind: 'set' }].map(
    (operation): Request => ['execute', [{ ...CALL, operation }]],
  ),
  ...['text', [1, 2], null, 7, new ArrayBuffer(4)].map(
    (value): Request => ['execute', [{ ...CALL, operation: { ...SET, value } }]],
  ),
  ...[Number.NaN, Number.POSITIVE_INFINITY, '1', undefined, null].map(
    (expiresAt): Request => ['execute', [{ ...CALL, operation: { ...SET, expiresAt } }]],
  ),
  ...[Number.NaN, '1', null, {}].map(
    (ifVersion): Request => ['execute', [{ ...CALL, operation: { ...SET, ifVersion } }]],
  ),
  ...[
    null,
    {},
    { shard: 'a', epoch: Number.NaN, ticket: 1, seq: 1 },
    { shard: 7, epoch: 1, ticket: 1, seq: 1 },
  ].map((proof): Request => ['execute', [{ ...CALL, proof }]]),
  ...[
    undefined,
    null,
    {},
    'export',
    { step: 'drop' },
    { step: '__proto__' },
    { step: 'sweep', ticket: 1 },
    { step: 'purge' },
  ].map((command): Request => ['step', AT, command]),
  ['step', AT, { step: 'export', epoch: 1, ticket: '1', peer: 'b' }],
  ['step', AT, { step: 'export', epoch: 1, ticket: 1, peer: '' }],
  ['step', AT, { step: 'prepare', epoch: 1, ticket: 1, carved: 'all' }],
  ['step', AT, { step: 'prepare', epoch: 1, ticket: 1, carved: ['\ud800'] }],
  ['step', AT, { step: 'hold', epoch: 1, ticket: 1, durationMs: Number.POSITIVE_INFINITY }],
  ['step', AT, { step: 'cutover', epoch: 1, ticket: 1, seq: -0.5 }],
  ['step', { segment: '#3', bucketId: 4 }, { step: 'discard', ticket: 1 }],
  ['found', 'all'],
  ['found', [0, 64]],
  ['found', [1, '2']],
  ['fences', 'all'],
  ['fences', [{ segment: '#1', bucketId: 2 }]],
  ['scan', { ...AT, as: { role: 'thief', epoch: 1 }, want: 'values', limit: 1 }],
  ['scan', { ...AT, as: undefined, want: 'values', limit: 1 }],
  ['scan', { ...AT, as: { role: 'owner', epoch: 'x' }, want: 'values', limit: 1 }],
  ['scan', { ...AT, as: { role: 'owner', epoch: 1 }, want: 'all', limit: 1 }],
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined].map(
    (limit): Request => ['scan', { ...AT, as: { role: 'owner', epoch: 1 }, want: 'values', limit }],
  ),
  ...['', 'x', '../..', '9'.repeat(40), 7, {}].map(
    (cursor): Request => [
      'scan',
      { ...AT, as: { role: 'owner', epoch: 1 }, want: 'values', limit: 1, cursor },
    ],
  ),
  ['scan', { ...AT, as: { role: 'owner', epoch: 1 }, want: 'values', limit: 1, keys: 'k' }],
  ['scan', { ...AT, as: { role: 'owner', epoch: 1 }, want: 'values', limit: 1, keys: [null] }],
  ['changes', { ...AT, ticket: 'x', after: 0, limit: 1 }],
  ['changes', { ...AT, ticket: 1, after: Number.NaN, limit: 1 }],
  ['changes', { ...AT, ticket: 1, after: 0, limit: 0 }],
  ['ingest', { ...AT, epoch: 1, ticket: 1, batch: 1, changes: 'all' }],
  ['ingest', { ...AT, epoch: 1, ticket: 1, batch: Number.NaN, changes: [] }],
  ['ingest', { ...AT, epoch: 1, ticket: 1, batch: 1, changes: [null] }],
  ['ingest', { ...AT, epoch: 1, ticket: 1, batch: 1, changes: [{ key: 'k', tag: 7 }] }],
  [
    'ingest',
    {
      ...AT,
      epoch: 1,
      ticket: 1,
      batch: 1,
      changes: [{ key: 'k', tag: 'k', entry: { ...ENTRY, version: 0.5 } }],
    },
  ],
  [
    'ingest',
    {
      ...AT,
      epoch: 1,
      ticket: 1,
      batch: 1,
      changes: [{ key: 'k', tag: 'k', entry: { ...ENTRY, value: 'text' } }],
    },
  ],
  ['erase', { ...AT, step: 'drop', epoch: 1, limit: 1 }],
  ['erase', { ...AT, step: 'purge', epoch: undefined, limit: 1 }],
  ['erase', { ...AT, step: 'sweep', ticket: 1, limit: 0 }],
]

describe.each(PLACES)('requests to a store of $name', ({ missing, open }) => {
  describe.skipIf(missing)('', () => {
    let place: Place
    let store: ShardStore
    beforeAll(async () => {
      place = await open()
      store = place.shards.a
      await store.open({ topologyId: 't', shard: 'a', buckets: 64, clock: systemClock })
      await store.found([3])
      await store.execute([{ ...CALL, operation: SET }])
    })
    afterAll(async () => {
      await store.close()
      await place.end()
    })

    const send = ([method, ...args]: Request) =>
      (store as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
    const state = async () => ({
      fences: await store.fences(),
      size: await store.size(),
      answer: await store.execute([CALL]),
    })

    it('that make no sense are refused by code, and nothing has changed', async () => {
      const before = await state()
      for (const request of NONSENSE) {
        const refusal = await refusalOf(() => send(request))
        expect(
          String(refusal?.code),
          `${inspect(request, { depth: 4 }).slice(0, 300)}: ${refusal?.message}`,
        ).toMatch(/^INVALID_/)
      }
      expect(await state()).toEqual(before)
    })

    it('of which one makes no sense are refused together', async () => {
      const before = await state()
      const first = { ...CALL, key: 'j', tag: 'j', operation: SET }
      await expectRefused(
        () => store.execute([first, { ...CALL, epoch: Number.NaN }]),
        'INVALID_ARGUMENT',
        'epoch',
      )
      await expectRefused(() => store.execute([first, { ...CALL, key: '' }]), 'INVALID_KEY', 'key')
      expect(await state()).toEqual(before)
    })

    it('of any kind are answered or refused by code, and change nothing without a fence that allows it', async () => {
      const before = await state()
      const any = fc.anything({ withBigInt: true, withTypedArray: true, maxDepth: 2 })
      // Bucket 5 is nobody's here: whatever is asked of it as its owner is refused.
      const at = fc.record({
        segment: fc.oneof(fc.constant('#5'), any),
        bucketId: fc.oneof(fc.constant(5), any),
      })
      const number = fc.oneof(fc.integer(), any)
      const call = fc
        .tuple(
          at,
          fc.record({
            epoch: number,
            key: fc.oneof(fc.string(), any),
            tag: fc.oneof(fc.string(), any),
            operation: any,
          }),
        )
        .map(([where, rest]) => ({ ...where, ...rest }))
      const request = fc.oneof(
        fc.tuple(fc.constant('execute'), fc.oneof(fc.array(fc.oneof(call, any), { maxLength: 3 }), any)),
        fc.tuple(fc.constant('step'), at, any),
        fc.tuple(
          fc.constantFrom('found', 'fences'),
          fc.oneof(fc.array(any, { minLength: 1 }), any).filter((it) => it !== undefined && !isEmpty(it)),
        ),
        fc.tuple(
          fc.constantFrom('scan', 'changes', 'ingest', 'erase'),
          fc.oneof(
            any,
            fc
              .tuple(
                at,
                fc.dictionary(
                  fc.constantFrom(
                    'as',
                    'want',
                    'limit',
                    'ticket',
                    'epoch',
                    'batch',
                    'changes',
                    'step',
                    'cursor',
                  ),
                  any,
                ),
              )
              .map(([where, rest]) => ({ ...where, ...rest })),
          ),
        ),
      )
      await fc.assert(
        fc.asyncProperty(request, async (given) => {
          await refusalOf(() => send(given as unknown as Request))
        }),
        { numRuns: 150 },
      )
      expect(await state()).toEqual(before)
    })
  })
})

function isEmpty(it: unknown): boolean {
  return Array.isArray(it) && it.length === 0
}
