"""`target-crm-admin map`: a first mapping for existing tables, and the check of one."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from target_crm.admin import main
from target_crm.mapping.found_tables import is_called, split_words
from target_crm.mapping.load import read_mapping

RUSSIAN = """
CREATE TABLE "Сотрудники" ("Код" serial PRIMARY KEY, "ФИО" text, "Почта" text);
CREATE TABLE "Контрагенты" (
    "Код" serial PRIMARY KEY, "Наименование" varchar(200) NOT NULL, "ИНН" varchar(12), "КПП" integer,
    "Телефон" varchar(50), "Категория" text NOT NULL, "Ответственный" integer REFERENCES "Сотрудники",
    "ДатаСоздания" timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE "КонтактныеЛица" (
    "Код" serial PRIMARY KEY, "Контрагент" integer REFERENCES "Контрагенты", "Имя" text, "Фамилия" text,
    "Должность" varchar(100)
);
CREATE TABLE "ТелефоныЛиц" (
    "Код" serial PRIMARY KEY, "Лицо" integer NOT NULL REFERENCES "КонтактныеЛица" ON DELETE CASCADE,
    "Номер" varchar(40) NOT NULL, "Примечание" text
);
CREATE TABLE "Сделки" (
    "Код" serial PRIMARY KEY, "Контрагент" integer REFERENCES "Контрагенты", "Название" text, "Сумма" numeric(12, 2),
    "Этап" text
);
CREATE TABLE "Задачи" (
    "Код" serial PRIMARY KEY, "Сделка" integer REFERENCES "Сделки", "Текст" text NOT NULL, "Срок" timestamptz,
    "Выполнена" boolean NOT NULL
);
CREATE TABLE "АрхивСделок" ("Код" serial PRIMARY KEY, "Название" text, "Сумма" numeric, "Этап" text);
"""
ENGLISH = """
CREATE TYPE stage AS ENUM ('new', 'won', 'lost');
CREATE TABLE staff (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar(254), full_name text);
CREATE TABLE organizations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, vat_number varchar(12), website text,
    account_manager_id uuid REFERENCES staff, updated_at timestamptz
);
CREATE TABLE customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text);
CREATE TABLE people (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid REFERENCES organizations, first_name text,
    surname text, email varchar(254), amocrm_id bigint
);
CREATE TABLE opportunities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), organization_id uuid, name text, amount integer, stage stage
);
CREATE TABLE opportunity_tags (opportunity_id uuid, tag text);
CREATE VIEW deals AS SELECT * FROM opportunities;
"""


@pytest.fixture
def admin(crm, tmp_path):
    """The command on this test's schema; the mapping's file is replaced each time."""
    crm.load([])
    file, statements = tmp_path / "mapping.yaml", tmp_path / "add.sql"
    config = ["--database-url", crm.url, "--crm-schema", crm.schema]
    crm.execute("DROP TABLE users, companies, contacts, leads, notes, tasks CASCADE")

    def run(*arguments, mapping=None):
        given = [*config, *(["--mapping-file", str(mapping)] if mapping else [])]
        return CliRunner().invoke(main, [*given, "map", *arguments])

    def init():
        run_ = run("--init", "--schema", crm.schema, "-o", str(file), "--sql", str(statements), "--force")
        assert run_.exit_code == 0, run_.output
        return run_.output

    run.init, run.file, run.sql = init, file, statements
    return run


def phone(value):
    return [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": value}]}]


def test_tables_with_russian_names_are_found_and_the_statements_that_they_lack_make_the_mapping_load(crm, admin):
    crm.execute(RUSSIAN)
    told = admin.init()
    streams = yaml.safe_load(admin.file.read_text())["streams"]
    assert {stream: spec["table"].split(".")[1] for stream, spec in streams.items()} == {
        "users": "Сотрудники",
        "companies": "Контрагенты",
        "contacts": "КонтактныеЛица",
        "leads": "Сделки",
        "tasks": "Задачи",
    }
    assert "It fits the database once these statements have run" in told
    assert "Still to be done" not in told
    crm.execute(admin.sql.read_text())
    assert "It fits the database; correct" in admin.init()
    settings = {"mapping_file": str(admin.file)}
    crm.execute("""INSERT INTO "Сотрудники" ("ФИО", "Почта") VALUES ('Анна', 'anna@firma.ru')""")
    crm.sync("users", {"id": 5, "name": "Анна", "email": "anna@firma.ru"}, **settings)
    crm.sync("companies", {"id": 1, "name": "ООО", "responsible_user_id": 5}, **settings)
    crm.sync(
        "contacts",
        {"id": 2, "first_name": "Пётр", "company_id": 1, "custom_fields_values": phone("89161234567")},
        **settings,
    )
    crm.sync("leads", {"id": 3, "name": "Поставка", "price": 900, "company_id": 1}, **settings)
    crm.sync(
        "tasks",
        {"id": 4, "text": "Позвонить", "entity_id": 3, "entity_type": "leads", "is_completed": False},
        **settings,
    )
    (firm,) = crm.execute('SELECT * FROM "Контрагенты"')
    assert (firm["Наименование"], firm["Категория"], firm["Ответственный"]) == ("ООО", "", 1)
    (person,) = crm.execute('SELECT * FROM "КонтактныеЛица"')
    assert (person["Имя"], person["Контрагент"]) == ("Пётр", firm["Код"])
    assert crm.execute('SELECT "Лицо", "Номер" FROM "ТелефоныЛиц"') == [
        {"Лицо": person["Код"], "Номер": "+79161234567"}
    ]
    (deal,) = crm.execute('SELECT * FROM "Сделки"')
    assert (deal["Название"], deal["Сумма"], deal["Контрагент"]) == ("Поставка", 900, firm["Код"])
    (task,) = crm.execute('SELECT * FROM "Задачи"')
    assert (task["Текст"], task["Выполнена"], task["Сделка"]) == ("Позвонить", False, deal["Код"])
    assert crm.execute("SELECT count(*) AS n FROM sync_rejects") == [{"n": 0}]


def test_a_column_of_a_type_that_can_not_take_the_value_is_left_out_with_the_reason(crm, admin):
    crm.execute(RUSSIAN)
    admin.init()
    text = admin.file.read_text()
    assert "КПП" not in yaml.safe_load(text)["streams"]["companies"]["columns"]
    assert any("# КПП: not mapped, it is integer" in line for line in text.splitlines())


def test_keys_of_uuid_enums_views_and_second_choices(crm, admin):
    crm.execute(ENGLISH)
    admin.init()
    text = admin.file.read_text()
    streams = yaml.safe_load(text)["streams"]
    assert streams["companies"]["table"] == f"{crm.schema}.organizations"
    assert f"it might also be {crm.schema}.customers" in text
    # A foreign key that is missing is made up for by the column's name.
    assert streams["leads"]["columns"]["organization_id"] == {"from": "company_id", "link": "companies"}
    assert streams["leads"]["table"] == f"{crm.schema}.opportunities"
    assert "stage: not mapped, it is stage (new, won, lost)" in text.replace(f"{crm.schema}.", "")
    # What is there of amoCRM's key is used, the rest is added.
    assert streams["contacts"]["key"] == {"id": "id", "account": "amo_account_id", "amo_id": "amocrm_id"}
    crm.execute(admin.sql.read_text())
    assert "It fits the database; correct" in admin.init()
    crm.sync("contacts", {"id": 2, "first_name": "Пётр", "last_name": "Котов"}, mapping_file=str(admin.file))
    assert [(r["surname"], r["amocrm_id"]) for r in crm.rows("people", "id")] == [("Котов", 2)]


def test_what_is_not_recognised_is_in_a_remark_and_the_document_is_valid(crm, admin):
    crm.execute(RUSSIAN)
    admin.init()
    text = admin.file.read_text()
    assert "# not recognised: Категория (text)" in text
    assert "# No table was found for: notes." in text
    assert "notes" in read_mapping(text, "mapping.yaml").ignored


def test_a_migration_of_django_is_suggested_too(crm, admin):
    crm.execute(RUSSIAN)
    admin.init()
    assert "amo_id = models.BigIntegerField(null=True, editable=False)" in admin.file.read_text()


def test_without_a_file_the_mapping_goes_to_standard_output(crm, admin):
    crm.execute(ENGLISH)
    run = admin("--init", "--schema", crm.schema)
    assert "organizations" in yaml.safe_load(run.stdout)["streams"]["companies"]["table"]


def test_a_file_that_is_there_is_not_replaced_unasked(crm, admin):
    crm.execute(ENGLISH)
    admin.file.write_text("mine")
    run = admin("--init", "-o", str(admin.file))
    assert run.exit_code == 2
    assert "already exists" in run.output
    assert admin.file.read_text() == "mine"


def test_a_database_without_such_tables_is_one_message(crm, admin):
    crm.execute("CREATE TABLE weather (id int)")
    run = admin("--init", "--schema", crm.schema)
    assert run.exit_code == 1
    assert "no table looks like companies" in run.output


def test_nothing_in_the_database_is_changed(crm, admin):
    crm.execute(RUSSIAN)
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 2"
    before = crm.execute(query, crm.schema)
    admin.init()
    assert crm.execute(query, crm.schema) == before


def test_map_alone_checks_the_mapping_and_shows_what_goes_where(crm, admin):
    crm.execute(ENGLISH)
    admin.init()
    run = admin(mapping=admin.file)
    assert run.exit_code == 1
    assert f"{admin.file}, line " in run.output
    crm.execute(admin.sql.read_text())
    run = admin(mapping=admin.file)
    assert run.exit_code == 0
    assert "The mapping fits the database." in run.output
    assert "vat_number" in run.output


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("companies_company", ["company", "company"]),
        ("CrmContacts", ["crm", "contact"]),
        ("ТелефоныКонтактов", ["телефоны", "контактов"]),
        ("tbl_addresses", ["tbl", "address"]),
        ("tasks2", ["tasks2"]),
    ],
)
def test_names_are_taken_apart(name, parts):
    assert split_words(name) == parts


def test_declined_words_are_known_by_their_beginning():
    assert is_called("контрагентов", ("контрагент*",))
    assert not is_called("контра", ("контрагент*",))
    assert not is_called("companyphone", ("company",))
