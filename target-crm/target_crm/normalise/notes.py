"""Notes of every kind as text that a person can read; the parameters stay whole beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CALL_STATUS = {
    1: "оставлено сообщение",
    2: "перезвонить позже",
    3: "нет на месте",
    4: "разговор состоялся",
    5: "неверный номер",
    6: "не дозвонились",
    7: "номер занят",
    8: "статус неизвестен",
}


def note_text(note_type: Any, params: Any) -> str | None:
    """The text of a note.

    Calls, messages, files and the like become a sentence; old notes with upper-case keys (`TEXT`, `PHONE`,
    `DURATION`) are read, too. None when there is nothing to read.
    """
    if isinstance(params, str):
        return params or None
    if not isinstance(params, Mapping):
        return None
    values = {str(k).lower(): v for k, v in params.items()}
    kind = str(note_type or "")
    if kind in ("call_in", "call_out"):
        return _call(kind, values)
    if kind in ("sms_in", "sms_out"):
        return _sms(kind, values)
    if kind == "attachment":
        name = values.get("original_name") or values.get("file_name") or values.get("text")
        return f"Файл: {name}" if name else None
    if kind == "geolocation":
        return _joined(values.get("text"), values.get("address"))
    if kind == "amomail_message":
        return _joined(values.get("subject"), values.get("content_summary"))
    return _joined(values.get("service"), values.get("text"), separator=": ")


def _call(kind: str, values: Mapping[str, Any]) -> str:
    parts = ["Входящий звонок" if kind == "call_in" else "Исходящий звонок"]
    if values.get("phone"):
        parts.append(str(values["phone"]))
    duration = _seconds(values.get("duration"))
    if duration is not None:
        minutes, seconds = divmod(duration, 60)
        parts.append(f"{minutes} мин {seconds} с" if minutes else f"{seconds} с")
    status = _seconds(values.get("call_status"))
    if status in _CALL_STATUS:
        parts.append(_CALL_STATUS[status])
    if values.get("call_result"):
        parts.append(str(values["call_result"]))
    if values.get("link"):
        parts.append(f"запись: {values['link']}")
    return ", ".join(parts)


def _sms(kind: str, values: Mapping[str, Any]) -> str | None:
    head = "СМС от" if kind == "sms_in" else "СМС на"
    phone, text = values.get("phone"), values.get("text")
    if phone:
        return f"{head} {phone}: {text or ''}".rstrip()
    return str(text) if text else None


def _seconds(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _joined(*parts: Any, separator: str = "\n") -> str | None:
    return separator.join(str(p) for p in parts if p) or None
