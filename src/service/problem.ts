import { z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import { ErrorCode, ForeshardError, isForeshardError } from '../errors'

/** The one shape of every answer that is no success. */
export const ProblemSchema = z
  .object({
    code: z
      .string()
      .openapi({ description: 'Stable; one of the codes in docs/errors.md.', example: 'TOO_LARGE' }),
    message: z.string(),
    field: z.string().optional().openapi({ description: 'What is at fault.' }),
    cure: z.string(),
  })
  .openapi('Problem')

export type Problem = z.infer<typeof ProblemSchema>

const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  INVALID_KEY: 400,
  UNKNOWN_SHARD: 400,
  UNKNOWN_SEGMENT: 400,
  SNAPSHOT_CORRUPT: 400,
  UNAUTHENTICATED: 401,
  NOT_PERMITTED: 403,
  NOT_FOUND: 404,
  TIMED_OUT: 408,
  VERSION_CONFLICT: 409,
  TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  PREDICTOR_UNAVAILABLE: 503,
  CLOSED: 503,
}

const CURES: Partial<Record<ErrorCode, string>> = {
  INVALID_ARGUMENT: 'correct what the message names; /v1/openapi.json has the schema',
  INVALID_KEY: 'correct the key',
  UNKNOWN_SHARD: 'name a shard of the placement',
  UNKNOWN_SEGMENT: 'name a bucket "#n" or a tag "{…}"',
  SNAPSHOT_CORRUPT: 'send a snapshot as GET /v1/snapshot gave it',
  UNAUTHENTICATED: 'send Authorization: Bearer and a token that this service knows',
  NOT_PERMITTED: 'use a token that may do this',
  NOT_FOUND: '/v1/openapi.json lists what there is',
  TIMED_OUT: 'send the body without pauses, or raise the limit',
  TOO_LARGE: 'send less at a time, or raise the limit',
  TOO_MANY_REQUESTS: 'wait as long as Retry-After says, then send fewer and larger requests',
  PREDICTOR_UNAVAILABLE: 'try again in a few seconds',
  CLOSED: 'try again in a few seconds',
}

/** Seconds that a client is asked to wait. */
const RETRY_AFTER_S = 1

/** The answer for what went wrong. Of a mistake of the service's own it tells no more than that there was one. */
export function problemResponse(error: unknown): Response {
  const known = knownError(error)
  const status = statusOf(known)
  const { code, message, field } = known
  const problem: Problem = { code, message, field, cure: CURES[code] ?? 'see the log of the service' }
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer'
  if (status === 429 || status === 503) headers['Retry-After'] = String(RETRY_AFTER_S)
  // What is left of the body is not waited for.
  if (status === 401 || status === 408 || status === 413 || status === 429) headers.Connection = 'close'
  return new Response(JSON.stringify(problem), { status, headers })
}

/** Whether the fault lies with the service, so that its log should have it. */
export function isOwnFault(error: unknown): boolean {
  return statusOf(knownError(error)) === 500
}

function statusOf({ code, field }: ForeshardError): number {
  if (code === 'INVALID_ARGUMENT' && (field === 'Content-Type' || field === 'Content-Encoding')) return 415
  return STATUS[code] ?? 500
}

function knownError(error: unknown): ForeshardError {
  if (isForeshardError(error) && STATUS[error.code] !== undefined) return error
  // The framework's own refusals: malformed JSON, a media type that no route takes.
  if (error instanceof HTTPException && error.status < 500)
    return new ForeshardError(
      ErrorCode.INVALID_ARGUMENT,
      error.status === 415 ? 'Content-Type: must be application/json' : 'body: is not JSON',
      { field: error.status === 415 ? 'Content-Type' : 'body' },
    )
  return new ForeshardError(ErrorCode.FAILED, 'the service failed; its log has the reason')
}
