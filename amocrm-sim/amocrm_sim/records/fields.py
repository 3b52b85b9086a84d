"""Custom fields: one table from which both the definitions and the values in records are made, so that ids match."""

from __future__ import annotations

from typing import Any, NamedTuple

from amocrm_sim import words as w
from amocrm_sim.records.seeds import ACCOUNT_ID, CATALOGS, Record


class Field(NamedTuple):
    """A custom field of one kind of card."""

    id: int
    name: str
    kind: str
    code: str | None = None
    enums: tuple[str, ...] = ()
    first_enum: int = 0


BRANCH = Field(700_010, "Филиал", "select", None, w.BRANCHES, 900)
INN = Field(700_011, "ИНН", "text")
COMPANY_PHONE = Field(
    700_002, "Телефон", "multitext", "PHONE", ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER"), 400_004
)
COMPANY_EMAIL = Field(700_003, "Email", "multitext", "EMAIL", ("WORK", "PRIV", "OTHER"), 400_014)
WEB = Field(700_004, "Web", "url", "WEB")
ADDRESS = Field(700_005, "Адрес", "textarea", "ADDRESS")
# What people add beside the predefined address, under the same name.
OWN_ADDRESS = Field(700_006, "Адрес", "smart_address")
ACTIVITY = Field(700_007, "Вид деятельности", "multiselect", None, w.ACTIVITIES, 970)
EMPLOYEES = Field(700_008, "Количество сотрудников", "text")
AREA = Field(700_009, "Площадь, м²", "numeric")
FOUNDED = Field(700_035, "Основана", "date")
VISITED = Field(700_036, "Последний визит", "date_time")
LEGAL = Field(700_038, "Реквизиты", "legal_entity")
ITEMS = Field(700_039, "Товары", "items")
TURNOVER = Field(700_040, "Оборот", "monetary")
PAYER = Field(700_046, "Плательщик", "payer")
SUPPLIER = Field(700_047, "Поставщик", "supplier")
CHAINED = Field(700_053, "Каталог", "chained_list")
SMART = Field(700_054, "Умный адрес", "smart_address")
INTERESTS = Field(700_052, "Интересы", "multiselect", None, ("Опт", "Розница"), 992)
RARE_SELECTS = (
    Field(700_050, "Вид деятельности", "radiobutton", None, ("Торговля",), 990),
    Field(700_051, "Категория", "category", None, ("A",), 991),
)
# By position in `plain.rare_fields`: a value of every type.
RARE = (
    Field(700_030, "Комментарий", "text"),
    Field(700_031, "Описание", "textarea"),
    Field(700_032, "Количество сотрудников", "numeric"),
    Field(700_033, "Постоянный", "checkbox"),
    Field(700_034, "День рождения", "birthday"),
    FOUNDED,
    VISITED,
    Field(700_037, "Улица", "streetaddress"),
    LEGAL,
    ITEMS,
    TURNOVER,
    Field(700_041, "Цена", "price"),
    Field(700_042, "Партнёр", "linked_entity"),
    Field(700_043, "Файл", "file"),
    Field(700_044, "utm_source", "tracking_data", "UTM_SOURCE"),
    Field(700_045, "Юр. название", "org_legal_name"),
    PAYER,
    SUPPLIER,
)
POSITION = Field(701_001, "Должность", "text", "POSITION")
CONTACT_PHONE = Field(
    701_002, "Телефон", "multitext", "PHONE", ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER"), 401_004
)
CONTACT_EMAIL = Field(701_003, "Email", "multitext", "EMAIL", ("WORK", "PRIV", "OTHER"), 401_014)
IM = Field(701_004, "Мгн. сообщения", "multitext", "IM", ("SKYPE", "ICQ", "JABBER", "OTHER"), 401_024)
AGREEMENT = Field(701_005, "Пользовательское соглашение", "checkbox", "USER_AGREEMENT")
SOURCE = Field(700_012, "Источник", "select", None, w.SOURCES, 950)
DELIVERY = Field(700_020, "Дата поставки", "date")
DISCOUNT = Field(702_001, "Скидка, %", "numeric")
REFERRER = Field(702_002, "utm_referrer", "tracking_data", "UTM_REFERRER")
PREPAYMENT = Field(702_003, "Предоплата", "monetary")
DEAL = Field(702_004, "Тип сделки", "select", None, ("Разовая", "Повторная"), 960)
WISHES = Field(702_005, "Пожелания", "textarea")
LEVEL = Field(703_001, "Уровень", "select", None, ("Серебро", "Золото"), 980)
BORN = Field(703_002, "День рождения", "birthday")

