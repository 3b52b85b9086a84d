-- Runs and the journal, as people look at them. {current_status} and {condition} are over `run`.

-- name: find_runs
SELECT
    run.*, extract(epoch FROM run.finished_at - run.started_at)::float AS seconds, {current_status} AS current_status
FROM {sync_runs} AS run
WHERE (%s::bigint IS NULL OR run.id < %s) AND {condition} ORDER BY run.id DESC LIMIT %s

-- name: last_load
SELECT run.id, {current_status} AS status FROM {sync_runs} AS run
WHERE run.kind = 'load' ORDER BY run.id DESC LIMIT 1

-- name: count_runs
SELECT run.kind, {current_status} AS status, count(*) AS n FROM {sync_runs} AS run
WHERE coalesce(run.finished_at, run.started_at) >= {since} GROUP BY 1, 2 ORDER BY 1, 2

-- name: sum_counts
-- What loads and retries did by table, those left out that have been undone.
SELECT by_table.key AS table_name, counted.key AS kind, sum(counted.value::numeric)::bigint AS n
FROM {sync_runs} AS run, jsonb_each(run.counts) AS by_table,
    jsonb_each(CASE WHEN jsonb_typeof(by_table.value) = 'object' THEN by_table.value END) AS counted
WHERE run.kind IN ('load', 'retry') AND coalesce(run.finished_at, run.started_at) >= {since}
    AND jsonb_typeof(counted.value) = 'number' AND NOT {is_undone}
GROUP BY 1, 2 HAVING sum(counted.value::numeric) <> 0

-- name: last_complete
-- The last complete loads of each account; of a source that names none the account is NULL.
SELECT complete.account_id, complete.id, complete.started_at, complete.finished_at, complete.age, complete.place
FROM (
    SELECT
        account.account_id, run.id, run.started_at, run.finished_at,
        extract(epoch FROM now() - run.finished_at)::float AS age,
        row_number() OVER (PARTITION BY account.account_id ORDER BY run.id DESC) AS place
    FROM {sync_runs} AS run
    CROSS JOIN LATERAL unnest(
        CASE WHEN run.account_ids = '{{}}' THEN ARRAY[NULL]::bigint[] ELSE run.account_ids END
    ) AS account(account_id)
    WHERE run.kind = 'load' AND run.status = 'succeeded'
) AS complete
WHERE complete.place <= {most} ORDER BY complete.account_id, complete.place

-- name: find_gaps
-- Gaps that no complete run from the beginning of the same tap and account has closed since.
SELECT run.id, run.tap, notice.value->'args' AS args
FROM {sync_runs} AS run, jsonb_array_elements(run.notices) AS notice
WHERE run.kind = 'load' AND notice.value->>'code' = 'W_STATE_GAP' AND NOT EXISTS (
    SELECT FROM {sync_runs} AS later
    WHERE later.id > run.id AND later.status = 'succeeded' AND later.from_start
        AND later.tap IS NOT DISTINCT FROM run.tap
        AND (later.account_ids && run.account_ids OR run.account_ids = '{{}}')
)
ORDER BY run.id DESC LIMIT 10

-- name: changes_by_column
SELECT table_name, column_name, count(*) AS n FROM {sync_changes} WHERE run_id = %s
GROUP BY table_name, column_name ORDER BY table_name, count(*) DESC, column_name

-- name: changed_cells
-- Tables and columns that a run wrote: walks an index from one pair to the next.
WITH RECURSIVE cells AS (
    (
        SELECT table_name, column_name FROM {sync_changes}
        WHERE run_id = {run} ORDER BY table_name, column_name LIMIT 1
    )
    UNION ALL
    SELECT following.* FROM cells, LATERAL (
        SELECT entry.table_name, entry.column_name FROM {sync_changes} AS entry
        WHERE entry.run_id = {run}
            AND (entry.table_name, entry.column_name) > (cells.table_name, cells.column_name)
        ORDER BY entry.table_name, entry.column_name LIMIT 1
    ) AS following
)
SELECT cells.table_name, cells.column_name, (
    SELECT count(*) FROM (
        SELECT FROM {sync_changes} AS entry
        WHERE entry.run_id = {run} AND entry.table_name = cells.table_name
            AND entry.column_name = cells.column_name
        LIMIT {most}
    ) AS counted
) AS n
FROM cells ORDER BY cells.table_name, cells.column_name

