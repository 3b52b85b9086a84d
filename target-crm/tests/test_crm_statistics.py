"""Statistics that were taken too early: the number of rows that a load reads still grows with its records only."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from target_crm.sql.joins import as_planned, by_key

RECORDS = 600
# The server writes each statement's plan, with what it really did, to its log.
EXPLAINED = " ".join(
    f"-c {setting}"
    for setting in (
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
        "auto_explain.log_analyze=on",
    )
)


def contacts(numbers, name, code):
    """Contacts with a phone each."""
    for n in numbers:
        phone = {"field_code": "PHONE", "values": [{"value": f"+7{code}{n:07d}", "enum_code": "WORK"}]}
        yield {"id": n, "first_name": f"{name} {n}", "custom_fields_values": [phone]}


def discarded(log):
    """Rows that joins compared and found not to match, the largest number of any join."""
    return max((int(n) for n in re.findall(r"Rows Removed by Join Filter: (\d+)", log)), default=0)


def explained(crm, came):
    """The plans of all statements of a load, and its counts."""
    (found,) = crm.execute("SELECT current_setting('data_directory') AS folder")
    log = Path(found["folder"]) / "log"
    if not log.exists():
        pytest.skip("the server keeps no log that can be read here")
    before = log.stat().st_size
    url = f"{crm.url}{'&' if '?' in crm.url else '?'}options={quote(EXPLAINED)}"
    counts = crm.sync("contacts", *came, database_url=url)
    return log.read_bytes()[before:].decode(errors="replace"), counts


def test_a_load_reads_no_row_again_and_again_when_the_statistics_are_of_an_empty_table(crm):
    crm.sync("users", {"id": 5, "name": "Anna", "email": "anna@firma.ru"})
    crm.execute("ANALYZE")
    known, new = range(1, RECORDS + 1), range(RECORDS + 1, 2 * RECORDS + 1)
    crm.sync("contacts", *contacts(known, "Anna", 916))
    came = [*contacts(known, "Olga", 917), *contacts(new, "Olga", 917)]
    told, counts = explained(crm, came)
    assert (counts["updated"], counts["inserted"]) == (RECORDS, RECORDS)
    assert len(crm.rows("contact_phones", "value")) == 2 * RECORDS
    assert told.count("Query Text:") > 10
    assert discarded(told) <= RECORDS


def test_documents_that_come_once_are_not_kept_while_they_are_compared(crm):
    with psycopg.connect(crm.url) as connection:
        version = connection.info.server_version
        if version < 140000:
            pytest.skip("PostgreSQL 13 keeps none")
        connection.execute(by_key(version))
        assert connection.execute("SHOW enable_memoize").fetchone() == ("off",)
        connection.execute(as_planned(version))
        assert connection.execute("SHOW enable_memoize").fetchone() == ("on",)
