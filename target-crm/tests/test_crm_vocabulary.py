"""The mapping's words are one table: the page and the reader say the same, and every example is one that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from target_crm.mapping.load import read_mapping
from target_crm.mapping.vocabulary import COLUMN, SECTIONS, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mapping.md"
TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "object": dict, "array": list}


@pytest.mark.parametrize("section", [name for name in SECTIONS if name != "root"])
def test_the_page_lists_the_words_as_the_reader_knows_them(section):
    page = PAGE.with_name("other-sources.md") if section == "source" else PAGE
    assert table(section) in page.read_text("utf-8")


@pytest.mark.parametrize("word", [w for words in SECTIONS.values() for w in words], ids=lambda w: w.name)
def test_an_example_is_of_the_type_that_its_word_takes(word):
    given = yaml.safe_load(word.example)
    assert isinstance(given, tuple(TYPES[kind] for kind in word.takes))
    assert not word.choices or given in word.choices


BESIDE = {
    "part": {"field": "Реквизиты"}, "kind": {"field": "PHONE"}, "when_entity": {"link": "notes", "from": "entity_id"},
    "link": {"from": "entity_id", "when_entity": "companies"}, "lookup": {"from": ["pipeline_id", "status_id"]},
    "template": {"field": "Адрес"}, "via": {"from": "entity_id", "link": "companies", "when_entity": "companies"},
    "type_column": {"from": "entity_id", "link": {"companies": "Account"}}, "required": {"from": "entity_id",
    "link": "companies", "when_entity": "companies"}, "join": {"field": "X"}, "from": {}, "field": {},
}  # fmt: skip


@pytest.mark.parametrize("word", COLUMN, ids=lambda w: w.name)
def test_an_example_of_a_column_is_read(word):
    column = {word.name: yaml.safe_load(word.example)} | BESIDE.get(word.name, {"from": "text"})
    streams = {"companies": {"table": "firm", "columns": {"name": "name"}},
               "notes": {"table": "note", "columns": {"x": column}}}  # fmt: skip
    if word.name == "via":
        streams["notes"]["columns"]["contact_id"] = {"from": "entity_id", "link": "notes", "when_entity": "contacts"}
    read = read_mapping(yaml.safe_dump({"streams": streams}), "m.yaml")
    assert "x" in [one.name for one in read.tables["notes"].columns]


def test_the_examples_of_the_page_are_read():
    for block in PAGE.read_text("utf-8").split("```yaml\n")[1:]:
        document = yaml.safe_load(block.split("```")[0])
        if "streams" not in document:
            leads = {"table": "deal", **document}
            people = {"table": "person", "columns": {"name": "name"}}
            document = {"streams": {"contacts": people, "companies": people | {"table": "firm"}, "leads": leads}}
        streams = document["streams"]
        streams.setdefault("users", {"table": "staff", "match_only": True, "columns": {"name": "name"}})
        read_mapping(yaml.safe_dump(document, allow_unicode=True), "page.yaml")
