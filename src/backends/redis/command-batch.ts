import type { Answer, Call, NativeCommand, NativeFailure, NativeReply, Operation } from '../../shard-store'
import { bytesOf, refusal } from './call-batch'
import type { Argument, Reply } from './connection'

export type CommandCall = Call & { readonly operation: Extract<Operation, { kind: 'commands' }> }

const FOREIGN = 'FOREIGN '

export function isCommandCall(call: Call): call is CommandCall {
  return call.operation.kind === 'commands'
}

/** The text of a script that a command is, undefined of any other command. */
export function scriptOf({ argv }: NativeCommand): string | undefined {
  const name = argv[0]
  return name === 'eval' || name === 'eval_ro' ? String(argv[1]) : undefined
}

/** Appends a call to the arguments of lua/command.ts. `functions`: of each script, the index of its function from 1 on. */
export function encodeCommands(
  { segment, epoch, tag, operation }: CommandCall,
  functions: ReadonlyMap<string, number>,
  args: Argument[],
): void {
  const what = operation.writes ? 'w' : 'r'
  args.push(segment.startsWith('#') ? what : what.toUpperCase(), String(epoch), tag)
  args.push(String(operation.commands.length))
  for (const command of operation.commands) {
    const { argv } = command
    const script = scriptOf(command)
    if (script === undefined) {
      args.push(headerOf(command))
      for (const it of argv) args.push(argumentOf(it))
      continue
    }
    // The function's index stands for name and text.
    args.push(`e${argv.length - 1}${placesOf(command, -1)}`, String(functions.get(script)))
    for (let i = 2; i < argv.length; i++) args.push(argumentOf(argv[i]!))
  }
}

function headerOf(command: NativeCommand): string {
  const { argv, reads, writes } = command
  if (reads.length === 1 && writes.length === 0 && reads[0] === 1) return `r${argv.length}`
  if (writes.length === 1 && reads.length === 0 && writes[0] === 1) return `w${argv.length}`
  return `k${argv.length}${placesOf(command, 0)}`
}

/** Places as Lua counts them. */
function placesOf({ reads, writes }: NativeCommand, shift: number): string {
  let text = ''
  for (const place of reads) text += ` ${place + 1 + shift}`
  for (const place of writes) text += ` +${place + 1 + shift}`
  return text
}

function argumentOf(it: string | Uint8Array): Argument {
  return typeof it === 'string' ? it : bytesOf(it)
}

/** What was answered to a call. */
export function decodeCommands(call: CommandCall, reply: readonly Reply[]): Answer {
  if (reply[0] === null) return refusal(call, String(reply[1]), reply[2]!)
  const [seq, ...large] = String(reply[0]).split(' ')
  const replies = new Array<NativeReply>(reply.length - 1)
  for (let i = 1; i < reply.length; i++) replies[i - 1] = decodeReply(reply[i]!)
  for (const it of large) {
    const colon = it.indexOf(':')
    replies[Number(it.slice(0, colon)) - 1] = Number(it.slice(colon + 1))
  }
  const { writes } = call.operation
  return { ok: true, value: undefined, version: 0, seq: Number(seq), applied: writes, replies }
}

function decodeReply(reply: Reply): NativeReply {
  if (Array.isArray(reply)) return reply.map(decodeReply)
  if ((reply as unknown) instanceof Error) return failureFrom((reply as unknown as Error).message)
  return reply
}

function failureFrom(message: string): NativeFailure {
  return message.startsWith(FOREIGN)
    ? { error: message, foreign: message.slice(FOREIGN.length) }
    : { error: message }
}
