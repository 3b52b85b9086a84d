-- The rows of sync_warnings: cells whose value was left out, and whole records that wait for a row (W_ROW_HELD)
-- or for the record that they link to (W_RECORD_WAITS).

-- name: find_open_cells
SELECT stream, account_id, amo_id, table_name, column_name FROM {sync_warnings}
WHERE resolved_at IS NULL AND code NOT IN ('W_ROW_HELD', 'W_RECORD_WAITS')

-- name: write_cells
-- The open warning of a cell is updated where it says something else now; one that is the same costs no write.
INSERT INTO {sync_warnings} AS known
    (run_id, stream, account_id, amo_id, table_name, row_id, column_name, value, code, args)
SELECT %s, cell.stream, cell.account_id, cell.amo_id, cell.table_name, keys.row_id, cell.column_name, cell.value,
    cell.code, cell.args
FROM unnest(
    %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::text[], %s::jsonb[]
) AS cell(stream, account_id, amo_id, table_name, column_name, value, code, args)
LEFT JOIN {sync_keys} AS keys
    ON keys.account_id = cell.account_id AND keys.table_name = cell.table_name AND keys.amo_id = cell.amo_id
ON CONFLICT (account_id, table_name, amo_id, column_name) WHERE resolved_at IS NULL DO UPDATE SET
    run_id = excluded.run_id, stream = excluded.stream, row_id = excluded.row_id, value = excluded.value,
    code = excluded.code, args = excluded.args
WHERE (known.row_id, known.value, known.code, known.args)
    IS DISTINCT FROM (excluded.row_id, excluded.value, excluded.code, excluded.args)

-- name: close_cells
UPDATE {sync_warnings} AS known SET resolved_at = now()
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS cell(table_name, account_id, amo_id, column_name)
WHERE known.resolved_at IS NULL AND known.account_id = cell.account_id AND known.table_name = cell.table_name
    AND known.amo_id = cell.amo_id AND known.column_name = cell.column_name

-- name: write_waiting
-- Of a record that waits already the newest version stays.
INSERT INTO {sync_warnings}
    (run_id, stream, account_id, amo_id, table_name, row_id, column_name, value, code, args)
SELECT %s, waiting.stream, waiting.account_id, waiting.amo_id, waiting.table_name, waiting.row_id,
    waiting.column_name, waiting.value, waiting.code, waiting.args
FROM unnest(
    %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[], %s::text[]
) AS waiting(stream, account_id, amo_id, table_name, row_id, column_name, value, args, code)
ON CONFLICT (account_id, table_name, amo_id, column_name) WHERE resolved_at IS NULL DO UPDATE SET
    run_id = excluded.run_id, row_id = excluded.row_id, value = excluded.value, args = excluded.args,
    code = excluded.code

-- name: find_waiting
-- What waits of some accounts, NULL for all; the oldest first.
SELECT stream, account_id, amo_id, table_name, column_name, value::text, args, code FROM {sync_warnings}
WHERE resolved_at IS NULL AND code IN ('W_ROW_HELD', 'W_RECORD_WAITS')
    AND (%s::bigint[] IS NULL OR account_id = ANY(%s))
ORDER BY id LIMIT %s

-- name: close_waiting
-- What has been loaded, or was overtaken by a newer version.
UPDATE {sync_warnings} AS known SET resolved_at = now()
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[]) AS loaded(account_id, table_name, amo_id, column_name)
WHERE known.resolved_at IS NULL AND known.code IN ('W_ROW_HELD', 'W_RECORD_WAITS') AND known.account_id = loaded.account_id
    AND known.table_name = loaded.table_name AND known.amo_id = loaded.amo_id
    AND known.column_name = loaded.column_name

-- name: group
-- By table, column and code: how many, since when, the last one as an example, and the numbers of the last five.
SELECT
    table_name, column_name, code, count(*) AS cells, min(created_at) AS first_at,
    (array_agg(value ORDER BY id DESC))[1] AS value, (array_agg(args ORDER BY id DESC))[1] AS args,
    (array_agg(id ORDER BY id DESC))[1:5] AS ids
FROM {sync_warnings} WHERE {condition}
GROUP BY table_name, column_name, code ORDER BY count(*) DESC, table_name, column_name, code LIMIT %s

-- name: find
-- With the key of the row of each, where there is one. {condition} is over `warning`.
SELECT
    warning.id, warning.run_id, warning.stream, warning.account_id, warning.amo_id, warning.table_name,
    warning.column_name, warning.value, warning.code, warning.args, warning.created_at,
    coalesce(warning.row_id, known.row_id) AS row_id
FROM {sync_warnings} AS warning
LEFT JOIN {sync_keys} AS known
    ON known.account_id = warning.account_id AND known.table_name = warning.table_name
    AND known.amo_id = warning.amo_id
WHERE {condition} ORDER BY warning.id {direction} LIMIT %s

-- name: discard
UPDATE {sync_warnings} AS warning SET resolved_at = now(), resolution = %s WHERE {condition}

-- name: forget_hashes
-- What is known of records is forgotten, so that they are merged although they are the same.
UPDATE {sync_keys} AS known SET record_hash = NULL
FROM unnest(%s::bigint[], %s::bigint[]) AS given(account_id, amo_id)
WHERE known.account_id = given.account_id AND known.table_name = %s AND known.amo_id = given.amo_id
