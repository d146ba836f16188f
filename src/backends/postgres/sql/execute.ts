import type { Names } from '../names'
import { NOW, sqlFunction } from './function'

/**
 * Reads: fence and entry in one statement, and so of one moment.
 * Answers each call with: seq, null where it is refused; version and expiry, null where the key is absent; the value in
 * hex where it was wanted.
 */
const read = (t: Names) =>
  sqlFunction(
    t,
    'read_1',
    'p_bucket text, p_segment text, p_epoch text, p_key text, p_tag text, p_want text, p_now double precision',
    'table (seq double precision, version double precision, expires double precision, value text)',
    `
declare v_now double precision := ${NOW};
begin
  return query
  select case when j.served then f.seq::double precision end,
    case when j.served and j.live then e.version::double precision end,
    case when j.served and j.live then e.expires end,
    case when j.served and j.live and c.want = 1 then encode(e.value, 'hex') end
  from unnest(p_bucket::integer[], p_segment::bytea[], p_epoch::bigint[], p_key::bytea[], p_tag::bytea[],
    p_want::integer[]) with ordinality as c(bucket, segment, epoch, key, tag, want, i)
  left join ${t.of('fence')} f on f.bucket = c.bucket and f.tag = c.segment
  left join ${t.of('entry')} e on e.bucket = c.bucket and e.tag = c.tag and e.key = c.key
  cross join lateral (select
    f.state = 'owned' and f.epoch = c.epoch and (f.carvings = 0 or not exists (
      select from ${t.of('carved')} k where k.bucket = c.bucket and k.tag = c.tag)) as served,
    e.expires = 0 or e.expires > v_now as live) j
  order by c.i;
end`,
  )

/**
 * Writes, no key twice. First the fences are locked, in one order for everybody, so that no two batches wait for each
 * other in a circle. Only the next statement, which sees all that was committed until then, reads what is decided upon:
 * a statement that waits for a lock goes on with what it saw before it waited, and would write behind a cutover.
 * A null value deletes; a null condition is none.
 * Answers each call with: verdict 'y' applied, 'n' not applied, 'h' held, 'e' elsewhere; seq and version after it.
 */
const write = (t: Names) =>
  sqlFunction(
    t,
    'write_1',
    'p_bucket text, p_segment text, p_epoch text, p_key text, p_tag text, p_value text, p_expires text, p_condition text, ' +
      'p_now double precision',
    'table (verdict text, seq double precision, version double precision)',
    `
declare
  v_bucket integer[] := p_bucket::integer[];
  v_segment bytea[] := p_segment::bytea[];
  v_locked bigint[];
  v_all boolean;
  v_now double precision;
begin
  select array_agg(l.i) into v_locked from (
    select c.i from unnest(v_bucket, v_segment) with ordinality as c(bucket, segment, i)
    join ${t.of('fence')} f on f.bucket = c.bucket and f.tag = c.segment
    order by f.bucket, f.tag for no key update of f) l;
  v_all := coalesce(cardinality(v_locked), 0) = cardinality(v_bucket);
  -- A fence that came into being since then is not locked: its segment is not served yet.
  v_now := ${NOW};
  return query
  with called as (
    select c.*, f.state, f.epoch as current, f.seq, f.export, f.hold_until, f.trace, f.carvings, f.log,
      case when e.expires = 0 or e.expires > v_now then e.version else 0 end as found, e.version is not null as there,
      c.value is null or (c.expires <> 0 and c.expires <= v_now) as removes
    from unnest(v_bucket, v_segment, p_epoch::bigint[], p_key::bytea[], p_tag::bytea[], p_value::bytea[],
      p_expires::double precision[], p_condition::bigint[])
      with ordinality as c(bucket, segment, epoch, key, tag, value, expires, condition, i)
    left join ${t.of('fence')} f on f.bucket = c.bucket and f.tag = c.segment and (v_all or c.i = any(v_locked))
    left join ${t.of('entry')} e on e.bucket = c.bucket and e.tag = c.tag and e.key = c.key
  ), judged as (
    select *, case
      when state is distinct from 'owned' or current <> epoch or (carvings > 0 and exists (
        select from ${t.of('carved')} k where k.bucket = called.bucket and k.tag = called.tag)) then 'e'
      when export <> 0 and v_now < hold_until then 'h'
      when condition <> found or (value is null and found = 0) then 'n'
      else 'y' end as verdict
    from called
  ), numbered as (
    select *, seq + count(*) filter (where verdict = 'y') over (partition by bucket, segment order by i) as at
    from judged
  ), counted as (
    update ${t.of('fence')} f set seq = n.at
    from (select bucket, segment, max(at) as at from numbered where verdict = 'y' group by bucket, segment) n
    where f.bucket = n.bucket and f.tag = n.segment
  ), put as (
    insert into ${t.of('entry')} (bucket, tag, key, value, version, expires, born)
    select bucket, tag, key, value, at, expires, at from numbered where verdict = 'y' and not removes
    on conflict (bucket, tag, key) do update set
      value = excluded.value, version = excluded.version, expires = excluded.expires
  ), removed as (
    delete from ${t.of('entry')} e using numbered n
    where n.verdict = 'y' and n.removes and n.there and e.bucket = n.bucket and e.tag = n.tag and e.key = n.key
  ), logged as (
    insert into ${t.of('change')} (log, tag, key, seq)
    select log, tag, key, at from numbered where verdict = 'y' and (export <> 0 or trace)
    on conflict (log, tag, key) do update set seq = excluded.seq
  )
  select verdict, at::double precision,
    case when verdict = 'n' then found when removes then 0 else at end::double precision
  from numbered order by i;
end`,
  )

/** Deletes some of what has expired, and of logs that were emptied; waits for nobody. */
const reap = (t: Names) =>
  sqlFunction(
    t,
    'reap_1',
    'p_limit integer, p_now double precision',
    'table (done double precision)',
    `
declare v_now double precision := ${NOW};
begin
  delete from ${t.of('entry')} where ctid = any(array(
    select ctid from ${t.of('entry')} where expires > 0 and expires <= v_now
    limit p_limit for update skip locked));
  delete from ${t.of('change')} where ctid = any(array(
    select c.ctid from ${t.of('litter')} l join ${t.of('change')} c on c.log = l.log
    limit p_limit for update of c skip locked));
  delete from ${t.of('litter')} l where l.log = any(array(
    select l.log from ${t.of('litter')} l
    where not exists (select from ${t.of('change')} c where c.log = l.log) limit p_limit for update skip locked));
  return query select 1::double precision;
end`,
  )

/** The client operations. */
export const executeFunctions = (t: Names): string => read(t) + write(t) + reap(t)
