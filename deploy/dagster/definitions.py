"""Dagster: every night one pair for each account, a few at a time, each retried on its own.

`dagster dev -f definitions.py` shows it in the browser; `dagster job execute -f definitions.py -j nightly` runs it. The
executor, the partitions and the limits are those of the accounts file.
"""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` unevaluated.
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster import (
    Backoff,
    DagsterRunStatus,
    Definitions,
    DynamicOut,
    DynamicOutput,
    ExecutorDefinition,
    Failure,
    OpExecutionContext,
    RetryPolicy,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    StaticPartitionsDefinition,
    in_process_executor,
    job,
    multiprocess_executor,
    op,
    schedule,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "pair"))

from accounts import PairError, PlanFile  # noqa: E402
from pair import run_pair  # noqa: E402

# Workers live for weeks: accounts and their settings are those of the file when a step starts. What Dagster builds from
# it (executor, partitions, schedule, retries) is read once.
FILE = PlanFile(Path(os.environ.get("ACCOUNTS_FILE", HERE / "accounts.yaml")))
PLAN = FILE.plan
# Retries of one account do not hold up the others: each has a separate step.
RETRIES = RetryPolicy(max_retries=PLAN.max_retries, delay=PLAN.retry_delay_seconds, backoff=Backoff.EXPONENTIAL)
# Dagster counts the steps of a pool over all runs, machines and executors.
POOL = "amocrm_pairs"
PARTITIONS = StaticPartitionsDefinition([str(number) for number in range(PLAN.partitions)])
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_RUNS_AT_ONCE = 100


def executor() -> ExecutorDefinition:
    """The executor that the accounts file names, with its settings there.

    Raises:
        ModuleNotFoundError: its package is not installed; names the package.
    """
    ((name, settings),) = PLAN.executor.items()
    settings = settings or {}
    if name == "in_process":
        return in_process_executor
    if name == "multiprocess":
        # Steps fork from one server that has Dagster loaded: loading it again takes longer than a small account's sync.
        defaults: dict[str, Any] = {"max_concurrent": PLAN.max_concurrent, "start_method": {"forkserver": {}}}
        return multiprocess_executor.configured({**defaults, **settings})
    package, attribute = {
        "celery": ("dagster_celery", "celery_executor"),
        "k8s": ("dagster_k8s", "k8s_job_executor"),
    }[name]
    found: ExecutorDefinition = getattr(import_module(package), attribute)
    return found.configured(settings)


@op(out=DynamicOut(str))
def accounts(context: OpExecutionContext) -> Iterator[DynamicOutput[str]]:
    """The accounts of this run's partition, or all where it has none; one step each."""
    plan = FILE.plan
    context.instance.event_log_storage.set_concurrency_slots(POOL, plan.max_concurrent)
    chosen = plan.partition(int(context.partition_key)) if context.has_partition_key else plan.accounts.values()
    for account in chosen:
        yield DynamicOutput(account.name, mapping_key=account.name.replace("-", "__"))


@op(retry_policy=RETRIES, pool=POOL)
def sync(context: OpExecutionContext, account: str) -> str:
    """One account's pair, from its last bookmark on."""
    try:
        plan = FILE.plan
        metrics = run_pair(plan.accounts[account], plan, context.log.info)
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


@job(executor_def=executor(), partitions_def=PARTITIONS if PLAN.partitions > 1 else None)
def nightly() -> None:
    """All accounts. One that fails leaves the others alone; re-execute from failure repeats that one only."""
    accounts().map(sync)


@op
def delete_old_runs(context: OpExecutionContext) -> int:
    """Delete runs that ended more than `keep_runs_days` ago, with their events: some 31 kB a step."""
    before = datetime.now(tz=timezone.utc) - timedelta(days=PLAN.keep_runs_days)
    deleted = 0
    while found := context.instance.get_runs(RunsFilter(statuses=_ENDED, updated_before=before), limit=_RUNS_AT_ONCE):
        for run in found:
            context.instance.delete_run(run.run_id)
        deleted += len(found)
    context.log.info(f"Deleted {deleted} runs that ended before {before:%Y-%m-%d %H:%M} UTC.")
    return deleted


@job(executor_def=in_process_executor)
def retention() -> None:
    """Keeps Dagster's storage from growing without end."""
    delete_old_runs()


@schedule(job=nightly, cron_schedule=PLAN.schedule, execution_timezone=PLAN.timezone)
def every_night() -> Iterator[RunRequest]:
    """A run for each partition, or one for all accounts."""
    if PLAN.partitions == 1:
        yield RunRequest()
        return
    for key in PARTITIONS.get_partition_keys():
        yield RunRequest(run_key=None, partition_key=key)


defs = Definitions(
    jobs=[nightly, retention],
    schedules=[
        every_night,
        ScheduleDefinition(job=retention, cron_schedule="30 6 * * *", execution_timezone=PLAN.timezone),
    ],
)
