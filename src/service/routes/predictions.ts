import { createRoute, z } from '@hono/zod-openapi'
import { ErrorCode, ForeshardError } from '../../errors'
import type { SegmentId, ShardAssignmentMap } from '../../placement/segment'
import type { PredictRequest } from '../../predictor/options'
import type { TrackingAttributes } from '../../tracking/tracking-attributes'
import { type House, jsonAnswer, jsonBody, newRoutes, REFUSALS } from '../house'
import { PlacementSchema, placementOf, SegmentSchema, ShardMapSchema } from '../placement-document'
import { documentOf, PredictionSchema } from '../prediction-document'

export const PredictRequestSchema = z
  .strictObject({
    placement: PlacementSchema.optional().openapi({
      description: "What is to be improved; default: the initial placement of the predictor's own shards.",
    }),
    horizonMs: z.number().positive().optional(),
    budget: z
      .strictObject({
        maxMoves: z.number().min(0).optional(),
        maxLoadShare: z.number().min(0).optional(),
        maxBytes: z.number().min(0).optional(),
      })
      .optional(),
    now: z
      .number()
      .min(0)
      .optional()
      .openapi({ description: "ms since the epoch; default the service's clock." }),
    forbidden: z.array(z.string()).optional().openapi({ description: 'Shards that are to receive nothing.' }),
    draining: z.array(z.string()).optional().openapi({ description: 'Shards that are to be emptied.' }),
    inFlight: ShardMapSchema.optional().openapi({ description: 'Moves under way.' }),
    trackingAttributes: z
      .array(
        z.strictObject({
          sequenceNumber: z.number(),
          bucketId: z.number(),
          segment: SegmentSchema,
          accessScore: z.number(),
        }),
      )
      .optional(),
  })
  .openapi('PredictRequest')

export type PredictRequestDocument = z.infer<typeof PredictRequestSchema>

const DatedPredictionSchema = PredictionSchema.extend({
  now: z.number().openapi({ description: 'ms since the epoch: the moment that it was made for.' }),
}).openapi('DatedPrediction')

/** What should move, where to, and why. */
export function predictionRoutes(house: House) {
  const { model, limits } = house
  return newRoutes()
    .openapi(
      createRoute({
        method: 'post',
        path: '/v1/predict',
        summary: 'What should move, where to, and why',
        security: [{ token: [] }],
        middleware: [jsonBody(house, limits.bodyBytes)],
        request: {
          body: { required: true, content: { 'application/json': { schema: PredictRequestSchema } } },
        },
        responses: { 200: jsonAnswer(DatedPredictionSchema, 'The recommendation.'), ...REFUSALS },
      }),
      async (c) => {
        const { at, prediction } = await model.predict(requestOf(c.req.valid('json'), house))
        return c.json({ now: at, ...documentOf(prediction) }, 200)
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/v1/prediction',
        summary: 'The newest prediction that was made',
        security: [{ token: [] }],
        responses: { 200: jsonAnswer(DatedPredictionSchema, 'It.'), ...REFUSALS },
      }),
      (c) => {
        if (!model.last) throw new ForeshardError(ErrorCode.NOT_FOUND, 'no prediction has been made yet')
        return c.json({ now: model.last.at, ...documentOf(model.last.prediction) }, 200)
      },
    )
}

function requestOf(document: PredictRequestDocument, { model }: House): PredictRequest {
  const { placement, inFlight, trackingAttributes, ...rest } = document
  return {
    ...rest,
    placement: placement && placementOf(placement, model.predictor.placement),
    inFlight: inFlight && (new Map(Object.entries(inFlight)) as ShardAssignmentMap),
    trackingAttributes: trackingAttributes?.map(
      (given) => ({ ...given, segment: given.segment as SegmentId }) as TrackingAttributes,
    ),
  }
}
