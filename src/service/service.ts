import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { ErrorCode, ForeshardError } from '../errors'
import type { Predictor } from '../predictor/predictor'
import { type Dashboard, guardedDashboard } from './dashboard/dashboard'
import { checkDashboardOptions } from './dashboard/options'
import { checkPermission, Guard } from './guard'
import { type House, type HouseEnv, newRoutes } from './house'
import { Model } from './model'
import { checkOptions, type ServiceOptions } from './options'
import { isOwnFault, problemResponse } from './problem'
import { Rate } from './rate'
import { accessLogRoutes } from './routes/access-log'
import { healthRoutes, OPEN_PATHS } from './routes/health'
import { metricsRoutes } from './routes/metrics'
import { predictionRoutes } from './routes/predictions'
import { segmentRoutes } from './routes/segments'
import { snapshotRoutes } from './routes/snapshot'

/** A predictor over HTTP. It is itself a function from Request to Response. */
export interface Service {
  (request: Request, env?: object): Promise<Response>
  /** The same; under `@hono/node-server` it is told the address of whoever asks. Never rejects. */
  fetch(request: Request, env?: object): Promise<Response>
  /** The same for `node:http`, and for express and fastify, which stand on it. */
  listener(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
  /** The predictor that answers right now; another one after a snapshot was put back. */
  readonly predictor: Predictor
  /** Resolves when the saved state is loaded; until then requests are answered with 503. Rejects with what the store threw. */
  ready(): Promise<void>
  /** Saves what has changed since the last time. */
  save(): Promise<void>
  /** Takes no more requests, waits for those under way within `limits.closeMs`, and saves. A second call joins the first. */
  close(): Promise<void>
}

/**
 * The predictor as a microservice.
 * @throws INVALID_ARGUMENT naming the option: among others where neither a token is given nor `loopbackOnly` said.
 */
export function createService(options: ServiceOptions): Service {
  const { limits, store, metrics, clock, saveEveryMs, onError, dashboard } = checkOptions(options)
  const guard = new Guard(options)
  const rate = new Rate(clock, limits.requestsPerSecond)
  const model = new Model(options.predictor, store, clock)
  const underWay = new Set<Promise<Response>>()
  let unready: string | undefined = 'the saved state is being loaded'
  const house: House = { model, limits, clock, metrics, unready: () => unready }

  const app = assembled(house, guard, rate)
  const page =
    dashboard !== false &&
    guardedDashboard(
      checkDashboardOptions({
        ...(dashboard === true ? {} : dashboard),
        predictor: () => model.predictor,
        clock,
      }),
      guard,
    )
  const report = (error: unknown) => {
    if (isOwnFault(error)) onError(error)
  }
  app.onError((error) => {
    report(error)
    return problemResponse(error)
  })
  app.notFound(() =>
    problemResponse(new ForeshardError(ErrorCode.NOT_FOUND, 'there is nothing under this path')),
  )

  const loading = model.load().then(
    () => {
      unready = undefined
    },
    (error) => {
      unready = 'the saved state cannot be loaded'
      throw error
    },
  )
  loading.catch(onError)
  const stopSaving = clock.every(saveEveryMs, () => void model.save().catch(onError))

  async function fetch(request: Request, env: object = {}): Promise<Response> {
    if (underWay.size >= limits.concurrent)
      return problemResponse(
        new ForeshardError(
          ErrorCode.TOO_MANY_REQUESTS,
          `${limits.concurrent} requests are under way already`,
        ),
      )
    const answer = (async () => (page && pageRequest(request, page, env)) || app.fetch(request, env))()
    underWay.add(answer)
    try {
      return await answer
    } catch (error) {
      report(error)
      return problemResponse(error)
    } finally {
      underWay.delete(answer)
    }
  }

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    unready = 'the service is being stopped'
    stopSaving()
    if (page) page.close()
    const over = new AbortController()
    const late = clock.sleep(limits.closeMs, over.signal).catch(() => {})
    await Promise.race([Promise.allSettled(underWay), late])
    over.abort()
    await model.save()
  }

  const service = (request: Request, env?: object) => fetch(request, env)
  return Object.defineProperty(
    Object.assign(service, {
      fetch,
      // The process' own Request and Response stay as they are.
      listener: getRequestListener(fetch, { overrideGlobalObjects: false }) as Service['listener'],
      ready: () => loading,
      save: () => model.save(),
      close: () => (closing ??= close()),
    }),
    'predictor',
    { get: () => model.predictor },
  ) as unknown as Service
}

const PAGE_PATH = '/dashboard/'

/** The dashboard's answer to what is asked under its path. */
function pageRequest(
  request: Request,
  page: Dashboard,
  env: object,
): Promise<Response> | Response | undefined {
  const url = new URL(request.url)
  if (url.pathname === PAGE_PATH.slice(0, -1))
    return new Response(null, { status: 308, headers: { Location: PAGE_PATH } })
  if (!url.pathname.startsWith(PAGE_PATH)) return undefined
  url.pathname = url.pathname.slice(PAGE_PATH.length - 1)
  return page.fetch(new Request(url, request), env)
}

/** The routes, a module for each concern, behind what all requests must pass. */
function assembled(house: House, guard: Guard, rate: Rate): OpenAPIHono<HouseEnv> {
  const app = newRoutes()
  app.use('*', async (c, next) => {
    const address = c.env?.incoming?.socket?.remoteAddress
    // Those who ask whether it lives do so often, and are not many.
    if (!OPEN_PATHS.has(c.req.path)) {
      rate.take(address ?? '')
      const permission = guard.permissionOf(c.req.raw, address)
      checkPermission(permission, 'read')
      c.set('permission', permission)
      const reason = house.unready()
      if (reason !== undefined) throw new ForeshardError(ErrorCode.PREDICTOR_UNAVAILABLE, reason)
    }
    await next()
    c.res.headers.set('Cache-Control', 'no-store')
    c.res.headers.set('X-Content-Type-Options', 'nosniff')
  })
  for (const routes of [
    healthRoutes(house),
    accessLogRoutes(house),
    predictionRoutes(house),
    segmentRoutes(house),
    snapshotRoutes(house),
    metricsRoutes(house),
  ])
    app.route('/', routes)
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  app.doc31('/v1/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Foreshard predictor', version: '1' },
  })
  return app
}
