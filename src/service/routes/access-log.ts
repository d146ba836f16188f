import { createRoute, z } from '@hono/zod-openapi'
import { invalid } from '../../errors'
import { mediaTypeOf, unpackedPiecesOf } from '../body'
import { bodyLimits, type House, jsonAnswer, needs, newRoutes, REFUSALS } from '../house'
import { EntrySchema, IntakeSchema, NDJSON } from '../intake-document'
import { takeIn } from '../log-intake'

/** Takes access logs. */
export function accessLogRoutes(house: House) {
  const { limits, clock, model } = house
  return newRoutes().openapi(
    createRoute({
      method: 'post',
      path: '/v1/access-log',
      summary: 'Counts an access log, one JSON object a line',
      description:
        'Read line by line, as fast as it is counted. Lines that cannot be used are counted by reason and left out. With a batch number the whole body counts once, however often it is sent.',
      security: [{ token: [] }],
      middleware: [needs('record')],
      request: {
        headers: z.object({
          'foreshard-sender': z.string().min(1).max(64).optional(),
          'foreshard-batch': z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
        }),
        body: { content: { [NDJSON]: { schema: EntrySchema } } },
      },
      responses: { 200: jsonAnswer(IntakeSchema, 'What became of the lines.'), ...REFUSALS },
    }),
    async (c) => {
      const { 'foreshard-sender': sender, 'foreshard-batch': number } = c.req.valid('header')
      if ((sender === undefined) !== (number === undefined))
        throw invalid(
          sender === undefined ? 'Foreshard-Sender' : 'Foreshard-Batch',
          'is missing beside the other one',
        )
      if (mediaTypeOf(c.req.raw) !== NDJSON) throw invalid('Content-Type', `must be ${NDJSON}`)
      if (sender !== undefined && number !== undefined) {
        const pieces = unpackedPiecesOf(c.req.raw, bodyLimits(house, limits.bodyBytes), clock)
        return c.json(await takeIn(pieces, model, { sender, number }), 200)
      }
      const { logBytes: bytes, idleMs, logMs: totalMs } = limits
      const pieces = unpackedPiecesOf(c.req.raw, { bytes, idleMs, totalMs }, clock)
      return c.json(await takeIn(pieces, model, undefined), 200)
    },
  )
}
