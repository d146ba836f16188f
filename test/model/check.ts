import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Configuration, FAULTS, FOUND_IN_SMALL, FULL, SMALL } from './configurations'

/*
 * npm run model                      the small configurations are clean, and a few deliberate faults are found
 * npm run model -- --full            the large ones: an hour or two, up to 7 GB
 * npm run model -- --fault NOBATCH   one rule taken out, and the story of how that loses data
 */

const MODELS = resolve(import.meta.dirname, '../../docs/protocol')
const CURE = 'spin and a C compiler are needed; apt-get install spin gcc'

interface Outcome {
  errors: number
  states: number
  memoryMb: number
  seconds: number
  /** What happened up to the error. */
  story: string[]
}

function main(args: readonly string[]): boolean {
  if (!has('spin', '-V') || !has('gcc', '--version')) {
    console.error(process.env.CI === 'true' ? CURE : `SKIPPED, ${CURE}`)
    return process.env.CI !== 'true'
  }
  if (args[0] === '--fault') return tellFault(args[1] ?? '')
  if (args.length > 0 && args[0] !== '--full') throw new Error('npm run model [-- --full | --fault NAME]')
  if (args[0] === '--full') return FULL.every(isClean)
  return SMALL.every(isClean) && FOUND_IN_SMALL.every(isFound)
}

function isClean(configuration: Configuration): boolean {
  const { errors, states, memoryMb, seconds, story } = check(configuration)
  const { model, macros, about } = configuration
  const verdict = errors === 0 ? 'clean' : 'BROKEN'
  console.log(`${verdict}  ${model} ${macros} (${about}): ${states} states, ${seconds} s, ${memoryMb} MB`)
  for (const line of story) console.log(`  ${line}`)
  return errors === 0
}

function isFound(name: string): boolean {
  const { errors, states } = check(FAULTS[name]!)
  console.log(`${errors > 0 ? 'found ' : 'MISSED'} ${name} (${FAULTS[name]!.about}) after ${states} states`)
  return errors > 0
}

function tellFault(name: string): boolean {
  const configuration = FAULTS[name]
  if (!configuration) throw new Error(`--fault: one of ${Object.keys(FAULTS).join(' ')}`)
  const { errors, story } = check(configuration)
  for (const line of story) console.log(line)
  console.log(errors > 0 ? `${name} is found: ${configuration.about}` : `${name} is not found`)
  return errors > 0
}

/** Compiled without optimisation where the search is short: compiling would take longer than what it saves. */
function check({ model, macros }: Configuration): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'foreshard-model-'))
  try {
    copyFileSync(join(MODELS, `${model}.pml`), join(folder, 'model.pml'))
    const defined = macros.split(' ').map((macro) => `-D${macro}`)
    const large = FULL.some((it) => it.model === model && it.macros === macros)
    run(folder, 'spin', ['-a', ...defined, 'model.pml'])
    run(folder, 'gcc', [large ? '-O2' : '-O0', '-w', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'])
    const report = run(folder, './pan', [large ? '-m4000000' : '-m200000'])
    const number = (pattern: RegExp) => Number(pattern.exec(report)?.[1] ?? Number.NaN)
    const outcome = {
      errors: number(/errors: (\d+)/),
      states: number(/^ *([\d.e+]+) states, stored/m),
      memoryMb: Math.round(number(/^ *([\d.]+)\s+total actual memory usage/m)),
      seconds: number(/elapsed time ([\d.e+]+)/),
      story: existsSync(join(folder, 'model.pml.trail')) ? storyOf(folder) : [],
    }
    if (Number.isNaN(outcome.errors) || /max search depth too small/.test(report)) throw new Error(report)
    return outcome
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What the model printed on the way to the error. */
function storyOf(folder: string): string[] {
  const { stdout } = spawnSync('./pan', ['-r', '-n'], { cwd: folder, encoding: 'utf8' })
  return stdout.split('\n').filter((line) => /^ *(T\d+:|client:|activate|BROKEN|shard|hold at)/.test(line))
}

function has(program: string, argument: string): boolean {
  return spawnSync(program, [argument], { stdio: 'ignore' }).status === 0
}

function run(folder: string, program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}

process.exitCode = main(process.argv.slice(2)) ? 0 : 1
