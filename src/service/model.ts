import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, invalid } from '../errors'
import type { IngestReport } from '../predictor/ingest'
import type { PredictorOptions, PredictRequest } from '../predictor/options'
import type { ShardAssignmentPrediction } from '../predictor/prediction'
import { Predictor } from '../predictor/predictor'
import type { PredictorSnapshot } from '../predictor/snapshot'
import type { ModelStore } from './model-store'
import { decodeModel, encodeModel } from './saved-model'

/** Senders of numbered batches that are remembered; the longest unheard one is forgotten. */
const MOST_SENDERS = 10_000
/** Predictions that wait for their turn; each may take seconds. */
const MOST_WAITING = 8

/** A batch of a log that its sender numbers, so that one sent twice counts once. */
export interface Batch {
  readonly sender: string
  readonly number: number
}

export interface LastPrediction {
  /** ms since the epoch: the `now` that it was asked for. */
  readonly at: number
  readonly prediction: ShardAssignmentPrediction
}

/** The predictor that a service runs: one prediction after the other, and a state that survives a restart. */
export class Model {
  /** The newest prediction, undefined before the first. */
  last: LastPrediction | undefined
  #predictor: Predictor
  /** What a predictor is restored with; the clock tells what now is. */
  readonly #own: { readonly clock: Clock; readonly random?: Random }
  readonly #store: ModelStore | undefined
  /** The longest unheard first. */
  #batches = new Map<string, number>()
  #revision = 0
  #savedRevision = 0
  #loaded = false
  #waiting = 0
  #turn: Promise<unknown> = Promise.resolve()
  #saving: Promise<void> | undefined

  constructor(given: Predictor | PredictorOptions, store: ModelStore | undefined, clock: Clock) {
    const handed = given instanceof Predictor
    this.#predictor = handed ? given : new Predictor({ ...given, clock: given.clock ?? clock })
    this.#own = handed ? { clock } : { clock: given.clock ?? clock, random: given.random }
    this.#store = store
  }

  get predictor(): Predictor {
    return this.#predictor
  }

  /**
   * Goes on with what was saved last, if anything was. Until it has, nothing is saved: what cannot be read is not overwritten.
   * @throws SNAPSHOT_CORRUPT, INVALID_ARGUMENT where it is of other buckets or another seed, and what the store throws.
   */
  async load(): Promise<void> {
    const bytes = await this.#store?.load()
    if (bytes !== undefined) {
      const { snapshot, batches } = await decodeModel(bytes)
      this.#adopt(snapshot)
      this.#batches = new Map(batches)
    }
    this.#loaded = true
  }

  /**
   * Counts entries. Of a numbered batch all or, where it is known already, none: undefined.
   */
  async ingest(entries: readonly unknown[], batch?: Batch): Promise<IngestReport | undefined> {
    if (batch) {
      const last = this.#batches.get(batch.sender)
      if (last !== undefined && batch.number <= last) return undefined
      this.#batches.delete(batch.sender)
      if (this.#batches.size >= MOST_SENDERS) this.#batches.delete(this.#batches.keys().next().value!)
      this.#batches.set(batch.sender, batch.number)
    }
    this.#revision++
    return await this.#predictor.ingest(entries)
  }

  /** @throws TOO_MANY_REQUESTS where too many wait already, and what the predictor throws. */
  async predict(request: PredictRequest): Promise<LastPrediction> {
    if (this.#waiting >= MOST_WAITING)
      throw new ForeshardError(
        ErrorCode.TOO_MANY_REQUESTS,
        `${MOST_WAITING} predictions wait for their turn already`,
      )
    this.#waiting++
    const before = this.#turn
    const mine = (async () => {
      await before
      const at = request.now ?? this.#own.clock.now()
      const prediction = await this.#predictor.predict({ ...request, now: at })
      this.#revision++
      this.last = { at, prediction }
      return this.last
    })()
    this.#turn = mine.catch(() => {})
    try {
      return await mine
    } finally {
      this.#waiting--
    }
  }

  snapshot(): PredictorSnapshot {
    return this.#predictor.snapshot()
  }

  /** @throws SNAPSHOT_CORRUPT; the predictor is as it was. */
  replace(snapshot: PredictorSnapshot): void {
    this.#adopt(snapshot)
    this.last = undefined
    this.#revision++
  }

  /** Saves what has changed since the last time. While it is being saved, another call waits for that and saves again. */
  async save(): Promise<void> {
    while (this.#saving) await this.#saving.catch(() => {})
    if (!this.#store || !this.#loaded || this.#savedRevision === this.#revision) return
    const revision = this.#revision
    this.#saving = (async () => {
      await this.#store!.save(await encodeModel({ snapshot: this.snapshot(), batches: [...this.#batches] }))
      this.#savedRevision = revision
    })()
    try {
      await this.#saving
    } finally {
      this.#saving = undefined
    }
  }

  #adopt(snapshot: PredictorSnapshot): void {
    const restored = Predictor.restore(snapshot, this.#own)
    const { buckets, seed } = restored.placement
    const here = this.#predictor.placement
    if (buckets !== here.buckets || seed !== here.seed)
      throw invalid(
        'snapshot',
        `is of ${buckets} buckets and seed ${seed}, this service of ${here.buckets} and ${here.seed}; start it with those`,
      )
    this.#predictor = restored
  }
}
