-- From version 2 to 3: columns that are new in tables that are there. New tables are in control.sql and builtin.sql.
-- {schema} is composed by psycopg.sql. Every statement may run again.
ALTER TABLE {schema}.sync_runs ADD COLUMN IF NOT EXISTS made_by text;
ALTER TABLE {schema}.sync_runs ADD COLUMN IF NOT EXISTS rule_id bigint;
ALTER TABLE IF EXISTS {schema}.sync_warnings ADD COLUMN IF NOT EXISTS resolution text;
ALTER TABLE {schema}.sync_rejects ADD COLUMN IF NOT EXISTS resolved_by text;
