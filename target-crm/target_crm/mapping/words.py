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
# Columns of these kinds can hold amoCRM's ids.
IDS = frozenset({"integer", "text"})


@dataclass(frozen=True)
class Meaning:
    """A value that amoCRM sends: its source as a mapping writes it, what columns for it are called, of which kinds.

    `whole` is the source for a column of whole numbers where that is another one. `extra`: few CRMs have such a column.
    """

    source: dict[str, Any]
    families: frozenset[str]
    words: tuple[str, ...]
    whole: dict[str, Any] | None = None
    extra: bool = False


@dataclass(frozen=True)
class Link:
    """An id that amoCRM sends: the stream it points to, and names that a column may have (any, when there are none)."""

    stream: str
    source: dict[str, Any]
    words: tuple[str, ...] = ()


def _field(*names: str, **more: str | int) -> dict[str, Any]:
    return {"field": list(names), **more}


TABLES = {
    "users": ("user", "employee", "staff", "manager", "colleague", "member", "сотрудник*", "пользовател*", "менеджер*",
              "работник*", "sotrudnik*", "polzovatel*"),
    "companies": ("company", "firm", "organization", "organisation", "org", "client", "customer", "account",
                  "counterparty", "компани*", "организаци*", "контрагент*", "клиент*", "фирм*", "kontragent*",
                  "organizaci*", "klient*", "kompani*"),
    "contacts": ("contact", "person", "people", "контакт*", "персон*", "люди", "лица", "kontakt*"),
    "leads": ("lead", "deal", "opportunity", "sale", "сделк*", "лид*", "продаж*", "заявк*", "sdelk*"),
    "notes": ("note", "comment", "remark", "memo", "activity", "interaction", "message", "примечани*", "комментари*",
    "заметк*",
              "событи*", "zametk*", "primechani*"),
    "tasks": ("task", "todo", "assignment", "reminder", "activity", "задач*", "задани*", "поручени*", "zadach*"),
}  # fmt: skip
# A table whose name holds one of these goes with another table, or has nothing to do with amoCRM.
NOT_A_TABLE = (
    "phone", "mail", "tel", "телефон", "почт", "tag", "тег", "type", "тип", "log", "history", "журнал", "histor",
    "permission", "group", "session", "token", "role", "setting", "status", "статус", "file", "файл", "archive",
    "архив", "backup", "tmp", "migration", "content",
)  # fmt: skip
# Notes of these are not notes of companies, contacts or deals.
NO_OWNERS = ("task", "todo", "ticket", "issue", "post", "article", "conversation", "order", "invoice", "project")
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
                   "date_joined", "added_at", "date_entered", "creation", "создан*", "дата_создания")),
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
    (
        "phone",
        "phone_number",
        "telephone",
        "tel",
        "primary_phone",
        "phones_primary_phone_number",
        "work_phone",
        "phone_work",
        "office_phone",
        "phone_office",
        "mobile",
        "mobile_phone",
        "mobile_no",
        "phone_mobile",
        "телефон*",
        "telefon*",
    ),
)
EMAIL = Meaning(
    _field("EMAIL", transform="email"),
    TEXT,
    (
        "email",
        "e_mail",
        "mail",
        "email_address",
        "email_id",
        "work_email",
        "primary_email",
        "emails_primary_email",
        "email_from",
        "почта",
        "эл_почта",
        "электронная_почта",
    ),
)
LOGIN = (*EMAIL.words, "user_email", "login")
# What a person signs in with, and is not called.
NO_NAMES = frozenset({"user_name", "username", "login"})
# Further numbers and addresses of one record; columns for the first come before.
_MORE = (
    Meaning(_field("PHONE", kind="MOB", transform="phone"), TEXT, ("mobile", "mobile_phone", "cell", "cell_phone",
            "phone_mobile", "mobile_no", "мобильный*"), extra=True),
    Meaning(_field("PHONE", nth=2, transform="phone"), TEXT, ("other_phone", "second_phone", "secondary_phone",
            "alt_phone", "additional_phone", "phone2", "phone_2", "phone_other", "phone_alternate"), extra=True),
    Meaning(_field("EMAIL", nth=2, transform="email"), TEXT, ("secondary_email", "second_email", "alt_email",
            "other_email", "additional_email", "email2", "email_2", "personal_email"), extra=True),
)  # fmt: skip
FIRST_NAMES = ("first_name", "firstname", "given_name", "имя", "imya")
CITY = Meaning(_field("CITY", "Город"), TEXT, ("city", "town", "locality", "address_address_city",
               "billing_address_city", "billing_city", "address_city", "город", "gorod"))  # fmt: skip
