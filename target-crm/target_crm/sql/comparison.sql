-- What is open when a load that verifies has come to its end, before it is rolled back.

-- name: conflicts
-- Open conflicts: those that were there before have a number.
SELECT conflict.table_name, CASE WHEN conflict.run_id <> %s THEN conflict.id END AS id, keys.account_id, keys.amo_id,
    conflict.row_id, ARRAY[conflict.column_name] AS columns
FROM {sync_conflicts} AS conflict
LEFT JOIN {sync_keys} AS keys ON keys.table_name = conflict.table_name AND keys.row_id = conflict.row_id
WHERE conflict.resolved_at IS NULL ORDER BY conflict.id

-- name: rejects
SELECT coalesce(stream, '') AS stream, account_id, amo_id, NULL::text AS row_id, code, args, error
FROM {sync_rejects} WHERE resolved_at IS NULL ORDER BY id

-- name: warnings
SELECT table_name, account_id, amo_id, row_id, ARRAY[column_name] AS columns, code, args
FROM {sync_warnings} WHERE resolved_at IS NULL AND code NOT IN ('W_ROW_HELD', 'W_RECORD_WAITS') ORDER BY id

-- name: waiting
SELECT table_name, account_id, amo_id, row_id, code, args
FROM {sync_warnings} WHERE resolved_at IS NULL AND code IN ('W_ROW_HELD', 'W_RECORD_WAITS') ORDER BY id

-- name: proposals
SELECT stream, account_id, amo_id, NULL::text AS row_id
FROM {sync_proposals} WHERE resolved_at IS NULL AND rule IS NOT NULL ORDER BY id

-- name: links
-- Links whose other end has not come: by table.
SELECT table_name, count(*) FROM {sync_pending} GROUP BY table_name
