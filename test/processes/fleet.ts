import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { expect } from 'vitest'
import { systemClock } from '../../src/clock'
import type { ReshardingReport } from '../../src/migrator/progress'
import type { SegmentId, ShardId } from '../../src/placement/segment'
import { inspect } from '../../src/testing/inspection'
import { checkLinearizable } from '../../src/testing/linearizability'
import type { HistoryOperation } from '../../src/testing/linearizability/operation'
import type { Topology } from '../../src/topology-store'
import { connectTo, type Places } from './places'
import { readHistory } from './recorder'
import type { Command, Wish, WorkerOptions } from './worker'

export const BUCKETS = 8
/** Whoever held the lease and died is succeeded after so long. */
export const LEASE_MS = 700
/** How long a plan waits for a shard that does not answer. */
export const OUTAGE_MS = 3_000

/** One process. */
export class Member {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(answer: unknown): void; reject(error: unknown): void }>()
  readonly died: Promise<void>
  #asked = 0

  constructor(name: string, program: string) {
    this.name = name
    this.#child = fork(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const end = () => this.#child.kill('SIGKILL')
    process.once('exit', end)
    this.died = new Promise((resolve) =>
      this.#child.once('exit', () => {
        process.off('exit', end)
        for (const { reject } of this.#waiting.values()) reject(new Error(`${name} died`))
        resolve()
      }),
    )
    this.#child.on('message', ({ id, answer, error }: { id: number; answer: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(answer)
      else waiting?.reject(new Error(`${name}: ${error}`))
    })
  }

  ask<T = unknown>(command: Command): Promise<T> {
    const id = ++this.#asked
    const answer = new Promise<T>((resolve, reject) =>
      this.#waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject }),
    )
    this.#child.send({ id, command })
    answer.catch(() => {})
    return answer
  }

  reshard(wish: Wish): Promise<ReshardingReport> {
    return this.ask<ReshardingReport>({ what: 'reshard', wish })
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }
}

/** Processes with routers of their own over servers of their own, under load, and what they did. */
export class Fleet {
  readonly members: Member[] = []
  #places: Places
  readonly #folder = mkdtempSync(join(tmpdir(), 'foreshard-processes-'))
  readonly #records: string[] = []
  #program = ''
  #started = 0
  #keys: readonly string[] = []
  #ttl = false

  private constructor(places: Places) {
    this.#places = places
  }

