import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

/** Where a server's programs lie; undefined where none can be started here: in CI a failure. */
const programs = findPrograms()
/** Postgres refuses to run as root; its own user is made with its package. */
const owner = process.getuid?.() === 0 ? userNamed('postgres') : undefined

if (!programs || (process.getuid?.() === 0 && !owner)) {
  const cure =
    'no Postgres server was found, or this is root and there is no user postgres; install one (apt-get install postgresql)'
  if (process.env.CI === 'true') throw new Error(cure)
  console.warn(`SKIPPED, ${cure}`)
}

export const postgresIsMissing = !programs || (process.getuid?.() === 0 && !owner)

function findPrograms(): string | undefined {
  const folders: string[] = []
  const config = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  if (config.status === 0) folders.push(config.stdout.trim())
  const debian = '/usr/lib/postgresql'
  if (existsSync(debian))
    for (const version of readdirSync(debian).sort((a, b) => Number(b) - Number(a)))
      folders.push(join(debian, version, 'bin'))
  folders.push(...(process.env.PATH ?? '').split(':'))
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))))
}

function userNamed(name: string): { uid: number; gid: number } | undefined {
  const ids = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }))
  if (ids.some((it) => it.status !== 0)) return undefined
  const [uid, gid] = ids.map((it) => Number(it.stdout)) as [number, number]
  return { uid, gid }
}

/** A server of our own on a free port, with a folder of its own. */
export class PostgresServer {
  readonly port: number
  readonly #folder: string
  readonly #settings: readonly string[]
  readonly #pools: pg.Pool[] = []
  #process: ChildProcess | undefined
  static readonly #running = new Set<PostgresServer>()

  private constructor(port: number, folder: string, settings: readonly string[]) {
    this.port = port
    this.#folder = folder
    this.#settings = settings
  }

  /** `settings` as 'name=value'. Nothing is flushed to disk but what a test asks for: a killed process loses nothing by that. */
  static async start(...settings: string[]): Promise<PostgresServer> {
    const [server] = await PostgresServer.startAll(1, ...settings)
    return server!
  }

  /** Several at once: to copy a folder takes a fraction of the time of making one. */
  static async startAll(count: number, ...settings: string[]): Promise<PostgresServer[]> {
    const servers: PostgresServer[] = []
    for (let i = 0; i < count; i++) {
      const folder = await mkdtemp(join(tmpdir(), 'foreshard-postgres-'))
      if (owner) chownSync(folder, owner.uid, owner.gid)
      const [first] = servers
      if (first) copyData(first.#folder, folder)
      else makeData(folder)
      const server = new PostgresServer(await freePort(), folder, settings)
      PostgresServer.#running.add(server)
      servers.push(server)
    }
    await Promise.all(servers.map((server) => server.run()))
    return servers
  }

  /** Ends all that were started here: also those of a test that failed half way. */
  static async stopAll(): Promise<void> {
    await Promise.all([...PostgresServer.#running].map((server) => server.stop()))
  }

  /** Starts it again on the same port, with what its folder holds. */
  async run(): Promise<void> {
    const settings = [
      `port=${this.port}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${this.#folder}`,
      'fsync=off',
      'max_connections=60',
      'shared_buffers=64MB',
      ...this.#settings,
    ]
    const args = ['-D', join(this.#folder, 'data'), ...settings.flatMap((it) => ['-c', it])]
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#spawn(args)
      } catch (error) {
        // After a crash the other processes of the old server need a moment to notice.
        if (attempt === 100) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
  }

  async #spawn(args: readonly string[]): Promise<void> {
    const child = spawn(join(programs!, 'postgres'), args, { ...owner, cwd: this.#folder, stdio: 'ignore' })
    this.#process = child
    // It does not outlive whoever started it.
    const end = () => child.kill('SIGQUIT')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    const gone = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`postgres ended with ${code}`)))
    })
    gone.catch(() => {})
    await Promise.race([gone, answering(this.address, () => child.exitCode !== null)])
  }

  get address() {
    return { host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' }
  }

  /** What lies in its data folder tells a server what it is: 'standby.signal' makes it a standby when it starts. */
  async mark(file: string): Promise<void> {
    const path = join(this.#folder, 'data', file)
    await writeFile(path, '')
    if (owner) chownSync(path, owner.uid, owner.gid)
  }

  /** A pool that is ended with the server. */
  pool(options: pg.PoolConfig = {}): pg.Pool {
    const pool = new pg.Pool({ ...this.address, ...options })
    pool.on('error', () => {})
    this.#pools.push(pool)
    return pool
  }

  /** Ends it and all of its processes at once, without a checkpoint. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGQUIT')
    await exited
  }

  /** kill -9 of the server; its other processes end by themselves when they notice. */
  async crash(): Promise<void> {
    const child = this.#process!
    this.#process = undefined
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exited
  }

  async stop(): Promise<void> {
    PostgresServer.#running.delete(this)
    await Promise.all(this.#pools.filter((pool) => !pool.ended && !pool.ending).map((pool) => pool.end()))
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function makeData(folder: string): void {
  const args = ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'trust']
  const rest = ['-E', 'UTF8', '--locale=C', '--no-sync']
  execFileSync(join(programs!, 'initdb'), [...args, ...rest], { ...owner, cwd: folder, stdio: 'ignore' })
}

/** Of a server that was never started. */
function copyData(from: string, to: string): void {
  execFileSync('cp', ['-R', join(from, 'data'), join(to, 'data')], { ...owner, cwd: to, stdio: 'ignore' })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function answering(address: pg.ClientConfig, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const client = new pg.Client(address)
    client.on('error', () => {})
    try {
      await client.connect()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      await client.end().catch(() => {})
    }
  }
}
