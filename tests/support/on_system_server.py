"""Runs a command on a fresh server of the system's own PostgreSQL, for the tests to use:

    python tests/support/on_system_server.py python -m pytest tests/test_pair.py

The newest of /usr/lib/postgresql is taken, or TEST_POSTGRES_BIN. Without one nothing is run, which is not a failure. As
root the server runs as a separate user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from target_crm.database.embedded import EmbeddedServer


def system_binaries() -> Path | None:
    """The folder of the newest PostgreSQL programs that the system has."""
    if named := os.environ.get("TEST_POSTGRES_BIN"):
        return Path(named)
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), default=None)


def main() -> int:
    """Start the server, run the command that the command line names, and stop the server; the command's exit code."""
    binaries = system_binaries()
    if binaries is None:
        print("The system has no PostgreSQL server; its tests are skipped.")
        return 0
    # Short, for a socket's path is limited, and open to the server's own user.
    base = Path(tempfile.mkdtemp(prefix="sys"))
    base.chmod(0o755)
    try:
        with EmbeddedServer(base / "pg", binaries) as server:
            print(f"Running on {binaries} ...", flush=True)
            environment = {**os.environ, "TEST_DATABASE_URL": server.url, "TEST_POSTGRES_BIN": str(binaries)}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
