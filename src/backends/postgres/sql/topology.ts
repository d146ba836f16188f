import type { Names } from '../names'
import { NOW, sqlFunction } from './function'

/**
 * The tables of a topology. Documents are JSON as text, as jsonb has no U+0000; names of segments and shards are UTF-8
 * as bytea; a segment is found by its digest, as a tag may be longer than a row of an index.
 *
 * topology    one row; `known` are the ids of its shards
 * assignment  a row for each segment; a merged tag has no shard: its epoch is kept, so that what is late stays late
 * delta       the last changes: revision, JSON and assignments in the lines of one text
 * history     finished reshardings, in the order of place;  retained: what lies on former owners
 * lease       one row; ticket: one row, the last one drawn
 */
export const topologyTables = (t: Names): string => `
create table ${t.of('topology')} (
  single boolean primary key default true check (single),
  id text not null, revision bigint not null, buckets integer not null, seed bigint not null, founded boolean not null,
  shards text not null, known bytea[] not null, tag_rule text, plan text, plan_id text);
create table ${t.of('assignment')} (segment bytea not null, shard bytea, epoch bigint not null);
create unique index ${t.bare('assignment_segment')} on ${t.of('assignment')} (sha256(segment));
create table ${t.of('delta')} (revision bigint primary key, change text not null);
create table ${t.of('history')} (place bigint primary key generated always as identity, entry text not null);
create table ${t.of('retained')} (name text not null, entry text not null);
create unique index ${t.bare('retained_name')} on ${t.of('retained')} (md5(name));
create table ${t.of('lease')} (
  single boolean primary key default true check (single),
  holder text not null default '', term bigint not null default 0, expires double precision not null default 0);
create table ${t.of('ticket')} (
  single boolean primary key default true check (single), ticket bigint not null default 0);
`

/** Creates the topology; does nothing where there is one. */
const create = (t: Names) =>
  sqlFunction(
    t,
    'create_1',
    'p_id text, p_buckets integer, p_seed bigint, p_shards text, p_known text, p_tag_rule text, p_owners text',
    'double precision',
    `
declare v_known bytea[] := p_known::bytea[];
begin
  insert into ${t.of('topology')} (id, revision, buckets, seed, founded, shards, known, tag_rule)
  values (p_id, 1, p_buckets, p_seed, false, p_shards, v_known, p_tag_rule) on conflict do nothing;
  if not found then return 0; end if;
  insert into ${t.of('assignment')} (segment, shard, epoch)
  select convert_to('#' || (o.i - 1), 'UTF8'), v_known[o.owner + 1], 1
  from unnest(p_owners::integer[]) with ordinality as o(owner, i) order by o.i;
  insert into ${t.of('lease')} default values;
  insert into ${t.of('ticket')} default values;
  return 1;
end`,
  )

/**
 * Commits a change, if what it expects holds: p_plan is '' for any plan, 'none', or '=' and its id in hex. p_rest is the
 * change as JSON without its assignments. A null plan document keeps the plan, an empty one ends it.
 * Answers no row where what is expected does not hold; the revision, how many assignments were taken, and the index of
 * one whose shard nobody knows. Tells the channel the change, or its revision alone where it is too long for that.
 */
