import { OWN_PREFIX } from '../../placement/key'
import type { EnteredAs, KeyToEnter, NativeValue, ShardAdoption } from '../../shard-store'
import type { Argument, RedisConnection, Reply } from './connection'
import { nameOf } from './fence-fields'
import { DUMP_LUA, ENTER_LUA, RESTORE_LUA } from './lua/adopt'
import { connected } from './patience'
import { Script } from './script'
import type { ShardServer } from './shard-server'

const ENTER = new Script(ENTER_LUA)
const DUMP = new Script(DUMP_LUA)
const RESTORE = new Script(RESTORE_LUA)
/** Keys of one SCAN, and of one script. */
const SCANNED_AT_ONCE = '500'
const KEYS_AT_ONCE = 100
/** DUMPs can be large: fewer of them. */
const VALUES_AT_ONCE = 10

/** A database as it is without us. */
export class RedisAdoption implements ShardAdoption {
  readonly #connection: RedisConnection
  readonly #server: ShardServer
  readonly #prefix: string

  constructor(connection: RedisConnection, server: ShardServer, prefix: string) {
    this.#connection = connection
    this.#server = server
    this.#prefix = prefix
  }

  async keys(cursor = '0'): ReturnType<ShardAdoption['keys']> {
    const { names, next } = await this.#scan(cursor)
    const keys: string[] = []
    let unreadable = 0
    for (const name of names) {
      const key = name.toString()
      if (this.#isOurs(key)) continue
      if (Buffer.from(key).equals(name)) keys.push(key)
      else unreadable++
    }
    return { keys, unreadable, next }
  }

  async enter(keys: readonly KeyToEnter[]): Promise<EnteredAs[]> {
    const answers: EnteredAs[] = []
    const size = keys.some(({ value }) => value) ? VALUES_AT_ONCE : KEYS_AT_ONCE
    for (const some of chunks(keys, size)) {
      const names: Argument[] = [this.#server.expiriesKey]
      const args: Argument[] = []
      for (const { key, tag, segment, bucketId, epoch, value } of some) {
        names.push(this.#server.bucketKey(bucketId), key)
        args.push(nameOf(segment), String(epoch), tag === key ? '' : tag)
        args.push(value ? Buffer.from(value.form) : '', String(value?.expiresAt ?? 0))
      }
      const reply = (await this.#server.run(ENTER, names, args)) as Reply[]
      answers.push(...reply.map((it) => String(it) as EnteredAs))
    }
    return answers
  }

  async read(keys: readonly string[]): Promise<(NativeValue | undefined)[]> {
    const values: (NativeValue | undefined)[] = []
    for (const some of chunks(keys, VALUES_AT_ONCE)) {
      const reply = (await DUMP.run(this.#connection, some, [])) as Reply[]
      for (let i = 0; i < reply.length; i += 2)
        values.push(
          reply[i] === null
            ? undefined
            : { form: reply[i] as Buffer, expiresAt: Number(String(reply[i + 1])) },
        )
    }
    return values
  }

  async write(values: readonly { key: string; value: NativeValue }[]): Promise<void> {
    for (const some of chunks(values, VALUES_AT_ONCE))
      await RESTORE.run(
        this.#connection,
        some.map(({ key }) => key),
        some.flatMap(({ value }) => [Buffer.from(value.form), String(value.expiresAt)]),
      )
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const some of chunks(keys, KEYS_AT_ONCE)) await this.#connection.send(['UNLINK', ...some])
  }

  async release(): Promise<void> {
    let cursor: string | undefined = '0'
    while (cursor !== undefined) {
      const page: { names: Buffer[]; next?: string } = await this.#scan(cursor)
      const ours = page.names.filter((name) => this.#isOurs(name.toString()))
      for (const some of chunks(ours, KEYS_AT_ONCE)) await this.#connection.send(['UNLINK', ...some])
      cursor = page.next
    }
  }

  #isOurs(key: string): boolean {
    return key.startsWith(OWN_PREFIX) || key.startsWith(this.#prefix)
  }

  async #scan(cursor: string): Promise<{ names: Buffer[]; next?: string }> {
    await connected(this.#connection)
    const [next, names] = (await this.#connection.send(['SCAN', cursor, 'COUNT', SCANNED_AT_ONCE])) as [
      Reply,
      Buffer[],
    ]
    return { names, next: String(next) === '0' ? undefined : String(next) }
  }
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const found: T[][] = []
  for (let i = 0; i < items.length; i += size) found.push(items.slice(i, i + size))
  return found
}
