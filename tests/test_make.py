"""What the Makefile hands to the programs that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def exported(**variables):
    """UV_SYSTEM_CERTS as a recipe sees it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SSL_CERT", "UV_", "MAKE"))}
    rule = "show-certs: ; @echo seen=$$UV_SYSTEM_CERTS"
    line = ["make", "--no-print-directory", "--eval", rule, "show-certs"]
    done = subprocess.run(line, cwd=ROOT, env={**clean, **variables}, capture_output=True, text=True, check=True)
    return done.stdout.strip().removeprefix("seen=")


def test_uv_takes_the_system_s_certificates_as_pip_does():
    assert exported() == "true"
    # A variable of another name than the pinned uv's would do nothing.
    told = subprocess.run([BIN / "uv", "pip", "install", "--help"], capture_output=True, text=True, check=True).stdout
    assert "UV_SYSTEM_CERTS" in told


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"SSL_CERT_FILE": "/etc/company.pem"}, ""),
        ({"SSL_CERT_DIR": "/etc/company"}, ""),
        ({"UV_SYSTEM_CERTS": "false"}, "false"),
    ],
)
def test_what_the_user_has_set_wins(variables, seen):
    assert exported(**variables) == seen
