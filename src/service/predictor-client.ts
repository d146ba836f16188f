import { randomUUID } from 'node:crypto'
import type { z } from '@hono/zod-openapi'
import { EventEmitter } from 'eventemitter3'
import type { Clock, Random } from '../clock'
import { ErrorCode, ForeshardError, invalid, isForeshardError } from '../errors'
import { MOST_LINE_BYTES } from '../log/line-splitter'
import { checkEvent, checkFields, type Fields } from '../options'
import type { SegmentId } from '../placement/segment'
import type { Forecast } from '../predictor/forecast'
import type { IngestReport } from '../predictor/ingest'
import { type PredictRequest, REQUEST_FIELDS } from '../predictor/options'
import type { ShardAssignmentPrediction } from '../predictor/prediction'
import type { ForecastRequest } from '../predictor/predictor'
import type { PredictorSnapshot } from '../predictor/snapshot'
import { type AccessLogEntry, checkEntry, refusedBecause } from '../tracking/access-log'
import { checkClient, type PredictorClientOptions } from './client-options'
import { ForecastSchema } from './forecast-document'
import { IntakeSchema, NDJSON } from './intake-document'
import { lineOf } from './log-line'
import { Outbox, type OutboxBatch } from './outbox'
import { documentOf } from './placement-document'
import { checkPrediction, PredictionSchema, predictionOf } from './prediction-document'
import { strange, Transport } from './transport'

export interface PredictorClientEvents {
  /** The service cannot be reached; the log is kept back from now on. */
  away: [error: ForeshardError]
  /** It is reached again. */
  back: []
  /** So many entries of the log were dropped, for want of room or because the service will never take them. */
  dropped: [event: { readonly entries: number; readonly reason: string }]
}

const EVENTS: Fields<PredictorClientEvents> = { away: true, back: true, dropped: true }

export interface PredictorClientMetrics {
  /** Entries that the service has counted, by its own word. */
  readonly accepted: number
  /** Reason -> entries that it refused. */
  readonly refused: ReadonlyMap<string, number>
  /** Entries that wait to be sent, and their bytes. */
  readonly waiting: number
  readonly waitingBytes: number
  readonly dropped: number
  readonly away: boolean
  /** Tries that failed since it was reached last. */
  readonly failures: number
}

type Refusals = IngestReport['refused']

/** Tries of `ingest` for one batch. */
const TRIES = 6
/** A snapshot may be so many times as large as another answer. */
const SNAPSHOT_FACTOR = 8

/**
 * Stands in for a Predictor that runs elsewhere: a Rebalancer takes either. `record` never waits and never fails for want of the service:
 * the log is sent in batches, each counted once however often it is sent, and kept back within bounds while the service is away.
 * Everything else rejects with PREDICTOR_UNAVAILABLE then, for which a Rebalancer skips its round.
 */
export class PredictorClient extends EventEmitter<PredictorClientEvents> {
  readonly #transport: Transport
  readonly #outbox: Outbox
  readonly #clock: Clock
  readonly #random: Random
  readonly #options: ReturnType<typeof checkClient>
  readonly #sender = randomUUID()
  readonly #stopFlushing: () => void
  readonly #refused: Refusals = new Map()
  #ingests = 0
  #accepted = 0
  #failures = 0
  #retryAt = Number.NEGATIVE_INFINITY
  #sending: Promise<void> | undefined
  #closed = false

