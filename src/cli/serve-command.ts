import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { MOST_SHARDS } from '../placement/ring'
import { createService, fileModelStore, type Service } from '../service'
import { duration, schemaOf, shardsOf, usage, whole } from './arguments'
import { CliError, ExitCode } from './exit-code'
import { stopSignal } from './stop-signal'
import type { Terminal } from './terminal'

const PORT = 7070

export const SERVE_HELP = `foreshard serve --shards N [options]

Serves a predictor over HTTP: it takes access logs, and answers predictions, forecasts and explanations. See
docs/service.md; GET /v1/openapi.json describes every route. It ends with SIGTERM or SIGINT: no more requests are taken,
those under way are finished, the model is saved.

  --shards          how many (8), or which ones (a,b,c), with weights if need be (a:2,b:1)
  --port            default ${PORT}; 0 for any that is free
  --host            address to listen on; default 127.0.0.1. Any other takes a token
  --token-env NAME  the environment variable that holds the token; default FORESHARD_TOKEN, if it is set
  --token-file FILE a file whose first line is the token
  --token TOKEN     the token itself, which every user of this machine can see in the list of processes
  --read-token-env  a second token, that may only read and predict
  --state FILE      where the model survives a restart; default nowhere
  --save-every      time between two savings; default 5m
  --interval        length of an interval; default 1h
  --buckets         default 16384, as in the topology
  --seed            of the bucket hash, as in the topology; default 0
  --schema FILE     JSON { "entities": […], "relationships": […] }: where tags come from

Exit codes
  0  stopped by a signal, the model saved
  1  an option or its value cannot be used
  2  the token, schema or state is not there or cannot be read, or the port cannot be listened on
  3  anything else, saving the model at the end among it

Examples
  foreshard serve --shards 8 --state model.gz
  FORESHARD_TOKEN=$(openssl rand -hex 32) foreshard serve --shards a,b,c --host 0.0.0.0 --port 8080 --state model.gz
  curl -T access.ndjson -X POST -H 'Content-Type: application/x-ndjson' http://127.0.0.1:${PORT}/v1/access-log
`

const OPTIONS = {
  shards: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
  token: { type: 'string' },
  'token-env': { type: 'string' },
  'token-file': { type: 'string' },
  'read-token-env': { type: 'string' },
  state: { type: 'string' },
  'save-every': { type: 'string' },
  interval: { type: 'string' },
  buckets: { type: 'string' },
  seed: { type: 'string' },
  schema: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

type Values = ReturnType<typeof parse>

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/
/** A head of a request must be there so soon, and its body as well: what the service allows a log, and a little. */
const HEADERS_MS = 10_000
const REQUEST_MS = 660_000
/** A connection on which nothing moves. */
const IDLE_MS = 180_000
const MOST_CONNECTIONS = 1_024

export async function serveCommand(args: readonly string[], terminal: Terminal): Promise<void> {
  const values = parse(args)
  if (values.help) {
    terminal.stdout.write(SERVE_HELP)
    return
  }
  const host = values.host ?? '127.0.0.1'
  const port = whole('port', values.port) ?? PORT
  if (port > 65_535) throw usage(`--port: ${port} is over 65535`)
  const token = await tokenOf(values)
  const read = values['read-token-env'] && fromEnvironment(values['read-token-env'], '--read-token-env')
  if (token === undefined && !LOOPBACK.test(host))
    throw usage(
      `--host ${host} can be reached from elsewhere and takes a token: set FORESHARD_TOKEN, or see --help`,
    )
  if (read && token === undefined)
    throw usage('--read-token-env takes a token beside it that may do the rest')
  const service = createService({
    predictor: {
      shards: shardList(values.shards),
      buckets: whole('buckets', values.buckets),
      seed: whole('seed', values.seed),
      intervalMs: duration('interval', values.interval),
      ...(await schemaOf(values.schema)),
    },
    ...(token === undefined ? { loopbackOnly: true } : read ? { tokens: { read, act: token } } : { token }),
    store: values.state === undefined ? undefined : fileModelStore(values.state),
    saveEveryMs: duration('save-every', values['save-every']),
    onError: (error) =>
      terminal.stderr.write(`foreshard: ${error instanceof Error ? error.message : error}\n`),
  })
  const stop = stopSignal()
  await loaded(service, values.state)
  const server = await listening(service, host, port)
  const { port: open } = server.address() as AddressInfo
  terminal.stdout.write(`serving on http://${host.includes(':') ? `[${host}]` : host}:${open}\n`)
  await stop
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  await service.close()
  server.closeAllConnections()
  await closed
  const { accepted } = service.predictor.metrics
  terminal.stdout.write(`stopped; ${accepted} accesses known${values.state === undefined ? '' : ', saved'}\n`)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (error) {
    throw usage((error as Error).message)
  }
}

function shardList(text: string | undefined) {
  const given = shardsOf(text)
  if (typeof given !== 'number') return given
  if (given < 1 || given > MOST_SHARDS) throw usage(`--shards: from 1 to ${MOST_SHARDS}`)
  return Array.from({ length: given }, (_, i) => `s${i + 1}`)
}

async function tokenOf(values: Values): Promise<string | undefined> {
  const { token, 'token-env': name, 'token-file': file } = values
  if ([token, name, file].filter((it) => it !== undefined).length > 1)
    throw usage('--token, --token-env and --token-file: give one of them')
  if (token !== undefined) return token
  if (name !== undefined) return fromEnvironment(name, '--token-env')
  if (file === undefined) return process.env.FORESHARD_TOKEN || undefined
  try {
    return (await readFile(file, 'utf8')).split('\n')[0]!.trim()
  } catch (error) {
    throw new CliError(ExitCode.INPUT, `--token-file: ${(error as Error).message}`)
  }
}

function fromEnvironment(name: string, option: string): string {
  const value = process.env[name]
  if (!value) throw new CliError(ExitCode.INPUT, `${option}: the environment has no ${name}`)
  return value
}

async function loaded(service: Service, state: string | undefined): Promise<void> {
  try {
    await service.ready()
  } catch (error) {
    await service.close()
    throw new CliError(ExitCode.INPUT, `--state ${state}: ${(error as Error).message}; it was left as it is`)
  }
}

async function listening(service: Service, host: string, port: number): Promise<Server> {
  const server = createServer({ headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS }, service.listener)
  server.maxConnections = MOST_CONNECTIONS
  server.timeout = IDLE_MS
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    await service.close()
    throw new CliError(ExitCode.INPUT, `--port ${port}: cannot be listened on: ${(error as Error).message}`)
  }
  return server
}
