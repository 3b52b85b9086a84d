-- The rows of sync_conflicts: lists, counts, and how they are resolved. {condition} is one over `conflict`.

-- name: find
SELECT conflict.* FROM {sync_conflicts} AS conflict WHERE {condition} AND {beyond} ORDER BY {order} LIMIT %s

-- name: find_one
-- With the run that resolved it, NULL while it is open.
SELECT
    conflict.*,
    (
        SELECT max(run.id) FROM {sync_runs} AS run
        WHERE run.kind = 'resolve' AND run.started_at = conflict.resolved_at
    ) AS settled_by
FROM {sync_conflicts} AS conflict WHERE conflict.id = %s

-- name: count
-- Counted up to a number, and the greatest id among all that there are now.
SELECT
    (SELECT count(*) FROM (SELECT FROM {sync_conflicts} AS conflict WHERE {condition} LIMIT {most}) AS counted) AS n,
    (SELECT max(id) FROM {sync_conflicts}) AS newest

-- name: open_cells
-- Tables and columns with open conflicts: walks an index from one pair to the next.
WITH RECURSIVE cells AS (
    (
        SELECT table_name, column_name FROM {sync_conflicts}
        WHERE resolved_at IS NULL ORDER BY table_name, column_name LIMIT 1
    )
    UNION ALL
    SELECT following.* FROM cells, LATERAL (
        SELECT conflict.table_name, conflict.column_name FROM {sync_conflicts} AS conflict
        WHERE conflict.resolved_at IS NULL
            AND (conflict.table_name, conflict.column_name) > (cells.table_name, cells.column_name)
        ORDER BY conflict.table_name, conflict.column_name LIMIT 1
    ) AS following
)
SELECT cells.table_name, cells.column_name, (
    SELECT count(*) FROM (
        SELECT FROM {sync_conflicts} AS conflict
        WHERE conflict.resolved_at IS NULL AND conflict.table_name = cells.table_name
            AND conflict.column_name = cells.column_name
        LIMIT {most}
    ) AS counted
) AS n
FROM cells ORDER BY cells.table_name, cells.column_name

-- name: cells_of
SELECT conflict.table_name, conflict.column_name FROM {sync_conflicts} AS conflict
WHERE {condition} GROUP BY conflict.table_name, conflict.column_name
ORDER BY conflict.table_name, conflict.column_name

-- name: each_of
SELECT conflict.id, conflict.table_name, conflict.column_name FROM {sync_conflicts} AS conflict
WHERE {condition} ORDER BY conflict.id

-- name: count_all
SELECT count(*) AS n FROM {sync_conflicts} AS conflict WHERE {condition}

-- name: lock
SELECT FROM {sync_conflicts} AS conflict WHERE {condition} ORDER BY conflict.id FOR UPDATE

-- name: lock_rows
-- The rows of one table that conflicts are about, in their keys' order.
SELECT FROM {table} AS crm
WHERE crm.{id} IN (
    SELECT {key} FROM {sync_conflicts} AS conflict WHERE {condition} AND conflict.table_name = {named}
)
ORDER BY crm.{id} FOR NO KEY UPDATE

-- name: read_settling
-- The conflicts of a column beside their rows: what the cell holds, what it is to hold (as a document and as a value),
-- and whether it still holds what it held.
SELECT conflict.id, conflict.row_id, {now} AS old_value, {given} AS new_value, {same} AS same, {typed} AS value
FROM {sync_conflicts} AS conflict
JOIN {table} AS crm ON crm.{id} = {key}
WHERE {condition}

-- name: read_none
-- The same shape without rows, for columns that are gone.
SELECT id, row_id, crm_value AS old_value, crm_value AS new_value, true AS same, NULL::text AS value
FROM {sync_conflicts} WHERE false

-- name: add_orphans
-- Conflicts whose row or column is gone.
INSERT INTO {settling} (id, row_id, old_value, new_value, same)
SELECT conflict.id, conflict.row_id, conflict.crm_value, conflict.crm_value, true
FROM {sync_conflicts} AS conflict WHERE {condition} AND {gone}

-- name: mark_settled
-- The run's own start marks what it resolved: undoing it opens just these again.
UPDATE {sync_conflicts} AS conflict SET resolved_at = run.started_at, resolution = %s
FROM {settling} AS settling, (SELECT started_at FROM {sync_runs} WHERE id = %s OFFSET 0) AS run
WHERE conflict.id = settling.id AND settling.same

-- name: neighbour
-- The next record, by table and key, that has such conflicts.
SELECT conflict.table_name, conflict.row_id FROM {sync_conflicts} AS conflict
WHERE {condition} AND {beyond}
ORDER BY conflict.table_name {direction}, conflict.row_id {direction} LIMIT 1

-- name: count_decided
-- Of a column's conflicts that people decided: how many took a side, and how many did not.
SELECT
    count(*) FILTER (WHERE decided.resolution = %s) AS alike,
    count(*) FILTER (WHERE decided.resolution <> %s) AS otherwise
FROM (
    SELECT conflict.resolution FROM {sync_conflicts} AS conflict
    WHERE conflict.table_name = %s AND conflict.column_name = %s
        AND conflict.resolution IN ('amo', 'crm', 'value') AND {condition}
    LIMIT {most}
) AS decided

-- name: suggest_rules
-- Columns of which all that was decided lately was decided alike, and that have no rule.
SELECT decided.table_name, decided.column_name, min(decided.resolution) AS take
FROM (
    SELECT table_name, column_name, resolution FROM {sync_conflicts}
    WHERE resolution IN ('amo', 'crm', 'value') ORDER BY id DESC LIMIT {most}
) AS decided
WHERE NOT EXISTS (
    SELECT FROM {sync_rules} AS rule
    WHERE rule.table_name = decided.table_name AND rule.column_name = decided.column_name
        AND rule.switched_off_at IS NULL
)
GROUP BY decided.table_name, decided.column_name
HAVING count(*) >= {least} AND count(DISTINCT decided.resolution) = 1 AND min(decided.resolution) <> 'value'
ORDER BY decided.table_name, decided.column_name

-- name: find_rules
-- With how many conflicts each has decided.
SELECT
    rule.*,
    (
        SELECT coalesce(sum((run.counts->rule.table_name->>'settled')::bigint), 0) FROM {sync_runs} AS run
        WHERE run.rule_id = rule.id
    ) AS applied
FROM {sync_rules} AS rule WHERE NOT %s OR rule.switched_off_at IS NULL ORDER BY rule.id DESC

-- name: add_rule
INSERT INTO {sync_rules} (table_name, column_name, condition, take, made_by) VALUES (%s, %s, %s, %s, %s) RETURNING id
