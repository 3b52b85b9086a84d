"""The keys of matching: SQL makes of plain values what Python makes of all, and calls everything else odd."""

from __future__ import annotations

import unicodedata

import psycopg
import pytest
from firms import crm_of_firms, proposals, record, sync, tied, typed
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from target_crm.normalise.match_keys import DIGITS, EMAIL, INN, NUMBER, PHONE, TEXT, match_keys
from target_crm.sql.match_keys import is_odd, plain_key

# What a database can hold (no NUL, no halves of surrogate pairs) and Python's tables know.
CHARACTERS = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) != "Cn"]
STATEMENTS = {
    kind: sql.SQL("SELECT {}, CASE WHEN {} THEN NULL ELSE {} END FROM unnest(%s::text[]) WITH ORDINALITY AS x(v, n) "
                  "ORDER BY n").format(is_odd(kind, sql.SQL("v"), "UTF8"), is_odd(kind, sql.SQL("v"), "UTF8"),
                                       plain_key(kind, sql.SQL("v"), "UTF8"))
    for kind in (PHONE, EMAIL, INN, DIGITS, NUMBER, TEXT)
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(database_url):
    with psycopg.connect(database_url, autocommit=True) as found:
        yield found


def differing(connection, kind, texts):
    """Plain texts of which SQL makes another key than Python."""
    said = connection.execute(STATEMENTS[kind], (texts,)).fetchall()
    return [
        (text.encode("unicode-escape"), key, made)
        for text, (odd, key) in zip(texts, said, strict=True)
        if not odd and (made := match_keys(kind, text)) != [key] and (made or (kind == TEXT and key))
    ]


@pytest.mark.parametrize("kind", [TEXT, EMAIL])
@pytest.mark.parametrize("pattern", ["{}", "ООО {}a", "a{}@b.ru"])
def test_sql_and_python_make_the_same_key_of_every_character(connection, kind, pattern):
    assert differing(connection, kind, [pattern.format(c) for c in CHARACTERS])[:10] == []


def phones():
    digits = st.sampled_from(["9161112201", "4951234567", "3012345678", "4512345678", "0000000000", "12025550123"])
    spelt = st.sampled_from(["+7{}", "8{}", "7{}", "{}", "+{}", "00{}", "8 ({}", "+7-{} доб. 5", "{}, +79990001122",
                             "+7\u2009{}", "тел. {}", "\uff0b7{}"])  # fmt: skip
    return st.builds(lambda form, number: form.format(number), spelt, digits)


NAMES = st.text(st.sampled_from([*"ООО «Ромашка» ёЁйЙ-№1 aZ\t\u00a0\u200bİıΣςßẞéЇҐ\u0438\u0306"]), max_size=12)
MARKED = st.text(st.sampled_from([*"7708 /-٣７\u200bх"]), max_size=14)
ADDRESSES = st.builds(
    "{}@{}{}".format,
    st.text(st.sampled_from([*"aB1._+-й ;"]), max_size=6),
    st.sampled_from(["firm", "Firm", "xn--e1afmkfd", "почта", "a-", "a.b"]),
    st.sampled_from([".ru", ".RU", ".рф", ".xn--p1ai", ".test", "", ".c0m"]),
)
TEXTS = {
    PHONE: phones() | MARKED,
    EMAIL: ADDRESSES | NAMES,
    INN: MARKED | st.from_regex(r"[0-9]{9,13}", fullmatch=True),
    DIGITS: MARKED,
    NUMBER: st.decimals(allow_nan=True, places=3).map(str) | st.floats().map(repr) | st.integers().map(str),
    TEXT: NAMES | st.text(st.sampled_from(CHARACTERS), max_size=8) | NAMES.map(lambda name: name * 20),
}


@pytest.mark.parametrize("kind", TEXTS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_sql_and_python_make_the_same_key_of_plain_values(connection, kind, data):
    assert differing(connection, kind, data.draw(st.lists(TEXTS[kind], min_size=20, max_size=60))) == []


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (PHONE, "+79161112201"),
        (EMAIL, "Anna@Firm.ru"),
        (INN, "7707083893"),
        (TEXT, "ООО «Ромашка-5»"),
        (NUMBER, "-5.50"),
    ],
)
def test_what_loads_write_is_plain(connection, kind, plain):
    assert connection.execute(STATEMENTS[kind], ([plain],)).fetchone() == (False, *match_keys(kind, plain))


@pytest.mark.parametrize(
    ("rule", "held", "typed_later", "amo"),
    [
        ("phone", {"phone": "8-916-111-22-07 доб. 5"}, {"phone": "+79161112207"}, {"phones": ["+79161112207"]}),
        ("phone", {"phone": "+4520123456"}, {"phone": "+45 20 12 34 56"}, {"phones": ["+4520123456"]}),
        ("inn", {"inn": "7710322118 / 7707083893"}, {"inn": "7707083893"}, {"inn": "7707083893"}),
        ("email", {"email": "old@b.ru; a@b.ru"}, {"email": "a@b.ru"}, {"emails": ["a@b.ru"]}),
        ("name", {"name": "Straße İ"}, {"name": "straße İ"}, {"name": "STRAßE İ"}),
    ],
)
def test_a_value_that_another_record_s_row_holds_in_any_spelling_is_not_unique(crm, rule, held, typed_later, amo):
    crm = crm_of_firms(crm)([rule])
    typed(crm, amo_account_id=77, amo_id=1, **held)
    row = typed(crm, **typed_later)
    sync(crm, record(2, **amo))
    assert row not in tied(crm).values()
    assert [p["amo_id"] for p in proposals(crm)] == [2]