_TAGS = Meaning({"from": "_embedded.tags[].name", "transform": "list"}, LISTS, ("tags", "labels", "теги", "метки"))

COLUMNS: dict[str, tuple[Meaning, ...]] = {
    "users": (
        Meaning({"from": "email", "transform": "email"}, TEXT, LOGIN),
        Meaning({"from": "name"}, TEXT, ("name", "full_name", "fullname", "display_name", "имя", "фио", "fio")),
        Meaning({"from": "rights.is_active"}, FLAG, ("is_active", "active", "enabled", "активен", "активный")),
    ),
    "companies": (
        Meaning({"from": "name"}, TEXT, ("name", "title", "company_name", "short_name", "label", "название",
                "наименование", "краткое_наименование", "имя", "nazvanie", "naimenovanie",
                "full_name")),
        Meaning(_field("LEGAL_NAME", "Юридическое название", "Юр. название", "Реквизиты", part="name"), TEXT,
                ("legal_name", "full_name", "official_name", "full_legal_name", "юридическое_название", "юр_название",
                 "полное_наименование", "полное_название")),
        Meaning(_field("INN", "ИНН", "Реквизиты", part="vat_id", transform="inn"), TEXT,
                ("inn", "tax_number", "tax_id", "vat", "vat_id", "vat_number", "tin", "taxpayer_id", "инн")),
        Meaning(_field("KPP", "КПП", "Реквизиты", part="kpp", transform="digits"), TEXT, ("kpp", "кпп")),
        Meaning(_field("ADDRESS", "Адрес"), TEXT, ("address", "legal_address", "postal_address", "location",
                "address_line",
                "address_line_1", "street", "street1", "address_address_street1", "billing_address_street",
                "billing_street", "billing_address", "address_street", "адрес*",
                "юридический_адрес", "фактический_адрес", "adres")),
        Meaning(_field("WEB", "Сайт"), TEXT, ("website", "site", "web", "url", "homepage", "domain",
                "domain_name_primary_link_url", "сайт", "sayt")),
        CITY,
        _PHONE,
        EMAIL,
        *_MORE,
        Meaning(_field("Вид деятельности", "Сфера деятельности", "Отрасль"), TEXT,
                ("industry", "activity_kind", "activity", "sector", "отрасль", "сфера*", "вид_деятельности")),
        Meaning(_field("Количество сотрудников", "Число сотрудников", transform="integer"), NUMBERS,
                ("employees_count", "employees", "number_of_employees", "employee_count", "headcount", "staff_count",
                "количество_сотрудников",
                 "число_сотрудников", "сотрудников")),
        _TAGS,
    ),
    "contacts": (
        Meaning({"from": ["first_name", "last_name", "name"], "transform": "first_name"}, TEXT,
                ("first_name", "firstname", "given_name", "name_first_name", "name", "full_name", "имя", "фио", "fio",
                "imya")),
        Meaning({"from": "last_name"}, TEXT, ("last_name", "lastname", "name_last_name", "surname", "family_name",
                "фамилия", "familia")),
        Meaning(_field("POSITION", "Должность", transform="position"), TEXT,
                ("position", "job_title", "job_position", "designation", "job", "title", "function", "post",
                 "должность", "dolzhnost")),
        _PHONE,
        EMAIL,
        *_MORE,
        _TAGS,
    ),
    "leads": (
        Meaning({"from": "name"}, TEXT, ("name", "title", "subject", "название", "наименование", "тема")),
        Meaning({"from": ["price_with_minor_units", "price"], "first": True}, NUMBERS,
                ("price", "amount", "budget", "deal_value", "lead_value", "sum", "value", "total", "expected_revenue",
                "сумма", "бюджет",
                "стоимость", "summa"),
                whole={"from": "price"}),
        Meaning({"from": ["price_with_minor_units", "price"], "first": True, "factor": 1000000}, NUMBERS,
                ("amount_micros", "amount_amount_micros"), extra=True),
        Meaning({"from": "pipeline_id", "lookup": "pipeline"}, TEXT, ("pipeline", "funnel", "воронка")),
        Meaning({"from": ["pipeline_id", "status_id"], "lookup": "status"}, TEXT,
                ("status", "stage", "state", "status_name", "sales_stage", "статус", "этап", "стадия")),
        Meaning({"from": "loss_reason_id", "lookup": "loss_reason"}, TEXT,
                ("loss_reason", "lost_reason", "lost_because", "reason_lost", "причина*")),
        Meaning({"from": "closed_at"}, MOMENTS, ("closed_at", "closed", "closed_on", "close_date", "closing_date",
                "date_closed", "closed_date",
                "закрыта", "дата_закрытия")),
        _TAGS,
    ),
    "notes": (
        Meaning({"from": "note_type"}, TEXT, ("note_type", "type", "kind", "тип*", "вид")),
        Meaning({"from": ["note_type", "params"], "transform": "note_text"}, TEXT,
                ("text", "body", "content", "comment", "message", "post", "description", "note", "текст", "комментари*",
                 "содержание", "tekst")),
        Meaning({"from": "params", "transform": "json"}, JSON, ("params", "details", "data", "payload", "параметры")),
    ),
    "tasks": (
        Meaning({"from": "text"}, TEXT, ("text", "subject", "title", "summary", "name", "label", "description", "body",
                "текст", "описание",
                "название", "тема", "tekst")),
        Meaning({"from": "task_type_id", "lookup": "task_type"}, TEXT, ("task_type", "type", "kind", "тип*", "вид")),
        Meaning({"from": "complete_till"}, MOMENTS, ("due_at", "due", "due_date", "due_date_at", "date_due", "deadline",
                "date_deadline", "date_end", "complete_till", "срок*",
                "дедлайн", "srok")),
        Meaning({"from": "is_completed"}, FLAG, ("is_completed", "completed", "done", "is_done", "finished", "closed",
                "выполнен*", "завершен*", "завершён*", "vypolnen*")),
        Meaning({"from": "result.text"}, TEXT, ("result", "outcome", "resolution", "результат*", "итог")),
    ),
}  # fmt: skip

