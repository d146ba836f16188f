import { isTagSegment, type SegmentId, type ShardId, tagSegment } from '../../../src/placement/segment'
import { compileTagRule } from '../../../src/placement/tag'
import type { Operation } from '../../../src/shard-store'
import { Actor } from './actor'
import { type Attempt, Attempts, type Request } from './attempts'
import { BUCKET, type Stage } from './stage'
import { durationInWords, inShort, recordInWords, valueInWords } from './wording'
import { duration, Words } from './words'

const PREPOSITIONS = [
  'from',
  'to',
  'at',
  'ticket',
  'epoch',
  'as',
  'proof',
  'n',
  'for',
  'limit',
  'ttl',
  'until',
  'past',
  'retaining',
  'base',
]
const tagOf = compileTagRule(undefined, undefined)

/** What can be said in a transcript. Whatever a command causes is told to the stage. */
export class Commands {
  readonly #stage: Stage
  readonly #attempts: Attempts
  readonly #actors = new Map<string, Actor>()

  constructor(stage: Stage) {
    this.#stage = stage
    this.#attempts = new Attempts(stage)
  }

  async carryOut(command: string): Promise<void> {
    const words = new Words(command, PREPOSITIONS)
    const verb = words.word('command')
    const actor = this.#actors.get(verb)
    if (actor) return this.#act(actor, words.word('act'), words)
    switch (verb) {
      case 'open':
        await this.#stage.open(words.rest())
        return this.#fences()
      case 'fences':
        return this.#fences()
      case 'keys':
        return this.#keys()
      case 'topology':
        return this.#topology()
      case 'set':
      case 'get':
      case 'delete':
        return this.#operate(verb, words)
      case 'wait':
        return this.#stage.time.clock.sleep(duration(words.word('time')))
      case 'start':
        return this.#start(words)
      case 'attempt':
        await this.#begin(words)
        return
      case 'draw':
        return this.#stage.tell(`topology: ticket ${await this.#stage.drawTicket()}`)
      case 'later':
        this.#stage.tell(`on its way: ${(await this.#request(words.word('step'), words)).name}`)
        return
      case 'late':
        return this.#deliver(this.#attempts.remembered(words.rest().join(' ')))
      case 'read':
        return this.#read(words)
      case 'changes':
        await this.#attempts.readChanges(this.#attempt(words), words.numberAfter('limit'))
        return
      case 'copy':
        return this.#copy(words)
      case 'catch':
        return this.#catchUp(words)
      case 'cut':
        words.word('off')
        return this.#stage.deployment.cutOff(words.word('shard'), words.durationAfter('for')!)
      case 'fill':
        return this.#stage.deployment.setFull(words.word('shard'), true)
      case 'enlarge':
        return this.#stage.deployment.setFull(words.word('shard'), false)
      case 'remember':
        return this.#stage.remember(words.word('shard'))
      case 'restart':
        return this.#stage.restart(words.word('shard'))
      case 'admit':
        return this.#stage.judge.admit(words.word('shard'))
      case 'garble':
        return this.#stage.garble(words.after('at')!, words.word('key'), words.numberAfter('limit') ?? 1)
      default:
        return this.#deliver(await this.#request(verb, words))
    }
  }

  // --- handoffs by hand ---

  async #deliver(request: Request): Promise<void> {
    await request.send(this.#stage.store(request.shard)).catch(() => undefined)
  }

