-- From version 1 to 2: columns that are new in tables that are there. New tables are in control.sql and builtin.sql.
-- {schema} is composed by psycopg.sql.
ALTER TABLE {schema}.sync_runs
    ADD COLUMN IF NOT EXISTS merge_seconds double precision,
    ADD COLUMN IF NOT EXISTS tap text,
    ADD COLUMN IF NOT EXISTS notices jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS from_start boolean,
    ADD COLUMN IF NOT EXISTS tap_run text;
ALTER TABLE {schema}.sync_rejects
    ADD COLUMN IF NOT EXISTS account_id bigint,
    ADD COLUMN IF NOT EXISTS amo_id bigint,
    ADD COLUMN IF NOT EXISTS code text,
    ADD COLUMN IF NOT EXISTS args jsonb NOT NULL DEFAULT '{{}}',
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();
UPDATE {schema}.sync_rejects SET code = 'E_EARLIER_VERSION', args = jsonb_build_object('text', error),
    updated_at = coalesce(resolved_at, created_at) WHERE code IS NULL;
