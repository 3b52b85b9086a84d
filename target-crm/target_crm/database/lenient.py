"""Reads values that PostgreSQL has and Python has not: `infinity`, BC, the year 20219, numbers of 5,000 digits."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def read_everything(connection: psycopg.Connection[Any]) -> None:
    """Make a connection return times and documents that Python can't represent as their text.

    Reading is slower: for people's commands, not for loads.
    """
    for name, loader in (("date", _Date), ("timestamp", _Timestamp), ("timestamptz", _Timestamptz)):
        connection.adapters.register_loader(name, loader)
    set_json_loads(_loads, connection)


def _loads(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        return text if isinstance(text, str) else text.decode()


def _whole_number(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # Python refuses to read very long ones
        return digits
