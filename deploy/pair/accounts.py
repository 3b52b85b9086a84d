"""The accounts file: which accounts there are, how they are synced, and where their secrets come from."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

PREFIXES = ("TAP_AMOCRM_", "TARGET_CRM_")
BACKENDS = ("folder", "database")
EXECUTORS = ("in_process", "multiprocess", "celery", "k8s")
_SECONDS_FOR_SECRETS = 60
# The one in C reads ten thousand accounts in a second or two.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PairError(Exception):
    """The pair did not end well; the message says which half, and how its log ends; if both failed, the cause first."""


class AccountsFileError(Exception):
    """The accounts file is wrong; the message names the file, the entry and what it takes."""


@dataclass(frozen=True)
class Account:
    """One account: its settings, and for each secret setting the variable of the environment that holds it.

    `id` is amoCRM's number of the account. It is needed where several accounts share a schema and the bookmark is read
    from the database.
    """

    name: str
    secrets: Mapping[str, str] = field(default_factory=dict)
    tap: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    id: int | None = None


@dataclass(frozen=True)
class Plan:
    """The accounts file. Times are in seconds."""

    accounts: Mapping[str, Account]
    state_dir: Path
    state_backend: str = "folder"
    secrets_dir: Path | None = None
    secrets_command: Sequence[str] = ()
    warm: bool = True
    partitions: int = 1
    executor: Mapping[str, Any] = field(default_factory=lambda: {"multiprocess": {}})
    max_concurrent: int = 4
    max_retries: int = 2
    retry_delay_seconds: float = 300
    keep_runs_days: int = 14
    schedule: str = "0 2 * * *"
    timezone: str = "UTC"

    def partition(self, number: int) -> list[Account]:
        """The accounts of one of `partitions` parts (from 0). An account's part depends on its name alone."""
        return [each for each in self.accounts.values() if part_of(each.name, self.partitions) == number]


def part_of(name: str, parts: int) -> int:
    """The part an account belongs to, from 0 to `parts` - 1; the same on every machine and in every Python."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % parts


def read_plan(path: Path) -> Plan:
    """Read the accounts file; `defaults` in it are settings of every account.

    Raises:
        AccountsFileError: it can't be read, or an entry is wrong.
    """
    try:
        document = yaml.load(path.read_text("utf-8"), _LOADER)  # noqa: S506 - both are safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path} can't be read as YAML: {error}"
        raise AccountsFileError(msg) from None
    if not isinstance(document, dict) or not document.get("accounts"):
        msg = f"{path} names no accounts."
        raise AccountsFileError(msg)
    defaults = _account(path, "defaults", document.pop("defaults", None) or {})
    accounts = {
        str(name): _with_defaults(_account(path, str(name), entry or {}), defaults)
        for name, entry in document.pop("accounts").items()
    }
    places = {k: path.parent / document[k] for k in ("state_dir", "secrets_dir") if document.get(k)}
    try:
        plan = Plan(accounts=accounts, **{"state_dir": path.parent / "state", **document, **places})
    except TypeError as error:
        msg = f"{path}: {_argument(error)}."
        raise AccountsFileError(msg) from None
    _check(path, plan)
    return plan


class PlanFile:
    """The accounts file of a process that lives long: `plan` reads it again when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int], Plan] | None = None

    @property
    def plan(self) -> Plan:
        """What the file says now.

        Raises:
            AccountsFileError: it can't be read, or an entry is wrong.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            msg = f"{self.path} can't be read: {error.strerror}."
            raise AccountsFileError(msg) from None
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        if self._read is None or self._read[0] != version:
            self._read = version, read_plan(self.path)
        return self._read[1]


def _account(path: Path, name: str, entry: Mapping[str, Any]) -> Account:
    try:
        account = Account(name=name, **entry)
    except TypeError as error:
        msg = f"{path}: account {name}: {_argument(error)}; it takes id, secrets, tap, target."
        raise AccountsFileError(msg) from None
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        msg = f"{path}: account {name}: a name has letters, digits, - and _ only, since files are named after it."
        raise AccountsFileError(msg)
    return account


def _argument(error: TypeError) -> str:
    return str(error).split("() ")[-1].replace("got an unexpected keyword argument", "unknown key")


def _with_defaults(account: Account, defaults: Account) -> Account:
    return replace(
        account,
        secrets={**defaults.secrets, **account.secrets},
        tap={**defaults.tap, **account.tap},
        target={**defaults.target, **account.target},
    )


def _check(path: Path, plan: Plan) -> None:
    problems = []
    if plan.state_backend not in BACKENDS:
        problems.append(f"state_backend {plan.state_backend!r}: expected one of {', '.join(BACKENDS)}")
    if len(plan.executor) != 1 or next(iter(plan.executor)) not in EXECUTORS:
        problems.append(f"executor: expected one of {', '.join(EXECUTORS)} with its settings")
    for name in ("partitions", "max_concurrent", "keep_runs_days"):
        value = getattr(plan, name)
        if not isinstance(value, int) or value < 1:
            problems.append(f"{name} {value!r}: expected a whole number of 1 or more")
    if problems:
        msg = f"{path}: {'; '.join(problems)}."
        raise AccountsFileError(msg)


def secrets_of(account: Account, plan: Plan) -> dict[str, str]:
    """An account's secret settings, from the environment, from its folder of files, or from the command.

    Raises:
        PairError: one can't be had. The message never holds a secret.
    """
    found: dict[str, str] = {}
    for setting, variable in account.secrets.items():
        if not os.environ.get(variable):
            msg = f"The environment variable {variable} of account {account.name} is not set."
            raise PairError(msg)
        found[setting] = os.environ[variable]
    if plan.secrets_dir is not None:
        found |= _from_files(plan.secrets_dir / account.name, account.name)
    if plan.secrets_command:
        found |= _from_command([part.replace("{account}", account.name) for part in plan.secrets_command], account.name)
    wrong = sorted(name for name in found if not name.startswith(PREFIXES))
    if wrong:
        msg = f"Secrets of account {account.name}: {', '.join(wrong)} are not settings of tap-amocrm or target-crm."
        raise PairError(msg)
    return found


def _from_files(folder: Path, account: str) -> dict[str, str]:
    """A file for each setting, named after it, as Kubernetes and Docker mount secrets. Hidden files are theirs."""
    try:
        files = [each for each in sorted(folder.iterdir()) if each.is_file() and not each.name.startswith(".")]
        return {each.name: each.read_text("utf-8").rstrip("\r\n") for each in files}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        msg = f"Secrets of account {account} can't be read from {folder}: {reason}."
        raise PairError(msg) from None


def _from_command(command: Sequence[str], account: str) -> dict[str, str]:
    """The JSON object that a command prints: setting to value. Its output is never repeated."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS_FOR_SECRETS, check=False)  # noqa: S603
        document = json.loads(done.stdout) if not done.returncode else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        msg = (
            f"Secrets of account {account}: {command[0]} failed or printed no JSON object of texts, such as "
            '{"TAP_AMOCRM_ACCESS_TOKEN": "..."}. Run it by hand to see why.'
        )
        raise PairError(msg)
    return document
