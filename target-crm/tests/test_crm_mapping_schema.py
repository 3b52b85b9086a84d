"""`map --schema`: editors accept what the reader accepts, and mark words and types that it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from target_crm.admin.main import main
from target_crm.errors import MappingError
from target_crm.mapping.json_schema import mapping_schema
from target_crm.mapping.load import read_mapping
from target_crm.mapping.vocabulary import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "mapping.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
VALIDATOR = Draft202012Validator(mapping_schema())


def problems(text):
    """What an editor would mark in a mapping."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def of_stream(text):
    """A mapping of one stream whose section continues with some lines."""
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    return f"version: 1\nstreams:\n  companies:\n    table: firm\n{indented}"


def with_word(section, name, example):
    """A mapping that uses a word, with a value as YAML."""
    if section == "root":
        rest = "" if name == "streams" else "streams: {companies: {table: firm, columns: {title: name}}}\n"
        return f"{name}: {example}\n{rest}"
    if section == "stream":
        return of_stream(f"{name}: {example}\n" + ("" if name == "columns" else "columns: {title: name}\n"))
    if section == "source":
        account = "" if name == "account" else "account: {value: 1}, "
        return of_stream(f"key: {{source: {{{account}{name}: {example}}}}}\ncolumns: {{title: name}}\n")
    if section == "flag":
        given = {"column": "status", "deleted": "gone", "live": "there", name: example}
        inside = ", ".join(f"{word}: {value}" for word, value in given.items())
        return of_stream(f"service: {{amo_deleted_at: {{{inside}}}}}\ncolumns: {{title: name}}\n")
    if section == "column":
        source = "" if name in ("from", "field", "template") else "field: INN, "
        return of_stream(f"columns:\n  title: {{{source}{name}: {example}}}\n")
    if section == "through":
        given = {"table": "member", "parent": "firm_id", "target": "person_id", "from": "main_contact_id",
                 "link": "contacts", name: example}  # fmt: skip
        inside = ", ".join(f"{word}: {value}" for word, value in given.items())
        return of_stream(f"columns: {{title: name}}\nthrough:\n  people: {{{inside}}}\n")
    given = {"table": "phones", "parent": "firm_id", "field": "PHONE", "item": "phone", name: example}
    inside = ", ".join(f"{word}: {value}" for word, value in given.items())
    return of_stream(f"columns: {{title: name}}\nsets:\n  phones: {{{inside}}}\n")


WORDS = [(section, word) for section, words in SECTIONS.items() for word in words]
NAMES = [f"{section}.{word.name}" for section, word in WORDS]


def test_the_command_prints_a_schema_without_a_database():
    done = CliRunner().invoke(main, ["--database-url", "postgresql://127.0.0.1:1/none", "map", "--schema"])
    assert done.exit_code == 0
    assert json.loads(done.output) == mapping_schema()
    Draft202012Validator.check_schema(json.loads(done.output))


def test_a_schema_of_the_database_is_still_named_with_init():
    done = CliRunner().invoke(main, ["map", "--schema", "crm"])
    assert done.exit_code == 2
    assert "--schema NAME, --output, --sql and --records need --init." in done.output


@pytest.mark.parametrize("file", ["target-crm/target_crm/mapping/builtin.yaml", "examples/django-crm/mapping.yaml"])
def test_the_mappings_of_the_repository_fit(file):
    assert problems((ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_page_fit(example):
    whole = example if "streams:" in example else of_stream(example)
    assert problems(whole) == []


@pytest.mark.parametrize(("section", "word"), WORDS, ids=NAMES)
def test_the_example_of_a_word_fits(section, word):
    if "..." in word.example:
        pytest.skip("the example leaves something out")
    assert problems(with_word(section, word.name, word.example)) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_a_misspelt_word_is_marked_as_the_reader_refuses_it(section):
    text = with_word(section, "polici", "soft")
    assert problems(text)
    with pytest.raises(MappingError, match="does not know polici"):
        read_mapping(text, "mapping.yaml")


@pytest.mark.parametrize(
    ("section", "word"), [(s, w) for s, w in WORDS if w.choices], ids=lambda part: getattr(part, "name", part)
)
def test_a_choice_that_does_not_exist_is_marked_as_the_reader_refuses_it(section, word):
    text = with_word(section, word.name, "nothing_known")
    assert problems(text)
    with pytest.raises(MappingError):
        read_mapping(text, "mapping.yaml")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("stream", "match_only", "maybe"),
        ("column", "nth", "two"),
        ("column", "first", "1"),
        ("column", "join", "5"),
        ("stream", "key", "[id]"),
        ("set", "rest", "all"),
        ("root", "default_region", "7"),
        ("root", "streams", "[companies]"),
    ],
)
def test_a_value_of_another_type_is_marked_as_the_reader_refuses_it(section, name, value):
    text = with_word(section, name, value)
    assert problems(text)
    with pytest.raises(MappingError):
        read_mapping(text, "mapping.yaml")


def test_the_words_of_the_schema_are_those_of_the_page():
    schema = mapping_schema()
    parts = {"root": schema, **schema["$defs"]}
    for section in ("stream", "column", "set"):
        for name in parts[section]["properties"]:
            assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE), name
