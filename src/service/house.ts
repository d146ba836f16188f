import type { IncomingMessage } from 'node:http'
import { OpenAPIHono, type z } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import type { Clock } from '../clock'
import { invalid } from '../errors'
import { type BodyLimits, jsonTextOf } from './body'
import { checkPermission, type Permission } from './guard'
import type { Model } from './model'
import type { ServiceLimits } from './options'
import { ProblemSchema } from './problem'

/** What a request carries through the house. */
export interface HouseEnv {
  /** Under Node's http, and whatever stands on it. */
  Bindings: { incoming?: IncomingMessage }
  Variables: { permission: Permission }
}

/** What every router module of the service is given. */
export interface House {
  readonly model: Model
  readonly limits: ServiceLimits
  readonly clock: Clock
  readonly metrics: (() => string | Promise<string>) | undefined
  /** Undefined as long as requests are answered; else why they are not. */
  unready(): string | undefined
}

/** A router module's own application. What its schemas refuse is refused by name, as everywhere. */
export function newRoutes(): OpenAPIHono<HouseEnv> {
  return new OpenAPIHono<HouseEnv>({
    defaultHook: (result) => {
      if (!result.success) throw refusalOf(result.error, result.target)
    },
  })
}

/** Lets a request pass whose token may do so much. Every route but the two of health needs 'read' in any case. */
export function needs(permission: Permission): MiddlewareHandler<HouseEnv> {
  return async (c, next) => {
    checkPermission(c.get('permission'), permission)
    await next()
  }
}

/** Reads a JSON body within limits, before a schema looks at it. */
export function jsonBody(house: House, bytes: number): MiddlewareHandler<HouseEnv> {
  return async (c, next) => {
    // The framework keeps bodies as promises, for whoever reads them again.
    c.req.bodyCache.text = jsonTextOf(c.req.raw, bodyLimits(house, bytes), house.clock) as never
    await c.req.bodyCache.text
    await next()
  }
}

export function bodyLimits({ limits }: House, bytes: number): BodyLimits {
  return { bytes, idleMs: limits.idleMs, totalMs: limits.bodyMs }
}

export function jsonAnswer<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** What every route may answer beside its own. */
export const REFUSALS = {
  '4XX': jsonAnswer(ProblemSchema, 'Refused: what is at fault, and the cure.'),
  '5XX': jsonAnswer(ProblemSchema, 'Not ready, being stopped, or failed.'),
}

function refusalOf(error: z.ZodError, target: string) {
  const issue = error.issues[0]
  const path = issue?.path.map(String).join('.') ?? ''
  const field = path === '' ? (target === 'json' ? 'body' : target) : path
  return invalid(field.slice(0, 200), issue?.message.slice(0, 500) ?? 'is malformed')
}
