import { createRoute, z } from '@hono/zod-openapi'
import { ErrorCode, ForeshardError } from '../../errors'
import type { SegmentId } from '../../placement/segment'
import { ForecastSchema } from '../forecast-document'
import { type House, jsonAnswer, newRoutes, REFUSALS } from '../house'
import { SegmentSchema } from '../placement-document'
import { HotSegmentSchema, TriggerSchema } from '../prediction-document'

export const ExplanationSchema = z
  .object({
    now: z
      .number()
      .openapi({ description: 'ms since the epoch: the moment of the prediction that this is of.' }),
    segment: SegmentSchema.optional(),
    explanation: z.string().optional().openapi({ description: 'What the segment is like.' }),
    reasons: z.record(SegmentSchema, z.string()).openapi({ description: 'Why what is to move should.' }),
    triggers: z.array(TriggerSchema),
    hotSegments: z.array(HotSegmentSchema),
    clusters: z
      .array(
        z.object({
          segments: z.int().openapi({ description: 'Segments that behave alike.' }),
          peakHour: z
            .int()
            .optional()
            .openapi({ description: 'Hour of the day, UTC, around which they are used most.' }),
          examples: z.array(SegmentSchema),
        }),
      )
      .openapi({ description: 'Largest first.' }),
  })
  .openapi('Explanation')

const Query = z.object({
  segment: SegmentSchema,
  horizonMs: z.coerce.number().positive().optional(),
  now: z.coerce.number().min(0).optional(),
  level: z.coerce.number().gt(0).lt(1).optional(),
})

/** What is known about segments. Their names stand in the query: as parts of a path some of them would be taken for paths. */
export function segmentRoutes({ model }: House) {
  return newRoutes()
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/forecast',
        summary: 'The forecast load of a segment, interval by interval',
        security: [{ token: [] }],
        request: { query: Query },
        responses: { 200: jsonAnswer(ForecastSchema, 'Mean and interval.'), ...REFUSALS },
      }),
      (c) => {
        const { segment, ...request } = c.req.valid('query')
        const forecast = model.predictor.forecast(segment as SegmentId, request)
        if (!forecast)
          throw new ForeshardError(ErrorCode.NOT_FOUND, 'this segment was never accessed', {
            field: 'segment',
          })
        return c.json(forecast, 200)
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/explanation',
        summary:
          'What the newest prediction went by: reasons, triggers, hot segments, clusters; or one segment',
        security: [{ token: [] }],
        request: { query: z.object({ segment: SegmentSchema.optional() }) },
        responses: { 200: jsonAnswer(ExplanationSchema, 'As of the newest prediction.'), ...REFUSALS },
      }),
      (c) => {
        if (!model.last) throw new ForeshardError(ErrorCode.NOT_FOUND, 'no prediction has been made yet')
        const segment = c.req.valid('query').segment as SegmentId | undefined
        const { at: now, prediction } = model.last
        const explanation = segment && model.predictor.explain(segment)
        if (segment !== undefined && explanation === undefined)
          throw new ForeshardError(ErrorCode.NOT_FOUND, 'the newest prediction did not see this segment', {
            field: 'segment',
          })
        const named = <T extends { segment?: string }>(list: readonly T[]) =>
          list.filter((it) => segment === undefined || it.segment === segment)
        const reasons = [...prediction.reasons].filter(([of]) => segment === undefined || of === segment)
        return c.json(
          {
            now,
            segment,
            explanation,
            reasons: Object.fromEntries(reasons),
            triggers: named(prediction.triggers),
            hotSegments: named(prediction.hotSegments),
            clusters: model.predictor
              .clusters(segment)
              .map((cluster) => ({ ...cluster, examples: [...cluster.examples] })),
          },
          200,
        )
      },
    )
}
