import type { StoreName } from '../simulate/stores'

/**
 * Deliberate faults, each a patch of the source that is built into a bundle of its own: nothing in the source knows of
 * them. A simulation has to notice every one of them within MOST_SEEDS.
 */
export interface Mutant {
  readonly name: string
  /** What goes wrong, as the protocol calls it. */
  readonly breaks: string
  readonly file: string
  /** Occurs in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** Where it is; memory if left out. */
  readonly store?: StoreName
}

export const MOST_SEEDS = 200

const FENCE = 'src/placement/fence.ts'
const TABLE = 'src/placement/fence-table.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'fence ignored',
    breaks: 'whoever has a record of the segment serves it',
    file: FENCE,
    find: "    record.state === 'owned' &&\n    record.epoch === epoch &&\n",
    replace: "    record.state !== 'none' &&\n",
  },
  {
    name: 'epoch not compared',
    breaks: 'an owner serves clients that believe in another epoch',
    file: FENCE,
    find: '    record.epoch === epoch &&\n',
    replace: '',
  },
  {
    name: 'state not compared',
    breaks: 'a shard that imports or gave away serves at the right epoch',
    file: FENCE,
    find: "    record.state === 'owned' &&\n    record.epoch",
    replace: '    record.epoch',
  },
  {
    name: 'hold without deadline',
    breaks: 'a hold lasts until the export ends',
    file: FENCE,
    find: 'return record.export !== 0 && now < record.holdUntil',
    replace: 'return record.export !== 0 && record.holdUntil !== 0',
  },
  {
    name: 'trace not logged',
    breaks: 'changes are logged during an export only, and a rollback misses what was written before it',
    file: FENCE,
    find: 'return record.export !== 0 || record.trace',
    replace: 'return record.export !== 0',
  },
  {
    name: 'purge without guard',
    breaks: 'a sweep or purge of a bucket deletes what tags of it govern',
    file: FENCE,
    find: 'if (!isTagSegment(segment)) return fences.record(',
    replace: 'if (!isTagSegment(segment)) return fences.ticket < 0 && fences.record(',
  },
  {
    name: 'purge of a tag without guard',
    breaks: 'a sweep or purge of a tag deletes what its bucket governs again',
    file: FENCE,
    find: "return (bucket.state === 'owned' || bucket.state === 'importing') && !bucket.carved.has(tag)",
    replace: 'return bucket.carved.size < 0',
  },
  {
    name: 'sequence check skipped',
    breaks: 'the cutover commits although the copy is behind',
    file: TABLE,
    find: 'r.export === c.ticket && r.seq === c.seq,',
    replace: 'r.export === c.ticket,',
  },
  {
    name: 'change log cleared twice',
    breaks: 'an export that is repeated empties the log again',
    file: TABLE,
    find: 'f.ticket === c.ticket && r.export === c.ticket,\n    change: () => UNCHANGED,',
    replace:
      'f.ticket === c.ticket && r.export === c.ticket,\n    change: (_c, _r, _f, s) => ({ records: [], clearLogs: [s] }),',
  },
  {
    name: 'traced log cleared',
    breaks: 'an export empties a log that a trace needs',
    file: TABLE,
    find: 'exporting: s,\n        clearLogs: r.trace ? ended.clearLogs : [...ended.clearLogs, s],',
    replace: 'exporting: s,\n        clearLogs: [...ended.clearLogs, s],',
  },
  {
    name: 'batch number not compared',
    breaks: 'a late duplicate of a batch undoes a newer one',
    file: TABLE,
    find: 'importsFor(c, r, f) && r.nextBatch === c.batch,',
    replace: 'importsFor(c, r, f),',
  },
  {
    name: 'abort forgets its ticket',
    breaks: 'a request of the aborted attempt that comes later is granted',
    file: TABLE,
    find: '[s, { ...r, ...NOT_EXPORTED, ticket: c.ticket }]],\n        ticket: c.ticket,',
    replace: '[s, { ...r, ...NOT_EXPORTED }]],',
  },
  {
    name: 'purged data kept',
    breaks: 'a copy counts as complete after its purge has begun',
    file: TABLE,
    find: 'r.intact ? { ...r, intact: false } : r, r)]',
    replace: 'r, r)]',
  },
  {
    name: 'sweep left out',
    breaks: 'what lies at the target from earlier counts as copied',
    file: TABLE,
    find: '      loading: kept,\n      kept,',
    replace: '      loading: true,\n      kept,',
  },
  {
    name: 'TTL made relative',
    breaks: 'a time to live is counted anew where a copy arrives',
    file: 'src/backends/ledger-store.ts',
    find: 'bucket.put(key, tag, entry.value!, entry.version, entry.expiresAt)',
    replace: 'bucket.put(key, tag, entry.value!, entry.version, entry.expiresAt && entry.expiresAt + 5)',
  },
  {
    name: 'delete missed in catch-up',
    breaks: 'a key that was deleted while its segment moved returns',
    file: 'src/migrator/copy.ts',
    find: 'await this.put(changes, { unthrottled })',
    replace: 'await this.put(changes.filter(({ entry }) => entry), { unthrottled })',
  },
  {
    name: 'catch-up of one page',
    breaks: 'the copy counts as being where the source is, although more has changed',
    file: 'src/migrator/copy.ts',
    find: 'this.#seq = changes.at(-1)?.seq ?? seq',
    replace: 'this.#seq = seq',
  },
  {
    name: 'digest ignored',
    breaks: 'a damaged copy passes for a good one',
    file: 'src/migrator/verify.ts',
    find: 'if (ours && theirs) return ours.digest === theirs.digest',
    replace: 'if (ours && theirs) return true',
  },
  {
    name: 'carved tags not handed on',
    breaks: 'a bucket arrives with tags inside that are segments of their own',
    file: 'src/migrator/handoff.ts',
    find: 'carved: [...exported.carved]',
    replace: 'carved: []',
  },
  {
    name: 'abort after commit',
    breaks: 'an abort goes by the topology, which lags behind: the target of a commit forgets what it holds',
    file: 'src/migrator/undo.ts',
    find: '  const owner = await settle(work, segment)\n',
    replace: `  const place = work.topology.assigned(segment)
  if (place && place.shard !== to) {
    const ticket = await work.gate.askTopology((topology) => topology.drawTicket())
    await clear(work, segment, to, ticket)
    return true
  }
  const owner = await settle(work, segment)
`,
  },
  {
    name: 'source not told of an abort',
    breaks: 'the target forgets what the source may yet commit',
    file: 'src/migrator/undo.ts',
    find: 'gate.ask(from, (store) => store.step(segmentAt(work, asked), command)),',
    replace: 'Promise.resolve({ ok: command.ticket > 0, record }),',
  },
  {
    name: 'discard forgets its ticket',
    breaks: 'a request to import that comes later is granted, and nobody knows of it',
    file: 'src/placement/fence-table.ts',
    find: "[[s, { ...r, ...NOT_IMPORTING, state: 'none', ticket: c.ticket }]],\n      ticket: c.ticket,",
    replace: "[[s, { ...r, ...NOT_IMPORTING, state: 'none' }]],",
  },
  {
    name: 'any retained data kept',
    breaks: 'a way back builds on a copy of another time',
    file: TABLE,
    find: '      r.epoch === c.epoch &&\n      c.base !== undefined &&\n      r.seq === c.base &&\n',
    replace: '      c.base !== undefined &&\n',
  },
  {
    name: 'old term accepted',
    breaks: 'a migrator that lost its lease changes the plan',
    file: 'src/backends/ledger-topology.ts',
    find: "if (!lease || lease.holder === '' || lease.term !== expect.term) return undefined",
    replace: 'if (!lease) return undefined',
  },
  {
    name: 'lease given twice',
    breaks: 'two migrators work at a time, under one term',
    file: 'src/backends/ledger-topology.ts',
    find: '      if (stands && lease.holder !== holder) return undefined\n',
    replace: '',
  },
  {
    name: 'late publication accepted',
    breaks: 'the topology goes back to an earlier owner',
    file: 'src/backends/ledger-topology.ts',
    find: '    if (stored && stored.epoch >= epoch) return false\n',
    replace: '',
  },
  {
    name: 'unknown outcome repeated',
    breaks: 'a write of which nobody knows whether it was applied is sent again',
    file: 'src/router/dispatcher.ts',
    find: 'const [answer] = await this.#shards.execute([call])',
    replace: 'const [answer] = await this.#shards.execute([call]).catch(() => this.#shards.execute([call]))',
  },
  {
    name: 'unknown outcome denied',
    breaks: 'a write whose connection broke is told to have had no effect',
    file: 'src/router/shard-set.ts',
    find: '  if (write)\n    return new ForeshardError(\n      ErrorCode.OUTCOME_UNKNOWN,',
    replace: '  if (write)\n    return new ForeshardError(\n      ErrorCode.SHARD_UNAVAILABLE,',
  },
  {
    name: 'proof ignored',
    breaks: 'routers wait for the migrator to activate what was committed',
    file: 'src/router/view.ts',
    find: 'if (proof?.epoch === epoch) return { shard, segment, bucketId, epoch, key, tag, operation, proof }',
    replace: '',
  },
  {
    name: 'epoch not compared in Redis',
    breaks: 'the script serves whoever comes to an owner',
    file: 'src/backends/redis/lua/execute.ts',
    find: "local refused = f[1] ~= epoch and 'elsewhere'",
    replace: "local refused = (not f[1] or f[1] == '') and 'elsewhere'",
    store: 'redis',
  },
]

/** The source with the fault in it. */
export function mutated({ name, file, find, replace }: Mutant, text: string): string {
  const parts = text.split(find)
  if (parts.length !== 2)
    throw new Error(`mutant '${name}': what it changes occurs ${parts.length - 1} times in ${file}, not once`)
  return parts.join(replace)
}
