import { COMMANDS, type CommandRow, REASONS } from './command-table'

/** What becomes of a command, in words. */
function outcomeOf({ name, how, keys, reason }: CommandRow): string {
  const several = keys.length > 1 || keys.some(({ find }) => find !== undefined)
  switch (how) {
    case 'tag':
      return several ? 'on the shard of its keys; they have one tag' : 'on the shard of its key'
    case 'split':
      return name === 'mset'
        ? 'a part for each tag; each is atomic, all together are not'
        : 'a part for each tag, put together'
    case 'block':
      return 'tried, and tried again until its time is over; keys of one tag'
    case 'script':
      return 'a function inside the fence; keys of one tag, at least one'
    case 'all':
      return 'over all shards'
    case 'client':
      return 'answered by the client'
    default:
      return `refused: ${REASONS[reason!]}`
  }
}

/** The table of docs/redis-commands.md, a section for each group. */
export function commandTable(): string {
  const lines: string[] = []
  let group = ''
  for (const row of COMMANDS.values()) {
    if (row.group !== group) {
      group = row.group
      if (lines.length > 0) lines.push('')
      lines.push(`### ${group}`, '', '| command | since | |', '|---|---|---|')
    }
    lines.push(`| \`${row.name.toUpperCase()}\` | ${row.since} | ${outcomeOf(row)} |`)
  }
  return lines.join('\n')
}