_RESPONSIBLE = Link(
    "users",
    {"from": "responsible_user_id", "link": "users"},
    ("responsible", "assigned", "assignee", "assigned_to", "assigned_user", "account_owner", "deal_owner", "lead_owner",
     "owner", "manager", "employee", "executor",
     "ответственн*", "менеджер*", "исполнител*", "сотрудник*", "otvetstven*", "user"),
)  # fmt: skip
_AUTHOR = Link("users", {"from": "created_by", "link": "users"}, ("author", "created_by", "creator", "user", "автор*",
               "avtor"))  # fmt: skip
# Columns called so point to employees, whatever table holds them.
STAFF_WORDS = (*_RESPONSIBLE.words, *_AUTHOR.words)
_EDITOR = Link("users", {"from": "updated_by", "link": "users"}, ("updated_by", "modified_by", "modified_user",
               "last_modified_by"))  # fmt: skip
_STAFF = (_RESPONSIBLE, _AUTHOR, _EDITOR)
_COMPANY = Link("companies", {"from": "company_id", "link": "companies"})
_CONTACT = Link("contacts", {"from": "_embedded.contacts[is_main=true].id", "link": "contacts"},
                ("contact", "contact_person", "main_contact", "primary_contact", "point_of_contact",
                "person"))  # fmt: skip
_ABOUT = tuple(Link(s, {"from": "entity_id", "link": s, "when_entity": s}) for s in ("companies", "contacts", "leads"))
LINKS: dict[str, tuple[Link, ...]] = {
    "users": (),
    "companies": _STAFF,
    "contacts": (_COMPANY, *_STAFF),
    "leads": (_COMPANY, _CONTACT, *_STAFF),
    "notes": (*_ABOUT, _AUTHOR, _RESPONSIBLE),
    "tasks": (*_ABOUT, *_STAFF),
}
