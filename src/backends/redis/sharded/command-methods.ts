import { argumentsOf } from './arguments'
import type { Entry } from './batch'
import { COMMANDS, CONTAINERS } from './command-table'
import type { Argument } from './key-places'
import type { Encoding } from './replies'

export type Callback = (error: Error | null, result?: unknown) => void

/** Whoever has a method for each command: the client, and a pipeline. */
export interface Commanding {
  /** Takes a command. What it returns is what the method returns. */
  issue(entry: Entry, callback: Callback | undefined): unknown
}

export interface ScriptDefinition {
  readonly lua: string
  /** Left out: the first argument tells it. */
  readonly numberOfKeys?: number
  readonly readOnly?: boolean
}

/** Names of methods, in lower case: of commands with subcommands their first word. */
export const METHODS: readonly string[] = [
  ...new Set([...[...COMMANDS.keys()].filter((name) => !name.includes(' ')), ...CONTAINERS]),
]

type Method = (this: Commanding, ...args: unknown[]) => unknown

/** Gives a class a method for each command, and one that gives bytes: `get`, `getBuffer`. Those it has stay. */
export function addCommandMethods(prototype: object): void {
  for (const name of METHODS) {
    define(prototype, name, methodOf(name, 'utf8'))
    define(prototype, `${name}Buffer`, methodOf(name, null))
  }
  define(prototype, 'call', callOf('utf8'))
  define(prototype, 'callBuffer', callOf(null))
  define(prototype, 'send_command', callOf('utf8'))
}

/** Adds a script as a method, as ioredis' defineCommand does. */
export function addScriptMethods(target: object, name: string, definition: ScriptDefinition): void {
  define(target, name, scriptMethodOf(definition, 'utf8'), true)
  define(target, `${name}Buffer`, scriptMethodOf(definition, null), true)
}

function define(target: object, name: string, value: Method, replace = false): void {
  if (!replace && Object.hasOwn(target, name)) return
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false })
}

function methodOf(name: string, encoding: Encoding): Method {
  return function (...given) {
    const callback = takeCallback(given)
    return this.issue({ name, args: argumentsOf(name, given), encoding }, callback)
  }
}

function callOf(encoding: Encoding): Method {
  return function (given, ...rest) {
    const callback = takeCallback(rest)
    const name = String(given)
    return this.issue({ name, args: argumentsOf(name, rest), encoding }, callback)
  }
}

function scriptMethodOf({ lua, numberOfKeys, readOnly }: ScriptDefinition, encoding: Encoding): Method {
  return function (...given) {
    const callback = takeCallback(given)
    let args: Argument[] = argumentsOf('', given)
    if (typeof numberOfKeys === 'number') args = [String(numberOfKeys), ...args]
    return this.issue({ name: readOnly ? 'eval_ro' : 'eval', args: [lua, ...args], encoding }, callback)
  }
}

function takeCallback(given: unknown[]): Callback | undefined {
  return typeof given.at(-1) === 'function' ? (given.pop() as Callback) : undefined
}

/** The promise itself, and a call of the callback when it settles. What a callback throws is nobody's rejection. */
export function withCallback<T>(
  promise: Promise<T>,
  callback: ((error: Error | null, result?: T) => void) | undefined,
) {
  if (typeof callback === 'function')
    promise.then(
      (value) => process.nextTick(callback, null, value),
      (error) => process.nextTick(callback, error),
    )
  return promise
}
