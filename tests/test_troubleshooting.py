"""docs/troubleshooting.md says what is printed: the mistakes are made, and the page compared."""

from __future__ import annotations

import mistakes
import psycopg
import pytest

from amocrm_sim.testing import SimulatorServer


@pytest.fixture(scope="module")
def made(database_url):
    """The table as it is now, each row by its mistake."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS crm CASCADE")
    mistakes.prepare(database_url)
    with SimulatorServer(process=True, rps=0, companies=2) as sim:
        table = mistakes.table(database_url, sim.url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA crm CASCADE")
    return table


def test_the_page_says_what_is_printed(made):
    assert mistakes.written() == made, "run: .venv/bin/python tests/support/mistakes.py"


def test_every_mistake_fails_with_something_to_read_and_no_traceback(made):
    rows = made.splitlines()[2:]
    assert len(rows) >= 20
    for row in rows:
        _, what, said, code, _ = row.replace("\\|", "").split("|")
        assert len(said.strip()) > 20, what
        assert "Traceback" not in said, what
        assert code.strip() == ("0" if what.strip() == "Looking before the first load" else "1"), row
