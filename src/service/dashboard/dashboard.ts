import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { ErrorCode, ForeshardError, invalid } from '../../errors'
import type { ShardRouter } from '../../router/router'
import { checkPermission, Guard } from '../guard'
import type { HouseEnv } from '../house'
import { problemResponse } from '../problem'
import type { PreviewDocument } from './document'
import { Feed } from './feed'
import { type CheckedDashboardOptions, checkDashboardOptions, type DashboardOptions } from './options'
import { CONTENT_SECURITY_POLICY, PAGE } from './page'

/** One page for those who run a deployment, and what it asks for. Mount it where its URL ends in a slash. */
export interface Dashboard {
  (request: Request, env?: object): Promise<Response>
  fetch(request: Request, env?: object): Promise<Response>
  /** The same for `node:http`, express (`app.use('/foreshard', dashboard.listener)`) and fastify. */
  listener(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
  /** Ends open pages, and listens no more. */
  close(): void
}

const MOVES_SHOWN = 200
/** A page of another site cannot send it without being asked whether it may. */
const ACTION_HEADER = 'foreshard-action'

/**
 * The page itself holds nothing and is given to everybody; what it shows needs a token that may read, and what it does one that
 * may act. See GuardOptions.
 * @throws INVALID_ARGUMENT naming the option.
 */
export function createDashboard(options: DashboardOptions): Dashboard {
  const { token, tokens, loopbackOnly } = options
  return guardedDashboard(checkDashboardOptions(options), new Guard({ token, tokens, loopbackOnly }))
}

/** The same, behind a guard that stands already. */
export function guardedDashboard(checked: CheckedDashboardOptions, guard: Guard): Dashboard {
  const feed = new Feed(checked)
  const streams = new Set<AbortController>()
  const app = new Hono<HouseEnv>()

  app.use('*', async (c, next) => {
    await next()
    c.res.headers.set('Cache-Control', 'no-store')
    c.res.headers.set('X-Content-Type-Options', 'nosniff')
    c.res.headers.set('Referrer-Policy', 'no-referrer')
  })
  app.get('/', (c) => {
    c.header('Content-Security-Policy', CONTENT_SECURITY_POLICY)
    return c.html(PAGE)
  })
  app.use('/:rest{.+}', async (c, next) => {
    c.set('permission', guard.permissionOf(c.req.raw, c.env?.incoming?.socket?.remoteAddress))
    checkPermission(c.get('permission'), 'read')
    if (c.req.method !== 'GET') {
      checkPermission(c.get('permission'), 'act')
      if (!c.req.header(ACTION_HEADER)) throw invalid(ACTION_HEADER, 'is missing; actions must carry it')
    }
    await next()
  })

  app.get('/state', async (c) => c.json(await feed.state(mayAct(c))))
  app.get('/events', (c) => {
    if (streams.size >= checked.pages)
      throw new ForeshardError(ErrorCode.TOO_MANY_REQUESTS, `${checked.pages} pages are open already`)
    const over = new AbortController()
    streams.add(over)
    return stateStream(
      () => feed.state(mayAct(c)),
      (send) => checked.clock.every(checked.sampleMs, send),
      over,
      () => streams.delete(over),
    )
  })
  app.get('/heat', async (c) => c.json(await outlooks().heat()))
  app.get('/outlook', async (c) => {
    const outlook = await outlooks().outlook(c.req.query('of') ?? '')
    if (!outlook)
      throw new ForeshardError(ErrorCode.NOT_FOUND, 'neither a shard nor one of the hottest segments', {
        field: 'of',
      })
    return c.json(outlook)
  })
  app.get('/rollback', async (c) => {
    const preview = await router().previewRollback(toOf(c))
    if (!preview) throw new ForeshardError(ErrorCode.NOT_FOUND, 'there is no resharding to roll back')
    const { to, impossible, moves, merges } = preview
    const document: PreviewDocument = {
      to,
      impossible,
      moves: moves.slice(0, MOVES_SHOWN).map(({ segment, from, to }) => ({ segment, from: from ?? '', to })),
      more: Math.max(0, moves.length - MOVES_SHOWN),
      merges: merges.slice(0, MOVES_SHOWN),
    }
    return c.json(document)
  })

  app.post('/recommendations/:id/accept', async (c) => {
    const id = Number(c.req.param('id'))
    const answer = await openRecommendation(id).accept()
    if (answer.accepted) feed.settle(id, 'accepted')
    else feed.settle(id, 'refused', answer.reason)
    return acted(
      c,
      answer.accepted ? `recommendation ${id} was accepted` : `refused: ${answer.reason}`,
      answer.accepted,
    )
  })
  app.post('/recommendations/:id/reject', (c) => {
    const id = Number(c.req.param('id'))
    openRecommendation(id).reject()
    feed.settle(id, 'rejected')
    return acted(c, `recommendation ${id} was rejected`, true)
  })
  app.post('/reshardings/:id/cancel', async (c) => {
    const id = c.req.param('id')
    const done = await router().cancelResharding(id)
    return acted(c, done ? `${id} is being cancelled` : `${id} is not under way`, done)
  })
  app.post('/reshardings/pause', (c) => {
    const done = router().pauseResharding()
    return acted(c, done ? 'copying stands still' : 'copying stands still already', done)
  })
  app.post('/reshardings/resume', (c) => {
    const done = router().resumeResharding()
    return acted(c, done ? 'copying goes on' : 'copying was not paused', done)
  })
  app.post('/rollback', async (c) => {
    const answer = await router().rollback(toOf(c))
    return acted(
      c,
      answer.accepted ? `rollback ${answer.id} begins` : `refused: ${answer.reason}`,
      answer.accepted,
    )
  })

  app.notFound(() =>
    problemResponse(new ForeshardError(ErrorCode.NOT_FOUND, 'there is nothing under this path')),
  )
  app.onError((error) => problemResponse(error))

  function acted(c: Context<HouseEnv>, text: string, done: boolean): Response {
    feed.note('action', text)
    return c.json({ done, text })
  }
  function openRecommendation(id: number) {
    const found = feed.recommendation(id)
    if (!found)
      throw new ForeshardError(ErrorCode.NOT_FOUND, 'there is no open recommendation of this number')
    return found
  }
  function router(): ShardRouter {
    if (!checked.router) throw new ForeshardError(ErrorCode.NOT_FOUND, 'this dashboard was given no router')
    return checked.router
  }
  function outlooks() {
    if (!feed.outlooks) throw new ForeshardError(ErrorCode.NOT_FOUND, 'this dashboard was given no predictor')
    return feed.outlooks
  }

  const fetch = async (request: Request, env: object = {}) => app.fetch(request, env)
  return Object.assign((request: Request, env?: object) => fetch(request, env), {
    fetch,
    listener: getRequestListener(fetch, { overrideGlobalObjects: false }) as Dashboard['listener'],
    close: () => {
      feed.close()
      for (const stream of streams) stream.abort()
    },
  })
}

function mayAct(c: Context<HouseEnv>): boolean {
  return c.get('permission') === 'act'
}

function toOf(c: Context<HouseEnv>): { to?: string } {
  const to = c.req.query('to')
  return to === undefined ? {} : { to }
}

/** Server-sent events: a state at once and then at every tick, never a second one before the first has been taken. */
function stateStream(
  state: () => Promise<object>,
  every: (send: () => void) => () => void,
  over: AbortController,
  onEnd: () => void,
): Response {
  const text = new TextEncoder()
  let stop = () => {}
  let ended = false
  const end = () => {
    if (ended) return
    ended = true
    stop()
    onEnd()
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      let sending = false
      const send = async () => {
        if (ended || sending || (controller.desiredSize ?? 0) <= 0) return
        sending = true
        try {
          const data = JSON.stringify(await state())
          if (!ended) controller.enqueue(text.encode(`data: ${data}\n\n`))
        } catch (error) {
          if (!ended) controller.error(error)
          end()
        } finally {
          sending = false
        }
      }
      stop = every(() => void send())
      over.signal.addEventListener('abort', () => {
        if (!ended) controller.close()
        end()
      })
      void send()
    },
    cancel: end,
  })
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' } })
}
