import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { shopTraffic } from '../../src/cli/demo/shop-traffic'
import { foreshard } from '../../src/cli/foreshard'
import { systemClock } from '../../src/clock'

async function run(...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const code = await foreshard(['demo', ...args], {
    stdin: Readable.from([]),
    stdout: { write: (text: string) => (out.stdout += text) },
    stderr: { write: (text: string) => (out.stderr += text) },
    clock: systemClock,
  })
  return { code, ...out }
}

describe('foreshard demo', () => {
  it('loses nothing: 1,400 orders over memory, a shard that joins, every value compared', async () => {
    const { code, stdout, stderr } = await run('--orders', '1400', '--store', 'memory')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain('over memory shards')
    expect(stdout).toContain('s5 joins the shards')
    expect(stdout).toMatch(/Nothing lost: [\d,]+ values compared after 1,400 orders, all equal/)
  }, 180_000)

  it('has the same traffic for the same seed, in order of time', () => {
    const traffic = [...shopTraffic(2_000, 3)]
    expect(traffic).toHaveLength(2_000)
    expect([...shopTraffic(2_000, 3)]).toEqual(traffic)
    expect([...shopTraffic(2_000, 4)]).not.toEqual(traffic)
    for (const [i, { at, keys }] of traffic.entries()) {
      expect(new Set(keys).size).toBe(3)
      if (i > 0) expect(at).toBeGreaterThanOrEqual(traffic[i - 1]!.at)
    }
  })

  it('refuses options that make no sense', async () => {
    for (const args of [
      ['--orders', '3'],
      ['--orders', 'x'],
      ['--store', 'disk'],
      ['--more', '1'],
    ])
      expect((await run(...args)).code, args.join(' ')).toBe(1)
    expect((await run('--help')).stdout).toContain('npx foreshard demo')
  })
})
