import type { Names } from '../names'

/**
 * The tables of a shard.
 *
 * shard    one row: whose data this is
 * bucket   the highest ticket of a bucket, which of its segments is exported ('' itself, a tag, or null), and a number
 *          that every step on the bucket raises, so that a step decided elsewhere is taken only on what it was decided on
 * fence    the fence of each segment: tag '' is the bucket itself; `log` names its change log
 * carved   the tags carved out of a bucket, as its fence tells; `carvings` counts them
 * entry    key, value, the seq of its last write, its expiry in ms since the epoch (0 never), and the seq of the write
 *          that created it (0 where it was copied): a scan passes over what was created after it began
 * change   the last change of each key of a log; litter: logs that were emptied, their rows to be deleted bit by bit
 */
export const shardTables = (t: Names): string => `
create table ${t.of('shard')} (
  single boolean primary key default true check (single),
  id text not null, topology text not null, shard text not null, buckets integer not null);
create table ${t.of('bucket')} (
  bucket integer primary key, ticket bigint not null default 0, exporting bytea, stamp bigint not null default 0);
create sequence ${t.of('log')};
create table ${t.of('fence')} (
  bucket integer not null, tag bytea not null, state text not null,
  epoch bigint not null default 0, ticket bigint not null default 0, seq bigint not null default 0,
  peer text not null default '', export bigint not null default 0, hold_until double precision not null default 0,
  held boolean not null default false, trace boolean not null default false, base bigint not null default 0,
  loading boolean not null default false, kept boolean not null default false,
  next_batch bigint not null default 0, intact boolean not null default false, carvings integer not null default 0,
  log bigint not null default nextval('${t.of('log')}'),
  primary key (bucket, tag)) with (fillfactor = 50);
create table ${t.of('carved')} (bucket integer not null, tag bytea not null, primary key (bucket, tag));
create table ${t.of('entry')} (
  bucket integer not null, tag bytea not null, key bytea not null, value bytea not null,
  version bigint not null, expires double precision not null, born bigint not null,
  primary key (bucket, tag, key)) with (fillfactor = 90);
create index ${t.bare('expiry')} on ${t.of('entry')} (expires) where expires > 0;
create table ${t.of('change')} (
  log bigint not null, tag bytea not null, key bytea not null, seq bigint not null, primary key (log, tag, key));
create index ${t.bare('change_seq')} on ${t.of('change')} (log, seq);
create table ${t.of('litter')} (log bigint primary key);
create view ${t.of('readable')} as
  select bucket, encode(tag, 'escape') as tag, encode(key, 'escape') as key, encode(value, 'escape') as value, version,
    case when expires > 0 then to_timestamp(expires / 1000) end as expires
  from ${t.of('entry')};
`
