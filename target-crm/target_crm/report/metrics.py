"""The tap's metrics file: types and ranges are checked before anything is drawn, whoever wrote the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from target_crm.errors import ConfigError

_MOST_BYTES = 50_000_000
_MOST_STREAMS = 200
Number = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class StreamWaits(msgspec.Struct):
    """What a stream's requests waited for, in seconds: slots and answers added up, the median, the 95th percentile and
    the slowest answer; how many requests were answered, and how many refused or failed."""

    answers: Number = 0
    seconds_for_slots: Seconds = 0.0
    seconds_for_answers: Seconds = 0.0
    answer_median: Seconds = 0.0
    answer_p95: Seconds = 0.0
    answer_slowest: Seconds = 0.0
    refused: Number = 0


class Metrics(msgspec.Struct):
    """What the report draws of a run of tap-amocrm: counts, and times in seconds; what is missing counts as 0."""

    requests: Number = 0
    requests_without_batching: Number | None = None
    duration_seconds: Seconds = 0.0
    seconds_waiting_for_api: Seconds = 0.0
    requests_by_stream: dict[str, Number] = {}
    requests_per_second_series: list[Number] = []
    records_series: dict[str, list[Number]] = {}
    requests_per_second: Seconds | None = None
    run_id: str | None = None
    status_counts: dict[str, Number] = {}
    retries: Number = 0
    seconds_for_slots: Seconds | None = None
    seconds_for_answers: Seconds | None = None
    waits_by_stream: dict[str, StreamWaits] = {}


def read_metrics(file: Path) -> Metrics:
    """The metrics of a file.

    Raises:
        ConfigError: the file can't be read or does not hold metrics of tap-amocrm; names what is wrong.
    """
    try:
        if not file.is_file():
            raise ConfigError.of("E_METRICS_NOT_A_FILE", file=str(file))
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigError.of("E_METRICS_TOO_LARGE", file=str(file), megabytes=_MOST_BYTES // 1_000_000)
        document = _without_nulls(msgspec.json.decode(file.read_bytes()))
        found = msgspec.convert(document, Metrics)
    except OSError as error:
        raise ConfigError.of("E_METRICS_NOT_READABLE", file=str(file), reason=error.strerror) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _foreign(file, str(error)) from None
    known = {field.name for field in msgspec.structs.fields(Metrics)}
    if isinstance(document, dict) and document and not known & document.keys():
        raise _foreign(file, "no key of it is known")
    if max(len(found.requests_by_stream), len(found.records_series), len(found.waits_by_stream)) > _MOST_STREAMS:
        raise _foreign(file, f"it names more than {_MOST_STREAMS} streams")
    return found


def _foreign(file: Path, reason: str) -> ConfigError:
    return ConfigError.of("E_METRICS_FOREIGN", file=str(file), reason=reason)


def require_run(found: Metrics, file: Path, run: int, tap_run: str | None) -> None:
    """Make sure that metrics are those of a run, by the identity of the tap's run.

    Raises:
        ConfigError: they are of another one.
    """
    if found.run_id != tap_run:
        raise ConfigError.of("E_METRICS_OF_ANOTHER_RUN", file=str(file), run=run)


def _without_nulls(document: object) -> object:
    """A key whose value is null counts as missing."""
    if not isinstance(document, dict):
        return document
    return {k: v for k, v in document.items() if v is not None}


def thinned(series: Sequence[int], most: int) -> tuple[list[int], int]:
    """A series of at most `most` points and how many seconds each stands for; a point is the largest of its seconds."""
    step = max(1, math.ceil(len(series) / most))
    return [max(series[start : start + step]) for start in range(0, len(series), step)], step
