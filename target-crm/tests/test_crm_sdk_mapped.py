"""The SDK's own suite for targets once more, with a mapping for its streams: here its records have to arrive.

test_crm_sdk.py has the suite without a mapping, and says what is left out. Streams without a key can't be mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from singer_sdk.testing import get_target_test_class

from target_crm.target import TargetCRM

SCHEMA = "sdk_mapped"
CONFIG: dict[str, Any] = {"crm_schema": SCHEMA}
# Of each file of the suite: its stream, the property that identifies a record, and the columns with their types.
STREAMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "array_data": ("test_array_data", "id", {"fruits": "jsonb"}),
    "camelcase": ("TestCamelcase", "Id", {"Id": "text", "clientName": "text"}),
    "duplicate_records": ("test_duplicate_records", "id", {"metric": "int"}),
    "encoded_string_data": ("test_strings", "id", {"info": "text"}),
    "optional_attributes": ("test_optional_attributes", "id", {"optional": "text"}),
    "record_missing_fields": ("record_missing_fields", "id", {"optional": "text"}),
    "schema_updates": (
        "test_schema_updates",
        "id",
        {"a1": "numeric", "a2": "text", "a3": "boolean", "a4": "jsonb", "a5": "jsonb"},
    ),
    "special_chars_in_attributes": ("test:SpecialChars!in?attributes", "_id", {"_id": "text", "d": "jsonb"}),
}
# What the tables hold behind each test, by the record's id (or the first column, where the id is a text).
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "array_data": [
        (1, ["apple", "orange", "pear"]),
        (2, ["banana", "apple"]),
        (3, ["pear"]),
        (4, ["orange", "banana", "apple", "pear"]),
    ],
    "camelcase": [("1", "Gitter Windows Desktop App"), ("2", "Gitter iOS App")],
    "duplicate_records": [(1, 100), (2, 20)],
    "optional_attributes": [(1, "This is optional"), (2, None), (3, "Also optional"), (4, None)],
    "record_missing_fields": [(1, "now you see me"), (2, None)],
    "special_chars_in_attributes": [
        ("a2e98886", {"env": "prod", "agent:type": "desktop", "agent:os:version": "10.13.1"})
    ],
}


def table_of(file: str) -> str:
    return f"sdk_{file}"


def mapping() -> dict[str, Any]:
    """A table for each file of the suite; nothing of amoCRM."""
    streams = {}
    for file, (stream, key, columns) in STREAMS.items():
        none = dict.fromkeys(("created_at", "updated_at", "amo_created_at", "amo_updated_at", "amo_deleted_at"))
        streams[stream] = {
            "table": table_of(file),
            "key": {
                "id": "row",
                "account": "account",
                "amo_id": "number",
                "source": {"account": {"value": 1}, "id": key},
            },
            "service": none,
            "columns": {name.lower(): name for name in columns},
        }
    return {"version": 1, "streams": streams}


@pytest.fixture(autouse=True)
def database(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Fresh tables; after the test, what they hold."""
    file = tmp_path / "mapping.yaml"
    file.write_text(yaml.safe_dump(mapping(), sort_keys=False, allow_unicode=True), "utf-8")
    CONFIG.update(database_url=database_url, mapping_file=str(file))
    test = request.node.name.removeprefix("test_target_")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        for name, (_, _, columns) in STREAMS.items():
            own = ", ".join(f"{column.lower()} {kind}" for column, kind in columns.items())
            keys = "account bigint, number bigint, UNIQUE (account, number), raw_fields jsonb NOT NULL DEFAULT '{}'"
            table = f"{SCHEMA}.{table_of(name)} (row int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {keys}, {own})"
            connection.execute(f"CREATE TABLE {table}".encode())
        try:
            yield
            loaded = _loaded(connection)
        finally:
            connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
    _check(test, *loaded)


def _loaded(connection: psycopg.Connection[Any]) -> tuple[dict[str, list[tuple[Any, ...]]], int]:
    """The rows of each file's table, and how many records were rejected."""
    found = {}
    for name, (_, key, columns) in STREAMS.items():
        shown = [c.lower() for c in columns] if key.lower() in map(str.lower, columns) else ["number", *columns]
        query = f"SELECT {', '.join(shown)} FROM {SCHEMA}.{table_of(name)} ORDER BY 1"
        found[name] = connection.execute(query.encode()).fetchall()
    rejects = 0
    if connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.sync_rejects",)).fetchone() != (None,):
        ((rejects,),) = connection.execute(f"SELECT count(*) FROM {SCHEMA}.sync_rejects".encode()).fetchall()
    return found, rejects


def _check(test: str, found: dict[str, list[tuple[Any, ...]]], rejects: int) -> None:
    if test in ROWS:
        assert found[test] == ROWS[test]
        assert rejects == 0
    elif test == "encoded_string_data":
        assert len(found[test]) == 11
        assert found[test][1] == (2, "απλή συμβολοσειρά")
    elif test == "schema_updates":
        assert [row[:4] for row in found[test][:3]] == [
            (1, 101, "string1", None),
            (2, 102, "string2", True),
            (3, 103, "string3", False),
        ]
        assert found[test][2][4:] == ({"id": 1, "value": 1}, ["banana", "apple"])


class TestTargetCRMWithAMapping(get_target_test_class(TargetCRM, config=CONFIG, parse_env_config=False)):
    """The suite but for the test that is left out there, too."""

    test_target_record_missing_key_property = None


def test_every_file_whose_rows_are_looked_at_is_one_of_the_suite():
    tests = {name.removeprefix("test_target_") for name in dir(TestTargetCRMWithAMapping)}
    assert STREAMS.keys() <= tests
    assert ROWS.keys() <= STREAMS.keys()
