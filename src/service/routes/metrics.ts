import { createRoute, z } from '@hono/zod-openapi'
import { type House, newRoutes, REFUSALS } from '../house'

/** What a Prometheus server reads; there only where the service was given something to tell. */
export function metricsRoutes({ metrics }: House) {
  const routes = newRoutes()
  if (!metrics) return routes
  return routes.openapi(
    createRoute({
      method: 'get',
      path: '/v1/metrics',
      summary: 'Metrics in the Prometheus text format',
      security: [{ token: [] }],
      responses: {
        200: { description: 'Them.', content: { 'text/plain': { schema: z.string() } } },
        ...REFUSALS,
      },
    }),
    async (c) => c.text(await metrics(), 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
}
