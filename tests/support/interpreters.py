"""The Python interpreters of this machine that the packages are made for, and their own environments for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

BIN = Path(sys.executable).parent
MINORS = range(10, 15)


@cache
def interpreters() -> dict[str, str]:
    """Version (3.12) -> the program, of those that run here: on the path, and in pyenv's folder."""
    found = {}
    roots = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for minor in MINORS:
        name = f"python3.{minor}"
        here = sys.executable if sys.version_info[:2] == (3, minor) else None
        for program in (here, shutil.which(name), *sorted(map(str, roots.glob(f"3.{minor}.*/bin/{name}")))):
            if program and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
                found[f"3.{minor}"] = program
                break
    return found


def uv(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the workspace's uv with an index as this machine has it; the exit code is the caller's matter."""
    line = [str(BIN / "uv"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=600, check=False, **options)  # type: ignore[call-overload,no-any-return]


def make_environment(folder: Path, python: str, *packages: object) -> Path:
    """A fresh environment with these packages; its bin. What uv says of a failure is in the AssertionError."""
    made = uv("venv", "--quiet", "--python", python, folder)
    assert made.returncode == 0, made.stderr
    done = uv("pip", "install", "--quiet", "--compile-bytecode", "--python", folder / "bin" / "python", *packages)
    assert done.returncode == 0, done.stderr
    return folder / "bin"
