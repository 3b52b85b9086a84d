-- Tables the loader needs beside the CRM's own, in any mapping. {schema} is composed by psycopg.sql.
CREATE TABLE IF NOT EXISTS {schema}.sync_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL DEFAULT 'load',
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running',
    account_ids bigint[] NOT NULL DEFAULT '{{}}',
    counts jsonb NOT NULL DEFAULT '{{}}',
    error text,
    undoes bigint,
    backend_pid integer,
    backend_start timestamptz,
    merge_seconds double precision
);
-- One row per written column. Whole rows are one entry with column_name '*': an inserted row holds what was written in
-- new_value, a deleted one in old_value. An updated row also has an entry 'raw_fields' with the document it had.
CREATE TABLE IF NOT EXISTS {schema}.sync_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    run_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    old_value jsonb,
    new_value jsonb,
    PRIMARY KEY (run_id, id)
);
CREATE INDEX IF NOT EXISTS sync_changes_row ON {schema}.sync_changes (row_id, table_name, id);
CREATE TABLE IF NOT EXISTS {schema}.sync_conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    base_value jsonb,
    crm_value jsonb,
    amo_value jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text
);
CREATE INDEX IF NOT EXISTS sync_conflicts_open ON {schema}.sync_conflicts (id) WHERE resolved_at IS NULL;
CREATE INDEX IF NOT EXISTS sync_conflicts_row ON {schema}.sync_conflicts (table_name, row_id, column_name);
CREATE TABLE IF NOT EXISTS {schema}.sync_rejects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    stream text,
    record text,
    error text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text
);
CREATE INDEX IF NOT EXISTS sync_rejects_open ON {schema}.sync_rejects (id) WHERE resolved_at IS NULL;
-- Which amoCRM record became which row: tells a row that a person deleted from one that never was, and
-- remembers a deletion in amoCRM that comes before its record. record_hash and row_version recognise a record that
-- came before and whose row nobody touched since: such a record is not even taken apart. Set record_hash to NULL to have
-- the record merged anew.
CREATE TABLE IF NOT EXISTS {schema}.sync_keys (
    account_id bigint NOT NULL,
    table_name text NOT NULL,
    amo_id bigint NOT NULL,
    row_id text,
    record_hash bigint,
    row_version bigint,
    is_edited boolean NOT NULL DEFAULT false,
    amo_updated_at timestamptz,
    amo_deleted_at timestamptz,
    merged_into bigint,
    PRIMARY KEY (account_id, table_name, amo_id)
);
-- Links and names whose other end has not come yet.
CREATE TABLE IF NOT EXISTS {schema}.sync_pending (
    account_id bigint NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    amo_id bigint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL,
    PRIMARY KEY (account_id, source, ref, table_name, column_name, amo_id)
);
CREATE TABLE IF NOT EXISTS {schema}.sync_lookups (
    account_id bigint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (account_id, source, ref)
);