-- name: find_written
-- The rows that a run wrote, and what became of each.
SELECT entry.table_name, entry.row_id,
    CASE WHEN bool_or(entry.column_name = '*' AND entry.new_value IS NULL) THEN 'removed'
        WHEN bool_or(entry.column_name = '*' AND entry.old_value IS NULL) THEN 'inserted'
        ELSE 'updated' END AS kind
FROM {sync_changes} AS entry
WHERE entry.run_id = %s AND (%s::text IS NULL OR entry.table_name = %s)
GROUP BY entry.table_name, entry.row_id ORDER BY entry.table_name, entry.row_id

-- name: first_values
-- The first values that a run wrote, some columns left out.
SELECT table_name, row_id, column_name, old_value, new_value FROM {sync_changes}
WHERE run_id = %s AND column_name <> ALL(%s) ORDER BY id LIMIT {most}

-- name: find_undoable
-- A run, and whether its journal is there.
SELECT
    run.status, run.counts, EXISTS (SELECT FROM {sync_changes} AS entry WHERE entry.run_id = run.id) AS has_journal
FROM {sync_runs} AS run WHERE run.id = %s

-- name: last_entries
-- The last entry of each column of a row.
SELECT DISTINCT ON (entry.column_name) entry.*, run.started_at
FROM {sync_changes} AS entry
LEFT JOIN {sync_runs} AS run ON run.id = entry.run_id
WHERE entry.table_name = %s AND entry.row_id = %s ORDER BY entry.column_name, entry.id DESC

-- name: row_history
SELECT
    entry.id, entry.run_id, run.kind, run.started_at, entry.table_name, entry.row_id, entry.column_name,
    entry.old_value, entry.new_value
FROM {sync_changes} AS entry
LEFT JOIN {sync_runs} AS run ON run.id = entry.run_id
WHERE entry.table_name = %s AND entry.row_id = %s AND entry.column_name <> %s
    AND (%s::bigint IS NULL OR entry.id < %s)
ORDER BY entry.id DESC LIMIT %s

-- name: base_history
-- The bases of a row: what each document held that a run replaced, and the one after it.
SELECT replaced.id, replaced.run_id, replaced.was, replaced.became, run.kind, run.started_at
FROM (
    SELECT
        entry.id, entry.run_id, entry.old_value->'amo_values' AS was,
        coalesce(
            lead(entry.old_value->'amo_values') OVER (ORDER BY entry.id),
            (SELECT crm.{raw}->'amo_values' FROM {table} AS crm WHERE crm.{id} = {key})
        ) AS became
    FROM {sync_changes} AS entry
    WHERE entry.table_name = %s AND entry.row_id = %s AND entry.column_name = {raw_name}
) AS replaced
LEFT JOIN {sync_runs} AS run ON run.id = replaced.run_id
WHERE %s::bigint IS NULL OR replaced.id < %s ORDER BY replaced.id DESC LIMIT %s

-- name: find_authors
-- Who had changed the record by the document that each run left: it is the one that the next run found.
SELECT
    run_id, lead(old_value->'amo'->'updated_by') OVER (ORDER BY id) AS author,
    lead(id) OVER (ORDER BY id) IS NULL AS is_last
FROM {sync_changes}
WHERE table_name = %s AND row_id = %s AND (column_name = %s OR column_name = '*' AND old_value IS NULL)
ORDER BY id DESC LIMIT 200

-- name: last_written
-- The rows that were written last.
SELECT last.table_name, last.row_id, max(last.run_id) AS run
FROM (SELECT run_id, table_name, row_id FROM {sync_changes} ORDER BY run_id DESC, id DESC LIMIT {most}) AS last
GROUP BY last.table_name, last.row_id ORDER BY max(last.run_id) DESC, last.table_name, last.row_id
