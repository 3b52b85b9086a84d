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
    merge_seconds double precision,
    tap text,
    -- What is told beside the counts: a list of objects with code and args.
    notices jsonb NOT NULL DEFAULT '[]',
    -- Whether the tap read from the beginning, without a state; unknown of taps that do not say so.
    from_start boolean,
    -- By what the tap calls its run, in its messages and its metrics.
    tap_run text,
    -- Who decided, as they called themselves; of loads nobody.
    made_by text,
    -- The standing rule that decided.
    rule_id bigint
);
CREATE INDEX IF NOT EXISTS sync_runs_undoes ON {schema}.sync_runs (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX IF NOT EXISTS sync_runs_running ON {schema}.sync_runs (id) WHERE status = 'running';
-- Decisions that loads make by themselves for the conflicts of a column; condition is 'always' or a kind of difference.
CREATE TABLE IF NOT EXISTS {schema}.sync_rules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    column_name text NOT NULL,
    condition text NOT NULL DEFAULT 'always',
    take text NOT NULL,
    made_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    switched_off_at timestamptz
);
-- People who may work on the review page, each under a name of their own. login is the name without regard to case,
-- password its scrypt hash with salt and cost.
CREATE TABLE IF NOT EXISTS {schema}.sync_users (
    login text PRIMARY KEY,
    name text NOT NULL,
    password text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
-- What a person allows one load to do although a guard stops it: the code of the guard, the table, of a change the
-- column, and how many rows at most (NULL: any number). Lines stay: they say who allowed what, and which run used it.
CREATE TABLE IF NOT EXISTS {schema}.sync_permissions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL,
    table_name text NOT NULL,
    column_name text,
    most bigint,
    failed_run bigint NOT NULL,
    made_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_by bigint,
    used_at timestamptz,
    revoked_by text,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS sync_permissions_open
    ON {schema}.sync_permissions (code, table_name, coalesce(column_name, ''))
    WHERE used_by IS NULL AND revoked_at IS NULL;
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
    resolution text,
    account_id bigint,
    amo_id bigint,
    code text,
    args jsonb NOT NULL DEFAULT '{{}}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Who discarded it, as they called themselves.
    resolved_by text
);
CREATE INDEX IF NOT EXISTS sync_rejects_open ON {schema}.sync_rejects (id) WHERE resolved_at IS NULL;
-- One open reject for each record. A record without a usable key is known by its text.
CREATE UNIQUE INDEX IF NOT EXISTS sync_rejects_record ON {schema}.sync_rejects (account_id, stream, amo_id)
    WHERE resolved_at IS NULL AND amo_id IS NOT NULL AND account_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS sync_rejects_text ON {schema}.sync_rejects (md5(record), coalesce(stream, ''))
    WHERE resolved_at IS NULL AND (amo_id IS NULL OR account_id IS NULL);
-- Values that their columns could not take; the rest of the record was merged. One open warning for each cell.
CREATE TABLE IF NOT EXISTS {schema}.sync_warnings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    stream text NOT NULL,
    account_id bigint NOT NULL,
    amo_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id text,
    column_name text NOT NULL,
    value jsonb,
    code text NOT NULL,
    args jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    -- How a person closed it; empty where a later value did.
    resolution text
);
CREATE UNIQUE INDEX IF NOT EXISTS sync_warnings_open
    ON {schema}.sync_warnings (account_id, table_name, amo_id, column_name) WHERE resolved_at IS NULL;
CREATE INDEX IF NOT EXISTS sync_warnings_run ON {schema}.sync_warnings (run_id);
-- Records that are like rows that are there, and wait: for the end of the run (rule is empty), or for a person. `refused`
-- are rows that a person said the record is not; `zone` is that of the account, in which its days are read.
CREATE TABLE IF NOT EXISTS {schema}.sync_proposals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    stream text NOT NULL,
    account_id bigint NOT NULL,
    amo_id bigint NOT NULL,
    record json NOT NULL,
    zone text NOT NULL DEFAULT 'UTC',
    candidates text[] NOT NULL DEFAULT '{{}}',
    refused text[] NOT NULL DEFAULT '{{}}',
    rule text,
    amo_updated_at timestamptz,
    record_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text
);
CREATE UNIQUE INDEX IF NOT EXISTS sync_proposals_record ON {schema}.sync_proposals (account_id, stream, amo_id)
    WHERE resolved_at IS NULL OR resolution = 'ignored';
-- The last STATE that was let go, of each account and tap.
CREATE TABLE IF NOT EXISTS {schema}.sync_state (
    account_id bigint NOT NULL,
    tap text NOT NULL,
    state jsonb NOT NULL,
    digest text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, tap)
);
-- The digest of each STATE that was let go: a run that starts from any other one may have a gap before it.
CREATE TABLE IF NOT EXISTS {schema}.sync_released_states (
    account_id bigint NOT NULL,
    tap text NOT NULL,
    digest text NOT NULL,
    run_id bigint NOT NULL,
    released_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, tap, digest)
);
CREATE TABLE IF NOT EXISTS {schema}.sync_schema (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
-- Which amoCRM record became which row: tells a row that a person deleted from one that never was, and
-- remembers a deletion in amoCRM that comes before its record. record_hash and row_version recognise a record that
-- came before and whose row nobody touched since: such a record is not even extracted. Set record_hash to NULL to have
-- the record merged again.
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
-- Of each record what it links to through a join table: the base of that set. document is the row that was written for
-- it; none where the row was there already, or has not been made yet (is_made).
CREATE TABLE IF NOT EXISTS {schema}.sync_links (
    account_id bigint NOT NULL,
    table_name text NOT NULL,
    amo_id bigint NOT NULL,
    ref bigint NOT NULL,
    is_made boolean NOT NULL DEFAULT false,
    document jsonb,
    PRIMARY KEY (account_id, table_name, amo_id, ref)
);
CREATE INDEX IF NOT EXISTS sync_links_waiting ON {schema}.sync_links (account_id, table_name, ref) WHERE NOT is_made;
CREATE TABLE IF NOT EXISTS {schema}.sync_lookups (
    account_id bigint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (account_id, source, ref)
);
-- What an account's SCHEMA messages say of it: its address in the browser and its time zone.
CREATE TABLE IF NOT EXISTS {schema}.sync_accounts (
    account_id bigint PRIMARY KEY,
    subdomain text,
    url text,
    timezone text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- What conflicts, rejects, warnings and proposals were before a run changed them, and after: undoing the run puts them back.
-- A session tells by the setting target_crm.run for which run it works; who works for none (a person who closes a
-- reject) leaves no line.
CREATE TABLE IF NOT EXISTS {schema}.sync_issue_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    run_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id bigint NOT NULL,
    old_row jsonb NOT NULL,
    new_row jsonb NOT NULL,
    PRIMARY KEY (run_id, id)
);