  #attempt(words: Words): Attempt {
    return this.#attempts.of(words.number('ticket'))
  }

  #begin(words: Words): Promise<Attempt> {
    const [from, to, ticket] = [words.after('from')!, words.after('to')!, words.numberAfter('ticket')!]
    return this.#attempts.begin(
      words.word('segment') as SegmentId,
      from,
      to,
      ticket,
      words.numberAfter('epoch'),
    )
  }

  /** Puts one request together, and into the bag. */
  async #request(step: string, words: Words): Promise<Request> {
    const attempts = this.#attempts
    if (step === 'export') return attempts.remember(attempts.export(await this.#begin(words)))
    if (step === 'split' || step === 'merge') return this.#carving(step, words)
    const it = this.#attempt(words)
    return attempts.remember(this.#compose(step, it, words))
  }

  #compose(step: string, it: Attempt, words: Words): Request {
    const attempts = this.#attempts
    switch (step) {
      case 'prepare':
        return attempts.prepare(it)
      case 'sweep':
        return attempts.sweep(it)
      case 'ingest':
        return attempts.batch(it)
      case 'hold':
        return attempts.hold(it, words.durationAfter('for') ?? 50)
      case 'cutover':
        return attempts.cutover(it, words.numberAfter('n') ?? it.n)
      case 'activate':
        return attempts.activate(it)
      case 'abort':
        return attempts.abort(it)
      case 'discard':
        return attempts.discard(it)
      case 'restore': {
        const seq = words.numberAfter('n') ?? 0
        return attempts.restore(it, words.after('to') ?? '', words.numberAfter('epoch')!, seq)
      }
      case 'untrace':
        return attempts.untrace(it)
      case 'purge':
        return attempts.purge(it, words.after('at') ?? it.from, words.numberAfter('limit') ?? 100)
      default:
        throw new Error(`${JSON.stringify(words.text)}: nobody understands ${step}`)
    }
  }

  async #carving(step: 'split' | 'merge', words: Words): Promise<Request> {
    const segment = words.word('tag') as SegmentId
    const shard = words.after('at')!
    const bucket = await this.#stage.fence(shard, { segment: BUCKET, bucketId: 0 })
    const epoch = words.numberAfter('epoch') ?? bucket.record.epoch
    return this.#attempts.remember(
      this.#attempts.carving(step, segment, shard, epoch, words.numberAfter('ticket')!),
    )
  }

  #read(words: Words): Promise<void> {
    return this.#attempts.readPage(this.#attempt(words), words.rest(), tagOf)
  }

  /** Step 4 as a whole: a page, and its batch. */
  async #copy(words: Words): Promise<void> {
    const it = this.#attempt(words)
    if (it.kept) return this.#stage.tell('nothing to copy: the data was kept')
    await this.#attempts.readPage(it, [], tagOf)
    if (it.read.length > 0) await this.#deliver(this.#attempts.remember(this.#attempts.batch(it)))
  }

  /** Step 5 as a whole: until there are no changes left. */
  async #catchUp(words: Words): Promise<void> {
    words.word('up')
    const it = this.#attempt(words)
    while (!(await this.#attempts.readChanges(it)))
      await this.#deliver(this.#attempts.remember(this.#attempts.batch(it)))
  }

  // --- clients that ask a shard themselves ---

  async #operate(kind: 'get' | 'set' | 'delete', words: Words): Promise<void> {
    const key = words.word('key')
    const shard = words.after('at')!
    const tag = tagOf(key)
    const home = (await this.#stage.fence(shard, { segment: BUCKET, bucketId: 0 })).record
    const segment = (words.after('as') as SegmentId) ?? (home.carved.has(tag) ? tagSegment(tag) : BUCKET)
    const { record } = await this.#stage.fence(shard, { segment, bucketId: 0 })
    const ticket = words.numberAfter('proof')
    await this.#stage
      .store(shard)
      .execute([
        {
          segment,
          bucketId: 0,
          epoch: words.numberAfter('epoch') ?? record.epoch,
          key,
          tag,
          operation: this.#operation(kind, words),
          ...(ticket !== undefined && { proof: this.#attempts.of(ticket).proof! }),
        },
      ])
      .catch(() => undefined)
  }

  #operation(kind: 'get' | 'set' | 'delete', words: Words): Operation {
    if (kind !== 'set') return { kind }
    const value = new TextEncoder().encode(JSON.stringify(words.word('value')))
    const ttl = words.durationAfter('ttl')
    return { kind, value, expiresAt: ttl === undefined ? 0 : this.#stage.time.clock.now() + ttl }
  }

  // --- processes ---

  async #start(words: Words): Promise<void> {
    for (const name of words.rest()) {
      const actor = new Actor(name, this.#stage)
      await actor.start({})
      this.#actors.set(name, actor)
    }
  }

  async #act(actor: Actor, act: string, words: Words): Promise<void> {
    const { router } = actor.member
    const stopAt = stopOf(words)
    switch (act) {
      case 'get': {
        const key = words.word('key')
        return actor.begin(async () => inShort(String((await router.get(key)) ?? 'absent')))
      }
      case 'set': {
        const [key, word, ttlMs] = [words.word('key'), words.word('value'), words.durationAfter('ttl')]
        const value = words.rest().includes('letters') ? 'x'.repeat(Number(word)) : word
        return actor.begin(async () => {
          await router.set(key, value, ttlMs === undefined ? {} : { ttlMs })
          return 'done'
        })
      }
      case 'delete': {
        const key = words.word('key')
        return actor.begin(async () => ((await router.delete(key)).deleted ? 'done' : 'nothing to do'))
      }
      case 'locates':
        return this.#stage.tell(
          `${words.text.split(' ')[0]}: on ${router.getShardLocation(words.word('key'))}`,
        )
      case 'moves': {
        const map = new Map([[words.word('segment') as SegmentId, words.after('to') as ShardId]])
        const retainMs = words.durationAfter('retaining') ?? 0
        const said = words.rest()
        const verify = !said.includes('unverified')
        const request = () => router.requestResharding(1, map, { retainMs, verify })
        return actor.reshard(request, stopAt, said.includes('meanwhile'))
      }
      case 'merges': {
        const merge = words.rest() as SegmentId[]
        return actor.reshard(() => router.requestResharding(1, new Map(), { merge, retainMs: 0 }), stopAt)
      }
      case 'rolls': {
        words.word('back')
        const retainMs = words.durationAfter('retaining') ?? 0
        return actor.reshard(() => router.rollback({ retainMs }), stopAt)
      }
      case 'goes':
        words.word('on')
        return actor.goOn(stopAt, words.rest().includes('meanwhile'))
      case 'wakes':
        return actor.wake(stopAt)
      case 'sleeps':
        return actor.sleep()
      case 'dies':
        return actor.die()
      case 'cancels':
        return actor.cancel()
      default:
        throw new Error(`${JSON.stringify(words.text)}: no process can do that`)
    }
  }

  // --- what there is ---

  async #fences(): Promise<void> {
    const { bare, tell, time } = this.#stage
    for (const [shard, store] of bare) {
      const listings = (await store.fences()).sort((x, y) => (x.segment < y.segment ? -1 : 1))
      if (listings.length === 0) tell(`${shard}: no record`)
      for (const { segment, record, bucketTicket } of listings) {
        const bucket =
          isTagSegment(segment) || bucketTicket === record.ticket
            ? ''
            : ` (ticket of the bucket: ${bucketTicket})`
        tell(`${shard}: ${segment} ${recordInWords(record, time.clock.now())}${bucket}`)
      }
    }
  }

  async #keys(): Promise<void> {
    for (const [shard, store] of this.#stage.bare) {
      const served: string[] = []
      for (const { segment, bucketId, record } of await store.fences()) {
        if (record.state !== 'owned') continue
        const as = { role: 'owner', epoch: record.epoch } as const
        const page = await store.scan({ segment, bucketId, as, want: 'values', limit: 1_000 })
        if (page.ok) for (const { key, value } of page.entries) served.push(`${key}=${valueInWords(value!)}`)
      }
      const { keys } = await store.size()
      const kept = keys - served.length
      const more = kept === 0 ? '' : `${served.length > 0 ? ', and' : ''} ${kept} not served`
      this.#stage.tell(
        `${shard}: ${served.sort().join(' ')}${more}`.replace(/: {2}/, ': ').replace(/: $/, ': nothing'),
      )
    }
  }

  async #topology(): Promise<void> {
    const { assignments, plan, retained } = await this.#stage.topology()
    const { tell, time } = this.#stage
    for (const { segment, shard, epoch } of assignments) tell(`${segment} on ${shard} @${epoch}`)
    for (const { segment, shard, epoch, until } of retained)
      tell(`${shard} retains ${segment} @${epoch} for another ${durationInWords(until - time.clock.now())}`)
    if (plan) tell(`a plan stands${plan.cancelled ? ', cancelled' : ''}`)
  }
}

/** Where a migrator is to halt: `until cutover`, before the step; `past cutover`, after it. */
function stopOf(words: Words): string | undefined {
  const [until, past] = [words.after('until'), words.after('past')]
  return until !== undefined ? `${until}:before` : past !== undefined ? `${past}:after` : undefined
}
