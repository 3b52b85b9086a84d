"""The registry of codes: texts in both languages, and the page that is made of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from target_crm.errors import CellError, RecordError
from target_crm.presentation.texts.errors_page import errors_page
from target_crm.presentation.texts.problems import PROBLEMS
from target_crm.presentation.texts.rendering import parameters, problem_text
from target_crm.problems import Problem

PACKAGE = Path(__file__).resolve().parents[1] / "target_crm"
PAGE = PACKAGE.parents[1] / "docs" / "errors.md"

FOREIGN_WORDS = {"{reason}", "{message}", "{detail}", "{text}", "{said}", "{problem}", "{why}"}


def test_the_page_is_made_of_the_registry():
    text = PAGE.read_text("utf-8")
    assert text.startswith(errors_page()), "python -m target_crm.presentation.texts.errors_page"
    # Behind it comes the tap's section, which has a separate test.
    assert text.removeprefix(errors_page()).startswith("\n## tap-amocrm\n")


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_code_has_the_same_arguments_in_both_languages_and_a_remedy(code):
    text = PROBLEMS[code]
    english, russian = (set(re.findall(r"{\w+}", side)) for side in (text.en, text.ru))
    # The database's and the parser's own words are English: the Russian text leaves them out, or shows the key alone.
    assert english - FOREIGN_WORDS == russian - FOREIGN_WORDS - {"{key}"}
    assert re.search("[а-яё]", text.ru + text.remedy_ru)
    assert text.remedy.endswith(".")
    assert text.remedy_ru.endswith(".")


def test_every_code_that_the_program_names_is_in_the_registry():
    sources = [p.read_text("utf-8") for p in PACKAGE.rglob("*") if p.suffix in (".py", ".sql", ".j2")]
    named = {code for text in sources for code in re.findall(r"""["']([EW]_[A-Z_0-9]+)["']""", text)}
    assert named - set(PROBLEMS) == set()


@pytest.mark.parametrize("error", [RecordError, CellError])
def test_an_error_carries_its_code_and_arguments(error):
    found = error("E_KEY_NOT_A_NUMBER", property="id", value="семь")
    assert found.problem == Problem("E_KEY_NOT_A_NUMBER", {"property": "id", "value": "семь"})
    assert str(found) == 'id must be a whole number, got "семь".'
    assert found.problem.text("ru") == 'Свойство id должно быть целым числом, получено "семь".'


def test_an_argument_that_is_missing_is_a_fault_of_the_program():
    assert parameters("E_KEY_NOT_A_NUMBER") == {"property", "value"}
    with pytest.raises(KeyError):
        Problem("E_KEY_NOT_A_NUMBER", {"value": 1})
    with pytest.raises(KeyError):
        Problem("E_NO_SUCH_CODE")


def test_a_code_of_another_version_is_shown_as_it_was_written():
    assert problem_text("E_OF_TOMORROW", {}, "ru", "as it was written") == "as it was written"
    assert problem_text(None, None, "en", "as it was written") == "as it was written"


def test_a_long_value_is_cut_and_braces_in_it_are_only_text():
    shown = Problem("W_NOT_A_NUMBER", {"value": "{value}" * 100}).text()
    assert len(shown) < 250
    assert "{value}{value}" in shown
