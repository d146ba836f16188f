import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { ErrorCode, ForeshardError } from '../errors'
import type { PredictorSnapshot } from '../predictor/snapshot'

/** What is saved of a model. */
export interface SavedModel {
  readonly snapshot: PredictorSnapshot
  /** Sender of batches -> number of the last batch that is counted in the snapshot. */
  readonly batches: readonly (readonly [sender: string, batch: number])[]
}

const VERSION = 1
const pack = promisify(gzip)
const unpack = promisify(gunzip)
/** The longest text that can be parsed, about: a snapshot of the largest predictor has 360 MiB. */
const LONGEST = 500 * 1024 * 1024

/** As bytes: gzipped JSON. */
export function encodeModel({ snapshot, batches }: SavedModel): Promise<Uint8Array> {
  return pack(JSON.stringify({ version: VERSION, batches, snapshot }), { level: 1 })
}

/** @throws SNAPSHOT_CORRUPT */
export async function decodeModel(bytes: Uint8Array): Promise<SavedModel> {
  let value: unknown
  try {
    value = JSON.parse((await unpack(bytes, { maxOutputLength: LONGEST })).toString('utf8'))
  } catch (cause) {
    throw corrupt('is not gzipped JSON', cause)
  }
  const { version, batches, snapshot } = (value ?? {}) as Record<string, unknown>
  if (version !== VERSION) throw corrupt(`is of version ${String(version)}, this is ${VERSION}`)
  const pairs = Array.isArray(batches) && batches.every((pair) => Array.isArray(pair) && isBatch(pair))
  if (!pairs) throw corrupt('batches are no pairs of a sender and a number')
  return { snapshot, batches } as SavedModel
}

function isBatch([sender, batch]: unknown[]): boolean {
  return typeof sender === 'string' && sender.length <= 64 && Number.isSafeInteger(batch)
}

function corrupt(what: string, cause?: unknown): ForeshardError {
  return new ForeshardError(ErrorCode.SNAPSHOT_CORRUPT, `saved model: ${what}`, { field: 'store', cause })
}
