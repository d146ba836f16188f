/**
 * npm run bench [-- NAME…]: runs the benchmarks of this folder one after the other, each in a process of its own. Every one
 * is given what begins with `--`, and prints ours beside the peer's in the same run. `FORESHARD_DATA` may name a folder with traces; what needs one says so.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const folder = import.meta.dirname
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -3))
const wanted = process.argv.slice(2).filter((it) => !it.startsWith('--'))
const flags = process.argv.slice(2).filter((it) => it.startsWith('--'))
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${names.join(', ')}.`)
  process.exit(1)
}
let failed = 0
for (const name of wanted.length ? wanted : names) {
  console.log(`\n— ${name} —`)
  failed +=
    spawnSync(process.execPath, ['--import', 'tsx', join(folder, `${name}.ts`), ...flags], {
      stdio: 'inherit',
    }).status === 0
      ? 0
      : 1
}
process.exitCode = failed ? 1 : 0
