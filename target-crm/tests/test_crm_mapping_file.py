"""What mapping_file may name: a plain file that can be read. Anything else is refused before it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError, MappingError
from target_crm.mapping.load import load_mapping


def make_pipe(path):
    os.mkfifo(path)
    return path


def make_folder(path):
    path.mkdir()
    return path


def make_link_to_itself(path):
    path.symlink_to(path)
    return path


def make_huge(path):
    with path.open("wb") as file:
        file.truncate(2**40)
    return path


UNFIT = {
    "a pipe that nobody writes to": (make_pipe, "it is a pipe, not a plain file"),
    "a folder": (make_folder, "it is a folder, not a plain file"),
    "a device": (lambda _: Path("/dev/zero"), "it is a device, not a plain file"),
    "a terminal or none": (lambda _: Path("/dev/tty"), "it "),
    "a file that is not there": (lambda p: p, "No such file"),
    "a link to itself": (make_link_to_itself, "it can't be read"),
    "a terabyte": (make_huge, "it is larger than 4 MB"),
    "a name too long": (lambda p: p.with_name("x" * 5000), "it can't be read"),
    "a name with a NUL": (lambda p: Path(f"{p}\0"), "it can't be read"),
}


@pytest.mark.parametrize(("make", "said"), UNFIT.values(), ids=UNFIT)
def test_what_is_not_a_plain_file_is_refused_at_once(tmp_path, make, said):
    with pytest.raises(MappingError, match=r"^Setting mapping_file: ") as caught:
        load_mapping(make(tmp_path / "mapping.yaml"))
    assert said in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "mapping.yaml"
    path.write_text("streams: {}")
    path.chmod(0)
    with pytest.raises(MappingError, match="Permission denied"):
        load_mapping(path)


ODD = {
    "nested lists": "streams: " + "[" * 5000 + "]" * 5000,
    "nested mappings": "\n".join(" " * n + "a:" for n in range(2000)),
    "a number without an end": "version: 1" + "0" * 5000,
    "a date that is none": "x: 2026-99-99\nstreams: {}\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_text_that_no_reader_of_yaml_bears_is_one_sentence(tmp_path, text):
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    with pytest.raises(MappingError, match=r"mapping\.yaml") as caught:
        load_mapping(path)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_aliases_that_repeat_one_another_without_end_are_refused_at_once(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
    path = tmp_path / "mapping.yaml"
    path.write_text("\n".join([*lines, "streams: {contacts: {table: contacts, columns: {x: {from: *j}}}}"]))
    with pytest.raises(MappingError, match=r"mapping\.yaml, line 1: aliases make more than 1,000,000 values"):
        load_mapping(path)


def test_lines_of_another_file_are_not_shown(tmp_path):
    path = tmp_path / "shadow"
    path.write_text("{'root:$6$salt$hash:20228': 1}")
    with pytest.raises(MappingError, match="does not know what is written there") as caught:
        load_mapping(path)
    assert "hash" not in str(caught.value)


def test_a_home_folder_that_nobody_has_is_one_sentence():
    with pytest.raises(ConfigError, match=r"^Setting mapping_file: the home folder \(~\) is unknown"):
        Settings.from_config({"mapping_file": "~nosuchuser/mapping.yaml"})


@pytest.mark.parametrize("setting", ["mapping_file", "data_dir", "plan_file"])
def test_a_path_with_a_nul_is_one_sentence(setting):
    with pytest.raises(ConfigError, match=f"Setting {setting}: a path can't contain a NUL character"):
        Settings.from_config({setting: "a\0b"})
