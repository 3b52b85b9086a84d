"""A small company's CRM for the tests of the report and the review page: loads, manual edits, conflicts, rejects."""

from __future__ import annotations

from typing import Any, Protocol


class Crm(Protocol):
    """What the data is loaded with: the fixture `crm`."""

    def load(self, lines: list[str]) -> list[str]:
        """Run the target over Singer messages."""

    def schema_message(self, stream: str) -> str:
        """A SCHEMA message."""

    def messages(self, stream: str, *records: dict[str, Any]) -> list[str]:
        """RECORD messages."""

    def execute(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """SQL in the CRM's schema."""


PEOPLE = (
    ("Анна", "Соколова", "Директор по закупкам", "Руководитель отдела закупок"),
    ("Иван", "Петров", "Инженер", "Ведущий инженер"),
    ("Мария", "Кузнецова", "Бухгалтер", "Главный бухгалтер"),
    ("Олег", "Смирнов", "Менеджер", "Менеджер по продажам"),
    ("Елена", "Попова", "Юрист", "Старший юрист"),
    ("Пётр", "Васильев", "Кладовщик", "Начальник склада"),
)
COMPANIES = ("ООО «Северный ветер»", "АО «Волжский завод»", "ИП Орлова")
TYPED = (
    "Директор по закупкам и логистике",
    "Инженер-проектировщик",
    "Бухгалтер",
    "менеджер  по продажам",
    "",
    "Кладовщик",
)


def phones(*values: str) -> dict[str, Any]:
    """Phones as amoCRM nests them."""
    entry = {"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": v} for v in values]}
    return {"custom_fields_values": [entry]}


def position(text: str, *numbers: str) -> dict[str, Any]:
    """A position, and phones, as amoCRM nests them."""
    field = {"field_id": 2, "field_code": "POSITION", "field_name": "Должность", "values": [{"value": text}]}
    return {"custom_fields_values": [field, *(phones(*numbers)["custom_fields_values"] if numbers else [])]}


def contact(number: int, job: str, *numbers: str, **more: Any) -> dict[str, Any]:
    """One of the people, with a company and whoever changed it."""
    first, last = PEOPLE[number][:2]
    return {
        "id": 501 + number,
        "first_name": first,
        "last_name": last,
        "company_id": 301 + number % len(COMPANIES),
        "responsible_user_id": 21,
        "updated_by": 22,
        **position(job, *numbers),
        **more,
    }


def fill(crm: Crm) -> None:
    """Two nights with a day of manual edits between them: five conflicts, two rejects."""
    users = ({"id": 21, "name": "Дмитрий Орлов"}, {"id": 22, "name": "Светлана Белова"})
    companies = [{"id": 301 + n, "name": name, "responsible_user_id": 21} for n, name in enumerate(COMPANIES)]
    deals = [
        {"id": 701, "name": "Поставка насосов", "price": 480000, "company_id": 301},
        {"id": 702, "name": "Обслуживание на год", "price": 120000, "company_id": 302},
    ]
    before = [contact(n, PEOPLE[n][2], f"+7916000000{n}") for n in range(len(PEOPLE))]
    crm.load(_messages(crm, users=users, companies=companies, contacts=before, leads=deals))
    for number, typed in enumerate(TYPED):
        if typed != PEOPLE[number][2]:
            crm.execute("UPDATE contacts SET position = nullif(%s, '') WHERE amo_id = %s", typed, 501 + number)
    crm.execute("UPDATE companies SET name = 'ООО «Северный ветер-2»' WHERE amo_id = 301")
    crm.execute("UPDATE leads SET price = 520000 WHERE amo_id = 701")
    crm.execute("UPDATE leads SET name = 'Обслуживание, 2026' WHERE amo_id = 702")
    after = [contact(n, PEOPLE[n][3], f"+7916000000{n}", f"+7903000000{n}") for n in range(len(PEOPLE))]
    companies[0] = {**companies[0], "name": "ООО «Северный ветер плюс»", "updated_by": 22}
    deals[0] = {**deals[0], "price": 505000}
    bad = (
        {"id": 703, "name": "Ремонт", "price": "сто тысяч"},
        {"name": "Без номера", "price": 1, "id": "x9"},
        {"id": "x10"},
    )
    crm.load(_messages(crm, users=users, companies=companies, contacts=after, leads=[*deals, *bad]))


def fill_three_each(crm: Crm, people: int) -> None:
    """Contacts with three conflicts each, in their names and their position."""

    def person(number: int, word: str) -> dict[str, Any]:
        names = {"first_name": f"{word} имя {number}", "last_name": f"{word} фамилия {number}"}
        return {"id": 1001 + number, **names, **position(f"{word} должность {number}")}

    crm.load(_messages(crm, contacts=[person(n, "Прежнее") for n in range(people)]))
    crm.execute(
        "UPDATE contacts SET first_name = 'Наше ' || amo_id, last_name = 'Наша ' || amo_id, "
        "position = 'Наш пост ' || amo_id WHERE amo_id > 1000"
    )
    crm.load(_messages(crm, contacts=[person(n, "Новое") for n in range(people)]))


def _messages(crm: Crm, **streams: Any) -> list[str]:
    lines: list[str] = []
    for name, records in streams.items():
        lines += [crm.schema_message(name), *crm.messages(name, *records)]
    return lines
