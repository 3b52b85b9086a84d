"""Many accounts, their databases and their accounts file, for the tests of what runs pairs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import yaml
from psycopg import sql

from amocrm_sim.testing import SimulatorServer

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PAIR = ROOT / "deploy" / "pair"
SIZES = {"companies": 5, "contacts": 10, "leads": 4, "notes": 12, "tasks": 6}


class Fleet:
    """Accounts by name, each with its simulator, and a database that all share, a schema each.

    Secrets are files, a folder for each account. The password in the URLs is there to be looked for: the server trusts.
    """

    def __init__(self, url: str, folder: Path, sims: dict[str, SimulatorServer], tokens: dict[str, str]) -> None:
        self.folder, self.sims = folder, sims
        self.database = f"fleet_{os.getpid()}"
        self.admin = psycopg.connect(url, autocommit=True)
        self.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)
        self.execute("CREATE DATABASE {}", self.database)
        parts = urlsplit(url)
        self._parts = parts
        self.url = self.url_of(self.database)
        self.settings: dict[str, dict[str, Any]] = {
            name: {
                "tap": {"api_url": sim.url, "requests_per_second": 1000, "share_throttle": False},
                "target": {"crm_schema": f"crm_{name}"},
            }
            for name, sim in sims.items()
        }
        for name, token in tokens.items():
            self.secret(name, "TAP_AMOCRM_ACCESS_TOKEN", token)
            self.secret(name, "TARGET_CRM_DATABASE_URL", self.url)

    def close(self) -> None:
        """Drop what was made."""
        self.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)
        self.admin.close()

    def execute(self, statement: str, name: str) -> None:
        """Run a statement about a database."""
        self.admin.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type]

    def url_of(self, database: str) -> str:
        """The address of a database, with a password."""
        parts = self._parts
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, f"postgres:password-of-crm@{host}", f"/{database}", *parts[3:]))

    def secret(self, account: str, setting: str, value: str) -> None:
        """Write a secret's file."""
        file = self.folder / "secrets" / account / setting
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")

    def rows(self, account: str, query: str) -> list[tuple[Any, ...]]:
        """What an account's schema holds."""
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(f"crm_{account}")))
            return connection.execute(query.encode()).fetchall()

    def counts(self, account: str) -> dict[str, Any]:
        """Rows by table."""
        return {table: self.rows(account, f"SELECT count(*) FROM {table}")[0][0] for table in SIZES}

    def complete(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The counts of accounts of which nothing is missing."""
        return dict.fromkeys(names, SIZES)

    def write_plan(self, **plan: Any) -> Path:
        """Write the accounts file."""
        file = self.folder / "accounts.yaml"
        file.write_text(yaml.safe_dump({"secrets_dir": "secrets", **plan, "accounts": self.settings}))
        return file

    def state(self, account: str) -> str:
        """An account's bookmark."""
        return (self.folder / "state" / f"{account}.json").read_text()

    def everything_written(self) -> str:
        """Every file that runs left, but for the secrets' own: events, logs, bookmarks, metrics."""
        secret = self.folder / "secrets"
        files = [p for p in self.folder.rglob("*") if p.is_file() and secret not in p.parents]
        assert len(files) > 3
        return "".join(p.read_bytes().decode("utf-8", "replace") for p in files)
