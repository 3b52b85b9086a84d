"""The account itself, and the lists that are not among its cards: catalogues, sources, roles, webhooks, talks."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w
from amocrm_sim.records import ACCOUNT_ID, FIRST_USER, Record
from amocrm_sim.records import fields as f
from amocrm_sim.records.seeds import CATALOGS, ELEMENTS, FIRST_ELEMENT, FIRST_PIPELINE

LONG_AGO, LATER = 1_600_000_000, 1_700_000_000


def identity(account_id: int) -> Record:
    """What tells an account from the others: its ID, name and subdomain."""
    number = "" if account_id == ACCOUNT_ID else str(account_id)
    return {"id": account_id, "name": f"Ромашка {number}".strip(), "subdomain": f"romashka{number}"}


def account(
    asked: set[str], types: list[Record], *, plain: bool, filter_package: bool, base: str, drive_url: str
) -> Record:
    """`GET /api/v4/account` with what is asked for."""
    body: Record = {
        **identity(ACCOUNT_ID), "current_user_id": FIRST_USER, "country": "RU",
        "currency": "RUB", "currency_symbol": "₽", "customers_mode": "segments", "is_unsorted_on": True,
        "is_loss_reason_enabled": True, "contact_name_display_order": 1, "created_at": LONG_AGO,
        "_links": {"self": {"href": f"{base}/api/v4/account"}}, "_embedded": {},
    }  # fmt: skip
    embedded: Record = {}
    zone = {"timezone": "Europe/Moscow", "timezone_offset": "+03:00", "date_pattern": "d.m.Y H:i"}
    if not plain:
        body |= {
            "created_by": 0, "updated_at": LATER, "updated_by": 0, "mobile_feature_version": 0,
            "is_helpbot_enabled": False, "is_technical_account": False,
        }  # fmt: skip
        zone |= {
            "short_date_pattern": "d.m.Y",
            "short_time_pattern": "H:i",
            "date_format": "d.m.Y",
            "time_format": "H:i:s",
        }
        more = {
            "amojo_id": "f3c6340d-0000-4ad1-9f7e-000000000001", "uuid": "824f3a59-0000-4edf-ba90-000000000001",
            "version": 14,
        }  # fmt: skip
        body |= {k: v for k, v in more.items() if k in asked}
        inside = {
            "amojo_rights": {"can_direct": True, "can_create_groups": True},
            "users_groups": [
                {"id": 0, "name": "Отдел продаж", "uuid": None},
                {"id": 491_025, "name": "Опт", "uuid": None},
            ],
            "entity_names": {"leads": {"ru": {"gender": "f", "plural_form": {"dative": "Сделкам"}}}},
            "invoices_settings": {"lang": "ru", "currency": "RUB"},
        }
        embedded |= {k: v for k, v in inside.items() if k in asked}
    if "drive_url" in asked:
        body["drive_url"] = drive_url
    if "is_api_filter_enabled" in asked:
        body["is_api_filter_enabled"] = filter_package
    if "datetime_settings" in asked:
        embedded["datetime_settings"] = zone
    if "task_types" in asked:
        embedded["task_types"] = types
    # Where nothing was asked for, the service's PHP makes a list of the empty object.
    body["_embedded"] = embedded or ({} if plain else [])
    return body


def optional(name: str, *, plain: bool) -> list[Record]:
    """The records of one of the lists that an account may have."""
    return _plain(name) if plain else _unkind(name)


def _plain(name: str) -> list[Record]:
    times: Record = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    made: dict[str, list[Record]] = {
        "catalogs": [{"id": 1, "name": "Товары", "created_by": 0, "type": "regular", "sort": 10, "account_id": ACCOUNT_ID, **times}],
        "catalogs/1/elements": [{"id": n, "catalog_id": 1, "name": f"Товар {n}", **times, "is_deleted": False, "custom_fields_values": None, "account_id": ACCOUNT_ID} for n in range(1, 8)],
        "sources": [{"id": 1, "name": "Сайт", "external_id": "site", "pipeline_id": FIRST_PIPELINE, "default": True}],
        "roles": [{"id": 1, "name": "Менеджер", "rights": {}}],
        "webhooks": [{"id": 1, "destination": "https://hooks.example/amo", **times, "account_id": ACCOUNT_ID, "disabled": False, "settings": ["add_lead"]}],
        "talks": [_talk(LATER)],
        "leads/unsorted": [{"uid": "u1", "source_uid": "s", "source_name": "Форма", "category": "forms", "pipeline_id": FIRST_PIPELINE, "created_at": LATER, "metadata": {}, "account_id": ACCOUNT_ID, "_embedded": {"leads": [{"id": 30_000_001}], "contacts": [], "companies": []}}],
    }  # fmt: skip
    return made.get(name, [])


def _talk(moment: int) -> Record:
    return {"talk_id": 1, "created_at": moment, "updated_at": moment, "rate": 0, "contact_id": 20_000_001, "chat_id": "c", "entity_id": 30_000_001, "entity_type": "lead", "is_in_work": True, "is_read": True, "origin": "telegram", "account_id": ACCOUNT_ID}  # fmt: skip


def _unkind(name: str) -> list[Record]:
    if name == "catalogs":
        return [_catalog(0), _catalog(1)]
    if name == f"catalogs/{CATALOGS[0]}/elements":
        return [_element(n) for n in range(ELEMENTS)]
    if name == "leads/unsorted":
        return [_unsorted(n, category) for n, category in enumerate(("sip", "forms", "mail", "chats"))]
    times: Record = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    rights = {"leads": {"view": "M", "edit": "M", "add": "D", "delete": "M", "export": "M"}, "tasks": {"edit": "A", "delete": "A"}, "status_rights": None, "catalog_access": True}  # fmt: skip
    talk = _talk(LATER) | {"status": "in_work", "source_id": 9_000_001, "missed_at": None}
    closed = talk | {
        "talk_id": 2,
        "entity_id": None,
        "entity_type": None,
        "is_in_work": False,
        "missed_at": LATER,
        "rate": None,
    }
    made: dict[str, list[Record]] = {
        "sources": [
            {"id": 9_000_001, "name": "Сайт", "external_id": 777, "pipeline_id": FIRST_PIPELINE, "default": True, "origin_code": "site", "services": [{"type": "whatsapp", "pages": []}]},
            {"id": 9_000_002, "name": "Почта", "external_id": None, "pipeline_id": None, "default": False, "origin_code": None, "services": []},
            {"id": 9_000_003, "name": "Бот", "external_id": "bot-1", "pipeline_id": FIRST_PIPELINE + 1, "default": False, "origin_code": "bot", "services": []},
        ],
        "roles": [
            {"id": 55_001, "name": "Менеджер", "rights": rights, "_embedded": {"users": [FIRST_USER + 1, FIRST_USER + 4]}},
            {"id": 55_002, "name": "Наблюдатель", "rights": None, "_embedded": {"users": []}},
        ],
        "webhooks": [{"id": 839_656, "destination": "https://hooks.example/amo", **times, "account_id": ACCOUNT_ID, "created_by": FIRST_USER, "sort": 1, "disabled": False, "settings": ["add_lead", "note_contact"]}],
        "talks": [talk | {"_embedded": {"contacts": [{"id": 20_000_001}], "leads": [{"id": 30_000_001}]}}, closed],
        "customers/segments": [{"id": 43 + n, "name": f"Сегмент {n + 1}", "color": "ae003f", "customers_count": n, **times, "account_id": ACCOUNT_ID, "available_products_price_types": [], "custom_fields_values": None} for n in range(2)],
        "customers/statuses": [{"id": 4_740_028 + n, "name": s, "sort": n, "is_default": n == 0, "conditions": [], "color": "#ae003f", "type": 0, "account_id": ACCOUNT_ID} for n, s in enumerate(("Новый", "Постоянный", "Ушёл"))],
    }  # fmt: skip
    return made.get(name, [])


def _catalog(n: int) -> Record:
    return {
        "id": CATALOGS[n], "name": ("Товары", "Счета")[n], "created_by": 0, "updated_by": 0, "created_at": LONG_AGO,
        "updated_at": LONG_AGO, "sort": 10 * (n + 1), "type": ("products", "invoices")[n], "can_add_elements": True,
        "can_show_in_cards": True, "can_link_multiple": n == 0, "can_be_deleted": False,
        "sdk_widget_code": (None, 17)[n], "account_id": ACCOUNT_ID,
    }  # fmt: skip


def _element(n: int) -> Record:
    code = f.filled(f.Field(790_001, "Артикул", "text", "SKU"), [{"value": f"B-{n}"}])
    price = f.filled(f.Field(790_002, "Цена", "price", "PRICE"), [{"value": f"{10 * n + 10}.50"}])
    return {
        "id": FIRST_ELEMENT + n, "catalog_id": CATALOGS[0], "name": f"Товар {n + 1}" if n else None, "created_by": 0,
        "updated_by": 0, "created_at": LONG_AGO, "updated_at": LONG_AGO, "is_deleted": (None, False)[n % 2],
        "custom_fields_values": [code, price] if n % 3 else None, "account_id": ACCOUNT_ID, "_embedded": [] if n % 2 else {},
    }  # fmt: skip


def _unsorted(n: int, category: str) -> Record:
    metadata: dict[str, Any] = {
        "sip": {"from": "onlinePBX", "phone": "79120000009", "called_at": LATER, "duration": 54, "link": "https://rec.example", "service_code": "Ck", "uniq": "a1", "call_responsible": None},
        "forms": {"form_id": "1", "form_name": "Заявка", "form_page": "https://primer.example", "ip": "192.0.2.2", "form_sent_at": LATER, "referer": ""},
        "mail": {"from": {"email": "a@mail.example", "name": "Анна"}, "received_at": LATER, "subject": None, "content_summary": "Здравствуйте", "thread_id": 1203, "message_id": "40551"},
        "chats": {"from": "Анна", "origin": "telegram", "to": "bot", "received_at": LATER, "service": "tg", "client": {"name": "Анна", "avatar": None}, "last_message_text": w.TEXTS[0], "source_name": "Бот", "is_pinned": False},
    }  # fmt: skip
    return {
        "uid": f"u{n + 1}", "source_uid": "a1fee7c0", "source_name": "Форма" if n else None, "category": category,
        "pipeline_id": FIRST_PIPELINE, "created_at": LATER, "metadata": metadata[category], "account_id": ACCOUNT_ID,
        "_embedded": {"leads": [_link("leads", 30_000_001)], "contacts": [_link("contacts", 20_000_001)], "companies": []},
    }  # fmt: skip


def _link(path: str, record_id: int) -> Record:
    return {"id": record_id, "_links": {"self": {"href": f"/api/v4/{path}/{record_id}"}}}
