"""Looks for code that nothing uses: `make lint`. Names that the templates use count as used."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from keyword import iskeyword
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def names_in_templates() -> set[str]:
    """All identifiers in the templates of pages and reports."""
    files = (ROOT / "target-crm" / "target_crm").rglob("*.j2")
    expressions = (part for file in files for part in re.findall(r"{[{%].*?[}%]}", file.read_text("utf-8"), re.DOTALL))
    return {name for text in expressions for name in re.findall(r"(?<![\w\"'])[A-Za-z_]\w*", text)}


def unused() -> str:
    """What vulture reports with the settings of pyproject.toml, empty where all is used."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as file:
        file.write("".join(f"_.{name}\n" for name in sorted(names_in_templates()) if not iskeyword(name)))
        file.flush()
        paths = re.search(r"^paths = (\[.*\])$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
        assert paths is not None
        given = re.findall(r'"([^"]+)"', paths[1])
        program = Path(sys.executable).parent / "vulture"
        done = subprocess.run([program, *given, file.name], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


if __name__ == "__main__":
    found = unused()
    print(found, end="")
    sys.exit(bool(found))
