import { ForeshardError } from '../errors'
import { KnownTopology } from '../migrator/known-topology'
import { Migrator } from '../migrator/migrator'
import type { LatencyProbe } from '../migrator/pace'
import type { ShardId } from '../placement/segment'
import type { TopologyStore } from '../topology-store'
import { LatencyWatch } from '../tracking/latency-watch'
import { Tracker } from '../tracking/tracker'
import { Dispatcher } from './dispatcher'
import type { EntryListingOptions } from './entry-listing'
import type { RouterEmitter } from './events'
import type { NameTransaction } from './many'
import { Membership } from './membership'
import { Observers } from './observers'
import { Operations } from './operations'
import type { CheckedOptions } from './options'
import { OwnerSearch } from './owner-search'
import { Readmission } from './readmission'
import { Reshardings } from './resharding'
import { ShardSet } from './shard-set'
import { type Opened, TopologyFeed } from './topology-feed'
import { View } from './view'

/** What a router is made of, put together but not yet started. */
export interface Parts {
  readonly view: View
  readonly shards: ShardSet
  readonly feed: TopologyFeed
  readonly search: OwnerSearch
  readonly dispatcher: Dispatcher
  readonly tracker: Tracker
  readonly observers: Observers
  readonly operations: Operations
  readonly listing: EntryListingOptions
  readonly migrator: Migrator | undefined
  readonly reshardings: Reshardings
  readonly membership: Membership
  readonly readmission: Readmission
  readonly events: RouterEmitter
  readonly nameTransaction: NameTransaction
}

/** Of a listing: buckets read ahead, and the size of a page. */
const SCAN_CONCURRENCY = 8
const PAGE_KEYS = 256
const PAGE_BYTES = 1 << 20

let routers = 0

/** `signal` is aborted when the router closes. */
export function assemble(
  options: CheckedOptions,
  opened: Opened,
  events: RouterEmitter,
  signal: AbortSignal,
): Parts {
  const { topology } = opened
  const { clock, random, tries, codec, confidenceThreshold: threshold } = options
  // Two routers of a process differ also where they were given the same random numbers.
  const name = `${(++routers).toString(36)}-${Math.floor(random() * 2 ** 48).toString(36)}`
  const background = (error: unknown) => {
    if (!signal.aborted) events.emit('error', error)
  }

  const known = new KnownTopology(opened.store, topology)
  const view = new View({ ...topology, assignments: known.table }, options.tagOf, known.table.shards)
  const shards = new ShardSet(view, options)
  for (const [id, store] of options.stores) shards.add(id, store, opened.incarnations.get(id)!)
  const feed = new TopologyFeed(opened.store, known, view, {
    onChange: (revision) => events.emit('topology', { revision }),
    onError: background,
  })
  const search = new OwnerSearch(view, shards, feed, background)
  const dispatcher = new Dispatcher({ name, view, shards, search, events, clock, random, tries, signal })

  const tracker = new Tracker(topology.buckets, options.tracking)
  view.onFold = (tag, bucketId) => tracker.fold(tag, bucketId)
  const observers = new Observers((error) => events.failed('observe', error))
  const latency = new LatencyWatch()
  if (options.migrator !== false && options.migrator.pace)
    dispatcher.onAnswered = (ms) => latency.add(ms, clock.now())
  const operations = new Operations({ dispatcher, shards, tracker, observers, codec, clock, random, signal })
  const listing = {
    view,
    shards,
    search,
    tries,
    pause: (attempt: number) => dispatcher.pause(attempt),
    pageKeys: PAGE_KEYS,
    pageBytes: PAGE_BYTES,
    concurrency: SCAN_CONCURRENCY,
  }

  const incarnations = () => readmission.incarnations()
  const probe = { recent: () => latency.recent(clock.now()), take: () => latency.take() }
  const migrator = migratorOf(options, opened.store, known, view, shards, incarnations, probe, name)
  migrator?.on('pace', (reading) => events.emit('pace', reading))
  migrator?.on('progress', (progress) => events.emit('progress', progress))
  migrator?.on('rescue', (report) => events.emit('rescued', report))
  migrator?.on('error', background)
  migrator?.on('conflict', ({ code, message }) => background(new ForeshardError(code, message)))
  const reshardings = new Reshardings({ view, feed, migrator, threshold, events })
  const readmission = new Readmission({
    topology: { id: topology.id, buckets: topology.buckets },
    view,
    shards,
    feed,
    rescuer: migrator,
    clock,
    random,
    signal,
    onError: background,
  })
  const membership = new Membership(topology.id, { view, shards, feed, clock, reshardings, readmission })

  let transactions = 0
  const nameTransaction = () => `${name}-${++transactions}`
  return {
    view,
    shards,
    feed,
    search,
    dispatcher,
    tracker,
    observers,
    operations,
    listing,
    migrator,
    reshardings,
    membership,
    readmission,
    events,
    nameTransaction,
  }
}

function migratorOf(
  { migrator, clock, random }: CheckedOptions,
  topology: TopologyStore,
  known: KnownTopology,
  view: View,
  shards: ShardSet,
  incarnations: () => Promise<ReadonlyMap<ShardId, string>>,
  latency: LatencyProbe,
  name: string,
): Migrator | undefined {
  if (migrator === false) return undefined
  return new Migrator({
    ...migrator,
    holder: migrator.holder ?? `router-${name}`,
    topology,
    known,
    store: (shard) => shards.store(shard),
    refusal: (shard) => shards.refusal(shard),
    incarnations,
    latency,
    onMismatch: (shard) => shards.onMismatch(shard),
    bucketOf: (segment) => view.bucketOf(segment),
    clock,
    random,
  })
}
