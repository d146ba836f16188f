import type { Names } from '../names'
import { NOW, sqlFunction } from './function'

const FENCE_COLUMNS = `bucket double precision, tag text, bucket_ticket double precision, stamp double precision,
  exporting text, at double precision, state text, epoch double precision, ticket double precision, seq double precision,
  peer text, export double precision, hold_until double precision, held text, trace text, base double precision,
  loading text, kept text, next_batch double precision, intact text, carved text`

const fenceOf = (
  t: Names,
) => `f.state, f.epoch::double precision, f.ticket::double precision, f.seq::double precision,
    f.peer, f.export::double precision, f.hold_until, f.held::text, f.trace::text, f.base::double precision,
    f.loading::text, f.kept::text, f.next_batch::double precision, f.intact::text,
    case when f.carvings > 0 then (select string_agg(encode(k.tag, 'hex'), ',') from ${t.of('carved')} k
      where k.bucket = f.bucket) end`

/** Fences by name, in the order of the names; a state of null where there is none. */
const fences = (t: Names) =>
  sqlFunction(
    t,
    'fences_1',
    'p_bucket text, p_segment text, p_now double precision',
    `table (${FENCE_COLUMNS})`,
    `
begin
  return query
  select c.bucket::double precision, encode(c.segment, 'hex'), coalesce(b.ticket, 0)::double precision,
    coalesce(b.stamp, 0)::double precision, encode(b.exporting, 'hex'), ${NOW}, ${fenceOf(t)}
  from unnest(p_bucket::integer[], p_segment::bytea[]) with ordinality as c(bucket, segment, i)
  left join ${t.of('bucket')} b on b.bucket = c.bucket
  left join ${t.of('fence')} f on f.bucket = c.bucket and f.tag = c.segment
  order by c.i;
end`,
  )

/** All fences of buckets from p_first to p_last, and a row without a state for a bucket that has none. */
const buckets = (t: Names) =>
  sqlFunction(
    t,
    'buckets_1',
    'p_first integer, p_last integer, p_now double precision',
    `table (${FENCE_COLUMNS})`,
    `
begin
  return query
  select b.bucket::double precision, encode(f.tag, 'hex'), b.ticket::double precision, b.stamp::double precision,
    encode(b.exporting, 'hex'), ${NOW}, ${fenceOf(t)}
  from ${t.of('bucket')} b left join ${t.of('fence')} f on f.bucket = b.bucket
  where b.bucket between p_first and p_last
  order by b.bucket, f.tag;
end`,
  )

/**
 * Takes what a step was decided to change, if the bucket is as it was when that was decided. p_change is
 * { ticket?, exporting? (hex or null), clear: [hex], records: [{ tag: hex, was: seq, …, carved?: [hex], of the bucket }] }.
 * A seq that the step does not change stays what it is by now; where p_exact the step rests on it, and on no other.
 * Answers null where the bucket has changed, else the seq of p_segment.
 */
