-- The tables of the built-in mapping. {schema} and {new_id} (uuidv7 where the server has it, so that new keys are near
-- one another in the indexes; gen_random_uuid elsewhere) are composed by psycopg.sql.
CREATE TABLE IF NOT EXISTS {schema}.users (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    name text, email text, is_active boolean,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE TABLE IF NOT EXISTS {schema}.companies (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    name text, legal_name text, inn text, kpp text, address text, website text, phone text, email text,
    activity_kind text, employees_count integer,
    responsible_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    tags text[],
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE TABLE IF NOT EXISTS {schema}.contacts (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid REFERENCES {schema}.companies (id) ON DELETE SET NULL,
    first_name text, last_name text, position text, phone text, email text,
    responsible_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    tags text[],
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS contacts_company ON {schema}.contacts (company_id);
CREATE TABLE IF NOT EXISTS {schema}.company_phones (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid NOT NULL REFERENCES {schema}.companies (id) ON DELETE CASCADE,
    value text, comment text, type text, position integer, source text,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS company_phones_company ON {schema}.company_phones (company_id);
CREATE TABLE IF NOT EXISTS {schema}.company_emails (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid NOT NULL REFERENCES {schema}.companies (id) ON DELETE CASCADE,
    value text, comment text, type text, position integer, source text,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS company_emails_company ON {schema}.company_emails (company_id);
CREATE TABLE IF NOT EXISTS {schema}.contact_phones (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    contact_id uuid NOT NULL REFERENCES {schema}.contacts (id) ON DELETE CASCADE,
    value text, comment text, type text, position integer, source text,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS contact_phones_contact ON {schema}.contact_phones (contact_id);
CREATE TABLE IF NOT EXISTS {schema}.contact_emails (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    contact_id uuid NOT NULL REFERENCES {schema}.contacts (id) ON DELETE CASCADE,
    value text, comment text, type text, position integer, source text,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS contact_emails_contact ON {schema}.contact_emails (contact_id);
CREATE TABLE IF NOT EXISTS {schema}.leads (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid REFERENCES {schema}.companies (id) ON DELETE SET NULL,
    name text, price numeric, pipeline text, status text, closed_at timestamptz, loss_reason text,
    responsible_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    tags text[],
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS leads_company ON {schema}.leads (company_id);
CREATE TABLE IF NOT EXISTS {schema}.notes (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid REFERENCES {schema}.companies (id) ON DELETE SET NULL,
    contact_id uuid REFERENCES {schema}.contacts (id) ON DELETE SET NULL,
    lead_id uuid REFERENCES {schema}.leads (id) ON DELETE SET NULL,
    note_type text, text text, params jsonb,
    author_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    responsible_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS notes_company ON {schema}.notes (company_id);
CREATE INDEX IF NOT EXISTS notes_contact ON {schema}.notes (contact_id);
CREATE INDEX IF NOT EXISTS notes_lead ON {schema}.notes (lead_id);
-- The account's files, and what they hang on: a note, or a custom field (its id in amoCRM) of a card. They are joined by
-- file_uuid: a link may come before its file, and outlive it.
CREATE TABLE IF NOT EXISTS {schema}.files (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    uuid text, version_uuid text, name text, kind text, extension text, mime_type text, size bigint,
    author_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS files_uuid ON {schema}.files (uuid);
CREATE TABLE IF NOT EXISTS {schema}.file_links (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    file_uuid text, version_uuid text, file_name text,
    company_id uuid REFERENCES {schema}.companies (id) ON DELETE SET NULL,
    contact_id uuid REFERENCES {schema}.contacts (id) ON DELETE SET NULL,
    lead_id uuid REFERENCES {schema}.leads (id) ON DELETE SET NULL,
    note_id uuid REFERENCES {schema}.notes (id) ON DELETE SET NULL,
    field_id bigint,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS file_links_file ON {schema}.file_links (file_uuid);
CREATE INDEX IF NOT EXISTS file_links_company ON {schema}.file_links (company_id);
CREATE INDEX IF NOT EXISTS file_links_contact ON {schema}.file_links (contact_id);
CREATE INDEX IF NOT EXISTS file_links_lead ON {schema}.file_links (lead_id);
CREATE INDEX IF NOT EXISTS file_links_note ON {schema}.file_links (note_id);
CREATE TABLE IF NOT EXISTS {schema}.tasks (
    id uuid PRIMARY KEY DEFAULT {new_id}(),
    company_id uuid REFERENCES {schema}.companies (id) ON DELETE SET NULL,
    contact_id uuid REFERENCES {schema}.contacts (id) ON DELETE SET NULL,
    lead_id uuid REFERENCES {schema}.leads (id) ON DELETE SET NULL,
    text text, task_type text, due_at timestamptz, is_completed boolean, result text,
    responsible_id uuid REFERENCES {schema}.users (id) ON DELETE SET NULL,
    raw_fields jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    amo_account_id bigint, amo_id bigint,
    amo_created_at timestamptz, amo_updated_at timestamptz, amo_deleted_at timestamptz,
    UNIQUE (amo_account_id, amo_id)
);
CREATE INDEX IF NOT EXISTS tasks_company ON {schema}.tasks (company_id);
CREATE INDEX IF NOT EXISTS tasks_contact ON {schema}.tasks (contact_id);
CREATE INDEX IF NOT EXISTS tasks_lead ON {schema}.tasks (lead_id);
