"""Blank, and the same text: Python and SQL agree on every character of Unicode."""

from __future__ import annotations

import unicodedata

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from target_crm.normalise.text import INVISIBLE, WHITE_SPACE, is_blank, same_key
from target_crm.sql.text import text_rules

# What a database can hold (no NUL, no halves of surrogate pairs) and Python's tables know.
CHARACTERS = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) != "Cn"]
RULES = text_rules("UTF8")
QUERY = sql.SQL("SELECT {blank}, {key} FROM unnest(%s::text[]) WITH ORDINALITY AS x(v, n) ORDER BY n").format(
    blank=RULES.is_blank(sql.SQL("v")), key=RULES.key(sql.SQL("v"))
)


def both(connection, texts):
    """What SQL says of the texts, and what Python says, where they differ."""
    said = connection.execute(QUERY, (texts,)).fetchall()
    pairs = zip(texts, said, strict=True)
    return [
        (text.encode("unicode-escape"), found) for text, found in pairs if found != (is_blank(text), same_key(text))
    ]


@pytest.mark.parametrize("pattern", ["{}", "a{}b", "й{}"])
def test_python_and_sql_agree_on_every_character(database_url, pattern):
    with psycopg.connect(database_url) as connection:
        assert both(connection, [pattern.format(c) for c in CHARACTERS])[:10] == []


AWKWARD = st.text(st.sampled_from([*WHITE_SPACE, *INVISIBLE, *"a «»№йЙ\u0438\u0306é\u0065\u0301Å😀\u200d"]), max_size=8)


@given(st.lists(AWKWARD, max_size=60))
@settings(max_examples=60, deadline=None)
def test_python_and_sql_agree_on_texts_of_awkward_characters(database_url, texts):
    with psycopg.connect(database_url) as connection:
        assert both(connection, texts) == []


@given(st.lists(st.tuples(AWKWARD, AWKWARD, st.sampled_from(["{}", "«{}»", "{}\u0306"])), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_python_and_sql_agree_on_which_texts_are_the_same(database_url, drawn):
    pairs = [(left, around.format(right)) for left, right, around in drawn]
    pairs += [(left, unicodedata.normalize("NFD", f"{left}\u200b")) for left, _ in pairs]
    query = sql.SQL("SELECT {} FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS pair(l, r, n) ORDER BY n").format(
        RULES.same(sql.SQL("pair.l"), sql.SQL("pair.r"))
    )
    with psycopg.connect(database_url) as connection:
        said = connection.execute(query, ([left for left, _ in pairs], [right for _, right in pairs])).fetchall()
    assert [same for (same,) in said] == [same_key(left) == same_key(right) for left, right in pairs]


@pytest.mark.parametrize("blank", [*WHITE_SPACE, *INVISIBLE])
def test_a_character_that_nobody_sees_is_blank_and_makes_no_other_text(blank):
    assert is_blank(blank)
    assert same_key(f"{blank}Анна{blank}") == "Анна"


def test_letters_composed_and_apart_are_the_same_text():
    assert same_key(unicodedata.normalize("NFD", "Андрей Ёлкин")) == "Андрей Ёлкин"


@pytest.mark.parametrize("encoding", ["WIN1251", "KOI8R", "LATIN1", "ISO_8859_5"])
def test_the_expressions_hold_nothing_that_the_database_s_encoding_lacks(encoding):
    codec = {"WIN1251": "cp1251", "KOI8R": "koi8-r", "LATIN1": "latin-1", "ISO_8859_5": "iso8859-5"}[encoding]
    rules = text_rules(encoding)
    for made in (rules.is_blank, rules.key, rules.lower_key):
        made(sql.SQL("v")).as_string().encode(codec)
    rules.same(sql.SQL("v"), sql.SQL("w")).as_string().encode(codec)


def test_an_edit_in_another_spelling_of_the_same_text_is_not_an_edit(crm):
    crm.sync("contacts", {"last_name": "Йорк"})
    crm.execute("UPDATE contacts SET last_name = %s", unicodedata.normalize("NFD", "Йорк") + "\u200b\u3000")
    assert crm.sync("contacts", {"last_name": "Йорк", "first_name": "Анна"})["kept"] == 0
    crm.sync("contacts", {"last_name": "Йоркин", "first_name": "Анна"})
    assert (crm.row("contacts")["last_name"], crm.conflicts()) == ("Йоркин", [])


def test_a_row_is_matched_by_an_address_with_invisible_characters_and_capitals(crm):
    crm.load([])
    crm.execute("INSERT INTO users (name, email) VALUES ('Анна', %s)", "\u202aАнна@Почта.РФ\u202c")
    crm.sync("users", {"id": 5, "name": "А.", "email": "анна@почта.рф"})
    assert [r["amo_id"] for r in crm.rows("users")] == [5]
