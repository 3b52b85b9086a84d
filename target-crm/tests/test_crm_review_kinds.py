"""The review page at other sizes, in both languages, and over tables of other mappings."""

from __future__ import annotations

import re
from importlib import resources

import pytest
import review_data
import yaml
from review_desk import at_desk
from review_server import serving

from target_crm.presentation.texts.page import TEXTS
from target_crm.presentation.texts.report import TEXTS as REPORT
from target_crm.sql.conflicts import RULES


@pytest.fixture
def desk(crm):
    with at_desk(crm) as found:
        yield found


def test_lists_are_walked_by_key_and_show_each_entry_once(desk):
    desk.crm.execute(
        "INSERT INTO sync_conflicts (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value) "
        "SELECT 1, 'contacts', gen_random_uuid()::text, 'email', '\"a\"', '\"b\"', '\"c\"' FROM generate_series(1, 120)"
    )
    desk.crm.execute(
        "INSERT INTO sync_changes (run_id, table_name, row_id, column_name, old_value, new_value) "
        "SELECT 1, 'contacts', 'row-' || n, 'email', to_jsonb(n), to_jsonb(n + 1) FROM generate_series(1, 1200) AS n"
    )

    def walk(path, pattern):
        seen = []
        while path:
            page = desk.browser.get(path).text
            seen += re.findall(pattern, page)
            found = re.search(r'rel="next" href="([^"]*)"', page)
            path = found[1].replace("&amp;", "&").partition("#")[0] if found else None
        return seen

    conflicts = walk("/conflicts?column=email", r'name="id" value="(\d+)"')
    assert len(conflicts) == len(set(conflicts)) == 120
    changes = walk("/runs/1?table=contacts&column=email", r'data-label="After" class="v">([\d,]+)')
    assert len(changes) == len(set(changes)) == 1200
    assert "Contact · E-mail more than 1,000" in desk.browser.text("/runs/1")


def test_all_of_the_page_speaks_both_languages(desk):
    russian, number = desk.served.enter("ru-RU,ru;q=0.9,en;q=0.5"), desk.conflict(501)
    for path in ("/conflicts", f"/conflicts/{number}", "/runs", "/runs/2", "/runs/2/undo", "/records", "/rejects"):
        page = russian.get(path).text
        assert '<html lang="ru">' in page
        assert not {text[0] for text in TEXTS.values() if len(text[0]) > 12} & set(re.findall(r">([^<>]+)<", page))
    assert '<html lang="ru">' in desk.browser.get("/language/ru?back=/runs").text
    assert '<html lang="ru">' in desk.browser.get("/runs").text


def test_every_text_has_the_same_figures_in_both_languages():
    for key, (english, russian) in (*TEXTS.items(), *REPORT.items()):
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", russian)), key
        assert russian.strip(), key


OWN = """
CREATE TABLE shop.client (
    pk bigserial PRIMARY KEY, title varchar(20), tags text[], active boolean, born date, extra jsonb,
    amo_account bigint, amo bigint, raw jsonb, UNIQUE (amo_account, amo)
)
"""


@pytest.fixture
def own(crm, tmp_path):
    """A CRM of somebody's own: another schema, numbers for keys, no times, a name that has its limit."""
    crm.connection.execute(f"CREATE SCHEMA {crm.schema}".encode())
    shop = f"shop_{crm.schema}"
    crm.connection.execute(f"CREATE SCHEMA {shop}".encode())
    crm.connection.execute(OWN.replace("shop.", f"{shop}.").encode())
    mapping = {
        "streams": {
            "companies": {
                "table": f"{shop}.client",
                "key": {"id": "pk", "account": "amo_account", "amo_id": "amo"},
                "service": {
                    "raw_fields": "raw",
                    **dict.fromkeys(("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at")),
                },
                "columns": {
                    "title": "name",
                    "tags": {"from": "tags", "transform": "list"},
                    "active": {"from": "active", "transform": "boolean"},
                    "born": {"from": "born", "transform": "date"},
                    "extra": {"from": "extra", "transform": "json"},
                },
            }
        },
    }
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(mapping))
    crm.config["mapping_file"] = str(file)
    yield crm, f"{shop}.client"
    crm.connection.execute(f"DROP SCHEMA {shop} CASCADE".encode())


