import type { FenceRecord, FenceStep } from '../../src/placement/fence'
import { FENCE_TABLE, type FenceChange, type FenceRow } from '../../src/placement/fence-table'

export type Row = { -readonly [K in keyof FenceRow]: FenceRow[K] }

const restore: (() => void)[] = []

/**
 * Breaks rows of the fence table on purpose, those of a step or one of them, until `mendTable`. `change` gets the row,
 * and a copy of it as it was.
 */
export function breakRows(step: FenceStep, change: (row: Row, real: FenceRow) => void, index?: number): void {
  const rows = FENCE_TABLE.filter((it) => it.step === step)
  for (const row of index === undefined ? rows : [rows[index]!]) {
    const real = { ...row }
    restore.push(() => Object.assign(row, real))
    change(row as Row, real)
  }
}

export function mendTable(): void {
  for (const undo of restore.splice(0).reverse()) undo()
}

/** The row's change, with the records that it writes rewritten. */
export function rewriting(
  row: Row,
  { change }: FenceRow,
  rewrite: (record: FenceRecord, segment: string) => FenceRecord,
  rest: Partial<FenceChange> = {},
): void {
  row.change = (command, record, fences, segment, now) => {
    const changed = change(command, record, fences, segment, now)
    const records = changed.records.map(([at, it]) => [at, rewrite(it, at)] as const)
    return { ...changed, records, ...rest }
  }
}
