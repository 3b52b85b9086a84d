"""Settings of tap-amocrm: their schema for Singer and Meltano, and the checked values the rest works with."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import STREAM_MAPS_CONFIG

from tap_amocrm.config.account_address import LOOPBACK, account_url, given_url
from tap_amocrm.config.user_path import user_path
from tap_amocrm.errors import ConfigError
from tap_amocrm.moments import parse_moment
from tap_amocrm.shapes import whole

# The vendor's limit for one integration (developers.kommo.com, "Limitations").
MAX_REQUESTS_PER_SECOND = 7
MAX_PAGE_SIZE = 250
# As text, too: Meltano 4.4 fails on a setting of kind decimal that comes from the environment.
NUMBER = th.CustomType({"type": ["number", "string", "null"]})
STRATEGIES = ("auto", "batch", "scan")
# How custom fields leave: the list `custom_fields_values`, or a property for each.
CUSTOM_FIELDS = ("array", "columns")
logger = logging.getLogger("tap-amocrm")
# Clocks and time zones may differ so much.
_A_DAY = 86_400


def _text(name: str, title: str, description: str, **more: Any) -> th.Property[Any]:
    return th.Property(name, th.StringType, title=title, description=description, **more)


CONFIG_JSONSCHEMA: dict[str, Any] = th.PropertiesList(
    _text(
        "subdomain",
        "Subdomain",
        "Name, host or address of the account: mycompany, mycompany.amocrm.ru, https://mycompany.amocrm.ru/.",
    ),
    _text("domain", "Domain", "Domain of the account: amocrm.ru, amocrm.com or kommo.com.", default="amocrm.ru"),
    _text("api_url", "API URL", "Base URL of the API, on any host. Replaces subdomain and domain."),
    _text(
        "drive_url",
        "Drive URL",
        "Base URL of the account's files, if it is not a host of amoCRM. Default: the address that the account names.",
    ),
    _text("access_token", "Access token", "Long-lived token of a private integration.", secret=True),
    _text("client_id", "Client ID", "OAuth: ID of the integration."),
    _text("client_secret", "Client secret", "OAuth: secret key of the integration.", secret=True),
    _text("redirect_uri", "Redirect URI", "OAuth: redirect address, exactly as in the settings of the integration."),
    _text(
        "refresh_token",
        "Refresh token",
        "OAuth: the first refresh token. Later ones are stored in token_file.",
        secret=True,
    ),
    _text(
        "authorization_code",
        "Authorisation code",
        "OAuth: authorisation code, valid once and for 20 minutes.",
        secret=True,
    ),
    _text("token_file", "Token file", "OAuth: file in which each new refresh token is stored before it is used."),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Replicate only records updated at or after this time (RFC 3339).",
    ),
    th.Property(
        "requests_per_second",
        NUMBER,
        default=MAX_REQUESTS_PER_SECOND,
        title="Requests per second",
        description="Maximum rate of requests, at most 7. Only a loopback api_url allows a higher rate.",
    ),
    th.Property(
        "max_concurrent_requests",
        th.IntegerType,
        default=4,
        title="Concurrent requests",
        description="Maximum number of concurrent requests. All of them share one rate limit.",
    ),
    th.Property(
        "page_size",
        th.IntegerType,
        default=MAX_PAGE_SIZE,
        title="Page size",
        description="Number of records per page, at most 250.",
    ),
    th.Property(
        "responsible_user_ids",
        th.ArrayType(th.IntegerType),
        default=[],
        title="Scope: responsible users",
        description="Replicate only companies of these users, with their contacts, leads, notes and tasks.",
    ),
    th.Property(
        "company_custom_field_id",
        th.IntegerType,
        title="Scope: custom field",
        description="Replicate only companies whose custom field with this ID holds company_custom_field_value.",
    ),
    _text(
        "company_custom_field_value",
        "Scope: custom field's value",
        "Value of company_custom_field_id: text, or the ID of an enum value.",
    ),
    th.Property(
        "company_limit",
        th.IntegerType,
        title="Scope: first companies",
        description="Replicate only the first N companies in scope, for a trial run.",
    ),
    _text(
        "child_strategy",
        "Child strategy",
        "How children in scope are read. batch: by the IDs of their parents; scan: from the list of all changes; "
        "auto: whichever needs fewer requests.",
        default="auto",
        allowed_values=list(STRATEGIES),
    ),
    *(
        th.Property(
            f"{name}_batch_size",
            th.IntegerType,
            default=size,
            title=f"Batch size of {name}",
            description="Number of parent IDs per request. Halved automatically after a 414 response.",
        )
        for name, size in (("contacts", 50), ("notes", 200), ("tasks", 50))
    ),
    th.Property(
        "lookback_seconds",
        th.IntegerType,
        default=60,
        title="Lookback",
        description="Number of seconds that an incremental sync reads again before its bookmark.",
    ),
    th.Property(
        "share_throttle",
        th.BooleanType,
        default=True,
        title="Shared rate limit on this machine",
        description="Share the rate limit among all processes of this user on this machine that read the same account.",
    ),
    _text(
        "shared_limit_url",
        "Shared rate limit of several hosts",
        "postgresql:// URL of a database through which processes on several hosts share the rate limit of the account. "
        "Requires the extra tap-amocrm[shared-limit].",
        secret=True,
    ),
    th.Property(
        "definitions_lifetime",
        th.IntegerType,
        default=3600,
        title="Lifetime of definitions",
        description="Number of seconds for which users, custom fields and tags are not read again, unless a record "
        "names an unknown ID. Such a stream sends neither SCHEMA nor records. 0 reads them in every run.",
    ),
    th.Property(
        "raw_text",
        th.BooleanType,
        default=False,
        title="Raw text",
        description="Keep NUL characters and lone surrogates in text. Most loaders reject them.",
    ),
    th.Property(
        "mark_deleted",
        th.BooleanType,
        default=True,
        title="Mark deleted records",
        description="Write a last version of a record that was deleted or merged away into its own stream: its key, "
        "is_deleted and _sdc_deleted_at. target-crm uses deleted_records and does not need it.",
    ),
    _text(
        "custom_fields",
        "Custom fields",
        "array: the list custom_fields_values, as the API sends it; columns: one property for each custom field, with "
        "a permanent name (docs/other-loaders.md). target-crm requires array.",
        default="array",
        allowed_values=list(CUSTOM_FIELDS),
    ),
    th.Property(
        "follow",
        th.BooleanType,
        default=False,
        title="Follow",
        description="Do not exit after everything has been read: keep reading changes until SIGTERM or SIGINT.",
    ),
    th.Property(
        "follow_request_share",
        NUMBER,
        default=0.3,
        title="Follow: share of the rate limit",
        description="Share of requests_per_second, from 0.02 to 1, that follow uses once everything has been read.",
    ),
    _text(
        "hooks_queue",
        "Webhooks: queue",
        "File, or postgresql:// URL, in which tap-amocrm-hooks stores the records that webhooks name and from which "
        "follow reads them. "
        "Requires the extra tap-amocrm[hooks].",
        secret=True,
    ),
    _text(
        "hooks_url",
        "Webhooks: public address",
        "Public address of tap-amocrm-hooks, without the secret: https://crm.example.com/amocrm-hooks.",
    ),
    _text(
        "hooks_secret",
        "Webhooks: secret",
        "Last part of the address of the webhook, at least 20 letters and digits. Anyone who knows it can send hints.",
        secret=True,
    ),
    _text("metrics_file", "Metrics file", "File for the metrics of the run, as JSON."),
).to_dict()

# Of the settings that the SDK gives to every tap those of stream maps have an effect here.
_STREAM_MAPS = {
    "stream_maps": "Stream maps of the SDK: rename, filter or change streams (sdk.meltano.com, Stream maps).",
    "stream_map_config": "Values for the expressions of stream maps.",
    "faker_config": "Settings of Faker for stream maps that generate values. Requires the extra singer-sdk[faker].",
}
CONFIG_JSONSCHEMA["properties"] |= {
    name: {**STREAM_MAPS_CONFIG["properties"][name], "description": text} for name, text in _STREAM_MAPS.items()
}
SETTING_NAMES: tuple[str, ...] = tuple(CONFIG_JSONSCHEMA["properties"])


@dataclass(frozen=True)
class Settings:
    """The checked settings; secrets stay in the config and are not kept here."""

    api_url: str
    start_date: int | None = None
    requests_per_second: float = MAX_REQUESTS_PER_SECOND
    max_concurrent_requests: int = 4
    page_size: int = MAX_PAGE_SIZE
    responsible_user_ids: tuple[int, ...] = ()
    company_custom_field_id: int | None = None
    company_custom_field_value: str | None = None
    company_limit: int | None = None
    child_strategy: str = "auto"
    batch_sizes: Mapping[str, int] = field(default_factory=lambda: {"contacts": 50, "notes": 200, "tasks": 50})
    lookback_seconds: int = 60
    definitions_lifetime: int = 3600
    share_throttle: bool = True
    raw_text: bool = False
    mark_deleted: bool = True
    custom_fields: str = "array"
    follow: bool = False
    follow_request_share: float = 0.3
    metrics_file: Path | None = None
    drive_url: str | None = None

    @property
    def scoped(self) -> bool:
        """Whether only some companies and their children are wanted."""
        return bool(self.responsible_user_ids or self.company_custom_field_id or self.company_limit is not None)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Check the values of a Singer config.

        Raises:
            ConfigError: a value is missing, of the wrong kind or out of range; the message names the setting.
        """
        url = account_url(config)
        start = config.get("start_date")
        users = config.get("responsible_user_ids") or []
        value = config.get("company_custom_field_value")
        settings = cls(
            api_url=url,
            start_date=_start(start) if start else None,
            requests_per_second=_number(config, "requests_per_second", MAX_REQUESTS_PER_SECOND, 0.01),
            max_concurrent_requests=_whole(config, "max_concurrent_requests", 4, 1, 64),
            page_size=_whole(config, "page_size", MAX_PAGE_SIZE, 1, MAX_PAGE_SIZE),
            responsible_user_ids=tuple(_users(users)),
            company_custom_field_id=_optional_whole(config, "company_custom_field_id"),
            company_custom_field_value=None if value in (None, "") else str(value),
            company_limit=_optional_whole(config, "company_limit"),
            child_strategy=str(config.get("child_strategy") or "auto"),
            batch_sizes={
                name: _whole(config, f"{name}_batch_size", size, 1, MAX_PAGE_SIZE)
                for name, size in (("contacts", 50), ("notes", 200), ("tasks", 50))
            },
            lookback_seconds=_whole(config, "lookback_seconds", 60, 0, 30 * 86_400),
            share_throttle=config.get("share_throttle") is not False,
            definitions_lifetime=_whole(config, "definitions_lifetime", 3600, 0, 365 * 86_400),
            raw_text=bool(config.get("raw_text")),
            mark_deleted=config.get("mark_deleted") is not False,
            custom_fields=str(config.get("custom_fields") or "array"),
            follow=bool(config.get("follow")),
            follow_request_share=_number(config, "follow_request_share", 0.3, 0.02),
            metrics_file=user_path("metrics_file", config["metrics_file"]) if config.get("metrics_file") else None,
            drive_url=given_url("drive_url", str(config["drive_url"]).strip()) if config.get("drive_url") else None,
        )
        _check_together(settings)
        return settings


