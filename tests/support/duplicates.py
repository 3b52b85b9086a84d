"""Looks for duplicated code within each package: `make lint`.

The packages do not import each other, so what two of them need is there twice, on purpose; within one it is a fault.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Lines that are alike, without imports, signatures and docstrings. Less is a matter of taste.
LEAST_LINES = 6


def duplicates(package: Path) -> str:
    """What pylint's symilar finds, empty where nothing is duplicated."""
    files = [str(file) for file in sorted(package.rglob("*.py"))]
    program = Path(sys.executable).parent / "symilar"
    options = [f"--duplicates={LEAST_LINES}", "--ignore-imports", "--ignore-docstrings", "--ignore-signatures"]
    done = subprocess.run([program, *options, *files], capture_output=True, text=True, check=True)
    return "" if "duplicates=0 " in done.stdout else done.stdout


if __name__ == "__main__":
    found = [text for name in sys.argv[1:] if (text := duplicates(Path(name)))]
    print("\n".join(found), end="")
    sys.exit(bool(found))
