"""Dagster: every night one pair for each account, a few at a time, each retried on its own.

`dagster dev -f definitions.py` shows it in the browser; `dagster job execute -f definitions.py -j nightly` runs it.
"""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as it stands.
import os
from collections.abc import Iterator
from pathlib import Path

from dagster import (
    Backoff,
    Definitions,
    DynamicOut,
    DynamicOutput,
    Failure,
    OpExecutionContext,
    RetryPolicy,
    ScheduleDefinition,
    job,
    multiprocess_executor,
    op,
)
from pair import PairError, read_plan, run_pair

HERE = Path(__file__).resolve().parent
PLAN = read_plan(Path(os.environ.get("ACCOUNTS_FILE", HERE / "accounts.yaml")))
# Retries of one account do not hold up the others: each has a step of its own.
RETRIES = RetryPolicy(max_retries=PLAN.max_retries, delay=PLAN.retry_delay_seconds, backoff=Backoff.EXPONENTIAL)


@op(out=DynamicOut(str))
def accounts() -> Iterator[DynamicOutput[str]]:
    """The accounts, one step each."""
    for name in PLAN.accounts:
        yield DynamicOutput(name, mapping_key=name)


@op(retry_policy=RETRIES)
def sync(context: OpExecutionContext, account: str) -> str:
    """One account's pair, from its last bookmark on."""
    try:
        metrics = run_pair(PLAN.accounts[account], PLAN.accounts, PLAN.state_dir, context.log.info)
    except PairError as error:
        raise Failure(str(error)) from None
    context.add_output_metadata(
        {
            "requests": metrics.get("requests", 0),
            "requests a second": float(metrics.get("average_rps", 0)),
            "records": sum(metrics.get("records_by_stream", {}).values()),
            "seconds": float(metrics.get("duration_seconds", 0)),
        }
    )
    return account


# Steps fork from one server that has Dagster loaded: loading it anew takes longer than a small account's sync.
PROCESSES = {"max_concurrent": PLAN.max_concurrent, "start_method": {"forkserver": {}}}


@job(executor_def=multiprocess_executor.configured(PROCESSES))
def nightly() -> None:
    """All accounts. One that fails leaves the others alone; re-execute from failure repeats that one only."""
    accounts().map(sync)


defs = Definitions(
    jobs=[nightly],
    schedules=[ScheduleDefinition(job=nightly, cron_schedule=PLAN.schedule, execution_timezone=PLAN.timezone)],
)
