import { z } from '@hono/zod-openapi'

/** What became of the lines of a log. */
export const IntakeSchema = z
  .object({
    lines: z.int(),
    accepted: z.int(),
    refused: z.record(z.string(), z.int()).openapi({ description: 'Reason -> how many lines.' }),
    examples: z.array(z.object({ line: z.int(), reason: z.string() })),
    repeated: z.boolean().openapi({ description: 'The batch was counted already.' }),
  })
  .openapi('Intake')

export const EntrySchema = z
  .object({
    timestamp: z.union([z.number(), z.string()]).openapi({ description: 'ms since the epoch, or ISO 8601.' }),
    key: z.string(),
    operation: z.enum(['read', 'write']),
    queryType: z.string().optional(),
    transactionId: z.string().optional(),
    userProfile: z.string().optional(),
    bytes: z.number().optional(),
    count: z.number().optional(),
  })
  .openapi('AccessLogEntry')

export const NDJSON = 'application/x-ndjson'
