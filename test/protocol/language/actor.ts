import { ErrorCode, isForeshardError } from '../../../src/errors'
import type { ReshardingReport } from '../../../src/migrator/progress'
import type { Resharding } from '../../../src/router/resharding'
import type { Member } from '../../../src/testing/simulation/deployment'
import type { Stage } from './stage'
import { counted } from './wording'

interface Stop {
  /** Where its migrator stands, or is to stand: 'cutover:before'. */
  readonly at: string
  readonly reached: Promise<void>
  arrive(): void
  readonly gone: Promise<void>
  goOn(): void
}

/** A process with a router and a migrator, whose migrator can be halted at any step. */
export class Actor {
  readonly #name: string
  readonly #stage: Stage
  #member: Member | undefined
  #resharding: Resharding | undefined
  #stop: Stop | undefined
  /** What was begun and has not ended. */
  #work: Promise<unknown> = Promise.resolve()

  constructor(name: string, stage: Stage) {
    this.#name = name
    this.#stage = stage
  }

  async start(options: { maxHoldMs?: number; batchKeys?: number }): Promise<void> {
    const { deployment } = this.#stage
    this.#member = await deployment.start(undefined, { ...options, failpoint: (step) => this.#at(step) })
    this.member.router.on('rescued', ({ shards, losses }) => {
      const lost = losses.map(({ segment, shard, loss }) => `, ${segment} on ${shard} has lost ${loss}`)
      if (losses.length > 0) this.#stage.judge.forgive()
      this.#tell(`rescued ${shards.map(({ shard }) => shard).join(' ')}${lost.join('')}`)
    })
    this.member.router.on('error', (error) => {
      // Of a shard out of reach it hears whenever it looks.
      if (codeOf(error) !== ErrorCode.SHARD_UNAVAILABLE) this.#tell(`hears of ${codeOf(error)}`)
    })
  }

  get member(): Member {
    return this.#member!
  }

  async #at(step: string): Promise<void> {
    const stop = this.#stop
    if (stop?.at !== step) return
    stop.arrive()
    await stop.gone
    await this.member.process.running()
  }

  /** Begins a resharding; comes back when its migrator stands at the step, or when it has ended, or at once. */
  reshard(request: () => Promise<Resharding>, stopAt: string | undefined, meanwhile = false): Promise<void> {
    return this.begin(
      async () => {
        const resharding = await request()
        this.#resharding = resharding
        if (!resharding.accepted) return `refused: ${resharding.reason}`
        return inWords(await resharding.done)
      },
      stopAt,
      meanwhile,
    )
  }

  /** Work whose result is told whenever it comes. A process that is asleep is not waited for. */
  async begin(act: () => Promise<string>, stopAt?: string, meanwhile = false): Promise<void> {
    const stop = stopAt === undefined ? undefined : newStop(stopAt)
    if (stop) this.#stop = stop
    const { process } = this.member
    const work = process.answer(act()).then(
      (result) => this.#tell(result),
      (error) => {
        if (!process.isDead) this.#tell(`error ${codeOf(error)}`)
      },
    )
    this.#work = Promise.all([this.#work, work])
    if (!process.isRunning) return this.#tell('asleep')
    await this.#until(stop, work, meanwhile)
  }

  async goOn(stopAt: string | undefined, meanwhile = false): Promise<void> {
    const before = this.#stop
    this.#stop = stopAt === undefined ? undefined : newStop(stopAt)
    before?.goOn()
    await this.#until(this.#stop, this.#work, meanwhile)
  }

  sleep(): void {
    this.member.process.freeze()
  }

  wake(stopAt: string | undefined): Promise<void> {
    this.member.process.thaw()
    return this.goOn(stopAt)
  }

  die(): void {
    this.member.process.kill()
  }

  async cancel(): Promise<void> {
    const resharding = this.#resharding
    if (!resharding?.accepted) throw new Error(`${this.#name} has begun no resharding`)
    await resharding.cancel()
  }

  async #until(stop: Stop | undefined, work: Promise<unknown>, meanwhile: boolean): Promise<void> {
    const stands = stop?.reached.then(() => this.#tell(`stands ${stop.at.split(':').reverse().join(' ')}`))
    if (!meanwhile) await (stands ? Promise.race([work, stands]) : work)
  }

  #tell(result: string): void {
    this.#stage.tell(`${this.#name}: ${result}`)
  }
}

function codeOf(error: unknown): string {
  return isForeshardError(error) ? error.code : String(error)
}

function newStop(at: string): Stop {
  let arrive = () => {}
  let goOn = () => {}
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const gone = new Promise<void>((resolve) => {
    goOn = resolve
  })
  return { at, reached: arrived, arrive, gone, goOn }
}

function inWords({
  outcome,
  moved,
  failed,
  cancelled,
  carved,
  merged,
  keysCopied,
  holds,
  retries,
}: ReshardingReport) {
  const words: string[] = [outcome]
  if (carved.length > 0) words.push(`carved ${carved.join(' ')}`)
  if (moved.length > 0) words.push(`moved ${moved.join(' ')}`)
  if (merged.length > 0) words.push(`merged ${merged.join(' ')}`)
  for (const { segment, code } of failed) words.push(`${segment} ${code}`)
  if (cancelled.length > 0) words.push(`cancelled ${cancelled.join(' ')}`)
  words.push(`${counted(keysCopied, 'key')} copied`)
  if (holds > 0) words.push(counted(holds, 'hold'))
  if (retries > 0) words.push(`${retries} ${retries === 1 ? 'retry' : 'retries'}`)
  return words.join(', ')
}
