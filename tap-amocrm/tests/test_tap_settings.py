"""Settings: what is mistyped, broken or without effect is named in one sentence, and no `.env` beats the caller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tap_amocrm.cli.check import check
from tap_amocrm.cli.login import main as login
from tap_amocrm.cli.smoke import smoke
from tap_amocrm.config.environment import from_variables
from tap_amocrm.config.setting_names import unknown_settings, unknown_variables
from tap_amocrm.config.settings import SETTING_NAMES
from tap_amocrm.errors import ConfigError
from tap_amocrm.tap import TapAmoCRM

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("TAP_AMOCRM_")}


def run(*command, cwd, **variables):
    return subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])], cwd=cwd, env={**PLAIN, **variables},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def refusal(**settings):
    """What the tap says of settings, in this process."""
    with pytest.raises(ConfigError) as caught:
        _ = TapAmoCRM(config={"api_url": "http://127.0.0.1:1", "access_token": "x", **settings}).run
    return str(caught.value)


def ended(command, options, caplog):
    """The one error that a command logs or prints when it ends with 1, in this process."""
    caplog.clear()
    done = CliRunner().invoke(command, [str(option) for option in options], prog_name="command")
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    found = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] + done.stderr.splitlines()
    (message,) = found
    return message


def test_an_unknown_setting_ends_the_run_before_any_message(start):
    output = start().run(page_sise=5)
    assert output.code == 1
    assert "Setting page_sise is unknown. Did you mean page_size?" in output.log
    assert "Traceback" not in output.log
    assert output.messages == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"subDomain": "x"}, "Setting subDomain is unknown. Did you mean subdomain?"),
        ({"token": "s3cret"}, "Setting token is unknown."),
        ({"flattening_enabled": True}, "Setting flattening_enabled of the Singer SDK has no effect in tap-amocrm"),
        ({"batch_config": {"encoding": {}}}, "Setting batch_config of the Singer SDK has no effect in tap-amocrm"),
        ({"raw_text": "perhaps"}, "Setting raw_text: 'perhaps' is not of type"),
        ({"requests_per_second": "nan"}, "Setting requests_per_second: 'nan' must be a number"),
        ({"requests_per_second": "inf"}, "Setting requests_per_second: 'inf' must be a number"),
        ({"start_date": "2999-01-01T00:00:00Z"}, "Setting start_date: '2999-01-01T00:00:00Z' is in the future"),
        ({"start_date": "9" * 20}, "must be an RFC 3339 timestamp"),
        ({"company_limit": 0}, "Setting company_limit: 0 must be a whole number"),
        ({"lookback_seconds": -1}, "Setting lookback_seconds: -1 must be a whole number"),
        ({"responsible_user_ids": [5.5]}, "Setting responsible_user_ids: 5.5 is not of type"),
    ],
)
def test_a_setting_that_is_unknown_wrong_or_without_effect_is_refused(setting, said):
    message = refusal(**setting)
    assert said in message
    assert "s3cret" not in message


def test_settings_of_faker_are_refused_where_faker_is_not_installed(monkeypatch):
    monkeypatch.setattr("tap_amocrm.tap.find_spec", lambda name: None)
    assert "Setting faker_config has no effect: Faker is not installed." in refusal(faker_config={"seed": 1})


def test_several_mistakes_are_named_at_once():
    said = refusal(page_sise=5, start_dat="2026-01-01", max_concurrent_requests="four")
    assert all(name in said for name in ("page_size", "start_date", "max_concurrent_requests"))


def test_meltanos_extras_are_not_mistakes():
    assert unknown_settings(["_select", "_metadata", "stream_maps"], SETTING_NAMES) == {}
    variables = ("TAP_AMOCRM__SELECT", "TAP_AMOCRM__METADATA", "TAP_AMOCRM_LOGLEVEL", "TAP_AMOCRM_STREAM_MAPS_LEADS_X")
    assert unknown_variables(dict.fromkeys(variables, ""), SETTING_NAMES) == {}


def test_variables_of_an_inheriting_plugin_are_not_mistakes_under_meltano():
    variables = {"TAP_AMOCRM_NORTH_SUBDOMAIN": "north"}
    assert unknown_variables({**variables, "MELTANO_PROJECT_ROOT": "/x"}, SETTING_NAMES) == {}
    assert unknown_variables(variables, SETTING_NAMES) != {}


COMMANDS = {"tap": TapAmoCRM.get_singer_command(), "check": check, "smoke": smoke, "login": login}


@pytest.mark.parametrize(
    ("name", "options"), [("tap", ["--config", "ENV"]), ("check", []), ("smoke", []), ("login", [])]
)
def test_a_misspelt_variable_is_refused_wherever_the_environment_is_read(monkeypatch, caplog, name, options):
    monkeypatch.setenv("TAP_AMOCRM_SUBDOMIAN", "x")
    message = ended(COMMANDS[name], options, caplog)
    assert "TAP_AMOCRM_SUBDOMIAN is unknown. Did you mean TAP_AMOCRM_SUBDOMAIN?" in message


def test_variables_come_as_the_kinds_of_their_settings():
    schema = TapAmoCRM.config_jsonschema
    given = {
        "PAGE_SIZE": "50", "RAW_TEXT": "Yes", "SHARE_THROTTLE": "off", "RESPONSIBLE_USER_IDS": "5000003, 5000004",
        "REQUESTS_PER_SECOND": "3.5", "SUBDOMAIN": "", "COMPANY_LIMIT": "many",
    }  # fmt: skip
    assert from_variables({f"TAP_AMOCRM_{k}": v for k, v in given.items()}, schema) == {
        "page_size": 50, "raw_text": True, "share_throttle": False, "responsible_user_ids": [5000003, 5000004],
        "requests_per_second": "3.5", "company_limit": "many",
    }  # fmt: skip
    assert from_variables({"TAP_AMOCRM_RESPONSIBLE_USER_IDS": "[5]"}, schema) == {"responsible_user_ids": [5]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file or directory."),
        ("", "is not valid JSON: it is empty."),
        ('{"access_token": "s3cret",}', "is not valid JSON: line 1, column 27"),
        ("[]", 'must hold a JSON object such as {"subdomain": "mycompany", "access_token": "..."}.'),
        (b"\xff\xfe{}", "is not text in UTF-8."),
        ("[" * 100_000, "is not valid JSON: it is nested too deep."),
        ('{"page_size": ' + "7" * 5000 + "}", "is not valid JSON: it holds a number with too many digits."),
    ],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_broken_config_file_is_one_sentence(tmp_path, caplog, name, content, said):
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = ended(COMMANDS[name], ["--config", file], caplog)
    assert f"--config {file} {said}" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not valid JSON: it is empty."),
        ("[]", "must hold a JSON object"),
        ("{}", "is not a Singer catalog"),
        ('{"streams": [null]}', "is not a Singer catalog"),
        ('{"streams": [{"tap_stream_id": "contacts"}]}', "is not a Singer catalog"),
        ('{"streams": [{"tap_stream_id": "contacts", "schema": {}, "metadata": 5}]}', "is not a Singer catalog"),
        ('{"streams": [{"tap_stream_id": "contacts", "schema": {}, "metadata": [{}]}]}', "is not a Singer catalog"),
    ],
)
def test_a_broken_catalog_is_one_sentence(tmp_path, caplog, content, said):
    config, file = tmp_path / "config.json", tmp_path / "catalog.json"
    config.write_text('{"api_url": "http://127.0.0.1:1", "access_token": "x"}')
    file.write_text(content)
    assert f"--catalog {file} {said}" in ended(COMMANDS["tap"], ["--config", config, "--catalog", file], caplog)


def catalog_of(tap, **changes):
    """The discovered catalog with other values for the stream contacts."""
    done = subprocess.run([*tap.command(), "--discover"], capture_output=True, text=True, check=True)
    catalog = json.loads(done.stdout)
    (contacts,) = [s for s in catalog["streams"] if s["tap_stream_id"] == "contacts"]
    contacts |= changes
    return catalog, contacts


def with_catalog(tap, catalog, state=None, **settings):
    file = tap.folder / "catalog.json"
    file.write_text(json.dumps(catalog))
    return tap.run(state, "--catalog", str(file), **settings)


@pytest.mark.parametrize("place", ["entry", "metadata", "forced"])
def test_full_table_in_the_catalog_reads_the_whole_stream_every_time(start, place):
    tap = start()
    state = tap.run().state
    catalog, contacts = catalog_of(tap)
    if place == "entry":
        contacts["replication_method"] = "FULL_TABLE"
    else:
        name = "replication-method" if place == "metadata" else "forced-replication-method"
        contacts.pop("replication_method", None)
        (whole,) = [m for m in contacts["metadata"] if not m["breadcrumb"]]
        whole["metadata"][name] = "FULL_TABLE"
    output = with_catalog(tap, catalog, state)
    assert output.code == 0
    assert output.ids("contacts") == set(tap.sim.truth("contacts"))
    assert output.ids("companies") == set()


def test_a_stream_that_was_read_whole_goes_on_incrementally_afterwards(start):
    tap = start()
    catalog, _ = catalog_of(tap, replication_method="FULL_TABLE")
    state = with_catalog(tap, catalog).state
    assert tap.run(state).ids("contacts") == set()


def test_an_unknown_replication_method_is_refused(start):
    tap = start()
    output = with_catalog(tap, catalog_of(tap, replication_method="LOG_BASED")[0])
    assert output.code == 1
    assert (
        "Stream contacts: the catalog's replication method 'LOG_BASED' must be FULL_TABLE or INCREMENTAL" in output.log
    )


def test_a_replication_key_of_the_catalog_that_has_no_effect_is_warned_of(start):
    tap = start()
    output = with_catalog(tap, catalog_of(tap, replication_key="created_at")[0])
    assert output.code == 0
    assert "Stream contacts: the catalog's replication key created_at has no effect" in output.log
    assert next(s for s in output.schemas if s["stream"] == "contacts")["bookmark_properties"] == ["updated_at"]


def test_a_catalog_that_selects_nothing_is_refused(start):
    tap = start()
    catalog, _ = catalog_of(tap)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = False
    output = with_catalog(tap, catalog)
    assert output.code == 1
    assert "The catalog selects no stream." in output.log


def test_a_misspelt_stream_of_the_catalog_is_named(start):
    tap = start()
    output = with_catalog(tap, catalog_of(tap, tap_stream_id="contact", stream="contact")[0])
    assert "The catalog names the stream contact, which tap-amocrm does not have. Did you mean contacts?" in output.log


def test_an_expression_that_cannot_be_read_in_a_stream_map_is_one_sentence(start):
    output = start().run(stream_maps={"contacts": {"name": "md5("}})
    assert output.code == 1
    assert "Setting stream_maps: " in output.log
    assert "Traceback" not in output.log


def test_an_expression_that_fails_on_a_record_is_one_sentence_that_names_the_record(start):
    tap = start()
    tap.sim.change("update", kind="companies", ids=[min(tap.sim.truth("companies"))], fields={"name": None})
    output = tap.run(stream_maps={"companies": {"name": "md5(name)"}})
    assert output.code == 1
    assert f"Setting stream_maps: stream companies, record {min(tap.sim.truth('companies'))}: " in output.log
    assert "[E_STREAM_MAP]" in output.log
    assert "Traceback" not in output.log


def test_capabilities_are_what_the_tap_can_do_and_meltano_yml_says_the_same():
    about = json.loads(run("tap-amocrm", "--about", "--format=json", cwd=ROOT).stdout)
    known = {"about", "catalog", "discover", "state", "stream-maps", "structured-logging"}
    assert set(about["capabilities"]) == known
    assert not any(name.startswith(("flattening", "batch")) for name in about["settings"]["properties"])
    project = yaml.safe_load((ROOT / "meltano.yml").read_text("utf-8"))
    assert set(project["plugins"]["extractors"][0]["capabilities"]) == known


def test_a_hostile_env_file_does_not_beat_the_environment(start, tmp_path):
    here, there = start(), start(companies=3)
    hostile = f"TAP_AMOCRM_API_URL={there.sim.url}\nTAP_AMOCRM_COMPANY_LIMIT=1\n"
    # The SDK looks for .env in the folders above its caller, and in the current one.
    (tmp_path / ".env").write_text(hostile)
    code = (
        "import sys, dotenv, singer_sdk.configuration._dict_config as module;"
        f"module.find_dotenv = lambda *a, **k: {str(tmp_path / '.env')!r};"
        "from tap_amocrm.tap import TapAmoCRM; TapAmoCRM.cli()"
    )
    given = {"TAP_AMOCRM_API_URL": here.sim.url, "TAP_AMOCRM_ACCESS_TOKEN": "sim-token"}
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", "ENV"], cwd=tmp_path,
        env={**PLAIN, **given, "TAP_AMOCRM_REQUESTS_PER_SECOND": "1000"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count('"stream":"companies","record"') == 30


def test_an_option_of_smoke_beats_the_environment(start, tmp_path):
    tap = start()
    given = {"TAP_AMOCRM_API_URL": tap.sim.url, "TAP_AMOCRM_ACCESS_TOKEN": "sim-token", "TAP_AMOCRM_COMPANY_LIMIT": "9"}
    done = run("tap-amocrm-smoke", "--limit", "2", cwd=tmp_path, TAP_AMOCRM_REQUESTS_PER_SECOND="1000", **given)
    assert done.returncode == 0, done.stderr
    assert "The first 2 companies" in done.stdout
    assert any(row.split()[:2] == ["companies", "2"] for row in done.stdout.replace("│", " ").splitlines())


@pytest.mark.parametrize("port", ["70000", "0", "eighty"])
def test_a_login_at_a_port_out_of_range_is_one_sentence(tmp_path, monkeypatch, caplog, port):
    monkeypatch.setenv("TAP_AMOCRM_CLIENT_SECRET", "y")
    options = ["--no-browser", "--client-id", "x", "--token-file", tmp_path / "t.json"]
    message = ended(COMMANDS["login"], [*options, "--redirect-uri", f"http://127.0.0.1:{port}/"], caplog)
    assert "Setting redirect_uri: " in message
    assert "from 1 to 65535" in message