def _start(value: Any) -> int:
    try:
        moment = parse_moment(str(value))
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        msg = f"Setting start_date: {value!r} must be an RFC 3339 timestamp, for example 2026-01-31T00:00:00Z."
        raise ConfigError(msg, setting="start_date", problem="format")
    if moment.timestamp() > time.time() + _A_DAY:
        msg = f"Setting start_date: {value!r} is in the future; nothing would be read."
        raise ConfigError(msg, setting="start_date", problem="future")
    return int(moment.timestamp())


def _users(value: Any) -> list[int]:
    ids = [whole(v) for v in value] if isinstance(value, list) else [None]
    if None in ids:
        msg = f"Setting responsible_user_ids: {value!r} must be a list of user IDs, for example [5000003, 5000004]."
        raise ConfigError(msg, setting="responsible_user_ids", problem="format")
    return [i for i in ids if i is not None]


def _number(config: Mapping[str, Any], name: str, default: float, least: float) -> float:
    value = config.get(name)
    try:
        number = float(default if value is None else value)
    except (TypeError, ValueError):
        number = -1
    if not math.isfinite(number) or number < least:
        msg = f"Setting {name}: {value!r} must be a number of at least {least:g}."
        raise ConfigError(msg, setting=name, problem="range")
    return number


def _whole(config: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = config.get(name)
    number = default if value is None else whole(value)
    if number is None or not least <= number <= most:
        msg = f"Setting {name}: {value!r} must be a whole number from {least} to {most}."
        raise ConfigError(msg, setting=name, problem="range")
    return number


def _optional_whole(config: Mapping[str, Any], name: str) -> int | None:
    return None if config.get(name) in (None, "") else _whole(config, name, 0, 1, 1 << 62)


def _check_together(settings: Settings) -> None:
    if settings.child_strategy not in STRATEGIES:
        msg = f"Setting child_strategy: {settings.child_strategy!r} must be one of {', '.join(STRATEGIES)}."
        raise ConfigError(msg, setting="child_strategy", problem="choice")
    if settings.custom_fields not in CUSTOM_FIELDS:
        msg = f"Setting custom_fields: {settings.custom_fields!r} must be one of {', '.join(CUSTOM_FIELDS)}."
        raise ConfigError(msg, setting="custom_fields", problem="choice")
    if settings.follow_request_share > 1:
        msg = f"Setting follow_request_share: {settings.follow_request_share:g} must be a number from 0.02 to 1."
        raise ConfigError(msg, setting="follow_request_share", problem="range")
    loopback = urlsplit(settings.api_url).hostname in LOOPBACK
    if settings.requests_per_second > MAX_REQUESTS_PER_SECOND and not loopback:
        msg = (
            f"Setting requests_per_second: {settings.requests_per_second:g} is above amoCRM's limit of "
            f"{MAX_REQUESTS_PER_SECOND}; going over it gets the address blocked."
        )
        raise ConfigError(msg, setting="requests_per_second", problem="range")
    if (settings.company_custom_field_id is None) != (settings.company_custom_field_value is None):
        msg = "Settings company_custom_field_id and company_custom_field_value go together: give both or none."
        raise ConfigError(msg, setting=["company_custom_field_id", "company_custom_field_value"], problem="together")


def validation_problems(errors: Iterable[Any]) -> list[str]:
    """A sentence for each error of a jsonschema validator of the settings; secrets are not shown."""
    problems = []
    for error in errors:
        name = str(error.path[0]) if error.path else ""
        schema = CONFIG_JSONSCHEMA["properties"].get(name, {})
        said = error.message
        if schema.get("secret") or schema.get("writeOnly"):
            said = f"the value is not of type {schema.get('type')}"
        problems.append(f"Setting {name}: {said}." if name else f"Settings: {said}.")
    return problems
