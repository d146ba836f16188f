import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** One booking of a real flight: it touches both airports and the route. */
export interface Booking {
  /** Departure, ms since the epoch. */
  at: number
  origin: string
  destination: string
}

interface Row {
  date: Date
  origin: string
  destination: string
}

/**
 * Every `every`-th of the 3,000,000 flights of vega-datasets (United States, January to June 2001), in order of
 * departure. Read a row group at a time.
 */
export async function* bookings(every: number): AsyncGenerator<Booking> {
  // package.json of vega-datasets is not exported; its data folder is found from its entry point.
  const entry = createRequire(import.meta.url).resolve('vega-datasets')
  const file = await asyncBufferFromFile(join(dirname(entry), '../data/flights-3m.parquet'))
  const { row_groups: groups } = await parquetMetadataAsync(file)
  let rowStart = 0
  let skip = 0
  for (const group of groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const rows: Row[] = []
    await parquetRead({
      file,
      compressors,
      columns: ['date', 'origin', 'destination'],
      rowStart,
      rowEnd,
      rowFormat: 'object',
      onComplete: (read) => rows.push(...(pickEvery(read as unknown as Row[], every, skip) as Row[])),
    })
    skip = (((skip - Number(group.num_rows)) % every) + every) % every
    rowStart = rowEnd
    for (const { date, origin, destination } of rows) yield { at: date.getTime(), origin, destination }
  }
}

function pickEvery<T>(rows: readonly T[], every: number, skip: number): T[] {
  const picked: T[] = []
  for (let i = skip; i < rows.length; i += every) picked.push(rows[i]!)
  return picked
}
