"""Settings of target-crm: their schema for Singer and Meltano, and the checked values the rest works with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from target_crm.config.setting_names import unknown_settings
from target_crm.config.setting_types import BooleanType, IntegerType, NumberType, StringType, setting
from target_crm.errors import ConfigError

POLICIES = ("soft", "amo_wins", "crm_wins", "fill_empty")

_PROPERTIES = (
    setting(
        "database_url",
        StringType,
        secret=True,
        title="Database URL",
        description="The CRM's database: postgresql://user:password@host/database. Default: the embedded PostgreSQL.",
    ),
    setting(
        "data_dir",
        StringType,
        default=".crm",
        title="Data directory",
        description="Folder with the data of the embedded PostgreSQL.",
    ),
    setting(
        "crm_schema",
        StringType,
        default="crm",
        title="CRM schema",
        description="Schema of the CRM's tables and of the sync_* tables.",
    ),
    setting(
        "mapping_file",
        StringType,
        title="Mapping file",
        description="YAML file: stream -> table, property or custom field -> column, policy. Default: the built-in "
        "mapping.",
    ),
    setting(
        "default_policy",
        StringType,
        default="soft",
        allowed_values=list(POLICIES),
        title="Default policy",
        description="How a column is updated if the mapping does not set its policy.",
    ),
    setting(
        "dry_run",
        BooleanType,
        default=False,
        title="Dry run",
        description="Compute every change and print the plan, without writing anything.",
    ),
    setting(
        "plan_file",
        StringType,
        title="Plan file",
        description="Dry run: file for the whole plan, as JSON Lines.",
    ),
    setting(
        "batch_size_rows",
        IntegerType,
        default=10000,
        title="Batch size",
        description="Number of records merged in one transaction.",
    ),
    setting(
        "on_bad_record",
        StringType,
        default="quarantine",
        allowed_values=["quarantine", "fail"],
        title="On a bad record",
        description="What happens to a rejected record. quarantine: keep it in sync_rejects and continue; fail: stop "
        "the run. A value that is left out with a warning is not a rejected record.",
    ),
    setting(
        "max_bad_records",
        IntegerType,
        default=1000,
        title="Most bad records",
        description="A run with more rejected records than this fails.",
    ),
    setting(
        "max_deletes_percent",
        NumberType,
        default=10,
        title="Most deletes, percent",
        description="A run that would mark more of a table's rows deleted fails before it marks any.",
    ),
    setting(
        "allow_mass_delete",
        BooleanType,
        default=False,
        title="Allow mass delete",
        description="Allow runs that max_deletes_percent would stop.",
    ),
    setting(
        "max_changes_percent",
        NumberType,
        default=100,
        title="Most changes, percent",
        description="A batch that would overwrite this share or more of a column's values fails; 100 switches the "
        "check off.",
    ),
    setting(
        "default_region",
        StringType,
        default="RU",
        title="Default region",
        description="ISO country of phone numbers without a country code.",
    ),
    setting(
        "lock_timeout_seconds",
        NumberType,
        default=600,
        title="Lock timeout, seconds",
        description="How long a load waits for another load of the account, for locked rows and for other locks; 0: "
        "no wait.",
    ),
    setting(
        "parallel_merges",
        IntegerType,
        default=2,
        title="Merges side by side",
        description="Number of connections that merge a large batch, from 1 to 16.",
    ),
    setting(
        "staging",
        StringType,
        default="auto",
        allowed_values=["auto", "temporary", "schema"],
        title="Staging tables",
        description="Where the records of a batch are kept until they are merged. temporary: temporary tables; "
        "schema: unlogged "
        "tables in crm_schema; auto: schema if Citus keeps crm_schema on one of its nodes, otherwise temporary.",
    ),
    setting(
        "journal_retention_days",
        IntegerType,
        default=90,
        title="Journal retention, days",
        description="Rows of sync_changes older than this are removed at the end of a load; 0 keeps all.",
    ),
    setting(
        "notify_channel",
        StringType,
        title="Channel of notifications",
        description="Channel to which the run's number is sent after each commit (NOTIFY), for applications that "
        "LISTEN.",
    ),
    setting(
        "max_sync_age_hours",
        NumberType,
        default=0,
        title="Oldest sync, hours",
        description="Age at which the last complete sync is overdue, on the review page, in status, metrics and "
        "digest. 0: twice the usual interval.",
    ),
    setting(
        "public_url",
        StringType,
        title="Address of the review page",
        description="Address at which browsers reach target-crm-admin serve, for links: https://crm.example.com.",
    ),
    setting(
        "digest_urls",
        StringType,
        secret=True,
        title="Addresses of the digest",
        description="Recipients of target-crm-admin digest --send: Apprise addresses (mailto://, tgram://, json://), "
        "separated by spaces.",
    ),
    setting(
        "metrics_token",
        StringType,
        secret=True,
        title="Token of /metrics",
        description="Bearer token with which a monitor reads /metrics of target-crm-admin serve. Without it the "
        "metrics are not served.",
    ),
    setting(
        "unmapped_streams",
        StringType,
        default="warn",
        allowed_values=["warn", "fail"],
        title="Unmapped streams",
        description="What happens to a stream that is not in the mapping. warn: name it once and skip it; fail: stop "
        "the run.",
    ),
)
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
CONFIG_JSONSCHEMA: dict[str, Any] = {"type": "object", "properties": dict(_PROPERTIES), "$schema": _DIALECT}

SETTING_NAMES: tuple[str, ...] = tuple(CONFIG_JSONSCHEMA["properties"])


def refuse(problems: Sequence[str]) -> None:
    """Raise what is wrong with settings, all at once.

    Raises:
        ConfigError: there is a problem.
    """
    if problems:
        raise ConfigError(" ".join(problems))


@dataclass(frozen=True)
class Settings:
    """The checked settings. `database_url` is left out of every representation."""

    database_url: str | None = field(default=None, repr=False)
    data_dir: Path = Path(".crm")
    crm_schema: str = "crm"
    mapping_file: Path | None = None
    default_policy: str = "soft"
    dry_run: bool = False
    plan_file: Path | None = None
    batch_size_rows: int = 10_000
    on_bad_record: str = "quarantine"
    max_bad_records: int = 1000
    max_deletes_percent: float = 10.0
    allow_mass_delete: bool = False
    max_changes_percent: float = 100.0
    default_region: str = "RU"
    lock_timeout_seconds: float = 600.0
    parallel_merges: int = 2
    staging: str = "auto"
    journal_retention_days: int = 90
    notify_channel: str | None = None
    unmapped_streams: str = "warn"
    max_sync_age_hours: float = 0.0
    public_url: str | None = None
    digest_urls: str | None = field(default=None, repr=False)
    metrics_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Check the values of a Singer config.

        Raises:
            ConfigError: a name is unknown, a value is of the wrong kind or out of range; the message names the setting.
        """
        refuse(unknown_settings(config, SETTING_NAMES))
        values: dict[str, Any] = {}
        defaults = cls()
        for name, default in vars(defaults).items():
            value = config.get(name)
            if value is None or value == "":
                continue
            values[name] = _coerce(name, value, default)
        settings = cls(**values)
        _check(settings)
        return settings


