"""Errors carry stable codes; messages end with them, and docs/errors.md lists them."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest

import tap_amocrm
from tap_amocrm.error_codes import CODES, code_of
from tap_amocrm.errors import ApiError, ConfigError, PausedError, TapError, UnknownSettingError
from tap_amocrm.errors_page import HEADING, errors_section

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def all_errors(error=TapError):
    for module in pkgutil.walk_packages(tap_amocrm.__path__, "tap_amocrm."):
        importlib.import_module(module.name)
    found = [error]
    for kind in found:
        found += [k for k in kind.__subclasses__() if k.__module__.startswith("tap_amocrm")]
    return found


def test_every_error_has_a_code_of_its_own():
    names = [error.__name__ for error in all_errors()]
    assert set(names) == set(CODES)
    codes = [code.code for code in CODES.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"E_[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_the_page_lists_the_codes():
    text = PAGE.read_text("utf-8")
    section = HEADING + text.split(HEADING)[1]
    assert section == errors_section(), "python -m tap_amocrm.errors_page prints the section"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"page_size": 251}, "E_SETTING"),
        ({"page_sise": 5}, "E_SETTING_UNKNOWN"),
        ({"access_token": "wrong"}, "E_TOKEN_REFUSED"),
        ({"api_url": "http://127.0.0.1:1"}, "E_UNREACHABLE"),
        ({"stream_maps": {"leads": {"x": "md5("}}}, "E_STREAM_MAP"),
    ],
)
def test_a_message_ends_with_the_code_of_its_error(start, settings, code):
    output = start().run(**settings)
    assert output.code == 1
    assert [line for line in output.log.splitlines() if line.endswith(f" [{code}]")]


@pytest.mark.parametrize(
    ("options", "content", "code"),
    [(["--config"], "{", "E_FILE"), (["--catalog"], "{", "E_FILE"), (["--catalog"], "{}", "E_CATALOG")],
)
def test_a_message_about_a_file_ends_with_its_code(start, tmp_path, options, content, code):
    file = tmp_path / "broken.json"
    file.write_text(content)
    output = start().run(None, *options, str(file))
    assert output.code == 1
    assert f" [{code}]" in output.log


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_an_error_needs_the_parameters_of_its_code(kind):
    needed = code_of(kind).parameters
    if needed and kind.__init__ is TapError.__init__:
        with pytest.raises(KeyError, match=needed[0]):
            kind("What happened.")
    elif kind.__init__ is TapError.__init__:
        assert kind("What happened.").parameters == {}


def raised():
    """Each place in the code that makes an error of the tap: file, line, class, what is passed by name."""
    kinds = {kind.__name__: kind for kind in all_errors()}
    for file in sorted(Path(tap_amocrm.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                named = {keyword.arg: keyword.value for keyword in node.keywords}
                yield f"{file.name}:{node.lineno}", kinds[node.func.id], named


def test_every_place_that_raises_gives_the_parameters_of_the_code():
    found = list(raised())
    assert len(found) > 60
    for place, kind, named in found:
        if kind.__init__ is TapError.__init__:
            assert set(code_of(kind).parameters) <= set(named), place
        problem = named.get("problem")
        if isinstance(problem, ast.Constant):
            assert problem.value in code_of(kind).problems, place


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_every_code_has_a_text_of_its_own_in_russian(code):
    for text in (code.meaning, code.remedy, *(code.problems or {}).values()):
        assert re.search("[а-яё]", text.ru)
        assert text.ru.endswith(".")
        assert not set(re.findall(r"\{(\w+)\}", text.en + text.ru)) - set(code.parameters)


def test_an_error_is_rendered_in_both_languages_from_code_and_parameters():
    error = ConfigError("Setting page_size: 251 must be ...", setting="page_size", problem="range")
    assert error.text("en") == "page_size is out of its range. Correct the setting that the message names."
    assert error.text("ru").startswith("Значение вне допустимых пределов: page_size.")
    refused = UnknownSettingError("Setting page_sise ...", settings=["page_sise"])
    assert refused.text("ru").startswith("Имя настройки")


def test_errors_carry_their_parameters():
    assert ApiError(402, "/api/v4/leads", "Payment Required").parameters == {"status": 402, "path": "/api/v4/leads"}
    paused = PausedError.of(90, "/api/v4/leads answers 429")
    assert paused.parameters["seconds"] == 90
    assert paused.parameters["until"] in str(paused)


def test_a_wrong_command_line_has_an_exit_code_of_its_own(start):
    assert start().run(None, "--no-such-option").code == 2


def test_logs_in_json_carry_the_code(start, tmp_path):
    tap = start()
    config = {
        "version": 1, "disable_existing_loggers": False,
        "formatters": {"json": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["err"], "level": "INFO"},
    }  # fmt: skip
    file = tmp_path / "log.json"
    file.write_text(json.dumps(config))
    command = tap.command(page_size=251)
    env = {"PATH": "", "SINGER_SDK_LOG_CONFIG": str(file)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    (error,) = [e for e in map(json.loads, filter(None, done.stderr.splitlines())) if e["level"] == "error"]
    assert "E_SETTING" in json.dumps(error)
    assert "error_parameters" in json.dumps(error)
    assert "page_size" in json.dumps(error["extra"]["error_parameters"] if "extra" in error else error)
    assert "Исправьте настройку" in json.dumps(error, ensure_ascii=False)
