import { isUtf8 } from 'node:buffer'
import { ErrorCode, ForeshardError, keysApart, shown } from '../../../errors'
import { hashTag } from '../../../placement/tag'
import type { NativeCommand, NativeReply } from '../../../shard-store'
import { COMMANDS, CONTAINERS, type CommandRow, REASONS } from './command-table'
import { type Argument, keyPlaces } from './key-places'
import { ReplyError } from './replies'

/** A command, known and with the right number of arguments. */
export interface Known {
  readonly row: CommandRow
  /** Its name in lower case, of a subcommand both words, and its arguments. */
  readonly argv: readonly Argument[]
  /** As it was given, for errors. */
  readonly name: string
  readonly args: readonly Argument[]
}

/** What is sent for a command, and where. */
export interface Prepared {
  readonly tag: string
  readonly command: NativeCommand
  /** Malformed: Redis will refuse it, wherever it is asked. */
  readonly anywhere?: boolean
  /** The reply as the caller gets it. `epoch`: of the segment that gave it. */
  readonly finish?: (reply: NativeReply, epoch: number) => NativeReply
}

/** What Lua can hand to a command at once [measured: 7,995]. */
const MOST_ARGUMENTS = 7_900

/** @throws ReplyError in the words of Redis; NOT_SUPPORTED for what is refused here, saying why. */
export function knownCommand(name: string, args: readonly Argument[]): Known {
  const lower = name.toLowerCase()
  let row = COMMANDS.get(lower)
  let argv: readonly Argument[] = [lower, ...args]
  if (!row && CONTAINERS.has(lower)) {
    if (args.length === 0) throw wrongNumber(lower, name, args)
    const sub = String(args[0]).toLowerCase()
    row = COMMANDS.get(`${lower} ${sub}`)
    if (!row)
      throw new ReplyError(
        `ERR unknown subcommand '${String(args[0]).slice(0, 128)}'. Try ${lower.toUpperCase()} HELP.`,
        name,
        args,
      )
    argv = [lower, sub, ...args.slice(1)]
  }
  if (!row)
    throw refusal(
      `${shown(name)} is an unknown command: shardedRedis knows those of Redis 7.0; see docs/redis-commands.md`,
    )
  const { arity } = row
  if (arity < 0 ? argv.length < -arity : argv.length !== arity)
    throw wrongNumber(row.name.replace(' ', '|'), name, args)
  if (row.reason !== undefined) throw refusal(`${row.name.toUpperCase()} is refused: ${REASONS[row.reason]}`)
  return { row, argv, name, args }
}

function wrongNumber(of: string, name: string, args: readonly Argument[]): ReplyError {
  return new ReplyError(`ERR wrong number of arguments for '${of}' command`, name, args)
}

export function refusal(message: string): ForeshardError {
  return new ForeshardError(ErrorCode.NOT_SUPPORTED, message, { field: 'command' })
}

/** A key as text, since routers know keys as text. @throws INVALID_KEY. */
export function keyText(key: Argument): string {
  if (typeof key === 'string') return key
  if (isUtf8(key)) return key.toString('utf8')
  throw new ForeshardError(
    ErrorCode.INVALID_KEY,
    'key is no UTF-8; a key of a router is text: encode binary keys as hex or base64',
    { field: 'key' },
  )
}

/** Everything that says where keys go. */
export interface KeyRule {
  readonly prefix: string
  tagOf(key: string): string
}

/** The command with its keys, all of which must have one tag. @throws KEYS_APART, INVALID_KEY, NOT_SUPPORTED. */
export function prepare({ row, argv, args, name }: Known, rule: KeyRule): Prepared {
  if (argv.length > MOST_ARGUMENTS)
    throw refusal(
      `${row.name.toUpperCase()} has ${argv.length} arguments; send at most ${MOST_ARGUMENTS} at once`,
    )
  checkOptions(row, argv)
  const places = keyPlaces(row, argv)
  // Redis will refuse it, in its own words; the first argument decides where it is asked.
  if (!places || (places.reads.length === 0 && places.writes.length === 0))
    return prepareMalformed(argv, rule, name, args)
  const command = withKeys(argv, places, rule)
  const tag = oneTag(command, rule)
  if (row.name.startsWith('sort')) checkPatterns(argv, tag)
  if (row.name === 'hscan' || row.name === 'sscan' || row.name === 'zscan') return prepareScan(command, tag)
  return { tag, command }
}

