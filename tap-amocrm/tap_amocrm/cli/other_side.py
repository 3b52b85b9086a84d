"""The other side of the pair, as `target-crm-admin doctor` sees it: a command of another package, where installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tap_amocrm.planning.probes import Finding

_COMMAND = "target-crm-admin"
_SECONDS = 120


def find_command() -> str | None:
    """The command beside this Python, or on the path; None where it is not installed."""
    beside = Path(sys.executable).parent / _COMMAND
    return str(beside) if beside.exists() else shutil.which(_COMMAND)


def look(config: Path | None, *, is_asked: bool) -> list[Finding]:
    """What `target-crm-admin doctor` finds; nothing where the target is not installed or not configured.

    Args:
        config: The target's config file; left out: what the command finds by itself (environment, `.env`, meltano.yml).
        is_asked: Whether a target that is missing is a finding.
    """
    command = find_command()
    if command is None:
        missing = Finding("target-crm", "no", f"{_COMMAND} is not installed", "error", "pip install target-crm")
        return [missing] if is_asked else []
    line = [command, *(["--config", str(config)] if config else []), "doctor", "--json"]
    try:
        done = subprocess.run(  # noqa: S603
            [*line, *([] if is_asked else ["--if-configured"])],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        checks = json.loads(done.stdout)["checks"] if done.stdout else []
    except subprocess.TimeoutExpired:
        return [_failed(f"no answer within {_SECONDS} s")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [_failed(f"its output can't be read ({type(error).__name__})")]
    if done.returncode and not checks:
        said = [text.removeprefix("Error: ") for text in done.stderr.splitlines() if text.startswith("Error: ")]
        return [_failed(" ".join(said) or f"it ended with code {done.returncode}")]
    return [_finding(check) for check in checks]


def _finding(check: dict[str, Any]) -> Finding:
    level = str(check.get("level"))
    outcome = {"ok": "yes", "error": "no"}.get(level, "unknown")
    return Finding(str(check.get("what")), outcome, str(check.get("text")), level, str(check.get("remedy") or ""))


def _failed(text: str) -> Finding:
    return Finding("target-crm", "no", text, "error", f"Run {_COMMAND} doctor.")
