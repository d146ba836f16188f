/** One run of the model checker: a model of docs/protocol, and the macros it is compiled with. */
export interface Configuration {
  readonly model: 'handoff' | 'split'
  readonly macros: string
  /** What is in it. */
  readonly about: string
}

const handoff = (macros: string, about: string): Configuration => ({ model: 'handoff', macros, about })
const split = (macros: string, about: string): Configuration => ({ model: 'split', macros, about })

/** Clean and exhaustive, in about a minute and half a gigabyte. */
export const SMALL: readonly Configuration[] = [
  handoff('PRUNE NM=2 MAXT=2 W=1', 'two migrators at once'),
  handoff('PRUNE NM=1 MAXT=2 W=2', 'two writes'),
  handoff('PRUNE LOST NOLIVE NM=1 MAXT=2 W=1', 'a shard loses its last steps and is rescued'),
  split('PRUNE NM=1 MAXT=2 W=1', 'splits, merges and handoffs'),
  split('PRUNE RETAIN NM=1 MAXT=2 W=1', 'with retained data and ways back'),
  split('PRUNE RETAIN INIT4 NM=1 MAXT=2 W=1', 'a late purge of a tag that was merged, and a way back'),
]

/** Clean and exhaustive, in minutes to an hour each and up to seven gigabytes. */
export const FULL: readonly Configuration[] = [
  handoff('PRUNE NM=1 MAXT=3 W=1', 'three attempts, a write'),
  handoff('PRUNE NM=2 MAXT=3 W=1', 'two migrators, three attempts, a write'),
  handoff('PRUNE NK=2 NM=2 MAXT=2 W=1', 'two keys, two migrators'),
  handoff('PRUNE NM=3 MAXT=3 W=1', 'three migrators'),
  handoff('PRUNE NS=3 NM=1 MAXT=3 W=1', 'three shards'),
  handoff('PRUNE NM=1 MAXT=4 W=1', 'four attempts'),
  handoff('PRUNE LOST NOLIVE NM=1 MAXT=3 W=1', 'lost state, three attempts'),
  split('PRUNE NM=1 MAXT=3 W=1', 'splits, merges and handoffs, three attempts'),
  split('PRUNE NM=2 MAXT=3 W=1', 'the same by two migrators'),
  split('PRUNE RETAIN NM=1 MAXT=3 W=1', 'with retained data and ways back, three attempts'),
]

const two = 'NM=1 MAXT=2 W=1'

/**
 * A rule taken out, and where the checker finds it; without PRUNE, which forgets what the real guards refuse for ever,
 * where that is feasible. PURGEEPOCH and CUTEPOCH are redundant, alone found nowhere.
 */
export const FAULTS: Readonly<Record<string, Configuration>> = {
  ABORTB: handoff(`D_ABORTB ${two}`, 'the import is given up before the export'),
  PREPFIRST: handoff(`D_PREPFIRST ${two}`, 'B is prepared before A has exported'),
  REEXPORT: handoff(`D_REEXPORT ${two}`, 'a repeated export clears the log'),
  NOBATCH: handoff(`D_NOBATCH ${two}`, 'a late duplicate of a batch'),
  FORGET: handoff(`D_FORGET ${two}`, 'a ticket is forgotten on abort'),
  SAMETERM: handoff(`D_SAMETERM ${two}`, 'two attempts under one ticket'),
  NOTRACE: handoff(
    `D_NOTRACE D_NOBASESEQ ${two}`,
    'a log from the export on only, and retained data of any seq',
  ),
  NOINTACT: handoff(`D_NOINTACT ${two}`, 'data that was purged in part is a base'),
  PREPEPOCH: handoff(`D_PREPEPOCH ${two}`, 'a target that is stuck after a dead migrator'),
  NLATE: handoff(`D_NLATE ${two}`, 'n is taken after the copy'),
  LOGORDER: handoff('D_LOGORDER NK=2 NM=1 MAXT=1 W=2', 'changes are read out of order'),
  NODELLOG: handoff(`D_NODELLOG ${two}`, 'deletes are not logged'),
  HOLDCUT: handoff(`D_HOLDCUT ${two}`, 'the cutover does not compare seq'),
  CLEARTRACE: handoff(`D_CLEARTRACE ${two}`, 'an export clears a traced log'),
  NOSWEEP: handoff(`D_NOSWEEP ${two}`, 'leftovers stay'),
  PURGEANY: handoff(`D_PURGEANY ${two}`, 'a purge looks at no state'),
  CUTTICKET: handoff(`D_CUTTICKET ${two}`, 'the cutover does not compare tickets'),
  DISCARDANY: handoff(`D_DISCARDANY ${two}`, 'a discard does not compare tickets'),
  LOSTORDER: handoff(
    `D_LOSTORDER LOST NOLIVE ${two}`,
    'a shard that lost state is opened before the import is ended',
  ),
  SPLITEXPORT: split(`D_SPLITEXPORT ${two}`, 'a split leaves an export alive'),
  KEEPSTALEBUCKET: split(
    'D_KEEPSTALEBUCKET PRUNE NM=1 MAXT=3 W=1',
    'an import of the bucket stays when a tag comes',
  ),
  NOSPOIL: split(
    `D_NOSPOIL RETAIN INIT4 ${two}`,
    'keys of a tag go from a retained bucket that stays intact',
  ),
}

/** What the small check must find, besides being clean. */
export const FOUND_IN_SMALL = ['NOBATCH', 'ABORTB', 'NOSPOIL', 'LOSTORDER']
