import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/**
 * Who may import whom (docs/architecture.md). A room may import rooms of a lower rank, and of its own rank only
 * itself, unless `also` or `never` says otherwise.
 */
const ROOMS: Record<string, { rank: number; also?: string[]; never?: string[] }> = {
  errors: { rank: 0 },
  clock: { rank: 0 },
  channels: { rank: 0 },
  histogram: { rank: 0 },
  options: { rank: 0, also: ['errors'] },
  'maintenance-window': { rank: 1 },
  placement: { rank: 1 },
  'shard-store': { rank: 2 },
  'topology-store': { rank: 2 },
  tracking: { rank: 3, never: ['shard-store', 'topology-store'] },
  log: { rank: 3, also: ['tracking'], never: ['shard-store', 'topology-store'] },
  backends: { rank: 3 },
  migrator: { rank: 3 },
  predictor: { rank: 3, also: ['tracking'], never: ['shard-store', 'topology-store'] },
  router: { rank: 4, never: ['predictor'] },
  rebalancer: { rank: 5, never: ['backends', 'migrator', 'shard-store'] },
  index: { rank: 6 },
  monitoring: { rank: 6, never: ['backends'] },
  service: { rank: 6 },
  cli: { rank: 7 },
  testing: { rank: 7 },
}

const src = resolve(import.meta.dirname, '../src')
const page = join(src, 'service/dashboard/client')

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesIn(path) : path.endsWith('.ts') ? [path] : []
  })
}

const roomOf = (file: string) => relative(src, file).split('/')[0]!.replace(/\.ts$/, '')

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']*)'/g)].map((match) => {
    const path = resolve(dirname(file), match[1]!)
    return filesIn(src).find((other) => other === `${path}.ts` || other === join(path, 'index.ts')) ?? path
  })
}

const files = filesIn(src)
const edges = files.flatMap((from) => importsOf(from).map((to) => ({ from, to })))

/** Why an import is not allowed, undefined for one that is. */
function trespass(from: string, to: string): string | undefined {
  if (from === to) return undefined
  const [a, b] = [ROOMS[from], ROOMS[to]]
  if (!a || !b) return `unknown room ${a ? to : from}`
  if (a.never?.includes(to)) return 'never'
  if (a.also?.includes(to)) return undefined
  return b.rank < a.rank ? undefined : b.rank === a.rank ? 'sideways' : 'upward'
}

describe('the imports of src', () => {
  it('go one way: no room imports one of its own rank or above', () => {
    const wrong = edges
      .map(({ from, to }) => ({ from: roomOf(from), to: roomOf(to), file: relative(src, from) }))
      .map((edge) => ({ ...edge, why: trespass(edge.from, edge.to) }))
      .filter((edge) => edge.why)
    expect(wrong).toEqual([])
  })

  it('go in no circle, inside rooms neither', () => {
    const next = new Map<string, string[]>()
    for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to])
    const done = new Set<string>()
    const circle = (file: string, path: string[]): string[] | undefined => {
      if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].map((f) => relative(src, f))
      if (done.has(file)) return undefined
      for (const to of next.get(file) ?? []) {
        const found = circle(to, [...path, file])
        if (found) return found
      }
      done.add(file)
      return undefined
    }
    expect(files.map((file) => circle(file, [])).find(Boolean)).toBeUndefined()
  })

  it('are seen by this test: an upward, a sideways and a forbidden one would be reported', () => {
    expect(trespass('placement', 'router')).toBe('upward')
    expect(trespass('migrator', 'backends')).toBe('sideways')
    expect(trespass('predictor', 'shard-store')).toBe('never')
    expect(trespass('router', 'placement')).toBeUndefined()
    expect(edges.length).toBeGreaterThan(20)
  })

  it('leave time and chance to clock.ts', () => {
    const users = files.filter((file) => {
      // The dashboard's page runs in a browser, on the browser's time.
      if (relative(src, file) === 'clock.ts' || file.startsWith(page)) return false
      const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
      return /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\(/.test(code)
    })
    expect(users.map((file) => relative(src, file))).toEqual([])
  })

  it('let the page of the dashboard know nothing of ours but the types of what it is told', () => {
    const foreign = files
      .filter((file) => file.startsWith(page))
      .flatMap((file) => importsOf(file).map((target) => relative(page, target)))
      .filter((target) => target.startsWith('..') && target !== '../document.ts')
    expect(foreign).toEqual([])
  })

  it('never reach a room that is not in the table', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !ROOMS[room])).toEqual([])
  })
})
