import type { Names } from '../names'
import { NOW, sqlFunction } from './function'

const ENTRY_COLUMNS = `seq double precision, bound double precision, key text, tag text, version double precision,
  expires double precision, value text, more text`

/** In whose name a segment may be read, of fence f. */
const READABLE = `case p_role
    when 'owner' then f.state = 'owned' and f.epoch = p_number
    when 'source' then f.state = 'owned' and p_number <> 0 and f.export = p_number
    else f.state = 'importing' and f.ticket = p_number end`

/**
 * A page of a segment's entries in the order of tag and key, all of one moment; no row where that name may not read, one
 * without a key where the page is empty. Entries that were created after the scan began are passed over, or it might
 * never end: p_bound is the highest seq of the bucket's fences when it began, and no entry was created by a later write.
 */
const scan = (t: Names) =>
  sqlFunction(
    t,
    'scan_1',
    'p_bucket integer, p_segment text, p_role text, p_number bigint, p_limit integer, p_bytes double precision, ' +
      'p_bound double precision, p_tag text, p_key text, p_now double precision',
    `table (${ENTRY_COLUMNS})`,
    `
declare
  v_segment bytea := decode(p_segment, 'hex');
  -- No tag is above its UTF-8 followed by nothing, and none holds the byte ff.
  v_last bytea := case when p_segment = '' then '\\xff'::bytea else v_segment end;
  v_tag bytea := case when p_tag is null then v_segment else decode(p_tag, 'hex') end;
  v_key bytea := coalesce(decode(p_key, 'hex'), ''::bytea);
  v_now double precision := ${NOW};
begin
  return query
  select f.seq::double precision, o.bound, encode(p.key, 'hex'), encode(p.tag, 'hex'), p.version::double precision,
    p.expires, encode(p.value, 'hex'), (p.n < p.total)::text
  from ${t.of('fence')} f
  cross join lateral (select coalesce(p_bound,
    (select max(o.seq) from ${t.of('fence')} o where o.bucket = f.bucket)::double precision) as bound) o
  left join lateral (
    select * from (
      select q.*, row_number() over w as n, count(*) over () as total,
        coalesce(sum(octet_length(q.value)) over (w rows between unbounded preceding and 1 preceding), 0) as before
      from (
        select e.tag, e.key, e.value, e.version, e.expires from ${t.of('entry')} e
        where e.bucket = f.bucket and (e.tag, e.key) > (v_tag, v_key) and e.tag <= v_last
          and (e.expires = 0 or e.expires > v_now) and e.born <= o.bound
          and (f.carvings = 0 or not exists (
            select from ${t.of('carved')} k where k.bucket = e.bucket and k.tag = e.tag))
        order by e.tag, e.key limit p_limit + 1
      ) q window w as (order by q.tag, q.key)
    ) q where q.n <= p_limit and q.before < p_bytes
  ) p on true
  where f.bucket = p_bucket and f.tag = v_segment and ${READABLE}
  order by p.n;
end`,
  )

/** The entries of these keys, those that are there and belong to the segment; rows as above. */
const named = (t: Names) =>
  sqlFunction(
    t,
    'named_1',
    'p_bucket integer, p_segment text, p_role text, p_number bigint, p_key text, p_tag text, p_now double precision',
    `table (${ENTRY_COLUMNS})`,
    `
declare
  v_segment bytea := decode(p_segment, 'hex');
  v_now double precision := ${NOW};
begin
  return query
  select f.seq::double precision, null::double precision, encode(p.key, 'hex'), encode(p.tag, 'hex'),
    p.version::double precision, p.expires, encode(p.value, 'hex'), null::text
  from ${t.of('fence')} f
  left join lateral (
    select e.* from unnest(p_key::bytea[], p_tag::bytea[]) with ordinality as c(key, tag, i)
    join ${t.of('entry')} e on e.bucket = f.bucket and e.tag = c.tag and e.key = c.key
    where (e.expires = 0 or e.expires > v_now) and (p_segment = '' or e.tag = v_segment)
      and (f.carvings = 0 or not exists (
        select from ${t.of('carved')} k where k.bucket = e.bucket and k.tag = e.tag))
    order by c.i
  ) p on true
  where f.bucket = p_bucket and f.tag = v_segment and ${READABLE};
end`,
  )

