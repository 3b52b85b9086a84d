-- Tables as version 0.1 of target-crm made and filled them (pg_dump --inserts): loads, an edit by hand, a conflict,
-- rejects, the journal, a link that waits.
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA written_by_0_1;
SET default_table_access_method = heap;
CREATE TABLE written_by_0_1.companies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text,
    legal_name text,
    inn text,
    kpp text,
    address text,
    website text,
    phone text,
    email text,
    activity_kind text,
    employees_count integer,
    responsible_id uuid,
    tags text[],
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
)
WITH (toast_tuple_target='8160');
CREATE TABLE written_by_0_1.company_emails (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid NOT NULL,
    value text,
    comment text,
    type text,
    "position" integer,
    source text,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE written_by_0_1.company_phones (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid NOT NULL,
    value text,
    comment text,
    type text,
    "position" integer,
    source text,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE written_by_0_1.contact_emails (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    value text,
    comment text,
    type text,
    "position" integer,
    source text,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE written_by_0_1.contact_phones (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    contact_id uuid NOT NULL,
    value text,
    comment text,
    type text,
    "position" integer,
    source text,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE written_by_0_1.contacts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    first_name text,
    last_name text,
    "position" text,
    phone text,
    email text,
    responsible_id uuid,
    tags text[],
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
)
WITH (toast_tuple_target='8160');
CREATE TABLE written_by_0_1.leads (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    name text,
    price bigint,
    pipeline text,
    status text,
    closed_at timestamp with time zone,
    loss_reason text,
    responsible_id uuid,
    tags text[],
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
)
WITH (toast_tuple_target='8160');
CREATE TABLE written_by_0_1.notes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    contact_id uuid,
    lead_id uuid,
    note_type text,
    text text,
    params jsonb,
    author_id uuid,
    responsible_id uuid,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
)
WITH (toast_tuple_target='8160');
CREATE TABLE written_by_0_1.sync_changes (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    old_value jsonb,
    new_value jsonb
)
WITH (toast_tuple_target='8160');
ALTER TABLE written_by_0_1.sync_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME written_by_0_1.sync_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE written_by_0_1.sync_conflicts (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    base_value jsonb,
    crm_value jsonb,
    amo_value jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone,
    resolution text
);
ALTER TABLE written_by_0_1.sync_conflicts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME written_by_0_1.sync_conflicts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE written_by_0_1.sync_keys (
    account_id bigint NOT NULL,
    table_name text NOT NULL,
    amo_id bigint NOT NULL,
    row_id text,
    record_hash bigint,
    row_version bigint,
    is_edited boolean DEFAULT false NOT NULL,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone,
    merged_into bigint
);
CREATE TABLE written_by_0_1.sync_lookups (
    account_id bigint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL,
    name text NOT NULL
);
CREATE TABLE written_by_0_1.sync_pending (
    account_id bigint NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    amo_id bigint NOT NULL,
    source text NOT NULL,
    ref text NOT NULL
);
CREATE TABLE written_by_0_1.sync_rejects (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    stream text,
    record text,
    error text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone,
    resolution text
);
ALTER TABLE written_by_0_1.sync_rejects ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME written_by_0_1.sync_rejects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE written_by_0_1.sync_runs (
    id bigint NOT NULL,
    kind text DEFAULT 'load'::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    status text DEFAULT 'running'::text NOT NULL,
    account_ids bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    error text,
    undoes bigint,
    backend_pid integer,
    backend_start timestamp with time zone,
    merge_seconds double precision
);
ALTER TABLE written_by_0_1.sync_runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME written_by_0_1.sync_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE written_by_0_1.tasks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company_id uuid,
    contact_id uuid,
    lead_id uuid,
    text text,
    task_type text,
    due_at timestamp with time zone,
    is_completed boolean,
    result text,
    responsible_id uuid,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
)
WITH (toast_tuple_target='8160');
CREATE TABLE written_by_0_1.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text,
    email text,
    is_active boolean,
    raw_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    amo_account_id bigint,
    amo_id bigint,
    amo_created_at timestamp with time zone,
    amo_updated_at timestamp with time zone,
    amo_deleted_at timestamp with time zone
);
INSERT INTO written_by_0_1.companies VALUES ('01a2152e-dba7-7000-9c51-3c44f5e9f9ef', 'ООО «Ромашка»', NULL, NULL, NULL, NULL, NULL, '+74951234567', 'info@romashka.example', NULL, NULL, '493dcfa7-28b8-4871-b21f-42be62a4c769', NULL, '{"amo": {"id": 1, "name": "ООО «Ромашка»", "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "responsible_user_id": 5, "custom_fields_values": [{"values": [{"value": "+74951234567"}], "field_id": 12, "field_code": "PHONE", "field_name": "PHONE"}, {"values": [{"value": "info@romashka.example"}], "field_id": 13, "field_code": "EMAIL", "field_name": "EMAIL"}]}, "amo_values": {"name": "ООО «Ромашка»", "email": "info@romashka.example", "phone": "+74951234567", "emails": [{"k": "info@romashka.example", "n": 0, "v": "info@romashka.example"}], "phones": [{"k": "+74951234567", "n": 0, "v": "+74951234567"}], "responsible_id": "493dcfa7-28b8-4871-b21f-42be62a4c769"}}', '2026-11-26 00:08:42.139376+00', '2026-11-26 00:08:42.139376+00', 77, 1, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
INSERT INTO written_by_0_1.companies VALUES ('01a2152e-dba7-7001-b4e6-3d47ec0588fa', 'Вектор-Плюс', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"amo": {"id": 2, "name": "АО «Вектор»", "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}, "amo_values": {"name": "АО «Вектор»"}}', '2026-11-26 00:08:42.139376+00', '2026-11-26 00:08:42.139376+00', 77, 2, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
INSERT INTO written_by_0_1.company_emails VALUES ('01a2152e-dbab-7000-8454-812dd80c0b45', '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', 'info@romashka.example', NULL, NULL, 0, 'amocrm', '{"amo_values": {"key": "info@romashka.example", "type": null, "value": "info@romashka.example", "comment": null, "position": 0}}', '2026-11-26 00:08:42.139376+00', '2026-11-26 00:08:42.139376+00');
INSERT INTO written_by_0_1.company_phones VALUES ('01a2152e-dba8-7000-a536-8d1bcdfb4b6e', '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', '+74951234567', NULL, NULL, 0, 'amocrm', '{"amo_values": {"key": "+74951234567", "type": null, "value": "+74951234567", "comment": null, "position": 0}}', '2026-11-26 00:08:42.139376+00', '2026-11-26 00:08:42.139376+00');
INSERT INTO written_by_0_1.contact_phones VALUES ('01a2152e-dbec-7000-89eb-fb7eb9805a93', '01a2152e-dbeb-7000-9428-5266f3f1ba8b', '+79161234567', NULL, NULL, 0, 'amocrm', '{"amo_values": {"key": "+79161234567", "type": null, "value": "+79161234567", "comment": null, "position": 0}}', '2026-11-26 00:08:42.194553+00', '2026-11-26 00:08:42.194553+00');
INSERT INTO written_by_0_1.contacts VALUES ('01a2152e-dbeb-7000-9428-5266f3f1ba8b', '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', 'Пётр', 'Иванова', NULL, '+79161234567', NULL, '493dcfa7-28b8-4871-b21f-42be62a4c769', NULL, '{"amo": {"id": 1, "last_name": "Петров", "account_id": 77, "company_id": 1, "created_at": "2025-12-01T08:00:00+00:00", "first_name": "Пётр", "updated_at": "2026-01-02T00:00:00+00:00", "responsible_user_id": 5, "custom_fields_values": [{"values": [{"value": "+79161234567"}], "field_id": 11, "field_code": "PHONE", "field_name": "PHONE"}]}, "amo_values": {"phone": "+79161234567", "emails": [], "phones": [{"k": "+79161234567", "n": 0, "v": "+79161234567"}], "last_name": "Петров", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef", "first_name": "Пётр", "responsible_id": "493dcfa7-28b8-4871-b21f-42be62a4c769"}}', '2026-11-26 00:08:42.194553+00', '2026-11-26 00:08:42.194553+00', 77, 1, '2025-12-01 08:00:00+00', '2026-01-02 00:00:00+00', NULL);
INSERT INTO written_by_0_1.contacts VALUES ('01a2152e-dbeb-7001-9c8b-786cf5f4ad8b', NULL, 'Анна', 'Кузнецова', NULL, NULL, NULL, NULL, NULL, '{"amo": {"id": 2, "last_name": "Кузнецова", "account_id": 77, "company_id": 9, "created_at": "2025-12-01T08:00:00+00:00", "first_name": "Анна", "updated_at": "2026-01-02T00:00:00+00:00"}, "amo_values": {"last_name": "Кузнецова", "first_name": "Анна"}}', '2026-11-26 00:08:42.194553+00', '2026-11-26 00:08:42.479443+00', 77, 2, '2025-12-01 08:00:00+00', '2026-01-02 00:00:00+00', NULL);
INSERT INTO written_by_0_1.contacts VALUES ('01a2152e-dbeb-7002-9fb1-0eeff2f7a072', NULL, NULL, 'Удалённый', NULL, NULL, NULL, NULL, NULL, '{"amo": {"id": 3, "last_name": "Удалённый", "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}, "amo_values": {"last_name": "Удалённый"}}', '2026-11-26 00:08:42.194553+00', '2026-11-26 00:08:42.194553+00', 77, 3, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', '2026-01-03 00:00:00+00');
INSERT INTO written_by_0_1.leads VALUES ('01a2152e-dc23-7001-82d9-96b98398586e', NULL, 'Монтаж', 0, 'Продажи', 'Договор', NULL, NULL, NULL, NULL, '{"amo": {"id": 2, "name": "Монтаж", "price": 0, "status_id": 143, "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "pipeline_id": 7}, "amo_values": {"name": "Монтаж", "price": 0, "status": "Договор", "pipeline": "Продажи"}}', '2026-11-26 00:08:42.249448+00', '2026-11-26 00:08:42.249448+00', 77, 2, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
INSERT INTO written_by_0_1.leads VALUES ('01a2152e-dc23-7000-bbdd-d41c1853b20b', '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', 'Поставка оборудования', 160000, 'Продажи', 'Договор', NULL, NULL, NULL, NULL, '{"amo": {"id": 1, "name": "Поставка оборудования", "price": 150000, "status_id": 143, "account_id": 77, "company_id": 1, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-02T00:00:00+00:00", "pipeline_id": 7}, "amo_values": {"name": "Поставка оборудования", "price": 150000, "status": "Договор", "pipeline": "Продажи", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef"}}', '2026-11-26 00:08:42.249448+00', '2026-11-26 00:08:42.514727+00', 77, 1, '2025-12-01 08:00:00+00', '2026-01-02 00:00:00+00', NULL);
INSERT INTO written_by_0_1.notes VALUES ('01a2152e-dc53-7000-93fb-7c7384808a3b', NULL, NULL, '01a2152e-dc23-7000-bbdd-d41c1853b20b', 'common', 'Ждут счёт', '{"text": "Ждут счёт"}', NULL, NULL, '{"amo": {"id": 1, "params": {"text": "Ждут счёт"}, "entity_id": 1, "note_type": "common", "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "entity_type": "leads"}, "amo_values": {"text": "Ждут счёт", "params": {"text": "Ждут счёт"}, "lead_id": "01a2152e-dc23-7000-bbdd-d41c1853b20b", "note_type": "common"}}', '2026-11-26 00:08:42.312141+00', '2026-11-26 00:08:42.312141+00', 77, 1, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (1, 1, 'users', '493dcfa7-28b8-4871-b21f-42be62a4c769', '*', NULL, '{"name": "Ольга Белова", "email": "olga@example.com"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (2, 1, 'companies', '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', '*', NULL, '{"name": "ООО «Ромашка»", "email": "info@romashka.example", "phone": "+74951234567", "emails": [{"k": "info@romashka.example", "n": 0, "v": "info@romashka.example"}], "phones": [{"k": "+74951234567", "n": 0, "v": "+74951234567"}], "responsible_id": "493dcfa7-28b8-4871-b21f-42be62a4c769"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (3, 1, 'companies', '01a2152e-dba7-7001-b4e6-3d47ec0588fa', '*', NULL, '{"name": "АО «Вектор»"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (4, 1, 'contacts', '01a2152e-dbeb-7000-9428-5266f3f1ba8b', '*', NULL, '{"phone": "+79161234567", "emails": [], "phones": [{"k": "+79161234567", "n": 0, "v": "+79161234567"}, {"k": "+79031112233", "n": 1, "v": "+79031112233"}], "last_name": "Иванов", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef", "first_name": "Пётр", "responsible_id": "493dcfa7-28b8-4871-b21f-42be62a4c769"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (5, 1, 'contacts', '01a2152e-dbeb-7001-9c8b-786cf5f4ad8b', '*', NULL, '{"last_name": "Смирнова", "first_name": "Анна"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (6, 1, 'contacts', '01a2152e-dbeb-7002-9fb1-0eeff2f7a072', '*', NULL, '{"last_name": "Удалённый"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (7, 1, 'leads', '01a2152e-dc23-7000-bbdd-d41c1853b20b', '*', NULL, '{"name": "Поставка", "price": 150000, "status": "Новая", "pipeline": "Продажи", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (8, 1, 'leads', '01a2152e-dc23-7001-82d9-96b98398586e', '*', NULL, '{"name": "Монтаж", "price": 0, "status": "Договор", "pipeline": "Продажи"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (9, 1, 'notes', '01a2152e-dc53-7000-93fb-7c7384808a3b', '*', NULL, '{"text": "Ждут счёт", "params": {"text": "Ждут счёт"}, "lead_id": "01a2152e-dc23-7000-bbdd-d41c1853b20b", "note_type": "common"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (10, 1, 'tasks', '01a2152e-dc88-7000-a109-a182235d780d', '*', NULL, '{"text": "Позвонить", "due_at": "2026-02-01T09:00:00+00:00", "task_type": "Звонок", "contact_id": "01a2152e-dbeb-7000-9428-5266f3f1ba8b"}');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (11, 2, 'contacts', '01a2152e-dbeb-7001-9c8b-786cf5f4ad8b', 'last_name', '"Смирнова"', '"Кузнецова"');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (12, 2, 'contacts', '01a2152e-dbeb-7000-9428-5266f3f1ba8b', 'raw_fields', '{"amo": {"id": 1, "last_name": "Иванов", "account_id": 77, "company_id": 1, "created_at": "2025-12-01T08:00:00+00:00", "first_name": "Пётр", "updated_at": "2026-01-01T00:00:00+00:00", "responsible_user_id": 5, "custom_fields_values": [{"values": [{"value": "+79161234567"}, {"value": "89031112233"}], "field_id": 11, "field_code": "PHONE", "field_name": "PHONE"}]}, "amo_values": {"phone": "+79161234567", "emails": [], "phones": [{"k": "+79161234567", "n": 0, "v": "+79161234567"}, {"k": "+79031112233", "n": 1, "v": "+79031112233"}], "last_name": "Иванов", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef", "first_name": "Пётр", "responsible_id": "493dcfa7-28b8-4871-b21f-42be62a4c769"}}', NULL);
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (13, 2, 'contacts', '01a2152e-dbeb-7001-9c8b-786cf5f4ad8b', 'raw_fields', '{"amo": {"id": 2, "last_name": "Смирнова", "account_id": 77, "company_id": 9, "created_at": "2025-12-01T08:00:00+00:00", "first_name": "Анна", "updated_at": "2026-01-01T00:00:00+00:00"}, "amo_values": {"last_name": "Смирнова", "first_name": "Анна"}}', NULL);
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (14, 2, 'contact_phones', '01a2152e-dbec-7001-af48-07b5b063de6e', '*', '{"id": "01a2152e-dbec-7001-af48-07b5b063de6e", "type": null, "value": "+79031112233", "source": "amocrm", "comment": null, "position": 1, "contact_id": "01a2152e-dbeb-7000-9428-5266f3f1ba8b", "created_at": "2026-11-26T00:08:42.194553+00:00", "raw_fields": {"amo_values": {"key": "+79031112233", "type": null, "value": "+79031112233", "comment": null, "position": 1}}, "updated_at": "2026-11-26T00:08:42.194553+00:00"}', NULL);
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (15, 2, 'leads', '01a2152e-dc23-7000-bbdd-d41c1853b20b', 'name', '"Поставка"', '"Поставка оборудования"');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (16, 2, 'leads', '01a2152e-dc23-7000-bbdd-d41c1853b20b', 'status', '"Новая"', '"Договор"');
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (17, 2, 'leads', '01a2152e-dc23-7000-bbdd-d41c1853b20b', 'raw_fields', '{"amo": {"id": 1, "name": "Поставка", "price": 150000, "status_id": 142, "account_id": 77, "company_id": 1, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "pipeline_id": 7}, "amo_values": {"name": "Поставка", "price": 150000, "status": "Новая", "pipeline": "Продажи", "company_id": "01a2152e-dba7-7000-9c51-3c44f5e9f9ef"}}', NULL);
INSERT INTO written_by_0_1.sync_changes OVERRIDING SYSTEM VALUE VALUES (18, 2, 'contacts', '01a2152e-dbeb-7002-9fb1-0eeff2f7a072', 'amo_deleted_at', NULL, '"2026-01-03T00:00:00+00:00"');
INSERT INTO written_by_0_1.sync_conflicts OVERRIDING SYSTEM VALUE VALUES (1, 2, 'contacts', '01a2152e-dbeb-7000-9428-5266f3f1ba8b', 'last_name', '"Иванов"', '"Иванова"', '"Петров"', '2026-11-26 00:08:42.479443+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'users', 5, '493dcfa7-28b8-4871-b21f-42be62a4c769', 7372253493918774233, 803, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'companies', 1, '01a2152e-dba7-7000-9c51-3c44f5e9f9ef', 1065923107673801824, 804, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'companies', 2, '01a2152e-dba7-7001-b4e6-3d47ec0588fa', 4013116903059990071, 804, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'leads', 2, '01a2152e-dc23-7001-82d9-96b98398586e', 3922462296785297635, 806, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'notes', 1, '01a2152e-dc53-7000-93fb-7c7384808a3b', 562964490791701283, 807, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'tasks', 1, '01a2152e-dc88-7000-a109-a182235d780d', -6120451932865887091, 808, false, '2026-01-01 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'contacts', 1, '01a2152e-dbeb-7000-9428-5266f3f1ba8b', -6812458549387812737, 818, true, '2026-01-02 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'contacts', 2, '01a2152e-dbeb-7001-9c8b-786cf5f4ad8b', -8656322625737037105, 818, false, '2026-01-02 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'leads', 1, '01a2152e-dc23-7000-bbdd-d41c1853b20b', -2233602377563791072, 819, true, '2026-01-02 00:00:00+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_keys VALUES (77, 'contacts', 3, '01a2152e-dbeb-7002-9fb1-0eeff2f7a072', 5772030094835129754, 805, false, '2026-01-01 00:00:00+00', '2026-01-03 00:00:00+00', NULL);
INSERT INTO written_by_0_1.sync_lookups VALUES (77, 'pipeline', '7', 'Продажи');
INSERT INTO written_by_0_1.sync_lookups VALUES (77, 'status', '7:142', 'Новая');
INSERT INTO written_by_0_1.sync_lookups VALUES (77, 'status', '7:143', 'Договор');
INSERT INTO written_by_0_1.sync_pending VALUES (77, 'contacts', 'company_id', 2, 'companies', '9');
INSERT INTO written_by_0_1.sync_rejects OVERRIDING SYSTEM VALUE VALUES (1, 1, 'leads', '{"id": 3, "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "name": "С ошибкой", "price": "сто"}', 'column price: ''сто'' is no whole number', '2026-11-26 00:08:42.397054+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_rejects OVERRIDING SYSTEM VALUE VALUES (2, 2, 'leads', '{"id": "семь", "account_id": 77}', 'property id is no whole number: ''семь''', '2026-11-26 00:08:42.540439+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_rejects OVERRIDING SYSTEM VALUE VALUES (3, 2, 'leads', '{"id": 3, "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "name": "С ошибкой", "price": "сто"}', 'column price: ''сто'' is no whole number', '2026-11-26 00:08:42.540439+00', NULL, NULL);
INSERT INTO written_by_0_1.sync_runs OVERRIDING SYSTEM VALUE VALUES (1, 'load', '2026-11-26 00:08:41.961754+00', '2026-11-26 00:08:42.400625+00', 'succeeded', '{77}', '{"leads": {"kept": 0, "read": 3, "deleted": 0, "updated": 0, "inserted": 2, "rejected": 1, "restored": 0, "conflicts": 0, "unchanged": 1}, "notes": {"kept": 0, "read": 1, "deleted": 0, "updated": 0, "inserted": 1, "rejected": 0, "restored": 0, "conflicts": 0, "unchanged": 0}, "tasks": {"kept": 0, "read": 1, "deleted": 0, "updated": 0, "inserted": 1, "rejected": 0, "restored": 0, "conflicts": 0, "unchanged": 0}, "users": {"kept": 0, "read": 1, "deleted": 0, "updated": 0, "inserted": 1, "rejected": 0, "restored": 0, "conflicts": 0, "unchanged": 0}, "contacts": {"kept": 0, "read": 3, "deleted": 0, "updated": 0, "inserted": 3, "rejected": 0, "restored": 0, "conflicts": 0, "unchanged": 0}, "companies": {"kept": 0, "read": 2, "deleted": 0, "updated": 0, "inserted": 2, "rejected": 0, "restored": 0, "conflicts": 0, "unchanged": 0}}', NULL, NULL, 11010, '2026-11-26 00:08:41.851564+00', 0.34478459700005715);
INSERT INTO written_by_0_1.sync_runs OVERRIDING SYSTEM VALUE VALUES (2, 'load', '2026-11-26 00:08:42.429749+00', '2026-11-26 00:08:42.541801+00', 'succeeded', '{77}', '{"leads": {"kept": 1, "read": 2, "deleted": 0, "updated": 1, "inserted": 0, "rejected": 2, "restored": 0, "conflicts": 0, "unchanged": 1}, "contacts": {"kept": 1, "read": 2, "deleted": 1, "updated": 2, "inserted": 0, "rejected": 0, "restored": 0, "conflicts": 1, "unchanged": 0}}', NULL, NULL, 11052, '2026-11-26 00:08:42.420649+00', 0.06474420500001088);
INSERT INTO written_by_0_1.tasks VALUES ('01a2152e-dc88-7000-a109-a182235d780d', NULL, '01a2152e-dbeb-7000-9428-5266f3f1ba8b', NULL, 'Позвонить', 'Звонок', '2026-02-01 09:00:00+00', NULL, NULL, NULL, '{"amo": {"id": 1, "text": "Позвонить", "entity_id": 1, "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00", "entity_type": "contacts", "task_type_id": 1, "complete_till": "2026-02-01T09:00:00+00:00"}, "amo_values": {"text": "Позвонить", "due_at": "2026-02-01T09:00:00+00:00", "task_type": "Звонок", "contact_id": "01a2152e-dbeb-7000-9428-5266f3f1ba8b"}}', '2026-11-26 00:08:42.362957+00', '2026-11-26 00:08:42.362957+00', 77, 1, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
INSERT INTO written_by_0_1.users VALUES ('493dcfa7-28b8-4871-b21f-42be62a4c769', 'Ольга Белова', 'olga@example.com', NULL, '{"amo": {"id": 5, "name": "Ольга Белова", "email": "olga@example.com", "account_id": 77, "created_at": "2025-12-01T08:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}, "amo_values": {"name": "Ольга Белова", "email": "olga@example.com"}}', '2026-11-26 00:08:42.089741+00', '2026-11-26 00:08:42.089741+00', 77, 5, '2025-12-01 08:00:00+00', '2026-01-01 00:00:00+00', NULL);
SELECT pg_catalog.setval('written_by_0_1.sync_changes_id_seq', 18, true);
SELECT pg_catalog.setval('written_by_0_1.sync_conflicts_id_seq', 1, true);
SELECT pg_catalog.setval('written_by_0_1.sync_rejects_id_seq', 3, true);
SELECT pg_catalog.setval('written_by_0_1.sync_runs_id_seq', 2, true);
ALTER TABLE ONLY written_by_0_1.companies
    ADD CONSTRAINT companies_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.companies
    ADD CONSTRAINT companies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.company_emails
    ADD CONSTRAINT company_emails_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.company_phones
    ADD CONSTRAINT company_phones_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.contact_emails
    ADD CONSTRAINT contact_emails_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.contact_phones
    ADD CONSTRAINT contact_phones_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.contacts
    ADD CONSTRAINT contacts_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.contacts
    ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.leads
    ADD CONSTRAINT leads_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.leads
    ADD CONSTRAINT leads_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.sync_changes
    ADD CONSTRAINT sync_changes_pkey PRIMARY KEY (run_id, id);
ALTER TABLE ONLY written_by_0_1.sync_conflicts
    ADD CONSTRAINT sync_conflicts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.sync_keys
    ADD CONSTRAINT sync_keys_pkey PRIMARY KEY (account_id, table_name, amo_id);
ALTER TABLE ONLY written_by_0_1.sync_lookups
    ADD CONSTRAINT sync_lookups_pkey PRIMARY KEY (account_id, source, ref);
ALTER TABLE ONLY written_by_0_1.sync_pending
    ADD CONSTRAINT sync_pending_pkey PRIMARY KEY (account_id, source, ref, table_name, column_name, amo_id);
ALTER TABLE ONLY written_by_0_1.sync_rejects
    ADD CONSTRAINT sync_rejects_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.sync_runs
    ADD CONSTRAINT sync_runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY written_by_0_1.users
    ADD CONSTRAINT users_amo_account_id_amo_id_key UNIQUE (amo_account_id, amo_id);
ALTER TABLE ONLY written_by_0_1.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX company_emails_company ON written_by_0_1.company_emails USING btree (company_id);
CREATE INDEX company_phones_company ON written_by_0_1.company_phones USING btree (company_id);
CREATE INDEX contact_emails_contact ON written_by_0_1.contact_emails USING btree (contact_id);
CREATE INDEX contact_phones_contact ON written_by_0_1.contact_phones USING btree (contact_id);
CREATE INDEX contacts_company ON written_by_0_1.contacts USING btree (company_id);
CREATE INDEX leads_company ON written_by_0_1.leads USING btree (company_id);
CREATE INDEX notes_company ON written_by_0_1.notes USING btree (company_id);
CREATE INDEX notes_contact ON written_by_0_1.notes USING btree (contact_id);
CREATE INDEX notes_lead ON written_by_0_1.notes USING btree (lead_id);
CREATE INDEX sync_changes_row ON written_by_0_1.sync_changes USING btree (row_id, table_name, id);
CREATE INDEX sync_conflicts_open ON written_by_0_1.sync_conflicts USING btree (id) WHERE (resolved_at IS NULL);
CREATE INDEX sync_conflicts_row ON written_by_0_1.sync_conflicts USING btree (table_name, row_id, column_name);
CREATE INDEX sync_rejects_open ON written_by_0_1.sync_rejects USING btree (id) WHERE (resolved_at IS NULL);
CREATE INDEX tasks_company ON written_by_0_1.tasks USING btree (company_id);
CREATE INDEX tasks_contact ON written_by_0_1.tasks USING btree (contact_id);
CREATE INDEX tasks_lead ON written_by_0_1.tasks USING btree (lead_id);
ALTER TABLE ONLY written_by_0_1.companies
    ADD CONSTRAINT companies_responsible_id_fkey FOREIGN KEY (responsible_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.company_emails
    ADD CONSTRAINT company_emails_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE CASCADE;
ALTER TABLE ONLY written_by_0_1.company_phones
    ADD CONSTRAINT company_phones_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE CASCADE;
ALTER TABLE ONLY written_by_0_1.contact_emails
    ADD CONSTRAINT contact_emails_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES written_by_0_1.contacts(id) ON DELETE CASCADE;
ALTER TABLE ONLY written_by_0_1.contact_phones
    ADD CONSTRAINT contact_phones_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES written_by_0_1.contacts(id) ON DELETE CASCADE;
ALTER TABLE ONLY written_by_0_1.contacts
    ADD CONSTRAINT contacts_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.contacts
    ADD CONSTRAINT contacts_responsible_id_fkey FOREIGN KEY (responsible_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.leads
    ADD CONSTRAINT leads_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.leads
    ADD CONSTRAINT leads_responsible_id_fkey FOREIGN KEY (responsible_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_author_id_fkey FOREIGN KEY (author_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES written_by_0_1.contacts(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES written_by_0_1.leads(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.notes
    ADD CONSTRAINT notes_responsible_id_fkey FOREIGN KEY (responsible_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_company_id_fkey FOREIGN KEY (company_id) REFERENCES written_by_0_1.companies(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES written_by_0_1.contacts(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES written_by_0_1.leads(id) ON DELETE SET NULL;
ALTER TABLE ONLY written_by_0_1.tasks
    ADD CONSTRAINT tasks_responsible_id_fkey FOREIGN KEY (responsible_id) REFERENCES written_by_0_1.users(id) ON DELETE SET NULL;
