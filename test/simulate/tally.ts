import type { Outcome } from './worker'

/** What many simulations went through together. */
export class Tally {
  seeds = 0
  operations = 0
  checks = 0
  readonly counts: Record<string, number> = {}
  readonly rows: Record<string, number> = {}
  readonly steps: Record<string, number> = {}
  readonly failed: Outcome[] = []

  add(outcome: Outcome): void {
    this.seeds++
    const { ok = 0, failed = 0, unknown = 0 } = outcome.counts
    this.operations += ok + failed + unknown
    this.checks += outcome.checks
    for (const part of ['counts', 'rows', 'steps'] as const)
      for (const [name, count] of Object.entries(outcome[part]))
        this[part][name] = (this[part][name] ?? 0) + count
    if (!outcome.ok) this.failed.push(outcome)
  }
}

/** A short story of what went wrong, and how to see it again. */
export function storyOf({ seed, problems, story }: Outcome, replay: string): string {
  return [`seed ${seed} failed; replay: ${replay}`, ...problems, '', 'what happened last:', ...story].join(
    '\n',
  )
}
