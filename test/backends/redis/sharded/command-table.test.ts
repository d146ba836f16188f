import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { METHODS } from '../../../../src/backends/redis/sharded/command-methods'
import { commandTable } from '../../../../src/backends/redis/sharded/command-page'
import { COMMANDS } from '../../../../src/backends/redis/sharded/command-table'
import { keyPlaces } from '../../../../src/backends/redis/sharded/key-places'
import { seededRandom } from '../../../../src/clock'
import { RedisServer, redisIsMissing } from '../../../servers/redis-server'
import { RandomCommands } from './random-commands'

/** Commands whose keys COMMAND GETKEYS does not find, or finds differently from what they touch. */
const OTHER_KEYS = new Set(['watch', 'migrate'])

type Row = [name: string, arity: number, flags: string[], ...rest: unknown[]]

describe('the table of commands', () => {
  it('is what docs/redis-commands.md shows', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../../docs/redis-commands.md'), 'utf8')
    const shown = page.split('<!-- commands -->')[1]?.split('<!-- /commands -->')[0]
    expect(shown?.trim()).toBe(commandTable())
  })

  it('gives the client a method for each, and none that is not there', () => {
    expect(METHODS).toContain('get')
    expect(METHODS).toContain('xgroup')
    expect(METHODS.filter((name) => name.includes(' '))).toEqual([])
  })
})

describe.skipIf(redisIsMissing)('the table of commands, held against a server', () => {
  let server: RedisServer
  let redis: Redis
  beforeAll(async () => {
    server = await RedisServer.start()
    redis = new Redis(server.port)
  })
  afterAll(async () => {
    redis.disconnect()
    await server.stop()
  })

  async function rows(): Promise<Row[]> {
    const all = (await redis.call('COMMAND')) as Row[]
    return all.flatMap((row) => {
      const subcommands = (row[9] ?? []) as Row[]
      return subcommands.length > 0 ? subcommands : [row]
    })
  }

  it('has every command, with its arity', async () => {
    const version = /redis_version:(\d+\.\d+)/.exec(await redis.info('server'))![1]
    const theirs = new Map((await rows()).map(([name, arity]) => [name.replace('|', ' '), arity]))
    const ours = new Map([...COMMANDS].map(([name, { arity }]) => [name, arity]))
    // Another version has others, but what both have is the same.
    if (version === '7.0') expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort())
    const wrong = [...ours].filter(([name, arity]) => theirs.has(name) && theirs.get(name) !== arity)
    expect(wrong).toEqual([])
  })

  it('knows for each command that may write, and for no other, a key that it writes', async () => {
    const wrong: string[] = []
    for (const [name, , flags] of await rows()) {
      const row = COMMANDS.get(name.replace('|', ' '))
      if (!row || row.how === 'refused' || row.how === 'all' || row.how === 'script') continue
      // SORT writes with STORE only; PFCOUNT keeps what it has counted in the key.
      if (['sort', 'pfcount'].includes(row.name)) continue
      const writes = row.keys.some(({ written }) => written)
      if (writes !== flags.includes('write')) wrong.push(name)
    }
    expect(wrong).toEqual([])
  })

  it('finds the keys that COMMAND GETKEYS finds, over random commands', async () => {
    const commands = new RandomCommands(seededRandom(3))
    let compared = 0
    const seen = new Set<string>()
    for (let i = 0; i < 4000; i++) {
      const argv = commands.next().map(String)
      const [name, sub] = argv as [string, string]
      const row = COMMANDS.get(name) ?? COMMANDS.get(`${name} ${sub.toLowerCase()}`)
      if (!row || row.keys.length === 0 || OTHER_KEYS.has(name)) continue
      const theirs = await redis.call('COMMAND', 'GETKEYS', ...argv).catch(() => undefined)
      if (theirs === undefined) continue
      const places = keyPlaces(row, argv)
      const ours = places && [...places.reads, ...places.writes].map((place) => argv[place])
      expect([argv.join(' '), ours?.sort()]).toEqual([argv.join(' '), (theirs as string[]).sort()])
      seen.add(row.name)
      compared++
    }
    expect(compared).toBeGreaterThan(2000)
    expect(seen.size).toBeGreaterThan(90)
  })
})
