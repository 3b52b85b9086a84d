-- Indexes by which the review page finds its way. `serve` makes them: loads do without, and should not pay for pages
-- that nobody opens. {schema} is composed by psycopg.sql; one statement each, made while others read and write.
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_changes_cell
    ON {schema}.sync_changes (run_id, table_name, column_name, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_conflicts_cell
    ON {schema}.sync_conflicts (table_name, column_name, id) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_conflicts_run ON {schema}.sync_conflicts (run_id, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_rejects_run ON {schema}.sync_rejects (run_id, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_conflicts_card
    ON {schema}.sync_conflicts (table_name, row_id) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_conflicts_decided
    ON {schema}.sync_conflicts (id) WHERE resolution IN ('amo', 'crm', 'value');
