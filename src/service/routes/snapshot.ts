import { createRoute, z } from '@hono/zod-openapi'
import { type House, jsonAnswer, jsonBody, needs, newRoutes, REFUSALS } from '../house'

const SnapshotSchema = z
  .strictObject({
    version: z.int(),
    checksum: z.int(),
    state: z.record(z.string(), z.unknown()).openapi({ description: 'Opaque.' }),
  })
  .openapi('Snapshot')

/** The state of the predictor as one document: to keep it, to look at it, to put it back. */
export function snapshotRoutes(house: House) {
  const { model, limits } = house
  return newRoutes()
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/snapshot',
        summary: 'The state of the predictor',
        security: [{ token: [] }],
        middleware: [needs('act')],
        responses: { 200: jsonAnswer(SnapshotSchema, 'As Predictor.restore takes it.'), ...REFUSALS },
      }),
      (c) => c.json(model.snapshot() as never, 200),
    )
    .openapi(
      createRoute({
        method: 'put',
        path: '/v1/snapshot',
        summary: 'Replaces the state of the predictor',
        security: [{ token: [] }],
        middleware: [needs('act'), jsonBody(house, limits.snapshotBytes)],
        request: { body: { required: true, content: { 'application/json': { schema: SnapshotSchema } } } },
        responses: { 204: { description: 'It was replaced.' }, ...REFUSALS },
      }),
      (c) => {
        model.replace(c.req.valid('json') as never)
        return c.body(null, 204)
      },
    )
}
