-- The same as issue_triggers.sql for Citus: on a node of Citus a function knows no tables of old and new rows, and the
-- table that it is called for has another name. citus.enable_unsafe_triggers must be on when they are created.
CREATE OR REPLACE FUNCTION {schema}.sync_keep_issue() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    run text := pg_catalog.current_setting('target_crm.run', true);
BEGIN
    IF run <> '' THEN
        INSERT INTO {schema}.sync_issue_changes (run_id, table_name, row_id, old_row, new_row)
        VALUES (run::bigint, TG_ARGV[0], OLD.id, pg_catalog.to_jsonb(OLD), pg_catalog.to_jsonb(NEW));
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_conflicts;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_conflicts
    FOR EACH ROW EXECUTE FUNCTION {schema}.sync_keep_issue('sync_conflicts');
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_rejects;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_rejects
    FOR EACH ROW EXECUTE FUNCTION {schema}.sync_keep_issue('sync_rejects');
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_warnings;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_warnings
    FOR EACH ROW EXECUTE FUNCTION {schema}.sync_keep_issue('sync_warnings');
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_proposals;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_proposals
    FOR EACH ROW EXECUTE FUNCTION {schema}.sync_keep_issue('sync_proposals');
