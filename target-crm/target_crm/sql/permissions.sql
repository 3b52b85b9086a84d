-- The rows of sync_permissions: what a person allows one load to do although a guard stops it.

-- name: use
-- Takes the permission for this run, which it serves to its end; a run that is rolled back gives it back.
UPDATE {sync_permissions} SET used_by = {run}, used_at = now()
WHERE id = (
    SELECT known.id FROM {sync_permissions} AS known
    WHERE known.code = {code} AND known.table_name = {table} AND coalesce(known.column_name, '') = {column}
        AND coalesce(known.most >= {number}, true) AND known.revoked_at IS NULL
        AND coalesce(known.used_by, {run}) = {run}
    ORDER BY known.id LIMIT 1
)
RETURNING id

-- name: give
-- Of one guard, table and column at most one permission waits: another one takes its place.
INSERT INTO {sync_permissions} AS known (code, table_name, column_name, most, failed_run, made_by)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (code, table_name, coalesce(column_name, '')) WHERE used_by IS NULL AND revoked_at IS NULL DO UPDATE SET
    most = greatest(known.most, excluded.most), failed_run = excluded.failed_run, made_by = excluded.made_by,
    created_at = now()
RETURNING id

-- name: revoke
UPDATE {sync_permissions} SET revoked_by = %s, revoked_at = now()
WHERE id = %s AND used_by IS NULL AND revoked_at IS NULL

-- name: list
SELECT * FROM {sync_permissions} ORDER BY id DESC LIMIT %s

-- name: open
SELECT * FROM {sync_permissions} WHERE used_by IS NULL AND revoked_at IS NULL ORDER BY id

-- name: of_run
SELECT * FROM {sync_permissions} WHERE used_by = %s OR failed_run = %s ORDER BY id
