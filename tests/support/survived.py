"""Tests that break things tell here what they broke, how often, and what was lost; benchmarks/losses.py asks them.

Without the environment variable FAULT_COUNTS, a folder, nothing is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def survived(fault: str, kinds: Mapping[str, int] | int, **lost: int) -> None:
    """Append one line: the fault, how often each kind of it was tried, and what was lost, as `records=0, edits=0`.

    To be called before the assertion that nothing was lost, with what was really counted.
    """
    folder = os.environ.get("FAULT_COUNTS")
    tried = kinds if isinstance(kinds, Mapping) else {"": kinds}
    if folder and any(tried.values()):
        told = {"fault": fault, "kinds": tried, "lost": lost}
        with Path(folder, f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
