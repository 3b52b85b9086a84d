"""The other programs of the pair, as commands: the tap is a separate package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from target_crm.errors import ConfigError
from target_crm.operations.doctor import ERROR, OK, Check
from target_crm.plan.file import read_plan_file
from target_crm.setup.variables import PREFIXES

_CHECK_SECONDS, _TRIAL_SECONDS = 300, 900
_LOGGED = re.compile(r"^.*\| *ERROR *\| [\w.-]+ *\| ")


@dataclass(frozen=True)
class Trial:
    """What a dry run of a part showed: the counts of its plan by table; or what went wrong."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[Check] = field(default_factory=list)


def find_program(name: str) -> str | None:
    """A command beside this Python, or on the path; None where it is not installed."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def require_program(name: str) -> str:
    """The same.

    Raises:
        ConfigError: it is not installed.
    """
    found = find_program(name)
    if found is None:
        raise ConfigError.of("E_SETUP_PROGRAM", program=name)
    return found


def environment(variables: Mapping[str, str], **more: str) -> dict[str, str]:
    """This process's environment with these variables of the pair and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    return {**others, **variables, **more}


def check_account(variables: Mapping[str, str]) -> tuple[list[Check], dict[str, Any]]:
    """What `tap-amocrm-check` finds on amoCRM's side, and its whole document.

    Raises:
        ConfigError: the tap is not installed.
    """
    line = [require_program("tap-amocrm-check"), "--json", "--no-target"]
    try:
        done = subprocess.run(  # noqa: S603
            line, env=environment(variables), capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
        )
        document = json.loads(done.stdout) if done.stdout else {}
    except (subprocess.TimeoutExpired, ValueError) as error:
        return [Check("amoCRM", ERROR, f"tap-amocrm-check gave no answer ({type(error).__name__}).")], {}
    if not document:
        said = [text.removeprefix("Error: ") for text in done.stderr.splitlines() if text.startswith("Error: ")]
        return [Check("amoCRM", ERROR, " ".join(said) or f"tap-amocrm-check ends with code {done.returncode}.")], {}
    findings = [Check(f["what"], f["level"], f["detail"] or f["outcome"], f["remedy"]) for f in document["findings"]]
    return findings, document


def try_part(variables: Mapping[str, str], companies: int) -> Trial:
    """A dry run over the first companies with all that belongs to them; nothing is written.

    Raises:
        ConfigError: the tap is not installed, or the plan can't be read.
    """
    tap, target = require_program("tap-amocrm"), require_program("target-crm")
    with tempfile.TemporaryDirectory(prefix="crm-trial") as name:
        folder = Path(name)
        folder.chmod(0o755)  # an embedded server runs under a separate user where it is started by root
        plan, logs = folder / "plan.jsonl", (folder / "tap.log", folder / "target.log")
        known = {"TARGET_CRM_DRY_RUN": "true", "TARGET_CRM_PLAN_FILE": str(plan)}
        data_dir = Path(variables.get("TARGET_CRM_DATA_DIR") or ".crm").expanduser()
        if "TARGET_CRM_DATABASE_URL" not in variables and not (data_dir / "PG_VERSION").exists():
            known["TARGET_CRM_DATA_DIR"] = str(folder / "pg")
        reading = environment(variables, TAP_AMOCRM_COMPANY_LIMIT=str(companies), **known)
        with logs[0].open("w") as tap_log, logs[1].open("w") as target_log:
            reader = subprocess.Popen(  # noqa: S603
                [tap, "--config", "ENV"], env=reading, stdout=subprocess.PIPE, stderr=tap_log
            )
            writer = subprocess.Popen(  # noqa: S603
                [target, "--config", "ENV"],
                env=reading,
                stdin=reader.stdout,
                stdout=subprocess.DEVNULL,
                stderr=target_log,
            )
            assert reader.stdout is not None
            reader.stdout.close()
            try:
                codes = {"tap-amocrm": reader.wait(_TRIAL_SECONDS), "target-crm": writer.wait(_TRIAL_SECONDS)}
            except subprocess.TimeoutExpired:
                return Trial(problems=[Check("trial", ERROR, f"It did not end within {_TRIAL_SECONDS} seconds.")])
            finally:
                for process in (reader, writer):
                    if process.poll() is None:
                        process.kill()
                        process.wait()
        problems = [
            Check(program, ERROR, _said(log) or f"It ended with code {code}.")
            for (program, code), log in zip(codes.items(), logs, strict=True)
            if code
        ]
        return Trial(problems=problems) if problems else Trial(read_plan_file(plan, 1).counts)


def _said(log: Path) -> str:
    return " ".join(
        _LOGGED.sub("", line) for line in log.read_text("utf-8", "replace").splitlines() if _LOGGED.match(line)
    )


def trial_checks(trial: Trial) -> list[Check]:
    """A trial as lines of a check."""
    if trial.problems:
        return trial.problems
    read = sum(counts.get("read", 0) for counts in trial.counts.values())
    rejected = sum(counts.get("rejected", 0) for counts in trial.counts.values())
    written = sum(counts.get(k, 0) for counts in trial.counts.values() for k in ("inserted", "updated", "deleted"))
    text = f"{read:,} records were read; {written:,} rows would be written, {rejected:,} records rejected."
    return [Check("trial", OK, f"{text} Nothing was written.")]
