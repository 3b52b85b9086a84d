"""Numbers, times and differences as their readers write and see them."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from target_crm.presentation.differences import compared, number_hint, time_hint
from target_crm.presentation.formats import grouped, moment_text, plural, read_moment
from target_crm.presentation.values import as_typed

MOSCOW = ZoneInfo("Europe/Moscow")


def marked(value, base):
    return "".join(f"[{part.text}]" if part.differs else part.text for part in compared(value, base))


@pytest.mark.parametrize(
    ("language", "number", "text"),
    [
        ("en", 1174052, "1,174,052"),
        ("ru", 1174052, "1\u00a0174\u00a0052"),
        ("ru", "1250.50", "1\u00a0250,5"),
        ("en", -5000, "\u22125,000"),
        ("en", 12345678901234567890, "12,345,678,901,234,567,890"),
        ("en", "no number", "no number"),
    ],
)
def test_a_number_has_its_thousands_apart_and_loses_no_digit(language, number, text):
    assert grouped(language, number) == text


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "запись"), (2, "записи"), (5, "записей"), (11, "записей"), (21, "запись"), (112, "записей")],
)
def test_russian_words_go_with_their_number(number, word):
    assert plural("ru", number, "запись|записи|записей") == word


def test_a_time_is_shown_on_the_accounts_clock_and_names_utc_where_none_is_known():
    noon = datetime(2026, 12, 31, 9, 0, tzinfo=timezone.utc)
    assert moment_text("ru", noon, MOSCOW) == "31.12.2026\u00a012:00"
    assert moment_text("en", noon, MOSCOW) == "31\u00a0Dec\u00a02026,\u00a012:00"
    assert moment_text("en", noon, None).endswith("09:00\u00a0UTC")


@pytest.mark.parametrize(
    "typed",
    ["2026-12-31T12:00", "31.12.2026 12:00", "2026-12-31 12:00:00", "2026-12-31T09:00:00Z", "2026-12-31T13:00+04:00"],
)
def test_a_time_that_is_typed_is_of_the_accounts_clock_unless_it_says_otherwise(typed):
    assert read_moment(typed, MOSCOW) == datetime(2026, 12, 31, 9, 0, tzinfo=timezone.utc)
    assert as_typed(typed, "timestamp", None, MOSCOW)[-6:] != ""


@pytest.mark.parametrize("typed", ["вчера", "31.13.2026", "2026-02-30T10:00", ""])
def test_what_is_not_a_time_is_refused(typed):
    with pytest.raises(ValueError, match=r"."):
        read_moment(typed, MOSCOW)


@pytest.mark.parametrize(
    ("typed", "number"),
    [("1 174 052", "1174052"), ("1,174,052", "1174052"), ("1,174.50", "1174.50"), ("12,5", "12.5"), ("\u22125", "-5")],
)
def test_a_number_is_typed_in_either_spelling(typed, number):
    assert as_typed(typed, "number") == number


@pytest.mark.parametrize(
    ("value", "base", "shown"),
    [
        ("Директор по закупкам и логистике", "Директор по закупкам", "Директор по закупкам[ и логистике]"),
        ("Мария", "Марина", "Мария"),
        ("совсем другой текст", "ничего общего здесь", "совсем другой текст"),
        ("новое", "", "новое"),
        (["vip", "опт", "юг"], ["vip", "юг"], "vip, [опт], юг"),
    ],
)
def test_texts_are_compared_by_word_and_nothing_is_marked_where_most_differs(value, base, shown):
    assert marked(value, base) == shown


def test_long_passages_without_a_difference_are_cut():
    same = " ".join(f"слово{n}" for n in range(60))
    shown = marked(f"{same} раз {same}", f"{same} два {same}")
    assert "[раз]" in shown
    assert len(shown) < 200
    assert "…" in shown


@pytest.mark.parametrize(
    ("language", "value", "base", "hint"),
    [("ru", 1174052, 1124052, "+50\u00a0000"), ("en", "5", "7.5", "\u22122.5"), ("en", 5, 5, ""), ("en", "x", 5, "")],
)
def test_numbers_say_by_how_much_they_differ(language, value, base, hint):
    assert number_hint(language, value, base) == hint


@pytest.mark.parametrize(
    ("language", "value", "base", "hint"),
    [
        ("en", "2026-01-05T10:00:00+00:00", "2026-01-01T10:00:00+00:00", "4 days later"),
        ("ru", "2026-01-05T10:00:00+00:00", "2026-01-01T10:00:00+00:00", "на 4 дня позже"),
        ("ru", "2026-01-01T09:00:00+00:00", "2026-01-01T10:00:00+00:00", "на 1 час раньше"),
        ("en", "2026-01-01T13:00:00+03:00", "2026-01-01T10:00:00+00:00", ""),
    ],
)
def test_times_say_by_how_long_they_differ(language, value, base, hint):
    assert time_hint(language, value, base) == hint
