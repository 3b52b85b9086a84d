"""Why a record was put aside, in plain words, English and Russian."""

from __future__ import annotations

import re

# What the loader writes into sync_rejects, by pattern, in plain words.
REASONS: tuple[tuple[str, tuple[str, str]], ...] = (
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is no whole number",
        ("{column} must be a whole number, but {value} came.", "Поле {column} — целое число, а пришло {value}."),
    ),
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is no number",
        ("{column} must be a number, but {value} came.", "Поле {column} — число, а пришло {value}."),
    ),
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is neither true nor false",
        ("{column} is a yes or a no, but {value} came.", "Поле {column} — «да» или «нет», а пришло {value}."),
    ),
    (
        r"(?:column|property) (?P<column>[^:]+): (?P<value>.+) is no time",
        ("{column} is a time, but {value} came.", "Поле {column} — дата и время, а пришло {value}."),
    ),
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is out of range of (?P<type>.+)",
        (
            "{value} is too large for the column {column} ({type}).",
            "Значение {value} не помещается в поле {column} ({type}).",
        ),
    ),
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is not listed under values",
        (
            "The mapping lists the values of {column}, and {value} is none of them.",
            "В сопоставлении перечислены значения поля {column}, {value} среди них нет.",
        ),
    ),
    (
        r"column (?P<column>[^:]+): (?P<value>.+) is no id",
        ("{column} must be a number of amoCRM, but {value} came.", "Поле {column} — номер в amoCRM, а пришло {value}."),
    ),
    (
        r"property (?P<name>\S+) is missing",
        ("The record has no {name}.", "В записи нет свойства {name}."),
    ),
    (
        r"property (?P<name>\S+) is no whole number: (?P<value>.+)",
        ("{name} must be a whole number, but {value} came.", "Свойство {name} — целое число, а пришло {value}."),
    ),
    (r"the record is no JSON object", ("The record is no JSON object.", "Запись не является объектом JSON.")),
    (
        r"the mapping knows no such stream",
        ("No table is mapped to this stream.", "Для этого потока не указана таблица."),
    ),
    (
        r'new row for relation "(?P<table>[^"]+)" violates check constraint "(?P<name>[^"]+)"',
        (
            "The table {table} does not allow such a row (rule {name}).",
            "Таблица {table} не допускает такой строки (правило {name}).",
        ),
    ),
    (
        r'duplicate key value violates unique constraint "(?P<name>[^"]+)"',
        (
            "Another row already has a value that must be unique ({name}).",
            "Такое значение уже есть в другой строке, а оно должно быть единственным ({name}).",
        ),
    ),
    (
        r'null value in column "(?P<column>[^"]+)" of relation "(?P<table>[^"]+)" violates not-null constraint',
        (
            "The column {column} of {table} may not be empty, and amoCRM sent nothing for it.",
            "Поле {column} таблицы {table} не может быть пустым, а из amoCRM ничего не пришло.",
        ),
    ),
    (
        r'insert or update on table "(?P<table>[^"]+)" violates foreign key constraint "(?P<name>[^"]+)"',
        (
            "A row of {table} would point at a row that is not there ({name}).",
            "Строка таблицы {table} указала бы на несуществующую строку ({name}).",
        ),
    ),
)


def plain_reason(error: str, language: str = "en") -> str:
    """The reason in plain words; one that is not known as it was written."""
    for pattern, texts in REASONS:
        found = re.fullmatch(pattern, error, re.DOTALL)
        if found:
            return texts[0 if language == "en" else 1].format(**{k: v or "" for k, v in found.groupdict().items()})
    return error
