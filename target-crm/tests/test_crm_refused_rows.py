"""Rows that the database refuses: only they are rejected, by SQLSTATE and isolation; the others go in together."""

from __future__ import annotations

import base64
import os

import pytest

RAISING = """
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.last_name = 'BAD' THEN {what}; END IF; RETURN NEW; END $$;
"""
BEFORE = "CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION guard()"
AFTER = "CREATE CONSTRAINT TRIGGER guard AFTER INSERT OR UPDATE ON contacts {} FOR EACH ROW EXECUTE FUNCTION guard()"
NOISE = base64.b64encode(os.urandom(9000)).decode()

REFUSING = {
    "a trigger that raises": (RAISING.format(what="RAISE EXCEPTION 'no'") + BEFORE, "BAD", "E_DATABASE_RAISED"),
    "a constraint trigger": (
        RAISING.format(what="RAISE EXCEPTION 'no'") + AFTER.format(""),
        "BAD",
        "E_DATABASE_RAISED",
    ),
    "a deferred constraint trigger": (
        RAISING.format(what="RAISE EXCEPTION 'no'") + AFTER.format("DEFERRABLE INITIALLY DEFERRED"),
        "BAD",
        "E_DATABASE_RAISED",
    ),
    "an index row that is too long": ("CREATE INDEX ON contacts (last_name)", NOISE, "E_DATABASE_REFUSED"),
    "a feature that is not supported": (
        RAISING.format(what="RAISE EXCEPTION 'no' USING ERRCODE = '0A000'") + BEFORE,
        "BAD",
        "E_DATABASE_REFUSED",
    ),
    "a violation that an engine passes on": (
        RAISING.format(what="RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'") + BEFORE,
        "BAD",
        "E_DATABASE_REFUSED",
    ),
    **{
        f"a trigger that raises with the code {code}": (
            RAISING.format(what=f"RAISE EXCEPTION 'no' USING ERRCODE = '{code}'") + BEFORE,
            "BAD",
            "E_DATABASE_REFUSED",
        )
        # One of its own, and some that PostgreSQL has for failures of the whole load.
        for code in ("CRM01", "42501", "57014", "55000")
    },
    "a function that fails for some rows": (
        RAISING.format(what="PERFORM 1 FROM no_such_table") + BEFORE,
        "BAD",
        "E_DATABASE_REFUSED",
    ),
    "a check": ("ALTER TABLE contacts ADD CHECK (last_name <> 'BAD')", "BAD", "E_DATABASE_CHECK"),
    "a unique index": ("CREATE UNIQUE INDEX ON contacts (last_name)", "L3", "E_DATABASE_UNIQUE"),
    "a deferred unique constraint": (
        "ALTER TABLE contacts ADD UNIQUE (last_name) DEFERRABLE INITIALLY DEFERRED",
        "L3",
        "E_DATABASE_UNIQUE",
    ),
}


@pytest.mark.parametrize(("prepare", "name", "code"), REFUSING.values(), ids=REFUSING)
def test_one_refused_record_costs_no_other(crm, prepare, name, code):
    crm.load([])
    crm.execute(prepare)
    records = [{"id": n, "last_name": name if n == 4 else f"L{n}"} for n in range(1, 8)]
    counts = crm.sync("contacts", *records)
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2, 3, 5, 6, 7]
    (reject,) = crm.rows("sync_rejects", "id")
    waits = code == "E_DATABASE_UNIQUE"
    assert (reject["stream"], reject["amo_id"], reject["code"]) == ("contacts", 4, code)
    assert (reject["resolved_at"] is None) == (not waits), "what a unique constraint refuses waits for a person"
    assert [p["amo_id"] for p in crm.rows("sync_proposals", "id")] == [4] * waits
    assert (counts["read"], counts["inserted"], counts["rejected"], counts["proposed"]) == (7, 6, not waits, waits)


def test_of_an_update_only_the_refused_record_is_left_as_it_was(crm):
    crm.sync("contacts", *({"id": n, "last_name": f"L{n}"} for n in range(1, 8)))
    crm.execute(RAISING.format(what="RAISE EXCEPTION 'no'") + BEFORE)
    crm.sync("contacts", *({"id": n, "last_name": "BAD" if n == 4 else f"M{n}"} for n in range(1, 8)))
    assert [r["last_name"] for r in crm.rows("contacts")] == ["M1", "M2", "M3", "L4", "M5", "M6", "M7"]
    crm.execute("DROP TRIGGER guard ON contacts")
    crm.sync("contacts", {"id": 4, "last_name": "M4"})
    (reject,) = crm.rows("sync_rejects", "id")
    assert reject["resolution"] == "loaded in run 3"


