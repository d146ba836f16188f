import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { RedisServer, redisIsMissing } from '../servers/redis-server'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(resolve(root, 'docs/adopting.md'), 'utf8')
const shown = [...page.matchAll(/<!-- printed: (\S+) -->\n```\n([\s\S]*?)```/g)].map(
  ([, name, text]) => [name!, text!] as const,
)
const ON_REDIS = ['adopt-redis.ts', 'adopt-ring.ts', 'sessions.ts']

async function run(example: string, ...args: string[]): Promise<string> {
  const file = resolve(root, 'examples', example)
  return (await promisify(execFile)(process.execPath, ['--import', 'tsx', file, ...args], { cwd: root }))
    .stdout
}

describe('the examples of docs/adopting.md', () => {
  it('are there', () => expect(shown.map(([name]) => name)).toEqual(expect.arrayContaining(ON_REDIS)))

  it.each(shown.filter(([name]) => !ON_REDIS.includes(name)))(
    '%s prints what is shown',
    async (name, text) => {
      expect(await run(name)).toBe(text)
    },
  )

  it.skipIf(redisIsMissing).each(shown.filter(([name]) => ON_REDIS.includes(name)))(
    '%s prints what is shown',
    async (name, text) => {
      const server = await RedisServer.start()
      try {
        expect(await run(name, String(server.port))).toBe(text)
      } finally {
        await server.stop()
      }
    },
  )
})
