"""A PostgreSQL for the tests of one worker, a schema for each test, and a hand that syncs and looks."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from psycopg import sql
from psycopg.rows import dict_row
from row_versions import row_versions
from servers import server_url

from target_crm.admin.main import main
from target_crm.mapping import load as loading
from target_crm.mapping.json_schema import mapping_schema
from target_crm.mapping.yaml_lines import bare
from target_crm.target import TargetCRM

ACCOUNT = 77
_schemas = itertools.count(1)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A server for this worker: the one that TEST_DATABASE_URL names, or an embedded one."""
    with server_url("crm") as url:
        yield url


@pytest.fixture(scope="session", autouse=True)
def mappings_fit_their_schema() -> Iterator[Any]:
    """Every mapping that a test's command reads in this process is one that `map --schema` tells editors to accept.

    Gives the reading without that, for a test that adds a word to the mapping's language.
    """
    validator, read = Draft202012Validator(mapping_schema()), loading._mapping

    def checked(reader: Any, document: Any, builtin: bool) -> Any:
        found = read(reader, document, builtin)
        if not builtin:
            validator.validate(bare(document))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_mapping", checked)
        yield read


@dataclass
class Crm:
    """A CRM's schema; `config` is the target's."""

    url: str
    schema: str
    config: dict[str, Any]
    connection: psycopg.Connection[Any]
    clock: int = 0
    folder: Path = Path()

    def execute(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run SQL with the schema in front; rows as dictionaries."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def rows(self, table: str, order: str = "amo_id") -> list[dict[str, Any]]:
        """All rows of a table."""
        query = sql.SQL("SELECT * FROM {} ORDER BY {}").format(sql.Identifier(table), sql.SQL(order))
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def row(self, table: str, amo_id: int = 1) -> dict[str, Any]:
        """One imported row."""
        (found,) = [r for r in self.rows(table) if r["amo_id"] == amo_id]
        return found

    def load(self, lines: list[str], **settings: Any) -> list[str]:
        """Run the target over lines in this process; the STATEs that left."""
        target = TargetCRM(config={**self.config, **settings})
        # A load that brings nothing still has a message: without any, the tap has failed.
        text = "\n".join(lines or ['{"type": "STATE", "value": {}}']) + "\n"
        out = io.StringIO()
        with redirect_stdout(out):
            target.listen(io.StringIO(text))
        return out.getvalue().splitlines()

    def sync(self, stream: str = "contacts", *records: dict[str, Any], **settings: Any) -> dict[str, int]:
        """Sync records of one stream; each gets a key and a newer time unless it has them. Counts of its table."""
        self.load([self.schema_message(stream), *self.messages(stream, *records)], **settings)
        (run,) = self.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
        counts: dict[str, dict[str, int]] = run["counts"]
        return counts.get(stream, {})

    def messages(self, stream: str, *records: dict[str, Any]) -> list[str]:
        """RECORD messages."""
        self.clock += 1
        moment = f"2026-01-01T{self.clock // 60:02d}:{self.clock % 60:02d}:00+00:00"
        defaults = {"account_id": ACCOUNT, "id": 1, "updated_at": moment}
        return [
            json.dumps({"type": "RECORD", "stream": stream, "record": {**defaults, **record}}) for record in records
        ]

    def schema_message(self, stream: str) -> str:
        """A SCHEMA message."""
        return json.dumps(
            {
                "type": "SCHEMA",
                "stream": stream,
                "schema": {
                    "properties": {"id": {"type": "integer"}},
                    "x-amocrm-account": {"id": ACCOUNT, "timezone": "Europe/Moscow"},
                },
                "key_properties": ["account_id", "id"],
            }
        )

    def conflicts(self) -> list[dict[str, Any]]:
        """All conflicts."""
        return self.execute("SELECT * FROM sync_conflicts ORDER BY id")

    def writes(self) -> int:
        """How many row versions were written to the schema's tables, by the server's own statistics."""
        return sum(row_versions(self.connection, self.schema).values())


@pytest.fixture
def crm(database_url: str, tmp_path: Path) -> Iterator[Crm]:
    """A fresh schema."""
    schema = f"crm_{os.getpid()}_{next(_schemas)}"
    connection = psycopg.connect(database_url, autocommit=True)
    connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
    connection.execute("SET timezone = 'UTC'")
    config = {"database_url": database_url, "crm_schema": schema}
    yield Crm(database_url, schema, config, connection, folder=tmp_path)
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    connection.close()


@pytest.fixture
def own_tables(crm: Crm) -> Any:
    """Makes tables of the user's own and a mapping of streams to them, with which all loads and commands then work."""

    def make(ddl: str, streams: dict[str, Any]) -> Crm:
        crm.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(crm.schema)).as_string())
        if ddl:
            crm.execute(ddl)
        path = crm.folder / "mapping.yaml"
        path.write_text(json.dumps({"version": 1, "streams": streams}, ensure_ascii=False), "utf-8")
        crm.config["mapping_file"] = str(path)
        return crm

    return make


@pytest.fixture
def propose(crm: Crm) -> Callable[..., tuple[str, dict[str, Any]]]:
    """The command `map --init` on this schema's tables, whose statements are then run: what it says; its streams."""
    crm.execute(f"CREATE SCHEMA IF NOT EXISTS {crm.schema}")
    file, statements = crm.folder / "mapping.yaml", crm.folder / "add.sql"

    def run(ddl: str, *more: str) -> tuple[str, dict[str, Any]]:
        crm.execute(ddl)
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, "map", "--init", "--schema", crm.schema,
                "-o", str(file), "--sql", str(statements), "--force", *more]  # fmt: skip
        said = CliRunner().invoke(main, line).output
        added = statements.read_text("utf-8")
        if added:
            crm.execute(added)
        crm.config["mapping_file"] = str(file)
        return " ".join(said.split()), yaml.safe_load(file.read_text("utf-8"))["streams"]

    return run


def custom_field(code: str, *values: Any, **more: Any) -> dict[str, Any]:
    """A custom field as amoCRM nests it."""
    return {
        "field_id": sum(map(ord, code)),
        "field_name": code,
        "field_code": code,
        "field_type": "text",
        "values": [v if isinstance(v, dict) else {"value": v} for v in values],
        **more,
    }


@pytest.fixture(name="custom_field")
def _custom_field() -> Any:
    """The maker of custom fields."""
    return custom_field


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the browser tests keep their pictures."""
    parser.addoption("--pictures", help="keep the pictures that browser tests take in this folder")
