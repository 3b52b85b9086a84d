"""Runs one pair, tap-amocrm into target-crm, for one account. Knows nothing of the orchestrator that calls it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml
from filelock import FileLock, Timeout

_LOG_LINES = 20


class PairError(Exception):
    """The pair did not end well; the message says which half, and how its log ends; if both failed, the cause first."""


@dataclass(frozen=True)
class Account:
    """One account: its settings, and for each secret one the variable of the environment that holds it."""

    name: str
    secrets: Mapping[str, str]
    tap: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The accounts file."""

    accounts: dict[str, Account]
    state_dir: Path
    max_concurrent: int = 4
    max_retries: int = 2
    retry_delay_seconds: float = 300
    schedule: str = "0 2 * * *"
    timezone: str = "UTC"


def read_plan(path: Path) -> Plan:
    """Read the accounts file.

    Raises:
        ValueError: an entry is wrong; names it.
    """
    document = yaml.safe_load(path.read_text("utf-8"))
    accounts: dict[str, Account] = {}
    for name, entry in (document.pop("accounts", None) or {}).items():
        try:
            accounts[str(name)] = Account(name=str(name), **entry)
        except TypeError as error:
            msg = f"{path}: account {name}: {error}; it takes secrets, tap, target."
            raise ValueError(msg) from None
    if not accounts:
        msg = f"{path} names no accounts."
        raise ValueError(msg)
    try:
        plan = Plan(accounts=accounts, **{**document, "state_dir": path.parent / document.get("state_dir", "state")})
    except TypeError as error:
        msg = f"{path}: {error}."
        raise ValueError(msg) from None
    return plan


def environment(account: Account, everyone: Mapping[str, Account], metrics: Path) -> dict[str, str]:
    """The pair's environment: this account's secrets and settings, and no other account's secrets.

    Raises:
        PairError: a variable that the account names is not set.
    """
    secret = {name for a in everyone.values() for name in a.secrets.values()}
    prefixes = ("TAP_AMOCRM_", "TARGET_CRM_")
    passed = {k: v for k, v in os.environ.items() if k not in secret and not k.startswith(prefixes)}
    for setting, name in account.secrets.items():
        if not os.environ.get(name):
            msg = f"The environment variable {name} of account {account.name} is not set."
            raise PairError(msg)
        passed[setting] = os.environ[name]
    passed["TAP_AMOCRM_METRICS_FILE"] = str(metrics)
    for prefix, settings in zip(prefixes, (account.tap, account.target), strict=True):
        for key, value in settings.items():
            passed[prefix + key.upper()] = value if isinstance(value, str) else json.dumps(value)
    return passed


def _keep(state: Path, line: str) -> None:
    """Replace the bookmark in one step: a crash leaves the old one or the new one, never half of it."""
    part = state.with_suffix(".part")
    part.write_text(line, "utf-8")
    part.replace(state)


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return "".join(log.readlines()[-_LOG_LINES:])


def _end(*processes: subprocess.Popen[str]) -> None:
    """Stop what still runs: both halves end by themselves on SIGTERM, within seconds."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_pair(
    account: Account, everyone: Mapping[str, Account], state_dir: Path, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Sync one account from its last bookmark on; what the tap measured.

    Each STATE is kept as soon as target-crm lets it go, which it does when all before it is committed: a run that is
    cut off goes on from there. A second run of the same account on this machine is refused.

    Raises:
        PairError: the tap or the target failed, or another run of this account is under way.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    state, metrics = state_dir / f"{account.name}.json", state_dir / f"{account.name}.metrics.json"
    passed = environment(account, everyone, metrics)
    try:
        with FileLock(state_dir / f"{account.name}.lock", timeout=0):
            metrics.unlink(missing_ok=True)
            _stream(account, passed, state, say)
    except Timeout:
        msg = f"Another run of account {account.name} is under way."
        raise PairError(msg) from None
    return dict(json.loads(metrics.read_text("utf-8"))) if metrics.exists() else {}


def _stream(account: Account, passed: dict[str, str], state: Path, say: Callable[[str], None]) -> None:
    bookmark = ["--state", str(state)] if state.exists() else []
    with tempfile.TemporaryFile("w+") as tap_log, tempfile.TemporaryFile("w+") as target_log:
        tap = subprocess.Popen(  # noqa: S603
            ["tap-amocrm", "--config", "ENV", *bookmark],  # noqa: S607 - as PATH has it
            env=passed, stdout=subprocess.PIPE, stderr=tap_log, text=True,
        )  # fmt: skip
        target = subprocess.Popen(
            ["target-crm", "--config", "ENV"],  # noqa: S607
            env=passed, stdin=tap.stdout, stdout=subprocess.PIPE, stderr=target_log, text=True,
        )  # fmt: skip
        assert tap.stdout is not None
        assert target.stdout is not None
        tap.stdout.close()  # target-crm holds it now: should it die, the tap notices
        try:
            for line in target.stdout:
                _keep(state, line)
            ends = [("tap-amocrm", tap.wait(), _tail(tap_log)), ("target-crm", target.wait(), _tail(target_log))]
        finally:
            _end(tap, target)
        if "(broken pipe)" in ends[0][2]:  # the tap ended because the target had
            ends.reverse()
        failed = [
            f"{name} of account {account.name} ended with code {code}:\n{log}" for name, code, log in ends if code
        ]
        if failed:
            raise PairError("\n".join(failed))
        say(_tail(target_log))
