-- What keeps in sync_issue_changes how conflicts, rejects, warnings and proposals were before a run changed them.
CREATE OR REPLACE FUNCTION {schema}.sync_keep_issues() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    run text := pg_catalog.current_setting('target_crm.run', true);
BEGIN
    IF run <> '' THEN
        INSERT INTO {schema}.sync_issue_changes (run_id, table_name, row_id, old_row, new_row)
        SELECT run::bigint, TG_TABLE_NAME, before.id, pg_catalog.to_jsonb(before), pg_catalog.to_jsonb(after)
        FROM before JOIN after ON after.id = before.id;
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_conflicts;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_conflicts REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.sync_keep_issues();
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_rejects;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_rejects REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.sync_keep_issues();
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_warnings;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_warnings REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.sync_keep_issues();
DROP TRIGGER IF EXISTS sync_keep_issues ON {schema}.sync_proposals;
CREATE TRIGGER sync_keep_issues AFTER UPDATE ON {schema}.sync_proposals REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.sync_keep_issues();
