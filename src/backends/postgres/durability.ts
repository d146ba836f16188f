import { ErrorCode, ForeshardError } from '../../errors'
import { type PostgresConnection, Statement } from './connection'

const SETTINGS = new Statement("select current_setting('fsync'), current_setting('synchronous_commit')")

/** @throws NOT_SUPPORTED where the server says that a crash may take what it acknowledged. */
export async function checkDurable(connection: PostgresConnection, timeoutMs: number): Promise<void> {
  const [fsync, commit] = (await connection.run(SETTINGS, [], timeoutMs))[0]!
  if (fsync !== 'off' && commit !== 'off') return
  throw new ForeshardError(
    ErrorCode.NOT_SUPPORTED,
    `${fsync === 'off' ? 'fsync' : 'synchronous_commit'} is off, by which acknowledged writes may be lost in a crash; ` +
      'turn it on for this role, or pass durable: false where they may be',
    { field: 'options.durable' },
  )
}
