import { readFileSync } from 'node:fs'
import type { Backend } from '../../scenarios/backends'
import { Commands } from './commands'
import { type Breakage, Stage } from './stage'
import { type Act, formatTranscript, parseTranscript, type Transcript } from './transcript'

const LIMIT_MS = 24 * 3_600_000

/** Plays a transcript anew: its commands, with the trace that now follows. */
export async function perform(
  { title, acts }: Transcript,
  backend: Backend,
  breakage?: Breakage,
): Promise<Transcript> {
  const stage = new Stage(backend, breakage)
  const commands = new Commands(stage)
  const performed: Act[] = []
  try {
    for (const { comment, command } of acts) {
      await stage.time.run(() => commands.carryOut(command), LIMIT_MS)
      const breaches = await stage.time.run(() => stage.judge.breaches())
      const trace = [...abridged(stage.taken()), ...breaches.map((it) => `BROKEN ${it}`)]
      performed.push({ comment, command, trace: trace.length > 0 ? trace : ['ok'] })
    }
    return { title, acts: performed }
  } finally {
    await stage.time.run(() => stage.strike())
  }
}

/** The file, and what it would be if it were written down now. */
export async function replay(path: string, backend: Backend, breakage?: Breakage) {
  const written = readFileSync(path, 'utf8')
  const performed = formatTranscript(await perform(parseTranscript(written), backend, breakage))
  return { written, performed }
}

/** What comes three times or more in a row is told once. */
function abridged(lines: readonly string[]): string[] {
  const told: string[] = []
  for (let i = 0, next: number; i < lines.length; i = next) {
    const line = lines[i]!
    for (next = i; lines[next] === line; ) next++
    if (next - i < 3) told.push(...lines.slice(i, next))
    else told.push(`${line} (again and again)`)
  }
  return told
}