def _coerce(name: str, value: Any, default: Any) -> Any:
    """The value as the kind of its default; environment variables bring everything as text."""
    try:
        if isinstance(default, bool):
            if isinstance(value, str):
                return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
            return bool(value)
        if isinstance(default, int):
            return int(value)
        if isinstance(default, float):
            return float(value)
    except (KeyError, TypeError, ValueError):
        kind = type(default).__name__
        msg = f"Setting {name}: {value!r} is not of kind {kind}; the default is {default!r}."
        raise ConfigError(msg) from None
    if isinstance(default, Path) or name in ("mapping_file", "plan_file"):
        if "\0" in str(value):
            msg = f"Setting {name}: a path can't contain a NUL character; give another path."
            raise ConfigError(msg)
        try:
            return Path(str(value)).expanduser()
        except RuntimeError:
            msg = f"Setting {name}: the home folder (~) is unknown; give an absolute path."
            raise ConfigError(msg) from None
    return str(value)


def _check(settings: Settings) -> None:
    if settings.database_url is not None:
        # The driver is not needed to describe the settings, and takes its time to import.
        from target_crm.config.database_url import check_database_url

        check_database_url(settings.database_url)
    if settings.default_policy not in POLICIES:
        msg = f"Setting default_policy: {settings.default_policy!r} is not one of {', '.join(POLICIES)}."
        raise ConfigError(msg)
    choices = {
        "on_bad_record": ("quarantine", "fail"),
        "unmapped_streams": ("warn", "fail"),
        "staging": ("auto", "temporary", "schema"),
    }
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            msg = f"Setting {name}: {getattr(settings, name)!r} is not one of {', '.join(allowed)}."
            raise ConfigError(msg)
    if not re.fullmatch(r"[A-Z]{2}", settings.default_region):
        msg = f"Setting default_region: {settings.default_region!r} is not an ISO country code such as RU."
        raise ConfigError(msg)
    if not settings.crm_schema or len(settings.crm_schema.encode()) > 63:
        msg = "Setting crm_schema: a schema name must have 1 to 63 bytes."
        raise ConfigError(msg)
    if settings.notify_channel is not None and len(settings.notify_channel.encode()) > 63:
        msg = "Setting notify_channel: the name of a channel has at most 63 bytes."
        raise ConfigError(msg)
    if settings.public_url is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", settings.public_url):
        msg = "Setting public_url: the value must be an address such as https://crm.example.com."
        raise ConfigError(msg)
    if settings.metrics_token is not None and not re.fullmatch(r"[!-~]{16,}", settings.metrics_token):
        msg = "Setting metrics_token: the value must have at least 16 visible ASCII characters without spaces."
        raise ConfigError(msg)
    for name in ("max_deletes_percent", "max_changes_percent"):
        if getattr(settings, name) > 100:
            msg = f"Setting {name}: {getattr(settings, name):g} is above 100 percent."
            raise ConfigError(msg)
    lowest = {
        "batch_size_rows": 1,
        "max_bad_records": 0,
        "max_deletes_percent": 0,
        "max_changes_percent": 0,
        "lock_timeout_seconds": 0,
        "journal_retention_days": 0,
        "parallel_merges": 1,
        "max_sync_age_hours": 0,
    }
    for name, least in lowest.items():
        if getattr(settings, name) < least:
            msg = f"Setting {name}: {getattr(settings, name)} is below {least}."
            raise ConfigError(msg)


def setting_problem(text: str) -> str:
    """What the SDK says of a setting (`'x' is not … in config['name']`), with the name first and no secrets."""
    match = re.fullmatch(r"(.*) in config\['(\w+)'\].*", text, re.DOTALL)
    if match is None:
        return f"Settings: {text}"
    told, name = match.groups()
    schema = CONFIG_JSONSCHEMA["properties"].get(name, {})
    if schema.get("secret") or schema.get("writeOnly"):
        told = f"the value is not of type {schema.get('type')}"
    return f"Setting {name}: {told}."
