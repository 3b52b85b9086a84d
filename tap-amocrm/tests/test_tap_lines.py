"""A message is one line, whatever its texts hold and however a reader splits lines."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from tap_amocrm.singer_io.writer import encode, encode_records


@given(st.text(), st.text())
@example("a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee", "f\r\ng")
def test_a_record_is_one_line_for_every_reader(name, text):
    lines = encode_records("notes", [{"id": 1, name: text}, {"id": 2}], "2026-01-01T00:00:00Z").decode().splitlines()
    assert [json.loads(line)["record"] for line in lines] == [{"id": 1, name: text}, {"id": 2}]


@given(st.text(alphabet='\\\u2028u0"\x85 '))
def test_escaping_line_separators_changes_no_text(text):
    assert json.loads(encode({"text": text})) == {"text": text}
