"""Notes: types and parameters, the old and odd ones included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amocrm_sim import words as w
from amocrm_sim.records.seeds import FIRST_USER, USERS, mix, phone


def params(b: int, index: int) -> tuple[Any, Any]:
    """A note's type and parameters in a plain account."""
    number = phone(b >> 2)
    choice = b % 12
    if choice < 5:
        text = w.TEXTS[(b >> 4) % len(w.TEXTS)]
        if b % 401 == 0:
            text = "длинный текст " * 5000
        elif b % 53 == 0:
            text = w.NASTY[(b >> 8) % len(w.NASTY)]
        return "common", {"text": text}
    if choice < 8:
        call = {
            "uniq": f"c{index}",
            "duration": b % 900,
            "source": "АТС",
            "link": f"https://records.example/{index}.mp3",
        }
        call |= {
            "phone": number,
            "call_result": "",
            "call_status": 1 + b % 8,
            "call_responsible": FIRST_USER + b % USERS,
        }
        if b % 5 == 0:
            call = {k.upper(): call[k] for k in ("uniq", "duration", "link", "phone")}
        return ("call_in" if b % 2 else "call_out"), call
    if choice == 8:
        return "sms_in", {"TEXT": "Здравствуйте!", "PHONE": number}
    if choice == 9:
        return "attachment", {"original_name": "Договор.pdf", "file_uuid": f"f{index}", "version_uuid": f"v{index}"}
    if choice == 10:
        return "service_message", [] if b % 2 else {"service": "Виджет", "text": "Заявка с сайта"}
    return str(100 + b % 5), None if b % 2 else "строка"


def unkind(b: int, index: int) -> tuple[Any, Any]:
    """A note's type and parameters as the service gives them: half are as above, the others of every type there is."""
    if b % 2:
        return params(b >> 1, index)
    u = mix(b, 6)
    make = _TYPES[(u >> 3) % len(_TYPES)]
    return make(u >> 20, index)


def _call(u: int, index: int) -> tuple[Any, Any]:
    call: dict[str, Any] = {
        "uniq": [f"c{index}"] if u % 5 == 0 else f"C{index}",
        "duration": str(u % 900) if u % 3 == 0 else u % 900,
        "source": ("iOS_client", "onlinePBX", "asterisk")[u % 3],
        "link": None,
        "phone": (79_000_000_000 + u % 10**9, None, phone(u))[(u >> 4) % 3],
        "call_result": (None, "Договорились", "")[(u >> 7) % 3],
        "call_status": None if (u >> 11) % 2 else u % 8,
        "call_responsible": (FIRST_USER + u % USERS, "Иван", None)[(u >> 9) % 3],
    }
    if (u >> 12) % 4 == 0:  # of before 2018, under its number
        old = {"UNIQ": "u", "DURATION": str(u % 90), "LINK": "", "PHONE": phone(u), "SRC": "ats", "call_status": "4"}
        return 10 + u % 2, old
    return ("call_in" if u % 2 else "call_out"), call


def _mail(u: int, index: int) -> tuple[Any, Any]:
    sides = ({"email": "a@mail.example", "name": "Анна"}, {"email": "m1@firma.example", "name": "Менеджер"})
    return "amomail_message", {
        "thread_id": 1000 + index,
        "message_id": 40_000 + index,
        "private": False,
        "income": u % 2 == 0,
        "from": sides[u % 2],
        "to": sides[1 - u % 2],
        "version": 2,
        "subject": "КП на болты" if u % 3 else None,
        "access_granted": 0,
        "content_summary": "Добрый день! Пришлите, пожалуйста",
        "attach_cnt": u % 3,
        "delivery": {"status": "none", "time": 1_654_800_000, "reason": None},
    }


def _service(u: int, index: int) -> tuple[Any, Any]:
    kind = ("service_message", "extended_service_message")[u % 2]
    choices: tuple[Any, ...] = (
        {"service": "1С коннектор", "text": "Заказ выгружен"},
        {"service": "Виджет", "text": "строка 1\nстрока 2\n" * 30, "icon_url": None},
        {"service": {"comment": "Оплачено"}, "text": "Счёт закрыт"},
        {"service": "Рассылка", "text": ["одно", "другое"]},
        None,
        [],
    )
    return kind, choices[(u >> 3) % len(choices)]