def test_conflicts_of_a_table_of_ones_own_are_resolved_whatever_their_columns_hold(own):
    crm, table = own
    theirs = {"name": "ООО «Вега»", "tags": ["a", "b"], "active": True, "born": "2001-02-03", "extra": {"k": [1]}}
    crm.sync(
        "companies", {"id": 1, "name": "Вега", "tags": ["a"], "active": False, "born": "2000-01-01", "extra": {"k": 1}}
    )
    crm.execute(
        f"UPDATE {table} SET title = 'Вега плюс', tags = '{{a,c}}', active = NULL, born = '2002-02-02', "
        "extra = jsonb_build_object('k', 2)"
    )
    crm.sync("companies", {"id": 1, **theirs})
    by_column = {c["column_name"]: c["id"] for c in crm.conflicts()}
    assert set(by_column) == {"title", "tags", "born", "extra"}
    with serving(crm.config) as served:
        browser = served.enter()
        assert "Вега плюс" in browser.text(f"/conflicts/{by_column['title']}")
        assert browser.settle(by_column["title"], "value", value="очень длинное название фирмы").status_code == 422
        assert browser.settle(by_column["title"], "value", value="Вега и Ко").status_code == 200
        assert browser.settle(by_column["tags"], "value", value="x\r\ny\r\n").status_code == 200
        assert browser.settle(by_column["born"], "amo").status_code == 200
        assert browser.settle(by_column["extra"], "value", value='{"k": ').status_code == 422
        assert browser.settle(by_column["extra"], "value", value='{"k": 3}').status_code == 200
        assert "Вега и Ко" in browser.text(f"/records?table={table}&key=1")
    (row,) = crm.execute(f"SELECT title, tags, born::text, extra FROM {table}")
    assert row == {"title": "Вега и Ко", "tags": ["x", "y"], "born": "2001-02-03", "extra": {"k": 3}}


def test_conflicts_of_a_table_that_is_mapped_no_more_are_shown(crm, tmp_path):
    review_data.fill(crm)
    document = yaml.safe_load(resources.files("target_crm.mapping").joinpath("builtin.yaml").read_text("utf-8"))
    document["streams"].pop("leads")
    document["ignore"].append("leads")
    for stream in ("notes", "tasks", "file_links"):
        document["streams"][stream]["columns"].pop("lead_id")
    file = tmp_path / "mapping.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    (number,) = [c["id"] for c in crm.conflicts() if c["table_name"] == "leads"]
    with serving({**crm.config, "mapping_file": str(file)}) as served:
        browser = served.enter()
        assert "Lead · Budget" in browser.text("/conflicts")
        assert "is no longer in the CRM" in browser.text(f"/conflicts/{number}")
        assert browser.get("/runs/2").status_code == 200
        browser.settle(number, "crm")
    (settled,) = [c for c in crm.conflicts() if c["id"] == number]
    assert settled["resolution"] == "crm"
    assert crm.row("leads", 701)["price"] == 520000


def test_the_indexes_that_the_page_needs_are_made_in_a_database_that_is_there(crm):
    crm.load([])
    wanted = {"sync_changes_cell", "sync_conflicts_cell", "sync_conflicts_run", "sync_rejects_run"}
    wanted |= {f"sync_conflicts_{rule}" for rule in RULES}
    query = "SELECT indexname FROM pg_indexes WHERE schemaname = %s"
    assert not wanted & {r["indexname"] for r in crm.execute(query, crm.schema)}
    with serving(crm.config):
        assert wanted <= {r["indexname"] for r in crm.execute(query, crm.schema)}


def test_texts_get_indexes_where_pg_trgm_is_in_a_schema_off_the_search_path(crm):
    crm.load([])
    crm.execute(
        "DROP EXTENSION IF EXISTS pg_trgm CASCADE; CREATE SCHEMA letters; CREATE EXTENSION pg_trgm SCHEMA letters"
    )
    try:
        with serving(crm.config):
            pass
        found = crm.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s", crm.schema)
        letters = {r["indexname"] for r in found if "letters.gin_trgm_ops" in r["indexdef"]}
    finally:
        crm.execute("DROP SCHEMA letters CASCADE")
    assert {"sync_conflicts_letters", "review_companies_name_letters", "review_contacts_last_name_letters"} <= letters