  /** @throws INVALID_ARGUMENT naming what is malformed. */
  constructor(url: string, options: PredictorClientOptions = {}) {
    super()
    this.#options = checkClient(url, options)
    const { token, fetch, clock, random, batchBytes, bufferBytes, flushMs } = this.#options
    this.#transport = new Transport(this.#options.url, token, fetch, clock)
    this.#outbox = new Outbox(batchBytes, bufferBytes)
    this.#clock = clock
    this.#random = random
    this.#stopFlushing = clock.every(flushMs, () => {
      this.#outbox.seal()
      this.#sendInTurn()
    })
  }

  override on<E extends keyof PredictorClientEvents>(
    event: E,
    fn: (...args: PredictorClientEvents[E]) => void,
  ): this {
    checkEvent(event, fn, EVENTS)
    return super.on(event, fn as never)
  }

  override once<E extends keyof PredictorClientEvents>(
    event: E,
    fn: (...args: PredictorClientEvents[E]) => void,
  ): this {
    checkEvent(event, fn, EVENTS)
    return super.once(event, fn as never)
  }

  /**
   * Takes one access in, to be sent soon; false where it never will be: it is too long, or the client is closed.
   * @throws INVALID_ARGUMENT for a malformed entry.
   */
  record(entry: AccessLogEntry): boolean {
    checkEntry(entry)
    const line = lineOf(entry)
    if (this.#closed || Buffer.byteLength(line) > MOST_LINE_BYTES) {
      this.#drop(1, this.#closed ? 'the client is closed' : 'line too long')
      this.#outbox.dropped++
      return false
    }
    const dropped = this.#outbox.add(line)
    if (dropped > 0) this.#drop(dropped, 'the service is away and the buffer is full')
    if (this.#outbox.due) this.#sendInTurn()
    return true
  }

  /**
   * Sends a whole log in batches, each tried several times, and waits until all of it is counted.
   * @throws PREDICTOR_UNAVAILABLE; what was sent before is counted.
   */
  async ingest(entries: Iterable<unknown> | AsyncIterable<unknown>): Promise<IngestReport> {
    this.#checkOpen()
    const report: IngestReport = { accepted: 0, refused: new Map(), examples: [] }
    const outbox = new Outbox(this.#options.batchBytes, Number.POSITIVE_INFINITY)
    const sender = `${this.#sender}.${++this.#ingests}`
    let at = 0
    /** Of the lines in the batch that is being filled: where in the log they stand. */
    let places: number[] = []
    const send = async () => {
      for (let batch = outbox.take(); batch; batch = outbox.take()) {
        const { accepted, refused, examples } = await this.#postUntilTaken(sender, batch)
        outbox.finish(batch)
        report.accepted += accepted
        for (const [reason, many] of Object.entries(refused)) count(report.refused, reason, many)
        for (const { line, reason } of examples)
          report.examples.push({ at: places[line - 1] ?? at, reason: reason as never })
        places = []
      }
    }
    for await (const entry of iterated(entries)) {
      const reason = refusedBecause(entry)
      const line = reason === undefined ? lineOf(entry as AccessLogEntry) : ''
      const refusal = reason ?? (Buffer.byteLength(line) > MOST_LINE_BYTES ? 'line too long' : undefined)
      if (refusal) {
        count(report.refused, refusal, 1)
        if (report.refused.get(refusal)! <= 3) report.examples.push({ at, reason: refusal })
      } else {
        places.push(at)
        outbox.add(line)
        if (outbox.due) await send()
      }
      at++
    }
    outbox.seal()
    await send()
    return report
  }

  /**
   * What should move, where to, and why, after all that was recorded before has been counted. What it names is checked: it
   * comes from outside.
   * @throws PREDICTOR_UNAVAILABLE, and what the predictor throws.
   */
  async predict(request: PredictRequest = {}): Promise<ShardAssignmentPrediction> {
    checkFields(request, REQUEST_FIELDS, 'request')
    const { placement, budget, forbidden, draining, inFlight, ...rest } = request
    if (placement !== undefined && typeof placement?.segments !== 'function')
      throw invalid('placement', 'must be a Placement, such as router.placement')
    const body = JSON.stringify({
      ...rest,
      placement: placement && documentOf(placement),
      budget: budget && finite(budget),
      forbidden: forbidden && [...forbidden],
      draining: draining && [...draining],
      inFlight: inFlight && Object.fromEntries(inFlight),
    })
    await this.flush()
    const answer = await this.#ask({
      method: 'POST',
      path: '/v1/predict',
      body,
      headers: { 'content-type': 'application/json' },
      timeoutMs: this.#options.predictTimeoutMs,
    })
    const prediction = predictionOf(read(PredictionSchema, answer))
    checkPrediction(prediction, request)
    return prediction
  }

  /** The forecast load of one segment; undefined for a segment that was never accessed. */
  async forecast(segment: SegmentId, request: ForecastRequest = {}): Promise<Forecast | undefined> {
    await this.flush()
    const query = new URLSearchParams({ segment })
    for (const name of ['horizonMs', 'now', 'level'] as const)
      if (request[name] !== undefined) query.set(name, String(request[name]))
    const answer = await orNothing(this.#ask({ path: `/v1/forecast?${query}` }))
    return answer === undefined ? undefined : (read(ForecastSchema, answer) as Forecast)
  }

  /** What a segment is like: a sentence, as of the last prediction; undefined where that did not see it. */
  async explain(segment: SegmentId): Promise<string | undefined> {
    const query = new URLSearchParams({ segment })
    const answer = await orNothing(this.#ask({ path: `/v1/explanation?${query}` }))
    const explanation = (answer as { explanation?: unknown } | undefined)?.explanation
    return typeof explanation === 'string' ? explanation : undefined
  }

  /** The state of the predictor; for a token that may act. */
  async snapshot(): Promise<PredictorSnapshot> {
    await this.flush()
    const { predictTimeoutMs: timeoutMs, answerBytes } = this.#options
    const answer = await this.#ask({
      path: '/v1/snapshot',
      timeoutMs,
      mostBytes: answerBytes * SNAPSHOT_FACTOR,
    })
    return answer as PredictorSnapshot
  }

  /**
   * Sends what was recorded up to now, at once, also where it would otherwise have waited for the next try.
   * @throws PREDICTOR_UNAVAILABLE, UNAUTHENTICATED, NOT_PERMITTED; what was not sent waits.
   */
  async flush(): Promise<void> {
    this.#checkOpen()
    const upTo = this.#outbox.seal()
    // What is under way may end before it comes to what was recorded last, or fail where a try right now would not.
    while (this.#sending) await this.#sending.catch(() => {})
    await this.#start(upTo)
  }

  get metrics(): PredictorClientMetrics {
    const { entries, bytes, dropped } = this.#outbox
    return {
      accepted: this.#accepted,
      refused: new Map(this.#refused),
      waiting: entries,
      waitingBytes: bytes,
      dropped,
      away: this.#failures > 0,
      failures: this.#failures,
    }
  }

  /** Sends what waits, if the service takes it; what it does not take is dropped, and counted. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#stopFlushing()
    await this.flush().catch(() => {})
    this.#closed = true
    const left = this.#outbox.clear()
    if (left > 0) this.#drop(left, 'the client was closed')
  }

  /** Sends what is full, unless the service is away and its time has not come. */
  #sendInTurn(): void {
    if (this.#sending || this.#closed || !this.#outbox.due || this.#clock.now() < this.#retryAt) return
    // A failure is told as 'away', and tried again.
    this.#start(this.#outbox.newest).catch(() => {})
  }

  /** One at a time, so that batches arrive in the order of their numbers. */
  #start(upTo: number): Promise<void> {
    const sending = this.#send(upTo).finally(() => {
      this.#sending = undefined
    })
    this.#sending = sending
    return sending
  }

  async #send(upTo: number): Promise<void> {
    try {
      for (let batch = this.#outbox.take(); batch; batch = this.#outbox.take()) {
        if (batch.number > upTo) break
        try {
          const { accepted, refused } = await this.#post(this.#sender, batch)
          this.#accepted += accepted
          for (const [reason, many] of Object.entries(refused)) count(this.#refused, reason, many)
          this.#outbox.finish(batch)
        } catch (error) {
          if (isLasting(error)) throw error
          // Sent again it would be refused again.
          this.#outbox.finish(batch)
          this.#outbox.dropped += batch.entries
          this.#drop(batch.entries, (error as Error).message)
        }
      }
    } finally {
      this.#outbox.putBack()
    }
  }

  async #post(sender: string, batch: OutboxBatch): Promise<z.infer<typeof IntakeSchema>> {
    const answer = await this.#ask({
      method: 'POST',
      path: '/v1/access-log',
      body: batch.body,
      headers: {
        'content-type': NDJSON,
        'foreshard-sender': sender,
        'foreshard-batch': String(batch.number),
      },
    })
    return read(IntakeSchema, answer)
  }

  async #postUntilTaken(sender: string, batch: OutboxBatch) {
    for (let tries = 1; ; tries++)
      try {
        return await this.#post(sender, batch)
      } catch (error) {
        if (!isForeshardError(error, ErrorCode.PREDICTOR_UNAVAILABLE) || tries === TRIES) throw error
        await this.#clock.sleep(this.#pauseMs(tries))
      }
  }

  /** Asks once, and keeps note of whether the service is there. */
  async #ask(call: Partial<Parameters<Transport['call']>[0]> & { path: string }): Promise<unknown> {
    this.#checkOpen()
    const { timeoutMs, answerBytes: mostBytes } = this.#options
    try {
      const answer = await this.#transport.call({ timeoutMs, mostBytes, ...call })
      this.#reached()
      return answer
    } catch (error) {
      if (isLasting(error)) this.#missed(error as ForeshardError)
      else this.#reached()
      throw error
    }
  }

  #reached(): void {
    if (this.#failures === 0) return
    this.#failures = 0
    this.#retryAt = Number.NEGATIVE_INFINITY
    this.#tell('back')
  }

  #missed(error: ForeshardError): void {
    this.#retryAt = this.#clock.now() + this.#pauseMs(++this.#failures)
    if (this.#failures === 1) this.#tell('away', error)
  }

  /** Doubles with every failure, and is drawn from its upper half: clients of one service do not come back together. */
  #pauseMs(failures: number): number {
    const { retryMs, longestRetryMs } = this.#options
    const longest = Math.min(longestRetryMs, retryMs * 2 ** Math.min(failures - 1, 30))
    return longest * (0.5 + 0.5 * this.#random())
  }

  #drop(entries: number, reason: string): void {
    this.#tell('dropped', { entries, reason })
  }

  /** A listener that throws must not stop the log. */
  #tell<E extends keyof PredictorClientEvents>(event: E, ...args: PredictorClientEvents[E]): void {
    try {
      this.emit(event, ...(args as never))
    } catch {}
  }

  #checkOpen(): void {
    if (this.#closed) throw new ForeshardError(ErrorCode.CLOSED, 'the client of the predictor is closed')
  }
}