  static async start(places: Places, members = 4): Promise<Fleet> {
    const fleet = new Fleet(places)
    fleet.#program = join(fleet.#folder, 'worker.mjs')
    await bundle(fleet.#program)
    await fleet.add()
    await Promise.all(Array.from({ length: members - 1 }, () => fleet.add()))
    return fleet
  }

  /** Starts a process; it is there when its router is open. `places`: where it thinks that the servers are. */
  async add(options: Partial<WorkerOptions> = {}): Promise<Member> {
    const name = `p${++this.#started}`
    const member = new Member(name, this.#program)
    const record = join(this.#folder, name)
    this.#records.push(record)
    const common = { buckets: BUCKETS, leaseMs: LEASE_MS, outageMs: OUTAGE_MS, offsetMs: 0 }
    await member.ask({ what: 'open', options: { name, record, places: this.#places, ...common, ...options } })
    await member.ask(this.#load())
    this.members.push(member)
    void member.died.then(() => {
      const at = this.members.indexOf(member)
      if (at >= 0) this.members.splice(at, 1)
    })
    return member
  }

  /** All of them work on these keys from now on. */
  async load(keys: readonly string[], { ttl = false } = {}): Promise<void> {
    this.#keys = keys
    this.#ttl = ttl
    await Promise.all(this.members.map((it) => it.ask(this.#load())))
  }

  #load(): Command {
    return { what: 'load', keys: this.#keys, pauseMs: 15, ttl: this.#ttl }
  }

  /** Those who look from outside are told of a shard, and processes that are started from now on. */
  knows(shard: ShardId, port: number): void {
    this.#places = { ...this.#places, shards: { ...this.#places.shards, [shard]: port } }
  }

  /** Whether every process can read all of these keys. */
  async serves(keys: readonly string[]): Promise<boolean> {
    const reads = this.members.map((it) => it.ask({ what: 'read', keys }))
    return (await Promise.allSettled(reads)).every(({ status }) => status === 'fulfilled')
  }

  /** Where a process believes that segments are. */
  async where(): Promise<Map<SegmentId, ShardId>> {
    return new Map(await this.members[0]!.ask<[SegmentId, ShardId][]>({ what: 'placement' }))
  }

  /** Where a process believes that a key is. */
  locate(key: string, member = this.members[0]!): Promise<{ segment: SegmentId; shard: ShardId }> {
    return member.ask({ what: 'locate', key })
  }

  async topology(): Promise<Topology> {
    return this.#withStores(async ({ topology }) => {
      const read = await topology.open({ buckets: BUCKETS, seed: 0, shards: [], owners: new Int32Array() })
      await topology.close()
      return read
    })
  }

  /** Until no plan is unfinished. Answers how long that took. */
  async settled(withinMs = 20_000): Promise<number> {
    const began = Date.now()
    await this.#withStores(async ({ topology }) => {
      await topology.open({ buckets: BUCKETS, seed: 0, shards: [], owners: new Int32Array() })
      while ((await topology.read()).plan) {
        if (Date.now() - began > withinMs) throw new Error(`a plan is not finished after ${withinMs} ms`)
        await systemClock.sleep(50)
      }
      await topology.close()
    })
    return Date.now() - began
  }

  /**
   * Lets the load go on until so many operations are on record, then stops it, waits until all is finished and purged, and
   * looks whether every promise was kept.
   */
  async expectKept({ atLeast = 0, sizes = true, lossy = false } = {}): Promise<HistoryOperation[]> {
    while (this.#recorded() < atLeast) await systemClock.sleep(50)
    await this.load([])
    await this.settled()
    const problems = await this.#problems(sizes)
    expect(problems).toEqual([])
    await Promise.all(this.members.map((it) => it.ask({ what: 'close' })))
    const histories = this.#records.map((path) => readHistory(path))
    expect(histories.flatMap(({ unexpected }) => unexpected)).toEqual([])
    const operations = histories.flatMap((it) => it.operations)
    if (!lossy) {
      const verdict = checkLinearizable(operations)
      expect(verdict.ok, verdict.ok ? '' : `${verdict.story}\n${storyOf(operations, verdict.key)}`).toBe(true)
    }
    return operations
  }

  /** Operations that have ended. */
  #recorded(): number {
    return this.#records.reduce(
      (sum, path) => sum + readFileSync(path, 'utf8').split('"outcome"').length - 1,
      0,
    )
  }

  /** What is left behind and stays: purges are due when their grace period is over. */
  async #problems(sizes: boolean): Promise<string[]> {
    let problems: string[] = []
    for (let tries = 0; tries < 60; tries++) {
      problems = await this.#withStores(async ({ shards, topology }) => {
        const read = await topology.open({ buckets: BUCKETS, seed: 0, shards: [], owners: new Int32Array() })
        const stores = new Map(Object.entries(shards))
        for (const [shard, store] of stores)
          await store.open({ topologyId: read.id, shard, buckets: BUCKETS, clock: systemClock })
        const found = await inspect(stores, read, { sizes })
        await topology.close()
        return found.problems
      }).catch((error) => [String(error)])
      if (problems.length === 0) break
      await systemClock.sleep(200)
    }
    return problems
  }

  async #withStores<T>(act: (stores: Awaited<ReturnType<typeof connectTo>>) => Promise<T>): Promise<T> {
    const stores = await connectTo(this.#places)
    try {
      return await act(stores)
    } finally {
      await stores.end()
    }
  }

  async end(): Promise<void> {
    for (const member of [...this.members]) {
      member.signal('SIGKILL')
      await member.died
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** All that was done to a key, by when it began. */
function storyOf(operations: readonly HistoryOperation[], key: string): string {
  return operations
    .filter((it) => it.key === key)
    .sort((a, b) => a.invokedAt - b.invokedAt)
    .map((it) => JSON.stringify(it))
    .join('\n')
}

/** Keys of which every few share a tag. */
export function keysOf(round: string | number, count = 10): string[] {
  return Array.from({ length: count }, (_, i) => (i % 2 ? `{t${round}}:${i}` : `${round}:${i}`))
}

export function otherThan(shard: ShardId | undefined, shards: readonly ShardId[] = ['a', 'b', 'c']): ShardId {
  return shards[(shards.indexOf(shard ?? '') + 1) % shards.length]!
}

async function bundle(path: string): Promise<void> {
  const resolver = createRequire(import.meta.url)
  await build({
    entryPoints: [resolve(import.meta.dirname, 'worker.ts')],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    plugins: [
      {
        name: 'worker',
        setup: (it) => {
          // Packages with parts of their own are loaded from where they are.
          it.onResolve({ filter: /^(lmdb|ioredis|redis|pg|@electric-sql\/pglite)$/ }, ({ path: name }) => ({
            path: resolver.resolve(name),
            external: true,
          }))
        },
      },
    ],
  })
}
