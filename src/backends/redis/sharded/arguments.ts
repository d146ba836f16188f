import type { Argument } from './key-places'

/** Arguments as ioredis takes them: lists are flattened, objects and maps spelt out where it does, the rest made text. */
export function argumentsOf(name: string, given: readonly unknown[]): Argument[] {
  let args: readonly unknown[] = given.flat()
  if (name === 'mset' || name === 'msetnx') {
    if (args.length === 1) args = pairsOf(args[0]) ?? args
  } else if ((name === 'hset' || name === 'hmset') && args.length === 2) {
    const pairs = pairsOf(args[1])
    if (pairs) args = [args[0], ...pairs]
  }
  return args.map(argumentOf)
}

function argumentOf(value: unknown): Argument {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value
  return value === null || value === undefined ? '' : String(value)
}

function pairsOf(value: unknown): unknown[] | undefined {
  if (value instanceof Map) return [...value].flat()
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return undefined
  return Object.entries(value).flat()
}
