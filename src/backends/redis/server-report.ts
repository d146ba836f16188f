import { ErrorCode, ForeshardError } from '../../errors'
import type { RedisConnection } from './connection'

/** What a server says of itself, as far as it matters to a shard. */
export interface ServerReport {
  /** Another one after every restart. */
  readonly runId: string
  readonly version: string
  readonly cluster: boolean
  /** The policy by which the server throws keys away when its memory is full; '' where it never does. */
  readonly evicts: string
}

export async function reportOf(connection: RedisConnection): Promise<ServerReport> {
  const text = String(await connection.send(['INFO']))
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const policy = fields.get('maxmemory_policy') ?? 'noeviction'
  return {
    runId: fields.get('run_id') ?? '',
    version: fields.get('redis_version') ?? '',
    cluster: fields.get('cluster_enabled') === '1',
    evicts: policy === 'noeviction' || fields.get('maxmemory') === '0' ? '' : policy,
  }
}

/** @throws NOT_SUPPORTED where a shard cannot be kept: too old, a part of a cluster, or one that throws keys away. */
export function checkServer(report: ServerReport, cache: boolean): void {
  const [major = 0, minor = 0] = report.version.split('.').map(Number)
  if (major < 6 || (major === 6 && minor < 2))
    throw unsupported(`this is Redis ${report.version}; SET PXAT needs 6.2 or Valkey`)
  if (report.cluster)
    throw unsupported(
      'this server is part of a Redis Cluster, which moves keys by itself; a shard is a server of its own',
    )
  if (report.evicts !== '' && !cache)
    throw unsupported(
      `maxmemory-policy is ${report.evicts}, by which acknowledged writes and fences may be thrown away; ` +
        'set it to noeviction, or pass cache: true where the data may be lost',
    )
}

function unsupported(message: string): ForeshardError {
  return new ForeshardError(ErrorCode.NOT_SUPPORTED, message, { field: 'client' })
}
