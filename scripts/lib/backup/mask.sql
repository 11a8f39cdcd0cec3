-- Takes people out of a restored database, as `rules` says (infra/docker/<folder>/mask.yaml): tables that are emptied, columns with an expression
-- of their own, columns that are kept. Every other column that can hold a text is masked. Run as the application, which owns all of it.
\set ON_ERROR_STOP on
\set rules `cat mask.json`
SET client_min_messages = warning;
SET row_security = off;
SET datestyle = 'ISO, YMD';

-- what a pattern such as public.*.locale means
CREATE FUNCTION pg_temp.matches(name text, patterns jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT EXISTS (SELECT FROM jsonb_array_elements_text(patterns) AS pattern
    WHERE name ~ ('^' || replace(regexp_replace(pattern, '([.^$+?(){}\[\]|\\])', '\\\1', 'g'), '*', '[^.]*') || '$'))
$$;
-- what stands for a text: of its form, another one for each row, and not longer than its column; of a secret nobody may guess it
CREATE FUNCTION pg_temp.mask(old text, key text, secret boolean, longest int) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN coalesce(old, '') = '' THEN old WHEN length(new) <= longest THEN new ELSE left(md5(key), longest) END
  FROM (SELECT CASE
    WHEN secret THEN left(replace(gen_random_uuid()::text, '-', ''), longest)
    WHEN old ~ '@' THEN 'masked-' || key || '@masked.invalid'
    WHEN old ~ '^[A-Za-z]+://' THEN 'https://masked.invalid/' || key
    WHEN old ~ '^\+?[0-9][0-9 ()/.-]{6,}$' THEN '+36' || CASE WHEN key ~ '^\d{1,10}$' THEN lpad(key, 10, '0')
      ELSE lpad((('x' || left(md5(key), 12))::bit(48)::bigint % 10000000000)::text, 10, '0') END
    ELSE 'masked ' || key END AS new) AS made
$$;

CREATE TEMP VIEW own AS
SELECT c.oid, nspname || '.' || relname AS name, format('%I.%I', nspname, relname) AS quoted, relforcerowsecurity AS forced
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e');

CREATE TEMP TABLE decided AS
WITH columns AS (
  SELECT own.oid, own.name AS table_name, own.quoted, attnum, attname, own.name || '.' || attname AS name, attnotnull AS required,
    type.typcategory AS category, coalesce(base.typname, type.typname) AS type, element.typcategory AS element_category, element.typname AS element,
    CASE WHEN coalesce(nullif(atttypmod, -1), type.typtypmod) > 4 THEN coalesce(nullif(atttypmod, -1), type.typtypmod) - 4 ELSE 2147483647 END AS longest,
    EXISTS (SELECT FROM pg_constraint WHERE contype IN ('p', 'f')
      AND (conrelid = own.oid AND attnum = ANY (conkey) OR confrelid = own.oid AND attnum = ANY (confkey))) AS is_key,
    pg_temp.matches(own.name, :'rules'::jsonb -> 'empty') AS emptied,
    (SELECT expression FROM jsonb_each(:'rules'::jsonb -> 'replace') AS one (pattern, columns), jsonb_each_text(columns) AS two (column_name, expression)
      WHERE column_name = attname AND pg_temp.matches(own.name, jsonb_build_array(pattern)) LIMIT 1) AS expression,
    pg_temp.matches(own.name || '.' || attname, :'rules'::jsonb -> 'keep') AS kept
  FROM own JOIN pg_attribute ON attrelid = own.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    JOIN pg_type type ON type.oid = atttypid LEFT JOIN pg_type base ON base.oid = type.typbasetype
    LEFT JOIN pg_type element ON element.oid = coalesce(base.typelem, type.typelem) AND type.typcategory = 'A')
SELECT *, CASE
    WHEN emptied THEN 'emptied'
    WHEN expression IS NOT NULL THEN 'replaced'
    WHEN kept THEN 'kept'
    -- numbers, booleans, dates, intervals, ranges, bits, enums and a single byte are no texts
    WHEN coalesce(element_category, category) IN ('N', 'B', 'D', 'T', 'R', 'V', 'E', 'Z') OR coalesce(element, type) IN ('uuid', 'pg_lsn', 'xid8') THEN 'no text'
    WHEN is_key THEN 'undecided'
    WHEN category IN ('S', 'A', 'I') OR type IN ('json', 'jsonb', 'bytea', 'tsvector') OR NOT required THEN 'masked'
    ELSE 'undecided' END AS decision
FROM columns;

SELECT string_agg(name || ' (' || type || CASE WHEN is_key THEN ', a key' ELSE '' END || ')', ', ' ORDER BY name) AS undecided,
  count(*) > 0 AS any_undecided FROM decided WHERE decision = 'undecided' \gset
\if :any_undecided
\warn 'error: nobody has decided about' :undecided
DO $$ BEGIN RAISE EXCEPTION 'undecided columns'; END $$;
\endif

-- what tells the rows of a table apart: its primary key, as far as that stays as it is
CREATE TEMP VIEW keyed AS
SELECT own.*, coalesce((SELECT 'concat_ws(''-'', ' || string_agg(format('t.%I', attname), ', ' ORDER BY attnum) || ')'
  FROM pg_constraint JOIN decided ON decided.oid = conrelid AND attnum = ANY (conkey)
  WHERE contype = 'p' AND conrelid = own.oid HAVING bool_and(decision IN ('no text', 'kept'))), 't.ctid::text') AS key FROM own;

CREATE TEMP TABLE updates AS
SELECT oid, format('UPDATE ONLY %s AS t SET %s', quoted, string_agg(format('%I = %s', attname, CASE
    WHEN decision = 'replaced' THEN replace(expression, '{key}', key)
    WHEN category = 'S' THEN format('pg_temp.mask(t.%I::text, %s, %L, %s)', attname, key, attname ~* 'token|secret|password|passwd|hash|otp|_key$|apikey', longest)
    WHEN category = 'A' THEN format('CASE WHEN t.%I IS NOT NULL THEN ''{}''::%s END', attname, format_type(atttypid, NULL))
    WHEN category = 'I' THEN format('CASE WHEN t.%I IS NOT NULL THEN %L::%s END', attname, '192.0.2.0', type)
    WHEN type IN ('json', 'jsonb') THEN format('CASE %s_typeof(t.%I) WHEN ''object'' THEN ''{}'' WHEN ''array'' THEN ''[]'' WHEN ''string'' THEN ''""''
      ELSE t.%I::text END::%s', type, attname, attname, type)
    WHEN type IN ('bytea', 'tsvector') THEN format('CASE WHEN t.%I IS NOT NULL THEN ''''::%s END', attname, type)
    ELSE 'NULL' END), ', ')) AS statement
FROM decided JOIN keyed USING (oid, quoted) JOIN pg_attribute USING (attnum, attname) WHERE attrelid = oid AND decision IN ('replaced', 'masked')
GROUP BY oid, quoted;

BEGIN;
SELECT 'TRUNCATE ' || string_agg(quoted, ', ') FROM own WHERE pg_temp.matches(name, :'rules'::jsonb -> 'empty') HAVING count(*) > 0 \gexec
-- a trigger could write down what is masked, and row security could hide rows
CREATE TEMP TABLE triggers AS
SELECT quoted, tgname, tgenabled FROM updates JOIN own USING (oid) JOIN pg_trigger ON tgrelid = own.oid WHERE NOT tgisinternal AND tgenabled <> 'D';
SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', quoted, tgname) FROM triggers \gexec
CREATE TEMP TABLE forced AS SELECT quoted FROM updates JOIN own USING (oid) WHERE own.forced;
SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', quoted) FROM forced \gexec
SELECT statement FROM updates \gexec
SELECT format('REFRESH MATERIALIZED VIEW %I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'm' ORDER BY c.oid \gexec
SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', quoted) FROM forced \gexec
SELECT format('ALTER TABLE %s ENABLE %s TRIGGER %I', quoted, CASE tgenabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, tgname) FROM triggers \gexec
COMMIT;

\pset fieldsep '\t'
SELECT decision, name FROM decided WHERE decision IN ('replaced', 'masked') UNION ALL SELECT DISTINCT 'emptied', table_name FROM decided WHERE emptied ORDER BY 1, 2;
-- the old rows and what is known of them go from the disk
SELECT format('VACUUM (FULL) %s', quoted) FROM own JOIN updates USING (oid) \gexec
-- what the superuser owns is left out
SET client_min_messages = error;
ANALYZE;
