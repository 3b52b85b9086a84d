"""What people type, as the CRM holds it: phones, addresses, job titles, notes. Nothing typed is lost."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_crm.normalise import TRANSFORMS, Context
from target_crm.normalise.emails import parse_email
from target_crm.normalise.phones import parse_phone
from target_crm.normalise.text import visible

MOBILE = "+79161234567"
FORMATS = phonenumbers.PhoneNumberFormat


@pytest.mark.parametrize(
    ("typed", "value", "comment"),
    [
        *[
            (text, MOBILE, None)
            for text in (
                "+79161234567",
                "89161234567",
                "9161234567",
                "7 916 123 45 67",
                "8 (916) 123-45-67",
                "+7(916)1234567",
                " +7 916 123-45-67 ",
                "8-916-123-45-67",
                "8.916.123.45.67",
                "8 916 1234567\u00a0",
                "+7 916 123\u201145\u201167",
                "+7\u2009916\u2009123\u200945\u200967",
                "８９１６１２３４５６７",
            )
        ],
        ("8(495)123-45-67", "+74951234567", None),
        ("8 (34371) 2-34-56", "+73437123456", None),
        ("(343) 371-23-45", "+73433712345", None),
        ("8 800 555-35-35", "+78005553535", None),
        ("+375 29 123-45-67", "+375291234567", None),
        ("+380 44 123 45 67", "+380441234567", None),
        ("8 701 234 5678", "+77012345678", None),
        ("8 10 44 20 7946 0958", "+442079460958", None),
        ("0044 20 7946 0958", "+442079460958", None),
        ("+1 650 253 0000", "+16502530000", None),
        ("8 495 123-45-67 доб. 12", "+74951234567", "доб. 12"),
        ("8 495 123-45-67 (доб.12)", "+74951234567", "доб. 12"),
        ("84951234567#12", "+74951234567", "#12"),
        ("+7 (812) 703-45-67 вн. 5", "+78127034567", "доб. 5"),
        ("+7 (916) 123-45-67 ext. 4", MOBILE, "доб. 4"),
        ("8 495 123-45-67 доб. 12 Ольга", "+74951234567", "доб. 12, Ольга"),
        ("тел: 89161234567", MOBILE, "тел"),
        ("89161234567 Ольга", MOBILE, "Ольга"),
        ("89161234567 (вотсап)", MOBILE, "вотсап"),
        ("моб. 89161234567 (личный, вечером)", MOBILE, "моб. (личный, вечером)"),
        ("звонить после 18:00 89161234567", MOBILE, "звонить после 18:00"),
        ("89161234567 / 89031112233", MOBILE, "89031112233"),
        ("+7 916 123-45-67 +7 903 111-22-33", MOBILE, "+7 903 111-22-33"),
        *[
            (text, None, text)
            for text in (
                "спросить у Ольги",
                "нет",
                "-",
                "112",
                "123-45-67",
                "+7916123456",
                "891612345678",
                "ivan@firma.ru",
                "2026-01-01",
                "01.01.2026 12:30",
                "7707083893",
                "ИНН 7707083893",
                "40702810900000012345",
                "ICQ 123456789",
            )
        ],
        ("", None, None),
        ("   ", None, None),
    ],
)
def test_a_phone_as_people_type_it(typed, value, comment):
    assert parse_phone(typed, "RU") == (value, comment)


@pytest.mark.parametrize(
    ("region", "typed", "value"),
    [
        ("DE", "030 123456", "+4930123456"),
        ("KZ", "8 701 234 5678", "+77012345678"),
        ("US", "(650) 253-0000", "+16502530000"),
    ],
)
def test_a_number_without_country_code_is_read_in_the_default_region(region, typed, value):
    assert parse_phone(typed, region).value == value


COUNTRIES = sorted(
    {phonenumbers.region_code_for_country_code(c) for c in phonenumbers.COUNTRY_CODE_TO_REGION_CODE} - {"001"}
)


@given(st.sampled_from(COUNTRIES), st.sampled_from((FORMATS.E164, FORMATS.INTERNATIONAL, FORMATS.RFC3966)))
@settings(max_examples=200, deadline=None)
def test_any_country_s_number_written_internationally_is_that_number(region, written):
    number = phonenumbers.example_number(region)
    if number is None or not phonenumbers.is_valid_number(number):
        return
    value = parse_phone(phonenumbers.format_number(number, written), "RU").value
    assert value == phonenumbers.format_number(number, FORMATS.E164)


@given(
    st.integers(0, 10**7 - 1),
    st.sampled_from(("916", "903", "495", "812", "343")),
    st.sampled_from(("+7", "7", "8", "")),
    st.sampled_from(("{0}{1}{2}{3}{4}", "{0} ({1}) {2}-{3}-{4}", "{0} {1} {2} {3} {4}", "{0}-{1}-{2}-{3}-{4}")),
)
@settings(max_examples=300, deadline=None)
def test_every_spelling_of_a_russian_number_is_one_number(line, code, prefix, spelling):
    digits = f"{line:07d}"
    wanted = f"+7{code}{digits}"
    if not phonenumbers.is_valid_number(phonenumbers.parse(wanted)):
        return
    typed = spelling.format(prefix, code, digits[:3], digits[3:5], digits[5:]).strip(" -")
    assert parse_phone(typed, "RU") == (wanted, None)


TYPED = st.one_of(
    st.text(alphabet="0123456789+-() .доб#", max_size=25),
    st.text(max_size=30),
    st.builds("{} {}".format, st.sampled_from(("8 916 123-45-67", "+74951234567", "a@b.ru")), st.text(max_size=15)),
)


@given(TYPED)
@settings(max_examples=400, deadline=None)
def test_a_parsed_phone_is_valid_reads_back_as_itself_and_loses_no_letter(typed):
    value, comment = parse_phone(typed, "RU")
    if value is not None:
        assert phonenumbers.is_valid_number(phonenumbers.parse(value))
        assert parse_phone(value, "RU") == (value, None)
        kept = (value + (comment or "")).lower()
        extension = re.findall(r"доб\w*|вн\w*|ext|x", typed.lower())
        left = [c for c in typed.lower() if c.isalpha()]
        assert extension or all(c in kept for c in left)
    else:
        assert comment == (visible(typed) or None)


@pytest.mark.parametrize(
    ("typed", "value", "comment"),
    [
        ("Ivan@Firma.RU", "ivan@firma.ru", None),
        (" a@b.ru ", "a@b.ru", None),
        ("a@b.ru.", "a@b.ru", None),
        ("иван@почта.рф", "иван@почта.рф", None),
        ("Иван <ivan@firma.ru>", "ivan@firma.ru", "Иван"),
        ("a@b.ru, c@d.ru", "a@b.ru", "c@d.ru"),
        ("почта: a@b.ru (личная)", "a@b.ru", "почта: (личная)"),
        ("a@b.ru 8 916 123-45-67", "a@b.ru", "8 916 123-45-67"),
        *[(t, None, t) for t in ("нет", "a@b", "a..b@c.ru", "a@@b.ru", "8 916 123-45-67", "ivan(at)firma.ru")],
        ("", None, None),
    ],
)
def test_an_address_as_people_type_it(typed, value, comment):
    assert parse_email(typed) == (value, comment)


@given(st.one_of(TYPED, st.emails()))
@settings(max_examples=300, deadline=None)
def test_a_parsed_address_reads_back_as_itself(typed):
    value, comment = parse_email(typed)
    if value is not None:
        assert parse_email(value) == (value, None)
    else:
        assert comment == (visible(typed) or None)


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("Директор", "Директор"),
        ("Менеджер 1 категории", "Менеджер 1 категории"),
        ("1C-разработчик", "1C-разработчик"),
        ("Главный бухгалтер (до 2024-2025)", "Главный бухгалтер (до 2024-2025)"),
        ("директор 89161234567", "директор"),
        ("директор, тел. 8 (916) 123-45-67 доб. 5", "директор"),
        ("директор, a@b.ru", "директор"),
        ("8 916 123-45-67", None),
        ("тел. 89161234567", None),
        ("+7 (916) 123-45-67 доб 5", None),
        ("123-45-67", None),
        ("ivan@firma.ru", None),
        ("почта: ivan@firma.ru", None),
    ],
)
def test_a_phone_or_address_typed_into_the_position_is_not_a_job_title(typed, title):
    assert TRANSFORMS["position"]([typed], Context()) == title


@pytest.mark.parametrize(
    ("kind", "params", "text"),
    [
        ("call_in", {"phone": "+79161234567", "duration": 95, "link": "https://x.ru/1.mp3", "call_status": 4},
         "Входящий звонок, +79161234567, 1 мин 35 с, разговор состоялся, запись: https://x.ru/1.mp3"),
        ("call_out", {"PHONE": "89161234567", "DURATION": "7", "LINK": ""}, "Исходящий звонок, 89161234567, 7 с"),
        ("call_out", {"phone": None, "duration": None, "call_result": "занято"}, "Исходящий звонок, занято"),
        ("call_in", {}, "Входящий звонок"),
        ("sms_in", {"text": "да", "phone": "1"}, "СМС от 1: да"),
        ("common", {"TEXT": "старая"}, "старая"),
        ("service_message", {"service": "Почта", "text": "доставлено"}, "Почта: доставлено"),
        ("attachment", {"original_name": "счёт.pdf"}, "Файл: счёт.pdf"),
        ("common", "просто текст", "просто текст"),
        ("common", [], None),
        ("common", None, None),
        ("common", {"text": None}, None),
        ("geolocation", {"text": "", "address": "Тверская, 1"}, "Тверская, 1"),
        (None, {"text": "без вида"}, "без вида"),
    ],
)  # fmt: skip
def test_a_note_is_text_that_a_person_can_read(kind, params, text):
    assert TRANSFORMS["note_text"]([kind, params], Context()) == text


def field(code, *values):
    return {"field_id": sum(map(ord, code)), "field_code": code, "field_name": code,
            "values": [{"value": v} for v in values]}  # fmt: skip


def test_what_is_in_the_wrong_field_is_neither_lost_nor_taken_for_what_it_is_not(crm):
    fields = [
        field("POSITION", "директор 8 916 123-45-67"),
        field("PHONE", "ivan@firma.ru", "спросить Ольгу", "+7 495 123-45-67 доб. 5"),
        field("EMAIL", "8 903 111-22-33", "b@firma.ru"),
    ]
    crm.sync("contacts", {"custom_fields_values": fields})
    row = crm.row("contacts")
    assert (row["position"], row["phone"], row["email"]) == ("директор", "+74951234567", "b@firma.ru")
    assert row["raw_fields"]["amo"]["custom_fields_values"] == fields
    phones = [(r["value"], r["comment"]) for r in crm.rows("contact_phones", "position")]
    assert phones == [(None, "ivan@firma.ru"), (None, "спросить Ольгу"), ("+74951234567", "доб. 5")]
    emails = [(r["value"], r["comment"]) for r in crm.rows("contact_emails", "position")]
    assert emails == [(None, "8 903 111-22-33"), ("b@firma.ru", None)]


def test_the_region_setting_reads_phones_of_another_country(crm):
    crm.sync("contacts", {"custom_fields_values": [field("PHONE", "030 123456")]}, default_region="DE")
    assert crm.row("contacts")["phone"] == "+4930123456"


def test_texts_are_cut_to_the_column_and_whole_in_the_document(crm):
    crm.load([])
    crm.execute("ALTER TABLE contacts ALTER last_name TYPE varchar(10), ALTER position TYPE varchar(10)")
    crm.execute("ALTER TABLE contact_phones ALTER comment TYPE varchar(255)")
    name, title, remark = (
        "Константинопольский 🙂",
        "Заместитель директора",
        "89161234567 " + "звонить только вечером " * 20,
    )
    record = {"last_name": name, "custom_fields_values": [field("POSITION", title), field("PHONE", remark)]}
    crm.sync("contacts", record)
    assert crm.execute("SELECT error FROM sync_rejects") == []
    row = crm.row("contacts")
    assert (row["last_name"], row["position"]) == (name[:10], title[:10])
    assert row["raw_fields"]["amo"]["last_name"] == name
    assert row["raw_fields"]["amo"]["custom_fields_values"] == record["custom_fields_values"]
    (phone,) = crm.rows("contact_phones", "id")
    assert (phone["value"], phone["comment"]) == (MOBILE, ("звонить только вечером " * 20)[:255])
    assert crm.sync("contacts", {**record, "first_name": "Иван"})["kept"] == 0
    assert crm.row("contacts")["last_name"] == name[:10]
    assert len(crm.rows("contact_phones", "id")) == 1


def test_an_employee_that_the_crm_does_not_know_stays_visible_and_the_field_empty(crm):
    crm.load([])
    crm.execute("INSERT INTO users (name, email) VALUES ('Анна', 'anna@firma.ru'), ('Борис', NULL), ('Борис', NULL)")
    crm.sync(
        "users", {"id": 1, "name": "А. С.", "email": "Anna@Firma.ru"}, {"id": 2, "name": "Борис", "email": "b@f.ru"}
    )
    crm.sync("contacts", *({"id": n, "responsible_user_id": n} for n in (1, 2, 9)))
    users = {r["amo_id"]: r for r in crm.rows("users", "name") if r["amo_id"]}
    assert users[1]["name"] == "Анна"  # the CRM's own row, matched by e-mail; its name is an edit and stays
    # Two of a name: nothing is guessed, a person decides.
    assert [r["amo_id"] for r in crm.rows("users", "name") if r["name"] == "Борис"] == [None, None]
    (waiting,) = crm.rows("sync_proposals", "id")
    assert (waiting["stream"], waiting["amo_id"], waiting["resolved_at"]) == ("users", 2, None)
    contacts = {r["amo_id"]: r for r in crm.rows("contacts")}
    assert contacts[1]["responsible_id"] == users[1]["id"]
    assert contacts[9]["responsible_id"] is None
    assert contacts[9]["raw_fields"]["amo"]["responsible_user_id"] == 9


def test_a_call_keeps_what_was_said_of_it_in_params(crm):
    params = {
        "uniq": "1",
        "duration": 61,
        "source": "mango",
        "link": "https://x.ru/1",
        "phone": MOBILE,
        "DIRECTION": "in",
    }
    notes = ({"id": n, "note_type": "call_in", "params": p} for n, p in ((1, params), (2, []), (3, None), (4, "текст")))
    crm.sync("notes", *notes)
    assert crm.execute("SELECT error FROM sync_rejects") == []
    rows = {r["amo_id"]: r for r in crm.rows("notes")}
    assert rows[1]["params"] == params
    assert rows[1]["text"] == f"Входящий звонок, {MOBILE}, 1 мин 1 с, запись: https://x.ru/1"
    assert [rows[n]["params"] for n in (2, 3)] == [None, None]
    assert rows[4]["text"] == "текст"
