-- The rows of sync_runs, and what belongs to a run beside it: accounts, states that were let go.

-- name: close_dead
-- Runs whose session is gone are interrupted.
UPDATE {sync_runs} AS run
SET status = 'interrupted', finished_at = now(), error = coalesce(error, %s), notices = notices || %s
WHERE status = 'running' AND id = ANY(%s)

-- name: find_running
SELECT id, backend_pid, backend_start FROM {sync_runs} WHERE status = 'running'

-- name: find_alive
-- Of runs with their sessions those whose session is there.
SELECT run.id FROM unnest(%s::bigint[], %s::integer[], %s::timestamptz[]) AS run(id, backend_pid, backend_start)
WHERE EXISTS (
    SELECT FROM pg_locks AS held
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
        AND held.database = (SELECT own.oid FROM pg_database AS own WHERE own.datname = current_database())
        AND (held.classid::bigint << 32) | held.objid::bigint = {run_lock}
) OR EXISTS (
    SELECT FROM pg_stat_activity AS session
    WHERE session.pid = run.backend_pid AND session.backend_start = run.backend_start
)

-- name: begin
-- A new run, and the session that it lives in.
INSERT INTO {sync_runs} (kind, backend_pid, backend_start) VALUES (%s, %s, %s) RETURNING id

-- name: find_own_session
SELECT session.pid, session.backend_start FROM pg_stat_activity AS session WHERE session.pid = pg_backend_pid()

-- name: reopen
-- A run whose session was lost lives on in this one.
UPDATE {sync_runs}
SET status = 'running', finished_at = NULL, error = NULL, backend_pid = %s, backend_start = %s
WHERE id = %s

-- name: find_later
-- The last run on one of these accounts since a run.
SELECT max(id) FROM {sync_runs} WHERE id > %s AND account_ids && %s::bigint[]

-- name: last_of_others
-- The last run since a run that was of one of its accounts, or an operation of a person.
SELECT max(later.id) FROM {sync_runs} AS later JOIN {sync_runs} AS own ON own.id = %s
WHERE later.id > own.id AND (later.account_ids && own.account_ids OR later.kind <> 'load')

-- name: thin_digests
-- Of a run that let many states go only the last ones: nobody starts from the others any more.
DELETE FROM {sync_released_states}
WHERE run_id = %(run)s AND released_at < (
    SELECT min(last.released_at) FROM (
        SELECT released_at FROM {sync_released_states} WHERE run_id = %(run)s
        ORDER BY released_at DESC LIMIT %(kept)s
    ) AS last
)

-- name: write_counts
UPDATE {sync_runs} SET counts = %s WHERE id = %s

-- name: write_notices
UPDATE {sync_runs} SET notices = %s WHERE id = %s

-- name: write_merge_seconds
UPDATE {sync_runs} SET merge_seconds = %s WHERE id = %s

-- name: write_accounts
UPDATE {sync_runs} SET account_ids = %s WHERE id = %s

-- name: write_source
-- Which tap and which of its runs the records come from.
UPDATE {sync_runs} SET tap = %s, tap_run = %s, from_start = %s, account_ids = %s WHERE id = %s

-- name: close
UPDATE {sync_runs} SET finished_at = statement_timestamp(), status = %s, error = %s WHERE id = %s

-- name: prune_changes
DELETE FROM {sync_changes} AS change
USING {sync_runs} AS run
WHERE change.run_id = run.id AND run.started_at < now() - make_interval(days => %s)

-- name: prune_issue_changes
DELETE FROM {sync_issue_changes} AS change
USING {sync_runs} AS run
WHERE change.run_id = run.id AND run.started_at < now() - make_interval(days => %s)

-- name: keep_state
-- The last STATE that was let go, by account and tap.
INSERT INTO {sync_state} (account_id, tap, state, digest, updated_at) VALUES (%s, %s, %s, %s, statement_timestamp())
ON CONFLICT (account_id, tap) DO UPDATE SET
    state = excluded.state, digest = excluded.digest, updated_at = excluded.updated_at

-- name: keep_digest
INSERT INTO {sync_released_states} (account_id, tap, digest, run_id, released_at)
VALUES (%s, %s, %s, %s, statement_timestamp())
ON CONFLICT (account_id, tap, digest) DO UPDATE SET run_id = excluded.run_id, released_at = excluded.released_at

-- name: find_state
-- Whether a state was let go here; whether any was; whether a load of version 0.1, which kept none, succeeded.
SELECT
    EXISTS (
        SELECT FROM {sync_released_states}
        WHERE tap = %(tap)s AND digest = %(digest)s
            AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
    ),
    EXISTS (
        SELECT FROM {sync_released_states}
        WHERE tap = %(tap)s AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
    ),
    EXISTS (
        SELECT FROM {sync_runs}
        WHERE kind = 'load' AND tap IS NULL AND status = 'succeeded'
            AND (%(account)s::bigint IS NULL OR %(account)s = ANY(account_ids))
    )

-- name: forget_old_digests
DELETE FROM {sync_released_states} WHERE released_at < now() - make_interval(days => %s)

-- name: keep_account
-- What SCHEMA messages say of an account; what is there already costs no write.
INSERT INTO {sync_accounts} AS known (account_id, subdomain, url, timezone) VALUES (%s, %s, %s, %s)
ON CONFLICT (account_id) DO UPDATE SET
    subdomain = coalesce(excluded.subdomain, known.subdomain),
    url = coalesce(excluded.url, known.url),
    timezone = coalesce(excluded.timezone, known.timezone),
    updated_at = excluded.updated_at
WHERE (known.subdomain, known.url, known.timezone) IS DISTINCT FROM (
    coalesce(excluded.subdomain, known.subdomain), coalesce(excluded.url, known.url),
    coalesce(excluded.timezone, known.timezone)
)
