"""Runs one pair, tap-amocrm into target-crm, for one account. Knows nothing of the orchestrator that calls it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from accounts import PREFIXES, Account, PairError, Plan, secrets_of
from bookmarks import Bookmarks, FolderBookmarks, GivenBookmark
from filelock import FileLock, Timeout
from warm import WarmCommand, WarmError

_LOG_LINES = 20
_SECONDS_TO_END = 30
_SECONDS_FOR_STATE = 120


class Run(Protocol):
    """A command that was started: a separate process, or a fork of one that has it loaded."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class Commands:
    """Starts the commands of a pair. `warm` keeps each loaded in a separate process, so that a run starts at once."""

    def __init__(self, *, warm: bool) -> None:
        self.warm = warm
        self._loaded: dict[str, WarmCommand] = {}

    def close(self) -> None:
        """End the processes that keep commands loaded."""
        for each in self._loaded.values():
            each.close()
        self._loaded.clear()

    def start(
        self,
        command: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> Run:
        """Start a command with file descriptors as its standard streams.

        Raises:
            PairError: it is not installed.
        """
        try:
            loaded = self._loaded.setdefault(command, WarmCommand(command)) if self.warm else None
            if loaded is not None and loaded.python is not None:
                return loaded.start(arguments, environment, stdin, stdout, stderr)
            return subprocess.Popen(  # noqa: S603
                [command, *arguments], env=dict(environment), stdin=stdin, stdout=stdout, stderr=stderr
            )
        except WarmError as error:
            raise PairError(str(error)) from None
        except FileNotFoundError:
            msg = f"The command {command} is not on PATH."
            raise PairError(msg) from None


# One for each process that runs pairs: an orchestrator's worker takes account after account from its queue.
_COMMANDS: dict[tuple[int, bool], Commands] = {}


def pair_commands(plan: Plan) -> Commands:
    """The commands of this process; a fork of it gets its own."""
    return _COMMANDS.setdefault((os.getpid(), plan.warm), Commands(warm=plan.warm))


def run_pair(account: Account, plan: Plan, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Sync one account from its last bookmark on; what the tap measured.

    The bookmark moves only when target-crm has committed all before it: a run that is cut off continues from there. A
    second run of the same account on this machine is refused; on another one it waits for the lock in the database.
    With `warm` in the plan the commands stay loaded in processes that end with this one.

    Raises:
        PairError: the tap or the target failed, a secret is missing, or another run of this account is under way. The
            message names the account and ends with the log of what failed.
    """
    commands = pair_commands(plan)
    plan.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    metrics = plan.state_dir / f"{account.name}.metrics.json"
    passed = environment(account, plan, metrics)
    try:
        with FileLock(plan.state_dir / f"{account.name}.lock", timeout=0):
            metrics.unlink(missing_ok=True)
            if plan.state_backend == "database":
                bookmarks: Bookmarks = GivenBookmark(_state_in_database(account, passed, commands))
            else:
                bookmarks = FolderBookmarks(plan.state_dir, account.name)
            _stream(account, passed, bookmarks, commands, say)
    except Timeout:
        msg = f"Another run of account {account.name} is under way."
        raise PairError(msg) from None
    return dict(json.loads(metrics.read_text("utf-8"))) if metrics.exists() else {}


def environment(account: Account, plan: Plan, metrics: Path) -> dict[str, str]:
    """The pair's environment: this account's secrets and settings, and no other account's secrets.

    Raises:
        PairError: a secret is missing.
    """
    others = {variable for each in plan.accounts.values() for variable in each.secrets.values()}
    # What holds for all accounts, such as TAP_AMOCRM_SHARED_LIMIT_URL, comes as `secrets` under `defaults`.
    passed = {k: v for k, v in os.environ.items() if k not in others and not k.startswith(PREFIXES)}
    passed |= secrets_of(account, plan)
    passed["TAP_AMOCRM_METRICS_FILE"] = str(metrics)
    for prefix, settings in zip(PREFIXES, (account.tap, account.target), strict=True):
        for key, value in settings.items():
            passed[prefix + key.upper()] = value if isinstance(value, str) else json.dumps(value)
    return passed


def _state_in_database(account: Account, passed: Mapping[str, str], commands: Commands) -> str | None:
    """The bookmark that the CRM's database holds for the account."""
    chosen = ["--account", str(account.id)] if account.id is not None else []
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as log, _nothing() as nothing:
        run = commands.start("target-crm-admin", ["state", *chosen], passed, nothing, said.fileno(), log.fileno())
        try:
            code = run.wait(_SECONDS_FOR_STATE)
        except subprocess.TimeoutExpired:
            _end(run)
            msg = f"The bookmark of account {account.name} was not read within {_SECONDS_FOR_STATE} seconds."
            raise PairError(msg) from None
        if code:
            msg = f"The bookmark of account {account.name} can't be read from its database:\n{_tail(log)}"
            raise PairError(msg)
        said.seek(0)
        return said.read().strip() or None


@contextlib.contextmanager
def _nothing() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return "".join(log.readlines()[-_LOG_LINES:])


def _end(*runs: Run) -> None:
    """Stop what still runs: both halves end by themselves on SIGTERM, within seconds."""
    for run in runs:
        if run.poll() is None:
            run.terminate()
    for run in runs:
        try:
            run.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()


def _stream(
    account: Account, passed: Mapping[str, str], bookmarks: Bookmarks, commands: Commands, say: Callable[[str], None]
) -> None:
    with (
        tempfile.TemporaryFile("w+") as tap_log,
        tempfile.TemporaryFile("w+") as target_log,
        _state_file(bookmarks.read()) as arguments,
    ):
        ends: list[tuple[str, Run]] = []
        messages_out, messages_in = os.pipe()
        states_out, states_in = os.pipe()
        try:
            with os.fdopen(states_out, encoding="utf-8") as states:
                try:
                    with _nothing() as nothing:
                        tap = commands.start(
                            "tap-amocrm",
                            ["--config", "ENV", *arguments],
                            passed,
                            nothing,
                            messages_in,
                            tap_log.fileno(),
                        )
                    ends.append(("tap-amocrm", tap))
                    target = commands.start(
                        "target-crm", ["--config", "ENV"], passed, messages_out, states_in, target_log.fileno()
                    )
                    ends.append(("target-crm", target))
                finally:
                    # The two halves hold them now: should one die, the other notices.
                    for descriptor in (messages_in, messages_out, states_in):
                        os.close(descriptor)
                for line in states:
                    bookmarks.keep(line)
            codes = {name: run.wait() for name, run in ends}
        finally:
            _end(*(run for _, run in ends))
        logs = {"tap-amocrm": _tail(tap_log), "target-crm": _tail(target_log)}
        _report(account, codes, logs)
        say(logs["target-crm"])


@contextlib.contextmanager
def _state_file(state: str | None) -> Iterator[list[str]]:
    """The arguments that hand a bookmark to the tap."""
    if state is None:
        yield []
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
        file.write(state)
        file.flush()
        yield ["--state", file.name]


def _report(account: Account, codes: Mapping[str, int], logs: Mapping[str, str]) -> None:
    failed = [name for name in ("tap-amocrm", "target-crm") if codes[name]]
    if "(broken pipe)" in logs["tap-amocrm"]:  # the tap ended because the target had
        failed.reverse()
    if failed:
        parts = (f"{name} of account {account.name} ended with code {codes[name]}:\n{logs[name]}" for name in failed)
        raise PairError("\n".join(parts))