def _attachment(u: int, index: int) -> tuple[Any, Any]:
    choices: tuple[Any, ...] = (
        {"original_name": "Screenshot.png", "attachment": "gijy_Screenshot.png"},
        {"text": "Договор", "original_name": "Договор.pdf", "version_uuid": f"v{index}", "file_uuid": f"f{index}", "file_name": "Договор.pdf", "is_drive_attachment": True},
        {"version_uuid": f"v{index}", "file_uuid": f"f{index}", "file_name": "image.png"},
    )  # fmt: skip
    return "attachment", choices[u % 3]


def _sms(u: int, index: int) -> tuple[Any, Any]:
    choices: tuple[Any, ...] = (
        {"text": None, "phone": None},
        {"text": "Добрый день", "phone": phone(u)},
        {"TEXT": "Ваш заказ готов", "PHONE": phone(u)},
    )
    return ("sms_in", "sms_out")[(u >> 5) % 2], choices[u % 3]


def _targeting(u: int, index: int) -> tuple[Any, Any]:
    contacts: list[Any] = [{"id": 20_000_001, "name": "Анна Примерова"}] if u % 2 else [20_000_001]
    service: Any = "vkontakte" if u % 2 else 2
    kind = "targeting_in" if u % 2 else "targeting_out"
    return kind, {"contacts": contacts, "campaign": "Осень", "service": service}


def _shapes(u: int, index: int) -> tuple[Any, Any]:
    choices: tuple[Any, ...] = ([], None, "просто текст", '{"text": "JSON в тексте"}', {"text": None}, {"text": 12})
    return ("common", "service_message", 4, 25)[(u >> 6) % 4], choices[u % len(choices)]


def _numbered(u: int, index: int) -> tuple[Any, Any]:
    choices: tuple[tuple[int, Any], ...] = (
        (15, {"subject": "Старое письмо", "content_summary": "Текст письма"}),
        (16, {"url": "https://primer.example/old"}),
        (28, {"status": "shown", "text": "Сумма 100 руб."}),
        (34, {"service": "Виджет", "text": "Подробно"}),
        (101, {"link": "https://dropbox.example/a", "filename": "a.pdf"}),
        (102, {"TEXT": "Пришло", "PHONE": phone(u)}),
        (104, {"text": "Упомянули вас", "users": [FIRST_USER]}),
    )
    return choices[u % len(choices)]


def _fixed(kind: str, value: Any) -> Callable[[int, int], tuple[Any, Any]]:
    return lambda u, index: (kind, value)


_CREATED = {
    "type": "child",
    "lead_type": "child",
    "lead_id": 30_000_001,
    "link": {"id": 30_000_001, "type": 2},
}
_TYPES: tuple[Callable[[int, int], tuple[Any, Any]], ...] = (
    _call,
    _mail,
    _service,
    _attachment,
    _sms,
    _targeting,
    _shapes,
    _numbered,
    _fixed("geolocation", {"text": "Встреча", "address": "ул. Садовая, 5", "longitude": "53.01", "latitude": "-13"}),
    _fixed("message_cashier", {"status": "shown", "text": "Сумма 100 руб."}),
    _fixed("invoice_paid", {"service": "Счета", "text": "Счёт 5 оплачен", "icon_url": "https://i.example/1.png"}),
    _fixed("bill_paid", {"service": "QuickBooks", "text": "Bill paid", "icon_url": ""}),
    _fixed("site_visit", {"url": "https://primer.example/price"}),
    _fixed("link_followed", {"url": "https://primer.example/offer"}),
    _fixed("transaction", {"price": 1250.75, "comment": "Предоплата"}),
    _fixed("zoom_meeting", {"topic": "Показ", "join_url": "https://zoom.example/j/1", "start_time": 1_700_000_000}),
    _fixed("dropbox_attachment", {"link": "https://dropbox.example/a", "filename": "Схема.pdf"}),
    _fixed("lead_auto_created", _CREATED),
    _fixed("ai_result", {"text": "Клиент доволен", "score": 0.9}),
    _fixed("key_action_completed", {"action": "Первый контакт", "result": {"ok": True}}),
    _fixed("chat", None),
)
