import type { Names } from '../names'

/**
 * A function in PL/pgSQL. Its name ends with the number of its meaning: one whose parameters, answer or meaning change
 * gets another, so that processes of two versions may work at the same time.
 * Plans use indexes whatever the statistics say: one that was made while a table was small must not scan it when it is not, and a page is read in the order of the index.
 */
export function sqlFunction(
  t: Names,
  name: string,
  parameters: string,
  returns: string,
  body: string,
): string {
  return `
create or replace function ${t.of(name)}(${parameters}) returns ${returns} language plpgsql
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $body$
#variable_conflict use_column
${body.trim()}
$body$;
`
}

/** The time in whole ms since the epoch: the caller's where it gives one, else the server's. */
export const NOW = 'coalesce(p_now, floor(extract(epoch from clock_timestamp()) * 1000))'
