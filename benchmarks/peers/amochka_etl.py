"""Run amochka's PostgreSQL ETL against any address: `python amochka_etl.py --env FILE --entities ...`.

It is its only entry point, `etl.run_etl`, with the check replaced that refuses other addresses than the vendor's, and
with an account's failure reported by the exit code, which is 0 as published. Two unique indexes are added that its
loader's
ON CONFLICT needs and its migrations do not make; without them it stops at the first lead with a custom field or a tag.
Runs in the peer's environment.
"""

from __future__ import annotations

import sys
from typing import Any

import psycopg
from amochka import AmoCRMClient
from etl import config, run_etl

failures: list[str] = []
MISSING_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS bench_attributes ON amocrm_leads_attributes "
    "(account_id, leads_id, attribute_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS bench_tags ON amocrm_leads_tags (account_id, leads_id, tag_id)",
)
_published = run_etl.run_etl_for_account
_migrate = run_etl.run_migrations


def run_migrations(*args: Any, **options: Any) -> Any:
    """Its migrations as published, then the indexes that they lack."""
    result = _migrate(*args, **options)
    with psycopg.connect(**config.DatabaseConfig.from_env().connection_kwargs()) as connection:
        for statement in MISSING_INDEXES:
            connection.execute(statement)
    return result


def run_account(*args: Any, **options: Any) -> Any:
    """One account's ETL as published; its failure is remembered."""
    try:
        return _published(*args, **options)
    except Exception as error:
        failures.append(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    AmoCRMClient._validate_base_url = staticmethod(lambda url: url.rstrip("/"))
    run_etl.run_etl_for_account = run_account
    run_etl.run_migrations = run_migrations
    run_etl.main()
    if failures:
        sys.exit("; ".join(failures))
