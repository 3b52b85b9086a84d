"""Bad input: one clear message, the bad record rejected, the rest loaded, and a later run continues."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).parent / "target-crm")


def command(crm, lines, **settings):
    """Run the real command over lines."""
    path = Path(crm.folder) / "config.json"
    path.write_text(json.dumps({k: v for k, v in {**crm.config, **settings}.items() if v is not None}))
    return subprocess.run(
        [COMMAND, "--config", str(path)], input="\n".join(lines), capture_output=True, text=True, check=False
    )


def rejects(crm):
    return crm.execute("SELECT stream, record, error FROM sync_rejects ORDER BY id")


def notices(crm):
    """The codes that the last run reports."""
    (run,) = crm.execute("SELECT notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    return [notice["code"] for notice in run["notices"]]


def errors(done):
    return [line for line in done.stderr.splitlines() if "ERROR" in line or "CRITICAL" in line]


def test_a_malformed_line_is_put_aside_and_the_rest_is_loaded(crm):
    crm.load([crm.schema_message("contacts"), '{"type": "RECORD", "stre', *crm.messages("contacts", {"id": 7})])
    assert [r["amo_id"] for r in crm.rows("contacts")] == [7]
    (reject,) = rejects(crm)
    assert "Line 2 is not a Singer message" in reject["error"]


@pytest.mark.parametrize("broken", [{"id": None}, {"account_id": None}, {"id": "seven"}, {"id": 2**70}])
def test_a_record_without_a_usable_key_is_put_aside(crm, broken):
    crm.sync("contacts", {"id": 1}, broken, {"id": 2})
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 2]
    (reject,) = rejects(crm)
    assert reject["stream"] == "contacts"
    assert next(iter(broken)) in reject["error"] or "id" in reject["error"]


def test_text_with_nul_and_half_a_surrogate_pair_is_loaded_without_them(crm):
    crm.load(
        [
            crm.schema_message("contacts"),
            '{"type":"RECORD","stream":"contacts","record":{"account_id":77,"id":1,'
            '"updated_at":"2026-01-01T00:00:00Z","last_name":"А\\u0000Б\\ud83d"}}',
        ]
    )
    assert crm.row("contacts")["last_name"] == "АБ\ufffd"
    assert rejects(crm) == []


def test_the_input_may_begin_with_a_byte_order_mark(crm):
    crm.load(["\ufeff" + crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})])
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1]


@pytest.mark.parametrize("number", ["0.12345678901234567890123456789", "1" * 5000], ids=["fraction", "5,000 digits"])
def test_numbers_beside_nul_keep_every_digit(crm, number):
    line = (
        '{"type":"RECORD","stream":"contacts","record":{"account_id":77,"id":1,'
        f'"updated_at":"2026-01-01T00:00:00Z","last_name":"А\\u0000","share":{number}}}}}'
    )
    crm.load([crm.schema_message("contacts"), line])
    assert crm.execute("SELECT raw_fields->'amo'->>'share' AS share FROM contacts") == [{"share": number}]


def test_a_later_run_goes_on_after_a_reject(crm):
    crm.sync("leads", {"id": 1, "price": "x"})
    crm.sync("leads", {"id": 1, "price": 100})
    assert crm.row("leads")["price"] == 100


def test_with_on_bad_record_fail_the_run_ends_and_names_stream_and_record(crm):
    lines = [crm.schema_message("leads"), *crm.messages("leads", {"id": "forty-one"})]
    done = command(crm, lines, on_bad_record="fail")
    assert done.returncode == 1
    (message,) = errors(done)
    assert "leads" in message
    assert "forty-one" in message
    assert "Traceback" not in done.stderr


def test_more_bad_records_than_allowed_end_the_run_and_name_the_table(crm):
    records = [{"id": 8, "price": 1}] + [{"id": f"x{n}"} for n in range(1, 8)]
    done = command(crm, [crm.schema_message("leads"), *crm.messages("leads", *records)], max_bad_records=5)
    assert done.returncode == 1
    (message,) = errors(done)
    assert f"{crm.schema}.sync_rejects" in message
    assert len(rejects(crm)) == 6
    assert [r["amo_id"] for r in crm.rows("leads")] == [8]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"default_policy": "softly"}, "default_policy"),
        ({"on_bad_record": "ignore"}, "on_bad_record"),
        ({"batch_size_rows": 0}, "batch_size_rows"),
        ({"max_deletes_percent": 250}, "max_deletes_percent"),
        ({"mapping_file": "no-such-file.yaml"}, "mapping_file"),
        ({"crm_schema": "я" * 40}, "crm_schema"),
        ({"dry_run": "perhaps"}, "dry_run"),
    ],
)
def test_a_wrong_setting_is_named_in_one_message(crm, settings, named):
    done = command(crm, [], **settings)
    assert done.returncode == 1
    (message,) = errors(done)
    assert named in message
    assert "Traceback" not in done.stderr


def test_an_unreachable_database_is_one_message_without_the_password(crm):
    done = command(crm, [], database_url="postgresql://crm:s3cret@127.0.0.1:1/crm")
    assert done.returncode == 1
    (message,) = errors(done)
    assert "database" in message.lower()
    assert "s3cret" not in done.stdout + done.stderr


def test_a_wrong_password_never_shows(crm):
    done = command(crm, [], database_url=f"{crm.url}&password=s3cret&user=nobody_at_all")
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr


def test_a_record_before_its_schema_ends_the_run_naming_the_line(crm):
    done = command(crm, crm.messages("contacts", {"id": 1}))
    assert done.returncode == 1
    (message,) = errors(done)
    assert "Line 1" in message
    assert "contacts" in message


def test_a_message_of_no_type_of_singers_is_passed_over_with_a_warning(crm):
    lines = [crm.schema_message("contacts"), '{"type":"LOG","message":"x"}', '{"type":"\\u001b[31mX"}']
    done = command(crm, [*lines, *crm.messages("contacts", {"id": 1})])
    assert done.returncode == 0, done.stderr
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1]
    assert done.stderr.count("2 messages are of no type that Singer knows (LOG, \\x1b[31mX)") == 1
    assert notices(crm) == ["W_MESSAGES_PASSED_OVER"]


def test_a_batch_message_ends_the_run_and_no_state_leaves_behind_it(crm):
    batch = '{"type":"BATCH","stream":"contacts","encoding":{"format":"jsonl"},"manifest":["file:///etc/passwd"]}'
    state = '{"type":"STATE","value":{"n":%d}}'
    done = command(crm, [crm.schema_message("contacts"), *crm.messages("contacts", {}), state % 1, batch, state % 2])
    assert done.returncode == 1
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1]
    (message,) = errors(done)
    assert "Line 4: a BATCH message names files of records" in message
    assert "batch_config" in message
    assert done.stdout.splitlines() == ['{"n":1}']


@pytest.mark.parametrize("schema", ["{}", "[]", '{"properties": null}'])
def test_a_schema_without_properties_ends_the_run_naming_line_and_stream(crm, schema):
    done = command(crm, [f'{{"type":"SCHEMA","stream":"contacts","schema":{schema},"key_properties":[]}}'])
    assert done.returncode == 1
    (message,) = errors(done)
    assert "Line 1: the SCHEMA of stream contacts has no properties." in message


def test_a_stream_that_is_not_mapped_is_skipped_with_one_warning(crm):
    done = command(crm, [crm.schema_message("invoices"), *crm.messages("invoices", {"id": 1}, {"id": 2})])
    assert done.returncode == 0
    assert done.stderr.count("Stream invoices is not mapped: 2 records were skipped.") == 1


def test_a_stream_that_is_not_mapped_ends_the_run_where_that_is_wanted(crm):
    done = command(crm, [crm.schema_message("invoices")], unmapped_streams="fail")
    assert done.returncode == 1
    assert "invoices" in errors(done)[0]


def record(**more):
    """A line with a record of contact 5, as bytes."""
    told = {"id": 5, "account_id": 77, "updated_at": "2026-01-01T00:00:00Z", **more}
    return json.dumps({"type": "RECORD", "stream": "contacts", "record": told}).encode()


HEAD = b'{"type":"RECORD","stream":"contacts","record":'
REJECTED = {
    "bytes that are no UTF-8": b"\xff\xfe\x00garbage",
    "text in Windows-1251": HEAD + '{"id":5,"account_id":77,"last_name":"Иванов"}}'.encode("cp1251"),
    "half a line": HEAD + b'{"id":5,"acc',
    "a list": b"[1, 2]",
    "null": b"null",
    "no type": b"{}",
    "a record that is a list": HEAD + b"[]}",
    "a record that is a text": HEAD + b'"text"}',
    "a million brackets": HEAD + b'{"id":5,"account_id":77,"x":' + b"[" * 10**6 + b"]" * 10**6 + b"}}",
    "a key that is a fraction": record(id=5.5),
    "a key that is true": record(id=True),
    "a key that is a list": record(id=[5]),
    "a negative key": record(id=-5),
    "an account out of range": record(account_id=2**64),
}
TAKEN = {
    "a byte order mark before it": b"\xef\xbb\xbf" + record(),
    "NaN beside a number out of a float's range": HEAD + b'{"id":5,"account_id":77,"x":[NaN,1e400,{"y":-Infinity}]}}',
    "NaN": HEAD + b'{"id":5,"account_id":77,"price":NaN}}',
    "a link that is no id": record(company_id="ООО"),
    "a creation time that is none": record(created_at="yesterday"),
    "seconds out of range": record(updated_at=10**15),
    "a time out of range": record(updated_at="99999-01-01T00:00:00Z"),
    "a time that is none": record(updated_at="yesterday"),
    "custom fields that are a text": record(custom_fields_values="x"),
    "custom fields without values": record(custom_fields_values=[{"field_code": "PHONE"}, None, 7]),
    "a phone that is an object": record(
        custom_fields_values=[{"field_code": "PHONE", "values": [{"value": {"a": 1}}]}]
    ),
    "tags that are no list": record(_embedded={"tags": {"name": None}}),
    "no embedded things": record(_embedded=[]),
    "a name that is a number": record(last_name=7),
    "halves of surrogate pairs in names": HEAD + b'{"id":5,"account_id":77,"\\udc00\\u0000":"\\ud800"}}',
    "a blank line before it": b"\n\n" + record(),
}


def run_between(crm, line):
    """The real command over a good record, the line, another good record; the rest must be as if it were not there."""
    good = [m.encode() for m in crm.messages("contacts", {"id": 1}, {"id": 9})]
    path = Path(crm.folder) / "config.json"
    path.write_text(json.dumps(crm.config))
    text = b"\n".join([crm.schema_message("contacts").encode(), good[0], line, good[1], b""])
    done = subprocess.run([COMMAND, "--config", path], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert b"Traceback" not in done.stderr
    assert {1, 9} <= {r["amo_id"] for r in crm.rows("contacts")}


@pytest.mark.parametrize("line", REJECTED.values(), ids=REJECTED)
def test_a_bad_line_is_put_aside_with_one_reason_and_a_later_run_goes_on(crm, line):
    run_between(crm, line)
    (reject,) = rejects(crm)
    assert 5 < len(reject["error"]) < 300
    crm.sync("contacts", {"id": 5})
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 5, 9]


@pytest.mark.parametrize("line", TAKEN.values(), ids=TAKEN)
def test_an_odd_record_is_loaded(crm, line):
    run_between(crm, line)
    assert rejects(crm) == []
    assert [r["amo_id"] for r in crm.rows("contacts")] == [1, 5, 9]