_COMPANIES = (BRANCH, INN, COMPANY_PHONE, COMPANY_EMAIL, WEB, ADDRESS)
_OF_COMPANIES = (
    *_COMPANIES,
    OWN_ADDRESS,
    ACTIVITY,
    EMPLOYEES,
    AREA,
    *RARE[:2],
    *RARE[3:],
    RARE_SELECTS[1],
    CHAINED,
    SMART,
)
DEFINED = {
    "companies": (*_OF_COMPANIES, INTERESTS, Field(700_050, "Форма", "radiobutton", None, ("Торговля",), 990)),
    "contacts": (SOURCE, POSITION, CONTACT_PHONE, CONTACT_EMAIL, IM, AGREEMENT),
    "leads": (DELIVERY, DISCOUNT, REFERRER, PREPAYMENT, DEAL, WISHES),
    "customers": (LEVEL, BORN),
}
PLAINLY_DEFINED = {
    "companies": (*_COMPANIES, *RARE, *RARE_SELECTS, INTERESTS, CHAINED, SMART),
    "contacts": (SOURCE, POSITION, CONTACT_PHONE, CONTACT_EMAIL),
    "leads": (DELIVERY,),
    "customers": (),
}


def filled(field: Field, values: list[Record] | None) -> Record:
    """The field with its values, as a record has it."""
    return {
        "field_id": field.id,
        "field_name": field.name,
        "field_code": field.code,
        "field_type": field.kind,
        "is_computed": False,
        "values": values,
    }


def chosen(field: Field, number: int) -> Record:
    """One of a field's choices as a value."""
    return {"value": field.enums[number], "enum_id": field.first_enum + number, "enum_code": None}


def coded(field: Field, number: int) -> Record:
    """The same, where the second choice has another code."""
    return {**chosen(field, number), "enum_code": "RETAIL" if number == 1 else None}


def texts(field: Field, values: list[tuple[Any, str]]) -> Record:
    """A field of several texts, each with its kind (a work phone, a private address)."""
    codes, first = field.enums, field.first_enum
    return filled(field, [{"value": v, "enum_id": first + codes.index(c), "enum_code": c} for v, c in values])


def definition(field: Field, entity: str, plain: bool) -> Record:
    """The field as `{entity}/custom_fields` describes it."""
    enums: Any = [
        {"id": field.first_enum + n, "value": v, "sort": n, "code": None} for n, v in enumerate(field.enums)
    ] or None  # fmt: skip
    made: Record = {
        "id": field.id, "name": field.name, "type": field.kind, "code": field.code, "sort": field.id % 1000,
        "group_id": None, "entity_type": entity, "account_id": ACCOUNT_ID, "is_api_only": False, "is_computed": False,
        "is_predefined": field.code is not None, "is_deletable": field.code is None, "required_statuses": [],
        "hidden_statuses": [], "remind": None, "currency": None, "chained_lists": None, "tracking_callback": None,
        "search_in": None, "nested": None, "enums": enums,
    }  # fmt: skip
    return made if plain else _as_served(made, field, entity)


def _as_served(made: Record, field: Field, entity: str) -> Record:
    """The definition with what the service adds by kind; some have the thin form of older accounts."""
    if field.kind in ("textarea", "streetaddress"):
        kept = ("id", "name", "sort", "type", "is_predefined", "remind", "is_api_only", "group_id", "enums")
        required = [{"status_id": 142, "pipeline_id": 7_000_001}] if field.kind == "streetaddress" else None
        return {k: made[k] for k in kept} | {"required_statuses": required, "settings": None}
    made |= {"triggers": [], "settings": None, "is_visible": True, "is_required": False, "is_multiple": False}
    made["group_id"] = f"{entity}_63431752236083" if field.id % 3 == 0 else None
    if field.kind in ("monetary", "price"):
        made |= {"currency": "RUB", "is_computed": True}
    elif field.kind in ("birthday", "date_time"):
        made["remind"] = "week" if field.kind == "birthday" else "never"
    elif field.kind == "chained_list":
        made["chained_lists"] = [
            {"title": "Марка", "catalog_id": CATALOGS[0], "parent_catalog_id": None},
            {"title": "Модель", "catalog_id": CATALOGS[1], "parent_catalog_id": CATALOGS[0]},
        ]
    elif field.kind == "linked_entity":
        made["search_in"] = CATALOGS[0]
    elif field.kind in ("payer", "supplier"):
        made |= {"search_in": "contacts", "catalog_id": CATALOGS[0]}
    elif field.kind == "tracking_data":
        made["tracking_callback"] = "function(){ return 1; }"
    elif field.kind == "category":
        made["nested"] = [{"id": e["id"], "parent_id": None, "value": e["value"], "sort": 0} for e in made["enums"]]
        made["enums"] = {str(n): e for n, e in enumerate(made["enums"])}
    elif field.kind == "select":
        made["required_statuses"] = [{"status_id": 142, "pipeline_id": 7_000_001}]
        made["hidden_statuses"] = [{"status_id": 143, "pipeline_id": 7_000_001}]
        made["enums"][0]["code"] = "FIRST"
    return made
