const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** Milliseconds of '90s', '15m', '1h', '7d', '2w', '500ms'; undefined for what is no duration. */
export function durationOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|[smhdw])$/.exec(text)
  const ms = match ? Number(match[1]) * UNITS[match[2]!]! : Number.NaN
  return Number.isSafeInteger(ms) && ms > 0 ? ms : undefined
}