def test_the_message_has_the_databases_detail_and_no_line_with_the_record(crm, caplog):
    crm.load([])
    crm.execute("CREATE UNIQUE INDEX one ON contacts (position)")
    fields = [{"field_id": 1, "field_code": "POSITION", "field_name": "x", "values": [{"value": "Директор"}]}]
    secret = {"last_name": "Секретов", "custom_fields_values": fields}
    crm.sync("contacts", {"id": 1, **secret}, {"id": 2, **secret})
    (reject,) = crm.rows("sync_rejects", "id")
    assert 'Key ("position")=(Директор) already exists.' in reject["error"]
    assert reject["args"]["constraint"] == "one"
    assert "Секретов" not in reject["error"] + str(reject["args"]) + caplog.text
    assert "COPY" not in reject["error"] + caplog.text


def email(value):
    return [{"field_id": 5, "field_name": "Email", "field_code": "EMAIL", "values": [{"value": value}]}]


def contacts(*addresses):
    return ({"id": n, "custom_fields_values": email(a)} for n, a in enumerate(addresses, 1))


UNIQUES = (
    "UNIQUE (email)",
    "UNIQUE (email) DEFERRABLE",
    "UNIQUE (email) DEFERRABLE INITIALLY DEFERRED",
    "EXCLUDE (email WITH =)",
    "COLUMN small text GENERATED ALWAYS AS (lower(email)) STORED UNIQUE",
)


@pytest.mark.parametrize("unique", UNIQUES)
def test_records_that_swap_a_unique_value_or_pass_one_on_reach_their_end(crm, unique):
    crm.load([])
    crm.execute(f"ALTER TABLE contacts ADD {unique}")
    crm.sync("contacts", *contacts("1@x.ru", "2@x.ru", "3@x.ru", "4@x.ru"))
    swapped = contacts("2@x.ru", "1@x.ru", "4@x.ru", "5@x.ru")
    counts = crm.sync("contacts", *swapped)
    assert [r["email"] for r in crm.rows("contacts")] == ["2@x.ru", "1@x.ru", "4@x.ru", "5@x.ru"]
    assert (counts["updated"], counts["rejected"]) == (4, 0)
    assert crm.execute("SELECT id FROM sync_rejects WHERE resolved_at IS NULL") == []


def test_a_swap_is_not_torn_apart_by_another_record_that_is_refused(crm):
    crm.load([])
    crm.execute("ALTER TABLE contacts ADD UNIQUE (email) DEFERRABLE INITIALLY DEFERRED")
    crm.execute("ALTER TABLE contacts ADD CHECK (email <> 'bad@x.ru')")
    crm.sync("contacts", *contacts("1@x.ru", "2@x.ru", "3@x.ru", "4@x.ru"))
    counts = crm.sync("contacts", *contacts("4@x.ru", "bad@x.ru", "33@x.ru", "1@x.ru"))
    assert [r["email"] for r in crm.rows("contacts")] == ["4@x.ru", "2@x.ru", "33@x.ru", "1@x.ru"]
    assert (counts["updated"], counts["rejected"]) == (3, 1)


def test_a_new_record_gets_a_unique_value_that_another_gives_up_in_the_same_run(crm):
    crm.load([])
    crm.execute("ALTER TABLE contacts ADD UNIQUE (email)")
    crm.sync("contacts", *contacts("1@x.ru", "2@x.ru"))
    lines = crm.messages("contacts", *({"id": n, "custom_fields_values": email(a)} for n, a in ((7, "1@x.ru"),)))
    lines += crm.messages("contacts", *({"id": n, "custom_fields_values": email(a)} for n, a in ((1, "9@x.ru"),)))
    crm.load([crm.schema_message("contacts"), *lines], batch_size_rows=1)
    assert crm.row("contacts", 7)["email"] == "1@x.ru"
    (run,) = crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert run["counts"]["contacts"]["rejected"] == 0
    (reject,) = crm.rows("sync_rejects", "id")
    assert reject["resolution"].startswith("loaded in run")


def test_the_same_reject_in_every_run_is_one_and_is_written_before_the_run_ends(crm):
    crm.load([])
    crm.execute("ALTER TABLE contacts ADD EXCLUDE (email WITH =)")
    crm.sync("contacts", *contacts("1@x.ru", "2@x.ru"))
    for _ in range(2):
        counts = crm.sync("contacts", {"id": 2, "custom_fields_values": email("1@x.ru")})
        assert counts["rejected"] == 1
    assert [(r["amo_id"], r["code"]) for r in crm.rows("sync_rejects", "id")] == [(2, "E_DATABASE_EXCLUSION")]


