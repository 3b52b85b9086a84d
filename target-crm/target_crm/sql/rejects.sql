-- The rows of sync_rejects that loads write and close.

-- name: write
-- Of a record that is open already the newest reason stays. {conflict} names the index of records with or without key.
INSERT INTO {sync_rejects} (run_id, stream, record, error, account_id, amo_id, code, args)
SELECT %s, reject.*
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb[]
) AS reject
ON CONFLICT {conflict} DO UPDATE SET
    run_id = excluded.run_id, record = excluded.record, error = excluded.error, code = excluded.code,
    args = excluded.args, updated_at = excluded.updated_at

-- name: find_open
SELECT stream, account_id, amo_id FROM {sync_rejects}
WHERE resolved_at IS NULL AND amo_id IS NOT NULL AND account_id IS NOT NULL

-- name: close
UPDATE {sync_rejects} AS reject SET resolved_at = now(), resolution = %s
FROM unnest(%s::bigint[], %s::bigint[]) AS loaded(account_id, amo_id)
WHERE reject.stream = %s AND reject.account_id = loaded.account_id AND reject.amo_id = loaded.amo_id
    AND reject.resolved_at IS NULL

-- name: group
-- Open ones by stream and code, the largest group first: how many, since when, and the last one as an example.
SELECT
    stream, code, count(*) AS n, min(created_at) AS since, (array_agg(args ORDER BY id DESC))[1] AS args,
    (array_agg(error ORDER BY id DESC))[1] AS error
FROM {sync_rejects} WHERE resolved_at IS NULL
GROUP BY stream, code ORDER BY count(*) DESC, stream, code LIMIT {most}

-- name: claim
-- Those that no other session holds. Apart from the table: Citus would take the locks on the table's node.
SELECT reject.id FROM unnest(%s::bigint[]) AS reject(id)
WHERE pg_try_advisory_lock(hashtextextended(%s, reject.id))

-- name: still_open
SELECT id FROM {sync_rejects} WHERE id = ANY(%s) AND resolved_at IS NULL