const apply = (t: Names) =>
  sqlFunction(
    t,
    'apply_1',
    'p_bucket integer, p_stamp bigint, p_segment text, p_exact boolean, p_change text',
    'double precision',
    `
declare
  v_change jsonb := p_change::jsonb;
  v_stamp bigint;
  v_clear bytea[] := array(select decode(j, 'hex') from jsonb_array_elements_text(v_change -> 'clear') j);
  v_record record;
begin
  if p_stamp = 0 then
    insert into ${t.of('bucket')} (bucket) values (p_bucket) on conflict do nothing;
  end if;
  select stamp into v_stamp from ${t.of('bucket')} where bucket = p_bucket for update;
  if v_stamp is distinct from p_stamp then return null; end if;
  perform 1 from ${t.of('fence')} f where f.bucket = p_bucket
    and (f.tag = any(v_clear) or f.tag = any(array(
      select decode(r ->> 'tag', 'hex') from jsonb_array_elements(v_change -> 'records') r)))
    order by f.tag for no key update;
  if p_exact and exists (
    select from jsonb_to_recordset(v_change -> 'records') as r(tag text, was bigint)
    left join ${t.of('fence')} f on f.bucket = p_bucket and f.tag = decode(r.tag, 'hex')
    where coalesce(f.seq, 0) <> r.was) then return null; end if;

  update ${t.of('bucket')} set stamp = stamp + 1,
    ticket = coalesce((v_change ->> 'ticket')::bigint, ticket),
    exporting = case when v_change ? 'exporting' then decode(v_change ->> 'exporting', 'hex') else exporting end
    where bucket = p_bucket;
  insert into ${t.of('fence')} (bucket, tag, state, epoch, ticket, seq, peer, export, hold_until, held, trace, base,
    loading, kept, next_batch, intact)
  select p_bucket, decode(r.tag, 'hex'), r.state, r.epoch, r.ticket,
    case when r.seq = r.was then coalesce(f.seq, r.seq) else r.seq end, r.peer, r.export, r."holdUntil", r.held, r.trace,
    r.base, r.loading, r.kept, r."nextBatch", r.intact
  from jsonb_to_recordset(v_change -> 'records') as r(tag text, was bigint, state text, epoch bigint, ticket bigint,
    seq bigint, peer text, export bigint, "holdUntil" double precision, held boolean, trace boolean, base bigint,
    loading boolean, kept boolean, "nextBatch" bigint, intact boolean)
  left join ${t.of('fence')} f on f.bucket = p_bucket and f.tag = decode(r.tag, 'hex')
  on conflict (bucket, tag) do update set state = excluded.state, epoch = excluded.epoch, ticket = excluded.ticket,
    seq = excluded.seq, peer = excluded.peer, export = excluded.export, hold_until = excluded.hold_until,
    held = excluded.held, trace = excluded.trace, base = excluded.base, loading = excluded.loading,
    kept = excluded.kept, next_batch = excluded.next_batch, intact = excluded.intact;

  for v_record in
    select decode(r ->> 'tag', 'hex') as tag,
      array(select decode(j, 'hex') from jsonb_array_elements_text(r -> 'carved') j) as carved
    from jsonb_array_elements(v_change -> 'records') r where r ? 'carved'
  loop
    delete from ${t.of('carved')} where bucket = p_bucket and not tag = any(v_record.carved);
    insert into ${t.of('carved')} (bucket, tag) select p_bucket, unnest(v_record.carved) on conflict do nothing;
    update ${t.of('fence')} set carvings = cardinality(v_record.carved) where bucket = p_bucket and tag = v_record.tag;
  end loop;

  -- An emptied log is another one from here on: what it held is deleted later.
  insert into ${t.of('litter')} (log) select f.log from ${t.of('fence')} f
    where f.bucket = p_bucket and f.tag = any(v_clear)
    and exists (select from ${t.of('change')} c where c.log = f.log) on conflict do nothing;
  update ${t.of('fence')} set log = nextval('${t.of('log')}') where bucket = p_bucket and tag = any(v_clear);
  return coalesce((select f.seq from ${t.of('fence')} f
    where f.bucket = p_bucket and f.tag = decode(p_segment, 'hex')), 0);
end`,
  )

/** The step 'found' on many buckets: those with a history are left alone. */
const found = (t: Names) =>
  sqlFunction(
    t,
    'found_1',
    'p_bucket text',
    'double precision',
    `
declare v_bucket integer[] := p_bucket::integer[];
begin
  insert into ${t.of('bucket')} (bucket) select b from unnest(v_bucket) b order by b on conflict do nothing;
  perform 1 from ${t.of('bucket')} where bucket = any(v_bucket) order by bucket for update;
  with founded as (
    insert into ${t.of('fence')} (bucket, tag, state, epoch)
    select bucket, ''::bytea, 'owned', 1 from ${t.of('bucket')} where bucket = any(v_bucket) and ticket = 0
    on conflict do nothing returning bucket
  )
  update ${t.of('bucket')} b set stamp = stamp + 1 from founded f where b.bucket = f.bucket;
  return 1;
end`,
  )

/** Fences, and the steps on them. */
export const stepFunctions = (t: Names): string => fences(t) + buckets(t) + apply(t) + found(t)