@pytest.mark.parametrize("others", [("1@x.ru",), ("1@x.ru", "2@x.ru")], ids=["a new record", "one that has a row"])
def test_a_record_that_a_unique_constraint_refuses_in_every_run_is_one_proposal(crm, others):
    crm.load([])
    crm.execute("ALTER TABLE contacts ADD UNIQUE (email)")
    crm.sync("contacts", *contacts(*others))
    for new in (1, 0):
        counts = crm.sync("contacts", {"id": 2, "custom_fields_values": email("1@x.ru")})
        assert (counts["rejected"], counts["proposed"]) == (0, new)
    (proposal,) = crm.rows("sync_proposals", "id")
    assert (proposal["rule"], proposal["candidates"]) == (
        "constraint contacts_email_key",
        [str(crm.row("contacts", 1)["id"])],
    )


NUMBERED = """
CREATE TABLE numbered (id {}, amo_account_id bigint, amo_id bigint, raw_fields jsonb, name text,
    UNIQUE (amo_account_id, amo_id));
CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
"""
SEQUENCES = {
    "an identity": ("bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", ""),
    "a sequence of its own": ("serial PRIMARY KEY", ""),
    "keys that the database fills in": (
        "serial PRIMARY KEY",
        "CREATE TRIGGER same BEFORE INSERT ON numbered FOR EACH ROW EXECUTE FUNCTION same()",
    ),
}


@pytest.mark.parametrize(("key", "more"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_that_is_behind_its_table_is_caught_up_and_no_record_is_taken_for_a_row(own_tables, key, more):
    none = dict.fromkeys(("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at"))
    table = {"table": "numbered", "service": none, "columns": {"name": "name"}}
    crm = own_tables(NUMBERED.format(key) + more, {"contacts": table})
    crm.execute("INSERT INTO numbered (id, name) SELECT n, 'imported' FROM generate_series(1, 5) AS n")
    crm.sync("contacts", {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    (run,) = crm.execute("SELECT counts->'numbered' AS counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert [run["counts"][name] for name in ("inserted", "rejected", "proposed")] == [2, 0, 0]
    assert [r["name"] for r in crm.rows("numbered", "id")] == ["imported"] * 5 + ["a", "b"]
    assert crm.execute("SELECT count(*) AS n FROM sync_proposals") == [{"n": 0}]


# Triggers that leave rows out without an error

KEEPING = """
CREATE FUNCTION locked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF {condition} THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER locked BEFORE {what} FOR EACH ROW EXECUTE FUNCTION locked()
"""


def notices(crm):
    (run,) = crm.execute("SELECT notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    return [(n["code"], n["args"]) for n in run["notices"] if n["code"] == "W_SKIPPED_BY_DATABASE"]


def test_an_update_that_a_trigger_leaves_out_is_counted_and_journals_nothing(crm):
    crm.sync("contacts", *({"id": n, "last_name": f"a{n}"} for n in (1, 2, 3)))
    crm.execute(KEEPING.format(condition="OLD.amo_id = 2", what="UPDATE ON contacts"))
    counts = crm.sync("contacts", *({"id": n, "last_name": f"b{n}"} for n in (1, 2, 3)))
    assert [r["last_name"] for r in crm.rows("contacts")] == ["b1", "a2", "b3"]
    assert (counts["updated"], counts["skipped_by_database"], counts["unchanged"]) == (2, 1, 0)
    assert notices(crm) == [("W_SKIPPED_BY_DATABASE", {"table": "contacts", "number": 1})]
    key = str(crm.row("contacts", 2)["id"])
    assert crm.execute("SELECT count(*) AS n FROM sync_changes WHERE run_id = 2 AND row_id = %s", key) == [{"n": 0}]


def test_an_insert_that_a_trigger_leaves_out_is_counted_and_comes_again(crm):
    crm.load([])
    crm.execute(KEEPING.format(condition="NEW.last_name = 'нет'", what="INSERT ON contacts"))
    counts = crm.sync("contacts", {"id": 1, "last_name": "да"}, {"id": 2, "last_name": "нет"})
    assert (counts["inserted"], counts["skipped_by_database"], counts["unchanged"]) == (1, 1, 0)
    crm.execute("DROP TRIGGER locked ON contacts")
    assert crm.sync("contacts", {"id": 2, "last_name": "нет"})["inserted"] == 1


@pytest.mark.parametrize("before", [False, True])
def test_items_of_sets_that_a_trigger_leaves_out_are_noticed(crm, custom_field, before):
    crm.load([])
    if before:
        crm.sync("contacts", {"id": 1})
    crm.execute(KEEPING.format(condition="NEW.value = '+79161234567'", what="INSERT ON contact_phones"))
    crm.sync("contacts", {"id": 1, "custom_fields_values": [custom_field("PHONE", "+79161234567", "+79031112233")]})
    assert [r["value"] for r in crm.rows("contact_phones", "value")] == ["+79031112233"]
    assert notices(crm) == [("W_SKIPPED_BY_DATABASE", {"table": "contact_phones", "number": 1})]