/** The same command with its keys as the shards know them. */
export function withKeys(
  argv: readonly Argument[],
  { reads, writes }: Pick<NativeCommand, 'reads' | 'writes'>,
  { prefix }: KeyRule,
): NativeCommand {
  const spelt = [...argv]
  for (const place of [...reads, ...writes]) spelt[place] = prefix + keyText(argv[place]!)
  return { argv: spelt, reads, writes }
}

export function keysOf({ argv, reads, writes }: NativeCommand): string[] {
  return [...writes, ...reads].map((place) => argv[place] as string)
}

/** @throws KEYS_APART. */
export function oneTag(command: NativeCommand, { tagOf }: KeyRule): string {
  const [first, ...rest] = keysOf(command)
  const tag = tagOf(first!)
  for (const key of rest) if (tagOf(key) !== tag) throw keysApart(first!, key)
  return tag
}

function prepareMalformed(
  argv: readonly Argument[],
  rule: KeyRule,
  name: string,
  args: readonly Argument[],
): Prepared {
  const first = argv[1]
  if (first === undefined || String(first) === '') throw new ReplyError('ERR syntax error', name, args)
  const command = withKeys(argv, { reads: [1], writes: [] }, { ...rule, prefix: '' })
  return { tag: rule.tagOf(command.argv[1] as string), command, anywhere: true }
}

function checkOptions({ name }: CommandRow, argv: readonly Argument[]): void {
  if (name === 'copy' && argv.slice(3).some((it) => String(it).toUpperCase() === 'DB'))
    throw refusal(`COPY … DB is refused: ${REASONS.database}`)
}

/** SORT reads keys that its patterns name: they must have the tag of the key, written out. */
function checkPatterns(argv: readonly Argument[], tag: string): void {
  for (let i = 2; i < argv.length - 1; i++) {
    const word = String(argv[i]).toUpperCase()
    if (word === 'LIMIT') i += 2
    if (word !== 'BY' && word !== 'GET') continue
    const pattern = String(argv[++i])
    const of = hashTag(pattern)
    if (pattern.includes('*') && (of === undefined || of !== tag || of.includes('*')))
      throw new ForeshardError(
        ErrorCode.KEYS_APART,
        `SORT ${word} ${shown(pattern)} names keys that may lie on other shards; put the tag of the key into the pattern, ` +
          `as in {${tag}}:weight:*`.slice(0, 200),
        { field: 'keys' },
      )
  }
}

/** Digits at the end of a cursor that tell at which epoch it was given. */
const EPOCHS = 1_000_000n

/**
 * A cursor inside a collection means something to the server that gave it only: another one has the elements in another
 * order. So it carries the epoch of the segment, and after a move the scan begins again: no element is missed, and some
 * may come twice, as SCAN allows.
 */
function prepareScan(command: NativeCommand, tag: string): Prepared {
  const argv = [...command.argv]
  const given = String(argv[2])
  let mark = 0n
  if (/^\d{1,30}$/.test(given)) {
    const cursor = BigInt(given)
    mark = cursor % EPOCHS
    argv[2] = String(cursor / EPOCHS)
  }
  const started = argv[2] === '0'
  const finish = (reply: NativeReply, epoch: number): NativeReply => {
    if (!Array.isArray(reply)) return reply
    const now = (BigInt(epoch) % (EPOCHS - 1n)) + 1n
    if (!started && mark !== now) return [Buffer.from(String(now)), []]
    const cursor = BigInt(String(reply[0]))
    return [Buffer.from(cursor === 0n ? '0' : String(cursor * EPOCHS + now)), reply[1]!]
  }
  return { tag, command: { ...command, argv }, finish }
}
