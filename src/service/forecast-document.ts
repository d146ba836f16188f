import { z } from '@hono/zod-openapi'

export const ForecastSchema = z
  .object({
    mean: z.array(z.number()),
    lower: z.array(z.number()),
    upper: z.array(z.number()),
    model: z.object({
      members: z.array(z.object({ name: z.string(), weight: z.number() })),
      seasonality: z.array(z.number()),
      seasonalitySource: z.enum(['given', 'found', 'none']),
      intervals: z.number(),
      gaps: z.number(),
      fallback: z.string().optional(),
    }),
  })
  .openapi('Forecast')