/** Whether the same may go well later: the service is away, or does not know the token yet. */
function isLasting(error: unknown): boolean {
  return (
    isForeshardError(error, ErrorCode.PREDICTOR_UNAVAILABLE) ||
    isForeshardError(error, ErrorCode.UNAUTHENTICATED) ||
    isForeshardError(error, ErrorCode.NOT_PERMITTED)
  )
}

async function orNothing(asked: Promise<unknown>): Promise<unknown> {
  try {
    return await asked
  } catch (error) {
    if (isForeshardError(error, ErrorCode.NOT_FOUND)) return undefined
    throw error
  }
}

function read<T extends z.ZodType>(schema: T, answer: unknown): z.infer<T> {
  const result = schema.safeParse(answer)
  if (!result.success) throw strange()
  return result.data
}

function count(refused: Refusals, reason: string, many: number): void {
  refused.set(reason as never, (refused.get(reason as never) ?? 0) + many)
}

/** A limit that is infinite is none, and JSON has no word for it. */
function finite<T extends object>(limits: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(limits).filter(([, value]) => value !== Number.POSITIVE_INFINITY),
  ) as Partial<T>
}

async function* iterated(entries: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const given = entries as { [Symbol.iterator]?: unknown; [Symbol.asyncIterator]?: unknown } | null
  const iterable = typeof given === 'object' && given !== null
  if (!iterable || !(Symbol.iterator in given || Symbol.asyncIterator in given))
    throw invalid('entries', 'must be an iterable or async iterable of access log entries')
  yield* entries as AsyncIterable<unknown>
}
