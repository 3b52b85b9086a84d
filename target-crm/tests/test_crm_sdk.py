"""The SDK's own suite for targets, against a real PostgreSQL.

Its streams are not those of amoCRM. A CRM has tables that its own application made, and a target that put `test_cats`
beside them would be wrong: such streams are skipped with a warning by default, and with `unmapped_streams: fail` they
stop the run. So for most of the suite's files the promise is that a foreign stream neither breaks the load nor leaves
anything behind, which is what is checked after each. That records of mapped streams arrive is checked in
test_crm_sdk_mapped.py.

Left out, with the reasons:

- `record_missing_key_property` requires the whole run to fail. Here such a record goes to `sync_rejects` and the rest
is
  loaded (`on_bad_record: fail` is the other way); test_crm_bad_input.py has both.
- `multiple_state_messages` is not in the SDK's own list either: it requires only the STATEs behind a drain, as texts,
  and its runner gives dictionaries. That STATE leaves only behind its commit is tested in test_crm_state.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from singer_sdk.testing import get_target_test_class

from target_crm.target import TargetCRM

CONFIG: dict[str, Any] = {"crm_schema": "sdk_suite"}


@pytest.fixture(autouse=True)
def database(database_url: str) -> Iterator[None]:
    CONFIG["database_url"] = database_url
    yield
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'sdk_suite' AND table_name LIKE 'test%'"
        ).fetchall()
        connection.execute("DROP SCHEMA IF EXISTS sdk_suite CASCADE")
    assert found == []


class TestTargetCRM(get_target_test_class(TargetCRM, config=CONFIG, parse_env_config=False)):
    """The suite but for the one test named above."""

    test_target_record_missing_key_property = None
