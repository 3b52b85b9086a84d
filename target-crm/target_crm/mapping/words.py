"""What tables and columns of a CRM are commonly called, in English and Russian (also in Latin letters).

Data only: `propose` reads it. A word that ends in `*` is the beginning of one (Russian words are declined).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TEXT = frozenset({"text"})
NUMBERS = frozenset({"integer", "number"})
MOMENTS = frozenset({"timestamp", "date"})
LISTS = frozenset({"array", "json"})
FLAG = frozenset({"boolean"})
JSON = frozenset({"json"})


@dataclass(frozen=True)
class Meaning:
    """A value that amoCRM sends: its source as a mapping writes it, what columns for it are called, of which kinds.

    `whole` is the source for a column of whole numbers where that is another one.
    """

    source: dict[str, Any]
    families: frozenset[str]
    words: tuple[str, ...]
    whole: dict[str, Any] | None = None


@dataclass(frozen=True)
class Link:
    """An id that amoCRM sends: the stream it points to, and names that a column may have (any, when there are none)."""

    stream: str
    source: dict[str, Any]
    words: tuple[str, ...] = ()


def _field(*names: str, **more: str) -> dict[str, Any]:
    return {"field": list(names), **more}


TABLES = {
    "users": ("user", "employee", "staff", "manager", "colleague", "сотрудник*", "пользовател*", "менеджер*",
              "работник*", "sotrudnik*", "polzovatel*"),
    "companies": ("company", "firm", "organization", "organisation", "org", "client", "customer", "account",
                  "counterparty", "компани*", "организаци*", "контрагент*", "клиент*", "фирм*", "kontragent*",
                  "organizaci*", "klient*", "kompani*"),
    "contacts": ("contact", "person", "people", "контакт*", "персон*", "люди", "лица", "kontakt*"),
    "leads": ("lead", "deal", "opportunity", "sale", "сделк*", "лид*", "продаж*", "заявк*", "sdelk*"),
    "notes": ("note", "comment", "remark", "activity", "interaction", "примечани*", "комментари*", "заметк*",
              "событи*", "zametk*", "primechani*"),
    "tasks": ("task", "todo", "assignment", "reminder", "задач*", "задани*", "поручени*", "zadach*"),
}  # fmt: skip
# A table whose name holds one of these goes with another table, or has nothing to do with amoCRM.
NOT_A_TABLE = (
    "phone", "mail", "tel", "телефон", "почт", "tag", "тег", "type", "тип", "log", "history", "журнал", "histor",
    "permission", "group", "session", "token", "role", "setting", "status", "статус", "file", "файл", "archive",
    "архив", "backup", "tmp", "migration", "content",
)  # fmt: skip
SETS = {"phone": ("phone", "tel", "телефон", "номер"), "email": ("mail", "почт", "адрес")}
SET_COLUMNS: dict[str, tuple[str, ...]] = {
    "phone": ("value", "number", "phone", "phone_number", "tel", "telephone", "номер", "телефон*", "значение"),
    "email": ("value", "email", "e_mail", "mail", "address", "почта", "адрес*", "значение"),
    "comment": (
        "comment",
        "note",
        "remark",
        "description",
        "extension",
        "ext",
        "комментари*",
        "примечани*",
        "добавочн*",
    ),
    "type": ("type", "kind", "label", "тип*", "вид"),
    "position": ("position", "sort", "sort_order", "ordering", "порядок", "номер_по_порядку"),
    "source": ("source", "origin", "источник"),
}
SERVICE: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "raw_fields": (JSON, ("raw_fields", "amo_data", "amo_raw", "amocrm_data", "amo_json", "sync_data", "raw_data")),
    "created_at": (MOMENTS - {"date"}, ("created_at", "created", "created_on", "date_created", "creation_date",
                   "date_joined", "added_at", "создан*", "дата_создания")),
    "updated_at": (MOMENTS - {"date"}, ("updated_at", "updated", "updated_on", "modified", "modified_at",
                   "date_modified", "changed_at", "last_modified", "изменен*", "изменён*", "обновлен*", "обновлён*",
                   "дата_изменения")),
    "amo_created_at": (MOMENTS - {"date"}, ("amo_created_at", "amo_created", "amocrm_created_at")),
    "amo_updated_at": (MOMENTS - {"date"}, ("amo_updated_at", "amo_updated", "amocrm_updated_at")),
    "amo_deleted_at": (MOMENTS - {"date"}, ("amo_deleted_at", "amo_deleted", "amocrm_deleted_at")),
}  # fmt: skip
ACCOUNT = ("amo_account_id", "amo_account", "amocrm_account_id", "amocrm_account")
AMO_ID = ("amo_id", "amocrm_id", "amo_entity_id")
# Where another importer may have kept a record's id: its own column for amoCRM's, or one for any source.
_EXTERNAL = ("amo_id", "amocrm_id", "amo_crm_id", "amocrm_uid", "external_id", "external_uid", "ext_id")
_CALLED = {
    "users": ("user", "employee", "manager"),
    "companies": ("company", "firm", "organization", "organisation", "client", "customer"),
    "contacts": ("contact", "person"),
    "leads": ("lead", "deal", "opportunity"),
    "notes": ("note", "comment"),
    "tasks": ("task",),
}
EXTERNAL_ID = {
    stream: (*(f"{prefix}_{name}_id" for prefix in ("amocrm", "amo", "amo_crm") for name in called), *_EXTERNAL)
    for stream, called in _CALLED.items()
}

_PHONE = Meaning(
    _field("PHONE", transform="phone"),
    TEXT,
    ("phone", "phone_number", "telephone", "tel", "mobile", "mobile_phone", "work_phone", "телефон*", "telefon*"),
)
_EMAIL = Meaning(
    _field("EMAIL", transform="email"),
    TEXT,
    ("email", "e_mail", "mail", "email_address", "work_email", "почта", "эл_почта", "электронная_почта"),
)
CITY = Meaning(_field("CITY", "Город"), TEXT, ("city", "town", "locality", "город", "gorod"))
_TAGS = Meaning({"from": "_embedded.tags[].name", "transform": "list"}, LISTS, ("tags", "labels", "теги", "метки"))

COLUMNS: dict[str, tuple[Meaning, ...]] = {
    "users": (
        Meaning({"from": "email", "transform": "email"}, TEXT, _EMAIL.words),
        Meaning({"from": "name"}, TEXT, ("name", "full_name", "fullname", "display_name", "имя", "фио", "fio")),
        Meaning({"from": "rights.is_active"}, FLAG, ("is_active", "active", "enabled", "активен", "активный")),
    ),
    "companies": (
        Meaning({"from": "name"}, TEXT, ("name", "title", "company_name", "short_name", "label", "название",
                "наименование", "краткое_наименование", "имя", "nazvanie", "naimenovanie")),
        Meaning(_field("LEGAL_NAME", "Юридическое название", "Юр. название", "Реквизиты", part="name"), TEXT,
                ("legal_name", "full_name", "official_name", "юридическое_название", "юр_название",
                 "полное_наименование", "полное_название")),
        Meaning(_field("INN", "ИНН", "Реквизиты", part="vat_id", transform="inn"), TEXT,
                ("inn", "tax_number", "tax_id", "vat", "vat_id", "vat_number", "tin", "taxpayer_id", "инн")),
        Meaning(_field("KPP", "КПП", "Реквизиты", part="kpp", transform="digits"), TEXT, ("kpp", "кпп")),
        Meaning(_field("ADDRESS", "Адрес"), TEXT, ("address", "legal_address", "postal_address", "location", "адрес*",
                "юридический_адрес", "фактический_адрес", "adres")),
        Meaning(_field("WEB", "Сайт"), TEXT, ("website", "site", "web", "url", "homepage", "domain", "сайт", "sayt")),
        CITY,
        _PHONE,
        _EMAIL,
        Meaning(_field("Вид деятельности", "Сфера деятельности", "Отрасль"), TEXT,
                ("industry", "activity_kind", "activity", "sector", "отрасль", "сфера*", "вид_деятельности")),
        Meaning(_field("Количество сотрудников", "Число сотрудников", transform="integer"), NUMBERS,
                ("employees_count", "employees", "employee_count", "headcount", "staff_count", "количество_сотрудников",
                 "число_сотрудников", "сотрудников")),
        _TAGS,
    ),
    "contacts": (
        Meaning({"from": ["first_name", "last_name", "name"], "transform": "first_name"}, TEXT,
                ("first_name", "firstname", "given_name", "name", "full_name", "имя", "фио", "fio", "imya")),
        Meaning({"from": "last_name"}, TEXT, ("last_name", "lastname", "surname", "family_name", "фамилия", "familia")),
        Meaning(_field("POSITION", "Должность", transform="position"), TEXT,
                ("position", "job_title", "job", "title", "post", "должность", "dolzhnost")),
        _PHONE,
        _EMAIL,
        _TAGS,
    ),
    "leads": (
        Meaning({"from": "name"}, TEXT, ("name", "title", "subject", "название", "наименование", "тема")),
        Meaning({"from": ["price_with_minor_units", "price"], "first": True}, NUMBERS,
                ("price", "amount", "budget", "sum", "value", "total", "сумма", "бюджет", "стоимость", "summa"),
                whole={"from": "price"}),
        Meaning({"from": "pipeline_id", "lookup": "pipeline"}, TEXT, ("pipeline", "funnel", "воронка")),
        Meaning({"from": ["pipeline_id", "status_id"], "lookup": "status"}, TEXT,
                ("status", "stage", "state", "status_name", "статус", "этап", "стадия")),
        Meaning({"from": "loss_reason_id", "lookup": "loss_reason"}, TEXT,
                ("loss_reason", "lost_reason", "lost_because", "reason_lost", "причина*")),
        Meaning({"from": "closed_at"}, MOMENTS, ("closed_at", "closed", "closed_on", "close_date", "date_closed",
                "закрыта", "дата_закрытия")),
        _TAGS,
    ),
    "notes": (
        Meaning({"from": "note_type"}, TEXT, ("note_type", "type", "kind", "тип*", "вид")),
        Meaning({"from": ["note_type", "params"], "transform": "note_text"}, TEXT,
                ("text", "body", "content", "comment", "note", "message", "description", "текст", "комментари*",
                 "содержание", "tekst")),
        Meaning({"from": "params", "transform": "json"}, JSON, ("params", "details", "data", "payload", "параметры")),
    ),
    "tasks": (
        Meaning({"from": "text"}, TEXT, ("text", "subject", "title", "name", "description", "body", "текст", "описание",
                "название", "тема", "tekst")),
        Meaning({"from": "task_type_id", "lookup": "task_type"}, TEXT, ("task_type", "type", "kind", "тип*", "вид")),
        Meaning({"from": "complete_till"}, MOMENTS, ("due_at", "due", "due_date", "deadline", "complete_till", "срок*",
                "дедлайн", "srok")),
        Meaning({"from": "is_completed"}, FLAG, ("is_completed", "completed", "done", "is_done", "finished", "closed",
                "выполнен*", "завершен*", "завершён*", "vypolnen*")),
        Meaning({"from": "result.text"}, TEXT, ("result", "outcome", "resolution", "результат*", "итог")),
    ),
}  # fmt: skip

_RESPONSIBLE = Link(
    "users",
    {"from": "responsible_user_id", "link": "users"},
    ("responsible", "manager", "owner", "assigned", "assignee", "assigned_to", "employee", "executor", "ответственн*",
     "менеджер*", "исполнител*", "сотрудник*", "otvetstven*"),
)  # fmt: skip
_COMPANY = Link("companies", {"from": "company_id", "link": "companies"})
_ABOUT = tuple(Link(s, {"from": "entity_id", "link": s, "when_entity": s}) for s in ("companies", "contacts", "leads"))
LINKS: dict[str, tuple[Link, ...]] = {
    "users": (),
    "companies": (_RESPONSIBLE,),
    "contacts": (_COMPANY, _RESPONSIBLE),
    "leads": (_COMPANY, _RESPONSIBLE),
    "notes": (
        *_ABOUT,
        Link("users", {"from": "created_by", "link": "users"},
             ("author", "created_by", "creator", "user", "автор*", "avtor")),
        _RESPONSIBLE,
    ),
    "tasks": (*_ABOUT, _RESPONSIBLE),
}  # fmt: skip