const commit = (t: Names) =>
  sqlFunction(
    t,
    'commit_1',
    `p_revision bigint, p_term bigint, p_plan text, p_rest text, p_founded boolean, p_shards text, p_known text,
     p_tag_rule text, p_plan_document text, p_plan_id text, p_history text, p_release text, p_retain text,
     p_retained text, p_segment text, p_shard text, p_epoch text, p_histories integer, p_deltas integer,
     p_channel text, p_message_bytes integer`,
    'table (revision double precision, taken double precision, stranger double precision)',
    `
declare
  v_head ${t.of('topology')};
  v_lease ${t.of('lease')};
  v_known bytea[];
  v_stranger bigint;
  v_entry record;
  v_stored ${t.of('assignment')};
  v_there boolean;
  v_taken text[] := '{}';
  v_change text;
begin
  -- Commits follow one another.
  select * into v_head from ${t.of('topology')} for update;
  if p_revision <> v_head.revision then return; end if;
  if p_plan <> '' and p_plan <> coalesce('=' || v_head.plan_id, 'none') then return; end if;
  if p_term is not null then
    select * into v_lease from ${t.of('lease')} for share;
    if v_lease.holder = '' or v_lease.term <> p_term then return; end if;
  end if;
  v_known := coalesce(p_known::bytea[], v_head.known);
  select min(c.i) into v_stranger from unnest(p_shard::bytea[]) with ordinality as c(shard, i)
    where c.shard is not null and not c.shard = any(v_known);
  if v_stranger is not null then
    return query select null::double precision, 0::double precision, (v_stranger - 1)::double precision;
    return;
  end if;

  for v_entry in
    select * from unnest(p_segment::bytea[], p_shard::bytea[], p_epoch::bigint[]) as c(segment, shard, epoch)
  loop
    select * into v_stored from ${t.of('assignment')} a where sha256(a.segment) = sha256(v_entry.segment);
    v_there := found;
    -- A merge ends the life that its epoch belongs to, the last epoch of that life included.
    if v_entry.shard is null and v_there and (v_stored.shard is null or v_stored.epoch > v_entry.epoch) then
      continue;
    end if;
    if v_entry.shard is not null and v_there and v_stored.epoch >= v_entry.epoch then continue; end if;
    insert into ${t.of('assignment')} (segment, shard, epoch) values (v_entry.segment, v_entry.shard, v_entry.epoch)
    on conflict (sha256(segment)) do update set shard = excluded.shard, epoch = excluded.epoch;
    v_taken := v_taken || concat_ws(':', encode(v_entry.segment, 'hex'), coalesce(encode(v_entry.shard, 'hex'), ''),
      v_entry.epoch);
  end loop;
  -- Nothing but late publications.
  if cardinality(v_taken) = 0 and p_rest = '{}' then
    return query select v_head.revision::double precision, 0::double precision, null::double precision;
    return;
  end if;

  v_head.revision := v_head.revision + 1;
  update ${t.of('topology')} set revision = v_head.revision, founded = founded or p_founded,
    shards = coalesce(p_shards, shards), known = v_known, tag_rule = coalesce(p_tag_rule, tag_rule),
    plan = case when p_plan_document is null then plan else nullif(p_plan_document, '') end,
    plan_id = case when p_plan_document is null then plan_id else p_plan_id end;
  insert into ${t.of('history')} (entry) select h.entry from unnest(p_history::text[]) with ordinality as h(entry, i)
    order by h.i;
  if found then
    delete from ${t.of('history')} where place <= (
      select h.place from ${t.of('history')} h order by h.place desc offset p_histories limit 1);
  end if;
  delete from ${t.of('retained')} where md5(name) = any(array(select md5(n) from unnest(p_release::text[]) n));
  insert into ${t.of('retained')} (name, entry)
    select distinct on (r.name) r.name, r.entry
    from unnest(p_retain::text[], p_retained::text[]) with ordinality as r(name, entry, i) order by r.name, r.i desc
    on conflict (md5(name)) do update set entry = excluded.entry;

  v_change := concat_ws(E'\\n', v_head.revision, p_rest, array_to_string(v_taken, ','));
  insert into ${t.of('delta')} (revision, change) values (v_head.revision, v_change);
  delete from ${t.of('delta')} d where d.revision <= v_head.revision - p_deltas;
  perform pg_notify(p_channel,
    case when octet_length(v_change) > p_message_bytes then v_head.revision::text else v_change end);
  return query select v_head.revision::double precision, cardinality(v_taken)::double precision, null::double precision;
end`,
  )

/** A ticket is above all that were drawn, and not below the time in ms: a restored backup draws none twice. Terms likewise. */
const ticket = (t: Names) =>
  sqlFunction(
    t,
    'ticket_1',
    'p_now double precision',
    'double precision',
    `
declare v_ticket bigint;
begin
  update ${t.of('ticket')} set ticket = greatest(ticket + 1, ${NOW}::bigint) returning ticket into v_ticket;
  return v_ticket;
end`,
  )

/** p_what is acquire, renew or release. Answers term and expiry, or no row where another has it or it is not so. */
const lease = (t: Names) =>
  sqlFunction(
    t,
    'lease_1',
    'p_what text, p_holder text, p_duration double precision, p_term bigint, p_now double precision',
    'table (term double precision, expires double precision)',
    `
declare
  v_lease ${t.of('lease')};
  v_now double precision;
  v_stands boolean;
begin
  select * into v_lease from ${t.of('lease')} for update;
  -- Only now: it may have waited for the lock.
  v_now := ${NOW};
  v_stands := v_lease.holder <> '' and v_now < v_lease.expires;
  if p_what = 'release' then
    -- The term stays: the next holder's is higher.
    update ${t.of('lease')} l set holder = '', expires = 0 where l.holder = p_holder and l.term = p_term;
    return;
  end if;
  if p_what = 'renew' and not (v_stands and v_lease.holder = p_holder and v_lease.term = p_term) then return; end if;
  if p_what = 'acquire' and v_stands and v_lease.holder <> p_holder then return; end if;
  return query
  update ${t.of('lease')} l set holder = p_holder, expires = v_now + p_duration,
    term = case when v_stands then l.term else greatest(l.term + 1, v_now::bigint) end
  returning l.term::double precision, l.expires;
end`,
  )

export const topologyFunctions = (t: Names): string => create(t) + commit(t) + ticket(t) + lease(t)

/**
 * All of it, of one moment: rows of a kind and a text. Assignments come some thousand in a row, a million in 256.
 */
export const readTopology = (t: Names): string => `
select 'topology' as kind, id, revision::double precision, buckets::double precision, seed::double precision,
  founded::text, shards, tag_rule, plan from ${t.of('topology')}
union all
select 'assignment', string_agg(encode(segment, 'hex') || ':' || encode(shard, 'hex') || ':' || epoch, ','),
  null, null, null, null, null, null, null
  from ${t.of('assignment')} where shard is not null group by get_byte(sha256(segment), 0)
union all
(select 'history', entry, null, null, null, null, null, null, null from ${t.of('history')} order by place)
union all
select 'retained', entry, null, null, null, null, null, null, null from ${t.of('retained')}`

/** What came after a revision, oldest first, beside the revision that stands; one row without a change where nothing did. */
export const readDeltas = (t: Names): string => `
select h.revision::double precision, d.change from ${t.of('topology')} h
left join ${t.of('delta')} d on d.revision > $1::double precision order by d.revision`
