"""Settings that are misspelt or without effect are refused, with the nearest name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.target import TargetCRM

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("name", "meant"), [("dryrun", "dry_run"), ("crm_shema", "crm_schema"), ("batchSizeRows", "batch_size_rows")]
)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(name, meant):
    with pytest.raises(ConfigError, match=rf"Setting {name} is unknown\. Did you mean {meant}\?"):
        Settings.from_config({name: True})


def test_all_misspelt_settings_are_named_at_once():
    with pytest.raises(ConfigError, match=r"dryrun.*datadir"):
        Settings.from_config({"dryrun": True, "datadir": "x"})


@pytest.mark.parametrize(
    "name", ["stream_maps", "validate_records", "load_method", "add_record_metadata", "flattening_enabled"]
)
def test_a_setting_of_the_sdk_without_effect_is_refused(name):
    with pytest.raises(ConfigError, match=rf"Setting {name} of the Singer SDK has no effect in target-crm: .+Remove"):
        Settings.from_config({name: {}})


def test_the_capabilities_are_those_that_it_has():
    assert {c.value for c in TargetCRM.capabilities} == {"about", "structured-logging"}


@pytest.fixture
def target(crm, monkeypatch, tmp_path):
    """Run target-crm as a command with a config and variables; one contact comes in."""

    def run(config=None, arguments=None, **variables):
        file = tmp_path / "config.json"
        file.write_text(json.dumps({**crm.config, **(config or {})}))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        text = "\n".join([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})]) + "\n"
        line = [str(BIN / "target-crm"), *(arguments or ["--config", str(file)])]
        return subprocess.run(line, input=text, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def exists(crm):
    return crm.execute("SELECT to_regclass('contacts') AS t")[0]["t"] is not None


def test_a_misspelt_dry_run_writes_nothing(crm, target):
    done = target({"dryrun": True})
    assert done.returncode == 1
    assert "Did you mean dry_run?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not exists(crm)


def test_a_misspelt_variable_writes_nothing(crm, target):
    done = target(TARGET_CRM_DRYRUN="true")
    assert done.returncode == 1
    assert "Environment variable TARGET_CRM_DRYRUN is unknown. Did you mean TARGET_CRM_DRY_RUN?" in done.stderr
    assert not exists(crm)


def test_a_dry_run_that_only_the_environment_asks_for_is_not_passed_over(crm, target):
    done = target(TARGET_CRM_DRY_RUN="true")
    assert done.returncode == 1
    assert "TARGET_CRM_DRY_RUN is set" in done.stderr
    assert not exists(crm)


def test_a_value_of_the_environment_that_is_neither_true_nor_false_writes_nothing(crm, target):
    variables = {"TARGET_CRM_DATABASE_URL": crm.url, "TARGET_CRM_CRM_SCHEMA": crm.schema, "TARGET_CRM_DRY_RUN": "ture"}
    done = target(arguments=["--config", "ENV"], **variables)
    assert done.returncode == 1
    assert "Setting dry_run: 'ture'" in done.stderr
    assert not exists(crm)


def test_names_that_meltano_and_the_sdk_set_are_not_settings(crm, target):
    done = target(TARGET_CRM__DIALECT="target_crm", TARGET_CRM__LOG_PARSER="singer-sdk", TARGET_CRM_LOGLEVEL="INFO")
    assert done.returncode == 0, done.stderr
    assert exists(crm)


def test_a_dotenv_in_the_folder_never_wins_over_the_environment(crm, target, tmp_path):
    (tmp_path / ".env").write_text("TARGET_CRM_CRM_SCHEMA=somebody_elses\nTARGET_CRM_DRY_RUN=true\n")
    done = target(arguments=["--config", "ENV"], TARGET_CRM_DATABASE_URL=crm.url, TARGET_CRM_CRM_SCHEMA=crm.schema)
    assert done.returncode == 0, done.stderr
    assert exists(crm)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not valid JSON: it is empty"),
        ('{"dry_run": tru}', "is not valid JSON: line 1, column 13"),
        ('{"batch_size_rows": ' + "7" * 5000 + "}", "must hold a JSON object"),
        ("[]", "must hold a JSON object"),
    ],
)
def test_a_broken_config_is_one_sentence(target, tmp_path, text, said):
    file = tmp_path / "broken.json"
    file.write_text(text)
    done = target(arguments=["--config", str(file)])
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_that_is_not_there_is_one_sentence(target, tmp_path):
    done = target(arguments=["--config", str(tmp_path / "nosuch.json")])
    assert done.returncode == 1
    assert "nosuch.json can't be read: No such file or directory." in done.stderr
    assert "Traceback" not in done.stderr
