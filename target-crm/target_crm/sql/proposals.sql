-- The rows of sync_proposals: records that wait for a decision, or were left out by one (resolution 'ignored').

-- name: open_keys
SELECT stream, account_id, amo_id FROM {sync_proposals} WHERE resolved_at IS NULL OR resolution = 'ignored'

-- name: write
INSERT INTO {sync_proposals} AS known (run_id, stream, zone, account_id, amo_id, record, amo_updated_at)
SELECT %s, %s, %s, given.account_id, given.amo_id, given.record, given.amo_updated_at
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]::json[], %s::timestamptz[])
    AS given(account_id, amo_id, record, amo_updated_at)
ON CONFLICT (account_id, stream, amo_id) WHERE resolved_at IS NULL OR resolution = 'ignored' DO UPDATE SET
    record = excluded.record, zone = excluded.zone, amo_updated_at = excluded.amo_updated_at,
    record_at = excluded.record_at, updated_at = excluded.updated_at
WHERE (excluded.amo_updated_at < known.amo_updated_at) IS NOT TRUE AND known.record::text <> excluded.record::text

-- name: close_by_tombstones
UPDATE {sync_proposals} AS proposal SET resolved_at = now(), resolution = 'deleted', updated_at = now()
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[])
    AS tombstone(stream, account_id, amo_id, deleted_at)
WHERE proposal.stream = tombstone.stream AND proposal.account_id = tombstone.account_id
    AND proposal.amo_id = tombstone.amo_id AND proposal.resolved_at IS NULL
    AND (proposal.amo_updated_at > tombstone.deleted_at) IS NOT TRUE

-- name: close_deleted
UPDATE {sync_proposals} AS proposal SET resolved_at = now(), resolution = 'deleted', updated_at = now()
FROM {sync_keys} AS known
WHERE proposal.stream = {stream} AND proposal.resolved_at IS NULL AND known.account_id = proposal.account_id
    AND known.table_name = {table} AND known.amo_id = proposal.amo_id AND known.row_id IS NULL
    AND {tombstone} IS NOT NULL

-- name: waiting
SELECT id, account_id, amo_id, run_id, rule, candidates, zone, refused, record_at >= updated_at
FROM {sync_proposals}
WHERE resolved_at IS NULL AND stream = {stream} AND account_id = ANY({accounts}::bigint[]) ORDER BY id

-- name: records
SELECT id, record::text FROM {sync_proposals} WHERE id = ANY({ids}::bigint[]) ORDER BY id

-- name: propose
UPDATE {sync_proposals} AS proposal
SET rule = given.rule, candidates = ARRAY(SELECT jsonb_array_elements_text(given.candidates)), updated_at = now()
FROM unnest(%s::bigint[], %s::text[], %s::text[]::jsonb[]) AS given(id, rule, candidates)
WHERE proposal.id = given.id

-- name: propose_refused
WITH before AS (
    SELECT id, rule FROM {sync_proposals}
    WHERE resolved_at IS NULL AND stream = %s AND account_id = %s AND amo_id = %s FOR UPDATE
)
UPDATE {sync_proposals} AS proposal SET rule = %s, candidates = %s::text[], updated_at = now()
FROM before WHERE proposal.id = before.id
RETURNING before.rule IS NULL

-- name: forget
DELETE FROM {sync_proposals} WHERE id = ANY({ids}::bigint[]) AND run_id = {run} AND rule IS NULL

-- name: close
UPDATE {sync_proposals} SET resolved_at = now(), updated_at = now(), resolution = {resolution}
WHERE id = ANY({ids}::bigint[]) AND resolved_at IS NULL

-- name: ignore
UPDATE {sync_proposals} SET resolved_at = now(), updated_at = now(), resolution = %s
WHERE id = ANY(%s) AND resolved_at IS NULL

-- name: find_undecided
-- The numbers of a record, in any account where none is given.
SELECT id FROM {sync_proposals}
WHERE stream = %s AND amo_id = %s AND (%s::bigint IS NULL OR account_id = %s)
    AND (resolved_at IS NULL OR resolution = 'ignored')
ORDER BY id

-- name: neighbour
-- The next open one of a stream, or of any, beyond a number.
SELECT id FROM {sync_proposals}
WHERE resolved_at IS NULL AND id {beyond} %s AND (%s::text IS NULL OR stream = %s) ORDER BY id {direction} LIMIT 1
