"""Notes of every kind as text that a person can read; the parameters stay whole beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from target_crm.normalise.custom_fields import leaves, readable

Params = Mapping[str, Any]

_CALL_STATUS = {
    "1": "оставлено сообщение",
    "2": "перезвонить позже",
    "3": "нет на месте",
    "4": "разговор состоялся",
    "5": "неверный номер",
    "6": "не дозвонились",
    "7": "номер занят",
    "8": "статус неизвестен",
}
# Numbers under which old accounts and integrations keep the kinds.
_BY_NUMBER = {
    "1": "lead_created",
    "4": "common",
    "5": "attachment",
    "10": "call_in",
    "11": "call_out",
    "15": "amomail_message",
    "16": "site_visit",
    "20": "lead_auto_created",
    "24": "geolocation",
    "25": "service_message",
    "28": "message_cashier",
    "32": "link_followed",
    "34": "extended_service_message",
    "35": "zoom_meeting",
    "36": "bill_paid",
    "37": "key_action_completed",
    "101": "dropbox_attachment",
    "102": "sms_in",
    "103": "sms_out",
    "104": "mention",
}


def note_text(note_type: Any, params: Any) -> str | None:
    """The text of a note.

    Calls, messages, files and the like become a sentence; old notes with upper-case keys (`TEXT`, `PHONE`,
    `DURATION`) and numbers for kinds are read, too. Of a kind or a shape that is not known, all that can be read.
    None when there is nothing to read.
    """
    if not isinstance(params, Mapping):
        return readable(params) if isinstance(params, str) else _lines(*leaves(params))
    values = {str(key).lower(): value for key, value in params.items()}
    kind = readable(note_type) or ""
    kind = _BY_NUMBER.get(kind, kind)
    written = _WRITERS.get(kind, _message)(values)
    if written is not None:
        return written
    return _lines(*leaves(params)) if kind != "common" or "text" not in values else None


def _lines(*parts: str | None, separator: str = "\n") -> str | None:
    """The parts that are there, each once."""
    return separator.join(dict.fromkeys(part for part in parts if part)) or None


def _call_of(head: str) -> Callable[[Params], str | None]:
    def call(values: Params) -> str:
        parts: list[str | None] = [head, readable(values.get("phone")), _duration(values.get("duration"))]
        status = readable(values.get("call_status")) or ""
        parts += [_CALL_STATUS.get(status), readable(values.get("call_result"))]
        link = readable(values.get("link"))
        return ", ".join(part for part in [*parts, f"запись: {link}" if link else None] if part)

    return call


def _duration(value: Any) -> str | None:
    """Seconds as people say them; anything else as it is."""
    text = readable(value)
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 9:
        return text
    minutes, seconds = divmod(int(text), 60)
    return f"{minutes} мин {seconds} с" if minutes else f"{seconds} с"


def _sms_of(head: str) -> Callable[[Params], str | None]:
    def sms(values: Params) -> str | None:
        phone, text = readable(values.get("phone")), readable(values.get("text"))
        return f"{head} {phone}: {text or ''}".rstrip() if phone else text

    return sms


def _file(values: Params) -> str | None:
    name = next((n for key in ("original_name", "file_name", "filename") if (n := readable(values.get(key)))), None)
    text = readable(values.get("text"))
    if name is None:
        name, text = text, None
    return _lines(f"Файл: {name}" if name else None, text if text != name else None, readable(values.get("link")))


def _place(values: Params) -> str | None:
    where = _lines(readable(values.get("text")), readable(values.get("address")))
    if where is None:
        where = _lines(readable(values.get("latitude")), readable(values.get("longitude")), separator=", ")
    return where


def _mail(values: Params) -> str | None:
    return _lines(readable(values.get("subject")), readable(values.get("content_summary")))


def _message(values: Params) -> str | None:
    """What a service says: who, and what."""
    text = readable(values.get("text"))
    return None if text is None else _lines(readable(values.get("service")), text, separator=": ")


def _page_of(head: str) -> Callable[[Params], str | None]:
    def page(values: Params) -> str | None:
        address = next((a for key in ("url", "link", "origin_url") if (a := readable(values.get(key)))), None)
        return f"{head}: {address}" if address else _message(values)

    return page


def _targeting_of(head: str) -> Callable[[Params], str | None]:
    def targeting(values: Params) -> str | None:
        parts = [readable(values.get(key)) for key in ("service", "campaign", "text")]
        said = ", ".join(part for part in parts if part)
        return f"{head}: {said}" if said else None

    return targeting


def _lead_created(values: Params) -> str | None:
    text, number = readable(values.get("text")), readable(values.get("lead_id"))
    return text or (f"Автоматически создана сделка {number}" if number else "Автоматически создана сделка")


def _mention(values: Params) -> str | None:
    """What was said; the text has the names of the people in it."""
    return readable(values.get("message")) or readable(values.get("text"))


def _headed(head: str) -> Callable[[Params], str | None]:
    def headed(values: Params) -> str | None:
        return _lines(head, *leaves(values), separator=": ")

    return headed


_WRITERS: dict[str, Callable[[Params], str | None]] = {
    "call_in": _call_of("Входящий звонок"),
    "call_out": _call_of("Исходящий звонок"),
    "sms_in": _sms_of("СМС от"),
    "sms_out": _sms_of("СМС на"),
    "attachment": _file,
    "dropbox_attachment": _file,
    "geolocation": _place,
    "amomail_message": _mail,
    "mail_message": _mail,
    "site_visit": _page_of("Посещение сайта"),
    "link_followed": _page_of("Переход по ссылке"),
    "targeting_in": _targeting_of("Добавлено в рекламную кампанию"),
    "targeting_out": _targeting_of("Убрано из рекламной кампании"),
    "lead_auto_created": _lead_created,
    "mention": _mention,
    "zoom_meeting": _headed("Встреча Zoom"),
    "transaction": _headed("Покупка"),
}
