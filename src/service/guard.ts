import { createHash, timingSafeEqual } from 'node:crypto'
import { ErrorCode, ForeshardError, invalid } from '../errors'
import { checkFields, type Fields } from '../options'

/** What a token may do; each may do what stands before it as well. */
export const PERMISSIONS = ['read', 'record', 'act'] as const
export type Permission = (typeof PERMISSIONS)[number]

export interface GuardOptions {
  /** One token that may do everything. */
  token?: string
  /** One token for each permission: to read and predict, to deliver a log as well, to change things as well. */
  tokens?: { read?: string; record?: string; act?: string }
  /** Without a token: who comes from this machine may do everything, and nobody else anything. */
  loopbackOnly?: boolean
}

const TOKEN_FIELDS: Fields<NonNullable<GuardOptions['tokens']>> = { read: true, record: true, act: true }
const LONGEST_TOKEN = 4_096
const SHORTEST_TOKEN = 8
const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/
const LOOPBACK_HOST = /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/

/** Lets a request pass by its token, or by where it comes from. */
export class Guard {
  /** Hashed, so that comparing takes the same time whatever is given. */
  readonly #known: { readonly digest: Buffer; readonly permission: Permission }[] = []

  constructor({ token, tokens, loopbackOnly }: GuardOptions) {
    if (token !== undefined && tokens !== undefined)
      throw invalid('options.tokens', 'is given beside options.token; give one of the two')
    if (tokens !== undefined) checkFields(tokens, TOKEN_FIELDS, 'options.tokens')
    const given = tokens ?? (token === undefined ? {} : { act: token })
    for (const permission of PERMISSIONS) {
      const value = given[permission]
      if (value === undefined) continue
      const digest = digestOf(checkToken(value, tokens ? `options.tokens.${permission}` : 'options.token'))
      if (this.#known.some((other) => other.digest.equals(digest)))
        throw invalid(
          `options.tokens.${permission}`,
          'is the same as another one; permissions need tokens of their own',
        )
      this.#known.push({ digest, permission })
    }
    if (loopbackOnly !== undefined && typeof loopbackOnly !== 'boolean')
      throw invalid('options.loopbackOnly', 'must be true or false')
    if (this.#known.length === 0 && loopbackOnly !== true)
      throw invalid(
        'options.token',
        'is missing; give token or tokens, or say loopbackOnly: true if nobody else can reach this machine',
      )
    if (this.#known.length > 0 && loopbackOnly === true)
      throw invalid('options.loopbackOnly', 'is for services without a token; leave one of the two out')
  }

  /** @throws UNAUTHENTICATED, NOT_PERMITTED */
  permissionOf(request: Request, address: string | undefined): Permission {
    if (this.#known.length === 0) {
      checkLocal(request, address)
      return 'act'
    }
    const given = /^Bearer +([\x21-\x7e]+) *$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    const digest = digestOf(given ?? '')
    let found: Permission | undefined
    for (const known of this.#known) if (timingSafeEqual(known.digest, digest)) found = known.permission
    if (given === undefined || found === undefined)
      throw new ForeshardError(
        ErrorCode.UNAUTHENTICATED,
        given === undefined ? 'the request brings no token' : 'the token is not known here',
        { field: 'Authorization' },
      )
    return found
  }
}

/** @throws NOT_PERMITTED unless the permission that was given covers the one that is needed. */
export function checkPermission(given: Permission, needed: Permission): void {
  if (PERMISSIONS.indexOf(given) < PERMISSIONS.indexOf(needed))
    throw new ForeshardError(
      ErrorCode.NOT_PERMITTED,
      `the token may ${given}, this takes one that may ${needed}`,
      {
        field: 'Authorization',
      },
    )
}

/** Refuses without showing it. */
export function checkToken(token: unknown, field: string): string {
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token) || token.length > LONGEST_TOKEN)
    throw invalid(
      field,
      `must be a string of visible ASCII characters without spaces, at most ${LONGEST_TOKEN}`,
    )
  if (token.length < SHORTEST_TOKEN) throw invalid(field, `must have at least ${SHORTEST_TOKEN} characters`)
  return token
}

/**
 * Whoever is asked for by another name than this machine's was led here by a page or a proxy: names can be made to point to
 * 127.0.0.1 (DNS rebinding), a page may post without asking, and a proxy on this machine makes everybody local.
 */
function checkLocal(request: Request, address: string | undefined): void {
  const url = new URL(request.url)
  const origin = request.headers.get('origin')
  const foreign =
    (address !== undefined && !LOOPBACK.test(address)) ||
    !LOOPBACK_HOST.test(url.hostname) ||
    (origin !== null && origin !== url.origin) ||
    request.headers.has('forwarded') ||
    request.headers.has('x-forwarded-for')
  if (foreign)
    throw new ForeshardError(
      ErrorCode.NOT_PERMITTED,
      'this service has no token and answers its own machine only',
    )
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
