"""Airflow: every night one pair for each account, a few at a time, each retried on its own.

Copy this file into the DAG folder and set PAIR_FOLDER to the folder deploy/pair. ACCOUNTS_FILE names the accounts file;
of it Airflow uses the schedule, the limits and the retries, `run_pair` the rest. Airflow maps at most
`core.max_map_length` (1,024) tasks: with more accounts set `partitions`, which makes a DAG for each part.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

HERE = Path(__file__).resolve().parent
sys.path.insert(0, os.environ.get("PAIR_FOLDER", str(HERE.parent / "pair")))

from accounts import PairError, PlanFile  # noqa: E402
from pair import run_pair  # noqa: E402

FILE = PlanFile(Path(os.environ.get("ACCOUNTS_FILE", HERE / "accounts.yaml")))
PLAN = FILE.plan


def pairs(part: int) -> DAG:
    """The DAG of one part of the accounts."""
    name = "amocrm_pairs" if PLAN.partitions == 1 else f"amocrm_pairs_{part}"

    @dag(
        dag_id=name,
        schedule=PLAN.schedule,
        start_date=pendulum.datetime(2026, 1, 1, tz=PLAN.timezone),
        catchup=False,
        max_active_runs=1,
        tags=["amocrm"],
    )
    def accounts_in_turn() -> None:
        @task
        def accounts() -> list[str]:
            """The accounts of this part, as the file names them now."""
            return [account.name for account in FILE.plan.partition(part)]

        @task(
            retries=PLAN.max_retries,
            retry_delay=timedelta(seconds=PLAN.retry_delay_seconds),
            retry_exponential_backoff=True,
            max_active_tis_per_dag=PLAN.max_concurrent,
            map_index_template="{{ account }}",
        )
        def sync(name: str) -> dict[str, float]:
            """One account's pair, from its last bookmark on; what it cost."""
            get_current_context()["account"] = name
            plan = FILE.plan
            if name not in plan.accounts:
                msg = f"The accounts file names no account {name} any more."
                raise AirflowFailException(msg)
            try:
                metrics = run_pair(plan.accounts[name], plan)
            except PairError as error:
                raise RuntimeError(str(error)) from None
            return {
                "requests": metrics.get("requests", 0),
                "records": sum(metrics.get("records_by_stream", {}).values()),
                "seconds": metrics.get("duration_seconds", 0),
            }

        sync.expand(name=accounts())

    made: DAG = accounts_in_turn()
    return made


DAGS = [pairs(part) for part in range(PLAN.partitions)]
