"""The variables of the pair: from an address and from `.env`, and into `.env`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from target_crm.errors import ConfigError

PREFIXES = ("TAP_AMOCRM_", "TARGET_CRM_")
_PLACE = ("TAP_AMOCRM_SUBDOMAIN", "TAP_AMOCRM_DOMAIN", "TAP_AMOCRM_API_URL")
_ACCOUNT = re.compile(
    r"(?:https?://)?([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.(amocrm\.ru|amocrm\.com|kommo\.com)(?:[/?#].*)?"
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OTHER = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")


def of_address(address: str) -> dict[str, str]:
    """The variables that name an account: of its name, its host, or any address that a browser shows of it.

    Raises:
        ConfigError: it names no account.
    """
    text = address.strip()
    account = _ACCOUNT.fullmatch(text.lower())
    if account is not None:
        below = {} if account[2] == "amocrm.ru" else {"TAP_AMOCRM_DOMAIN": account[2]}
        return {"TAP_AMOCRM_SUBDOMAIN": account[1], **below}
    if _NAME.fullmatch(text.lower()):
        return {"TAP_AMOCRM_SUBDOMAIN": text.lower()}
    if _OTHER.fullmatch(text):
        return {"TAP_AMOCRM_API_URL": text.rstrip("/")}
    raise ConfigError.of("E_SETUP_ADDRESS", address=text[:80] if "@" not in text else "...")


def read_variables(file: Path) -> dict[str, str]:
    """The pair's variables of `.env`; none where there is no such file.

    Raises:
        ConfigError: it can't be read.
    """
    from dotenv import dotenv_values

    try:
        found = dotenv_values(file) if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.of("E_SETUP_FILE", file=str(file), reason=type(error).__name__) from None
    return {name: value for name, value in found.items() if value and name.startswith(PREFIXES)}


def combined(earlier: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Variables with the chosen ones over them; another address of the account takes all of the earlier one's place."""
    moved = any(name in chosen for name in _PLACE)
    return {name: value for name, value in earlier.items() if not (moved and name in _PLACE)} | dict(chosen)


def write_variables(file: Path, variables: Mapping[str, str]) -> None:
    """Put variables into `.env`, which only its owner may read (mode 0600); what else is in it stays.

    The file is replaced in one step. Values are in single quotes, as the shell, systemd and Meltano read them.

    Raises:
        ConfigError: it can't be written; a file that was there is as before.
    """
    from dotenv import set_key, unset_key

    file = Path(os.path.realpath(file))
    try:
        with tempfile.TemporaryDirectory(prefix=".env.", dir=file.parent) as folder:  # its mode is 0700
            part = Path(folder) / "env"
            if file.exists():
                shutil.copyfile(file, part)
            part.touch()
            part.chmod(0o600)
            for name in read_variables(part):
                if name in _PLACE and name not in variables:
                    unset_key(part, name)
            for name, value in variables.items():
                set_key(part, name, value)
            part.replace(file)
    except OSError as error:
        raise ConfigError.of("E_SETUP_FILE", file=str(file), reason=error.strerror) from None