/** The oldest changes of an export after a seq, each with its entry as it is; no row where the ticket exports nothing. */
const changes = (t: Names) =>
  sqlFunction(
    t,
    'changes_1',
    'p_bucket integer, p_segment text, p_ticket bigint, p_after bigint, p_limit integer, p_bytes double precision, ' +
      'p_now double precision',
    `table (at double precision, ${ENTRY_COLUMNS})`,
    `
declare v_now double precision := ${NOW};
begin
  return query
  select p.at::double precision, f.seq::double precision, null::double precision, encode(p.key, 'hex'),
    encode(p.tag, 'hex'), p.version::double precision, p.expires, encode(p.value, 'hex'), null::text
  from ${t.of('fence')} f
  left join lateral (
    select * from (
      select q.*, coalesce(sum(octet_length(q.value)) over
        (order by q.at rows between unbounded preceding and 1 preceding), 0) as before
      from (
        select c.seq as at, c.tag, c.key, e.version, e.expires, e.value from ${t.of('change')} c
        left join ${t.of('entry')} e on e.bucket = f.bucket and e.tag = c.tag and e.key = c.key
          and (e.expires = 0 or e.expires > v_now)
        where c.log = f.log and c.seq > p_after order by c.seq limit p_limit
      ) q
    ) q where q.before < p_bytes
  ) p on true
  where f.bucket = p_bucket and f.tag = decode(p_segment, 'hex')
    and f.state = 'owned' and p_ticket <> 0 and f.export = p_ticket
  order by p.at;
end`,
  )

/** A batch of an import, no key twice, in the one step that counts it. A null value, or an expired one, deletes. */
const ingest = (t: Names) =>
  sqlFunction(
    t,
    'ingest_1',
    'p_bucket integer, p_stamp bigint, p_segment text, p_change text, p_key text, p_tag text, p_value text, p_version text, ' +
      'p_expires text, p_now double precision',
    'double precision',
    `
declare
  v_now double precision;
  v_seq double precision := ${t.of('apply_1')}(p_bucket, p_stamp, p_segment, false, p_change);
begin
  if v_seq is null then return null; end if;
  v_now := ${NOW};
  with arriving as (
    select c.*, c.value is null or (c.expires <> 0 and c.expires <= v_now) as removes
    from unnest(p_key::bytea[], p_tag::bytea[], p_value::bytea[], p_version::bigint[], p_expires::double precision[])
      as c(key, tag, value, version, expires)
  ), put as (
    insert into ${t.of('entry')} (bucket, tag, key, value, version, expires, born)
    select p_bucket, tag, key, value, version, expires, 0 from arriving where not removes
    on conflict (bucket, tag, key) do update set
      value = excluded.value, version = excluded.version, expires = excluded.expires
  )
  delete from ${t.of('entry')} e using arriving a
    where a.removes and e.bucket = p_bucket and e.tag = a.tag and e.key = a.key;
  return v_seq;
end`,
  )

/**
 * Deletes up to p_limit entries that a sweep or purge may delete: of a bucket those whose tag has no live record, of a
 * tag all, or none where p_spare. p_some is what the step changes, p_all what it changes when nothing is left.
 * Answers null where the bucket has changed, else how many were deleted, and whether none are left.
 */
const erase = (t: Names) =>
  sqlFunction(
    t,
    'erase_1',
    'p_bucket integer, p_stamp bigint, p_segment text, p_some text, p_all text, p_spare boolean, p_limit integer',
    'table (deleted double precision, done text)',
    `
declare
  v_segment bytea := decode(p_segment, 'hex');
  v_last bytea := case when p_segment = '' then '\\xff'::bytea else v_segment end;
  v_stamp bigint;
  v_doomed bigint := 0;
  v_deleted bigint := 0;
begin
  -- The lock that every step takes first; the entries are no client's, as the decision says.
  select stamp into v_stamp from ${t.of('bucket')} where bucket = p_bucket for update;
  if coalesce(v_stamp, 0) <> p_stamp then
    return query select null::double precision, null::text;
    return;
  end if;
  if not p_spare then
    with doomed as materialized (
      select e.tag, e.key from ${t.of('entry')} e
      where e.bucket = p_bucket and e.tag >= v_segment and e.tag <= v_last
        and (p_segment <> '' or not exists (select from ${t.of('fence')} f
          where f.bucket = e.bucket and f.tag = e.tag and f.state <> 'none'))
      order by e.tag, e.key limit p_limit + 1
    ), gone as (
      delete from ${t.of('entry')} e using (select * from doomed limit p_limit) d
      where e.bucket = p_bucket and e.tag = d.tag and e.key = d.key returning 1
    )
    select (select count(*) from doomed), (select count(*) from gone) into v_doomed, v_deleted;
  end if;
  if ${t.of('apply_1')}(p_bucket, p_stamp, p_segment, false, case when v_doomed > p_limit then p_some else p_all end)
    is null then raise exception 'the bucket changed under its lock'; end if;
  return query select v_deleted::double precision, (v_doomed <= p_limit)::text;
end`,
  )

/** The data side of a handoff. */
export const copyFunctions = (t: Names): string => scan(t) + named(t) + changes(t) + ingest(t) + erase(t)
