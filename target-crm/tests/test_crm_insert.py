"""New rows: whatever the text is it arrives, and a table that decides for itself about its rows is not passed by."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_crm.merge.copy_format import dump_column, rows_of
from target_crm.merge.row_keys import new_uuids

NOW = "2026-01-01T00:00:00+00:00"
AWKWARD = [
    "\\N",
    "\\.",
    "a\tb",
    "line\nbreak",
    "a\rb",
    "back\\slash",
    '"quoted"',
    "{a,b}",
    "a\u2028",
    "\x7f",
    "🔥",
    ", ;",
]


@pytest.fixture
def trigger(crm):
    """Puts a trigger before the insertion of contacts that runs these lines of PL/pgSQL."""

    def make(body):
        crm.load([])
        crm.execute(
            f"CREATE FUNCTION decide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; "
            "CREATE TRIGGER decide BEFORE INSERT ON contacts FOR EACH ROW EXECUTE FUNCTION decide()"
        )

    return make


def test_text_that_copy_takes_for_its_own_arrives_as_it_was(crm):
    crm.sync("contacts", *({"id": n, "last_name": text} for n, text in enumerate(AWKWARD, 1)))
    assert [row["last_name"] for row in crm.rows("contacts")] == AWKWARD
    assert [row["raw_fields"]["amo"]["last_name"] for row in crm.rows("contacts")] == AWKWARD


def test_awkward_tags_arrive_one_by_one(crm):
    tags = [{"name": text} for text in AWKWARD]
    crm.sync("contacts", {"_embedded": {"tags": tags}})
    assert sorted(crm.row("contacts")["tags"]) == sorted(AWKWARD)


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=50))
@settings(max_examples=60, deadline=None)
def test_any_column_of_text_comes_back_as_it_went(database_url, values):
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE there (n integer, value text)")
        with cursor.copy("COPY there FROM STDIN") as copy:
            for rows in rows_of([dump_column(range(len(values))), dump_column(values)]):
                copy.write(rows)
        assert [row[0] for row in cursor.execute("SELECT value FROM there ORDER BY n")] == values


def test_more_rows_than_one_piece_keep_their_phones_and_keys(crm, custom_field):
    records = [
        {
            "id": n,
            "last_name": f"N{n}",
            "updated_at": NOW,
            "custom_fields_values": [custom_field("PHONE", f"+7916{n:07d}")],
        }
        for n in range(1, 1202)
    ]
    assert crm.sync("contacts", *records)["inserted"] == 1201
    (found,) = crm.execute(
        "SELECT count(*) AS n FROM contacts AS c JOIN contact_phones AS p ON p.contact_id = c.id "
        "JOIN sync_keys AS k ON k.row_id = c.id::text AND k.amo_id = c.amo_id "
        "JOIN sync_changes AS j ON j.row_id = c.id::text AND j.column_name = '*' "
        "WHERE p.value = '+7916' || lpad(c.amo_id::text, 7, '0') AND c.last_name = 'N' || c.amo_id"
    )
    assert found["n"] == 1201
    assert crm.sync("contacts", *records)["unchanged"] == 1201


def test_a_trigger_that_changes_new_rows_is_honoured(crm, trigger):
    trigger("NEW.last_name := upper(NEW.last_name); RETURN NEW;")
    crm.sync("contacts", {"last_name": "petrov"})
    assert crm.row("contacts")["last_name"] == "PETROV"
    crm.sync("contacts", {"last_name": "petrov", "first_name": "Anna"})
    row = crm.row("contacts")
    assert (row["last_name"], row["first_name"]) == ("PETROV", "Anna")


def test_a_row_that_a_trigger_refuses_is_not_taken_for_one_that_is_there(crm, trigger):
    trigger("IF NEW.last_name = 'no' THEN RETURN NULL; END IF; RETURN NEW;")
    counts = crm.sync("contacts", {"id": 1, "last_name": "no"}, {"id": 2, "last_name": "yes"})
    assert [row["amo_id"] for row in crm.rows("contacts")] == [2]
    assert counts["inserted"] == 1
    assert crm.execute("SELECT amo_id FROM sync_keys WHERE table_name = 'contacts'") == [{"amo_id": 2}]


def test_a_table_with_row_level_security_is_loaded(crm):
    crm.load([])
    crm.execute("ALTER TABLE contacts ENABLE ROW LEVEL SECURITY; ALTER TABLE contacts FORCE ROW LEVEL SECURITY")
    crm.execute("CREATE POLICY all_rows ON contacts USING (true) WITH CHECK (true)")
    assert crm.sync("contacts", {"last_name": "Петров"})["inserted"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        "text",
        {"field_id": 1},
        [None, "x", {"field_code": "PHONE"}, {"field_code": "PHONE", "values": None}],
        [{"field_code": ["PHONE"], "values": [{"value": "+79161234567"}]}],
        [{"field_code": "PHONE", "field_id": "x", "values": ["+79161234567", None, {"value": ["+7"]}]}],
    ],
)
def test_custom_fields_of_any_shape_do_no_harm(crm, fields):
    crm.sync("contacts", {"last_name": "Петров", "custom_fields_values": fields})
    assert crm.row("contacts")["last_name"] == "Петров"
    assert crm.execute("SELECT count(*) AS n FROM sync_rejects")[0]["n"] == 0


def test_one_bad_value_among_many_new_records_costs_only_its_cell(crm):
    records = [{"id": n, "price": "сто" if n == 300 else n} for n in range(1, 601)]
    counts = crm.sync("leads", *records)
    assert (counts["inserted"], counts["warnings"], counts["rejected"]) == (600, 1, 0)
    (warning,) = crm.execute("SELECT amo_id, column_name, value FROM sync_warnings")
    assert warning == {"amo_id": 300, "column_name": "price", "value": "сто"}
    assert crm.row("leads", 300)["price"] is None


def test_new_keys_are_uuids_of_version_7_in_ascending_order():
    keys = new_uuids(10_000)
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert {(key[14], key[19] in "89ab", len(key)) for key in keys} == {("7", True, 36)}
