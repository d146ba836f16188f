import type { NativeCommand, NativeReply } from '../../../shard-store'
import type { NativeAccess } from './command-router'
import type { Argument } from './key-places'
import type { Lanes } from './lanes'
import { type KeyRule, type Known, oneTag, type Prepared, prepare, withKeys } from './preparation'
import { isFailure, ReplyError } from './replies'
import type { Waiters } from './waiters'

/** Between two looks: at first short, then longer, as what nobody of this process writes is only found by looking. */
const FIRST_PAUSE_MS = 4
const LONGEST_PAUSE_MS = 100
/** A group may have been moved to another id without an entry: looked for so often. */
const LOOKS_A_TRY = 16

/** Pops from the first key that has something. KEYS, ARGV: the command. */
const POP_FIRST = `
for _, key in ipairs(KEYS) do
  local reply = redis.pcall(ARGV[1], key)
  if type(reply) == 'table' and reply.err then return reply end
  if type(reply) == 'table' and reply[1] then return { key, reply[1], reply[2] } end
  if reply and type(reply) ~= 'table' then return { key, reply } end
end
return false`

const POPS: Readonly<Record<string, string>> = {
  blpop: 'LPOP',
  brpop: 'RPOP',
  bzpopmin: 'ZPOPMIN',
  bzpopmax: 'ZPOPMAX',
}
const MOVES: Readonly<Record<string, { name: string; timeoutAt: number }>> = {
  blmove: { name: 'lmove', timeoutAt: -1 },
  brpoplpush: { name: 'rpoplpush', timeoutAt: -1 },
  blmpop: { name: 'lmpop', timeoutAt: 1 },
  bzmpop: { name: 'zmpop', timeoutAt: 1 },
}

/** A blocking command, taken apart. */
export interface Blocking {
  /** One try, which does not wait. */
  readonly attempt: Prepared
  /** How long it may wait; undefined where it does not, 0 for ever. */
  readonly timeoutMs: number | undefined
}

/** @throws ReplyError, in the words of Redis. */
export function takeApart(known: Known, rule: KeyRule): Blocking {
  const { row, argv, name, args } = known
  const pop = POPS[row.name]
  if (pop) {
    const timeoutMs = secondsOf(argv.at(-1)!, name, args)
    const keys = argv.slice(1, -1)
    const script: Argument[] = ['eval', POP_FIRST, String(keys.length), ...keys, pop]
    const command = withKeys(script, { reads: [], writes: keys.map((_, i) => i + 3) }, rule)
    return { attempt: { tag: oneTag(command, rule), command }, timeoutMs }
  }
  const move = MOVES[row.name]
  if (move) {
    const at = move.timeoutAt < 0 ? argv.length + move.timeoutAt : move.timeoutAt
    const timeoutMs = secondsOf(argv[at]!, name, args)
    const rest = argv.filter((_, i) => i !== at).slice(1)
    return { attempt: prepare(plain(move.name, rest, known), rule), timeoutMs }
  }
  return takeReadApart(known, rule)
}

function plain(name: string, rest: readonly Argument[], { row, name: given, args }: Known): Known {
  // Keys stand where they stood, but for a timeout before them.
  const keys = row.keys.map((spec) =>
    typeof spec.begin === 'number' && spec.find === 'count' ? { ...spec, begin: spec.begin - 1 } : spec,
  )
  return { row: { ...row, name, keys }, argv: [name, ...rest], name: given, args }
}

/** XREAD and XREADGROUP: without BLOCK they are what they are. */
function takeReadApart(known: Known, rule: KeyRule): Blocking {
  const { argv, name, args } = known
  const streams = argv.findIndex((it, i) => i > 0 && String(it).toUpperCase() === 'STREAMS')
  let rest = argv
  let timeoutMs: number | undefined
  for (let i = 1; i < (streams < 0 ? argv.length : streams) - 1; i++) {
    const word = String(argv[i]).toUpperCase()
    if (word === 'GROUP') i += 2
    else if (word === 'COUNT') i++
    else if (word === 'BLOCK') {
      const text = String(argv[i + 1])
      if (!/^-?\d{1,19}$/.test(text))
        throw new ReplyError('ERR timeout is not an integer or out of range', name, args)
      if (text.startsWith('-')) throw new ReplyError('ERR timeout is negative', name, args)
      timeoutMs = Number(text)
      rest = [...argv.slice(0, i), ...argv.slice(i + 2)]
      break
    }
  }
  return { attempt: prepare({ ...known, argv: rest }, rule), timeoutMs }
}

function secondsOf(it: Argument, name: string, args: readonly Argument[]): number {
  const text = String(it)
  const seconds = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
  if (!Number.isFinite(seconds) || seconds > 9e15)
    throw new ReplyError('ERR timeout is not a float or out of range', name, args)
  if (seconds < 0) throw new ReplyError('ERR timeout is negative', name, args)
  return Math.ceil(seconds * 1000)
}

