import { createRoute, z } from '@hono/zod-openapi'
import { type House, jsonAnswer, newRoutes } from '../house'

const HealthSchema = z.object({ status: z.literal('ok') }).openapi('Health')
const ReadinessSchema = z
  .object({ ready: z.boolean(), reason: z.string().optional().openapi({ description: 'Why not.' }) })
  .openapi('Readiness')

export const OPEN_PATHS: ReadonlySet<string> = new Set(['/v1/health', '/v1/ready'])

/** Whether the service lives, and whether it answers: the two things that are told without a token. */
export function healthRoutes(house: House) {
  return newRoutes()
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/health',
        summary: 'Whether the service lives',
        responses: { 200: jsonAnswer(HealthSchema, 'It does.') },
      }),
      (c) => c.json({ status: 'ok' as const }, 200),
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/ready',
        summary: 'Whether it answers requests',
        responses: {
          200: jsonAnswer(ReadinessSchema, 'It does.'),
          503: jsonAnswer(ReadinessSchema, 'Not yet, or not any more.'),
        },
      }),
      (c) => {
        const reason = house.unready()
        return reason === undefined ? c.json({ ready: true }, 200) : c.json({ ready: false, reason }, 503)
      },
    )
}
