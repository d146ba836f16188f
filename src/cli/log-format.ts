import { NdjsonLog } from '../log/ndjson'
import { CombinedLog, type CombinedLogOptions, isCombined } from './combined'
import { CsvLog, fieldsOf } from './csv'
import { type CsvColumnsOptions, TIME_UNITS } from './csv-columns'
import type { LogLines, LogSink } from './log-lines'
import { isMonitor, MonitorLog } from './monitor'
import { isStatementsHeader, StatementsLog, type StatementsLogOptions } from './statements'

export const LOG_FORMATS = ['csv', 'ndjson', 'monitor', 'combined', 'statements'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

export interface LogFormatOptions extends CsvColumnsOptions {
  /** Default: what the log's beginning looks like. */
  format?: LogFormat
  /** A later timestamp is refused. */
  latest?: number
  /** Of a combined log, or of statements: what is the key, and the kind of user. */
  key?: CombinedLogOptions['key'] | StatementsLogOptions['key']
  user?: CombinedLogOptions['user']
  /** Of MONITOR: the only database that counts. */
  database?: number
}

/** The format of a log that begins with this line; undefined where it may yet be any. */
export function formatOf(line: string, { columns }: LogFormatOptions = {}): LogFormat | undefined {
  if (line.trim() === '') return undefined
  if (/^\s*[{[]/.test(line)) return 'ndjson'
  // A CSV log of its own making is told by --columns, whatever it looks like.
  if (columns && columns.size > 0 && !isStatementsHeader(line)) return 'csv'
  if (/^\+?OK$/.test(line)) return 'monitor'
  if (isMonitor(line)) return 'monitor'
  if (isCombined(line)) return 'combined'
  if (isStatementsHeader(line) && !hasOwnNames(line)) return 'statements'
  return 'csv'
}

/** A reader of lines for a log that begins with `first`, which is told to it already if it is more than a header. */
export function linesOf(
  format: LogFormat,
  first: string,
  line: number,
  sink: LogSink,
  options: LogFormatOptions,
): LogLines {
  const { key, user, time = 'ms', columns, database } = options
  if (format === 'csv') return new CsvLog(first, line, sink, options)
  if (format === 'statements')
    return new StatementsLog(first, sink, {
      key: key as StatementsLogOptions['key'],
      time,
      timestamp: columns?.get('timestamp'),
    })
  const log =
    format === 'ndjson'
      ? new NdjsonLog(sink, TIME_UNITS[time])
      : format === 'monitor'
        ? new MonitorLog(sink, database)
        : new CombinedLog(sink, { key: key as CombinedLogOptions['key'], user })
  log.line(first, line)
  return log
}

function hasOwnNames(header: string): boolean {
  const names = fieldsOf(header) ?? []
  return ['timestamp', 'key', 'operation'].every((name) => names.includes(name))
}