export interface WaitingOptions {
  readonly access: NativeAccess
  readonly lanes: Lanes
  readonly waiters: Waiters
  /** Aborted when the client is closed. */
  readonly signal: AbortSignal
}

/** Tries until there is an answer or the time is over; then null, as Redis answers. */
export async function waitFor(
  { attempt, timeoutMs }: Blocking,
  { access, lanes, waiters, signal }: WaitingOptions,
): Promise<NativeReply> {
  const { clock } = access
  const { tag } = attempt
  const started = clock.now()
  if (timeoutMs === undefined) return tryOnce(attempt, lanes)
  const command = await withLastIds(attempt, lanes)
  const isStream = isStreamRead(command)
  // Before the try, so that what comes after it is seen as a change; both travel together.
  const before = isStream ? lookAt(command, tag, lanes) : undefined
  let found = tryOnce({ ...attempt, command }, lanes)
  let state = (await before) ?? ''
  for (let looks = 0, pauseMs = FIRST_PAUSE_MS; ; ) {
    const reply = await found
    if (reply !== null) return reply
    for (;;) {
      const leftMs = timeoutMs === 0 ? LONGEST_PAUSE_MS : started + timeoutMs - clock.now()
      if (leftMs <= 0) return null
      await pause(Math.min(leftMs, pauseMs * (0.75 + access.random() / 2)), tag, waiters, clock, signal)
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)
      const now = await lookAt(command, tag, lanes)
      const isWorthIt = isStream ? now !== state : now !== ''
      state = now
      if (isWorthIt || ++looks % LOOKS_A_TRY === 0) break
    }
    found = tryOnce({ ...attempt, command }, lanes)
  }
}

async function tryOnce({ tag, command, finish }: Prepared, lanes: Lanes): Promise<NativeReply> {
  const { replies, epoch } = await lanes.run(tag, [command])
  return finish ? finish(replies[0]!, epoch) : replies[0]!
}

/** What is there, in a read that changes nothing: whether keys exist, and of streams their last id. */
async function lookAt({ argv, reads, writes }: NativeCommand, tag: string, lanes: Lanes): Promise<string> {
  const name = String(argv[0])
  // A target that is there says nothing of what can be popped.
  const places = name === 'lmove' || name === 'rpoplpush' ? writes.slice(0, 1) : [...reads, ...writes]
  const streams = isStreamRead({ argv })
  const commands = places.map((place): NativeCommand => {
    const key = argv[place]!
    return streams
      ? { argv: ['xrevrange', key, '+', '-', 'COUNT', '1'], reads: [1], writes: [] }
      : { argv: ['exists', key], reads: [1], writes: [] }
  })
  const { replies } = await lanes.run(tag, commands)
  return replies.map(stateOf).join(' ').trim()
}

function isStreamRead({ argv }: Pick<NativeCommand, 'argv'>): boolean {
  return String(argv[0]).startsWith('xread')
}

function stateOf(reply: NativeReply): string {
  if (reply === 1) return '1'
  if (Array.isArray(reply)) return reply.length === 0 ? '' : String((reply[0] as readonly NativeReply[])[0])
  return isFailure(reply) ? reply.error : ''
}

/** `$` is the last id as it is when the command is given, however often it is tried. */
async function withLastIds({ command, tag }: Prepared, lanes: Lanes): Promise<NativeCommand> {
  const { argv, reads } = command
  if (String(argv[0]) !== 'xread') return command
  const wanted = reads.filter((place) => String(argv[place + reads.length]) === '$')
  if (wanted.length === 0) return command
  const { replies } = await lanes.run(
    tag,
    wanted.map((place) => ({ argv: ['xinfo', 'stream', argv[place]!], reads: [2], writes: [] })),
  )
  const resolved = [...argv]
  wanted.forEach((place, i) => {
    const reply = replies[i]!
    if (!Array.isArray(reply)) {
      // No stream, or no stream yet; what is of another type is answered by the command itself.
      resolved[place + reads.length] = '0-0'
      return
    }
    const at = reply.findIndex((it) => String(it) === 'last-generated-id')
    resolved[place + reads.length] = String(reply[at + 1])
  })
  return { ...command, argv: resolved }
}

/** Until something is written to the tag here, or the time is over. @throws where the client is closed. */
async function pause(
  ms: number,
  tag: string,
  waiters: Waiters,
  clock: NativeAccess['clock'],
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const end = () => over.abort()
  const forget = waiters.add(tag, end)
  signal.addEventListener('abort', end)
  try {
    if (!signal.aborted) await clock.sleep(ms, over.signal)
  } catch {
    // Woken.
  } finally {
    forget()
    signal.removeEventListener('abort', end)
  }
  if (signal.aborted) throw signal.reason
}
