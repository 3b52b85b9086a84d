"""Files that processes share, and files that settings name: other users' are neither used nor changed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time

import pytest
from bent_api import read

from tap_amocrm.auth.oauth import from_config
from tap_amocrm.config.private_files import (
    FileLock,
    ForeignFileError,
    LockedError,
    check_folder,
    shared_folder,
    write_whole,
)
from tap_amocrm.config.settings import Settings
from tap_amocrm.errors import ConfigError
from tap_amocrm.http.rate_limit import Throttle
from tap_amocrm.http.slot_file import FileSlots, boot_id, throttle_of

NOBODY = 65_534
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="acts as two users")
OAUTH = {"client_id": "a", "client_secret": "b", "redirect_uri": "https://a.example/", "refresh_token": "c"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "cache" / "tap-amocrm"


def settings():
    return Settings.from_config({"subdomain": "mycompany"})


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_processes_share_is_in_a_folder_of_the_user_s_own(cache):
    throttle_of(settings(), None).acquire()
    assert mode(cache) == 0o700
    assert {mode(file) for file in cache.iterdir()} == {0o600}
    assert len(list(cache.iterdir())) == 2


def test_a_folder_of_ours_that_others_could_enter_is_closed(cache):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert shared_folder() == cache
    assert mode(cache) == 0o700


def test_links_that_were_prepared_in_the_folder_are_not_followed(cache, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("tokens")
    throttle_of(settings(), None).acquire()
    (slots,) = cache.glob("*.slot")
    for name in (slots.name, f".{slots.name}.part", f"{slots.name}.part"):
        (cache / name).unlink(missing_ok=True)
        (cache / name).symlink_to(precious)
    throttle_of(settings(), None).acquire()
    assert precious.read_text() == "tokens"


def test_a_link_in_the_place_of_the_folder_or_the_lock_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ForeignFileError, match="symbolic link"):
        check_folder(tmp_path / "link")
    with pytest.raises(ForeignFileError, match="symbolic link"), FileLock(tmp_path / "link", 1, "").held():
        pass


@root
def test_a_folder_of_another_user_is_not_used(cache, caplog):
    cache.mkdir(parents=True)
    os.chown(cache, NOBODY, NOBODY)
    assert shared_folder() != cache
    with pytest.raises(ForeignFileError, match=f"belongs to user {NOBODY}"):
        check_folder(cache)


def test_without_any_folder_the_limit_is_kept_alone_with_a_warning(cache, monkeypatch, caplog):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("tap_amocrm.config.private_files.check_folder", refuse)
    throttle_of(settings(), None).acquire()
    assert "The limit is not shared with other processes" in caplog.text


def test_a_disk_that_is_full_in_the_middle_of_a_run_does_not_end_it(cache, monkeypatch, caplog):
    throttle = throttle_of(settings(), None)
    throttle.acquire()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tap_amocrm.http.slot_file.write_whole", full)
    for _ in range(3):
        throttle.acquire()
    assert caplog.text.count("No space left on device") == 1


HOLD = """
import sys, time
from pathlib import Path
from tap_amocrm.config.private_files import FileLock
with FileLock(Path(sys.argv[1]), 5, "").held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_that_is_not_released_ends_with_a_message_in_time(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tap_amocrm.config.private_files._WORTH_A_LINE", 0.2)
    path = tmp_path / "x.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        begun = time.monotonic()
        lock = FileLock(path, 0.6, "End it.")
        with pytest.raises(LockedError, match=r"x\.lock for 1 s\. End it\."), lock.held():
            pass
        assert time.monotonic() - begun < 10
        assert "Waiting for another process" in caplog.text
    finally:
        holder.kill()
        holder.wait()


class Machine:
    """A clock that begins again with each boot."""

    def __init__(self, monkeypatch, file):
        self.now, self.wall, self.boot, self.file = 1000.0, 1_780_000_000.0, "first", file
        monkeypatch.setattr("tap_amocrm.http.slot_file.time.monotonic", lambda: self.now)
        monkeypatch.setattr("tap_amocrm.http.slot_file.time.time", lambda: self.wall)
        monkeypatch.setattr("tap_amocrm.http.slot_file.boot_id", lambda: self.boot)

    def throttle(self):
        return Throttle(7, FileSlots(self.file), clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds
        self.wall += seconds


@pytest.mark.parametrize("uptime", [5.0, 990.0, 1_000_000.0])
def test_slots_of_another_boot_do_not_count_however_near_their_times_are(tmp_path, monkeypatch, uptime):
    machine = Machine(monkeypatch, tmp_path / "slots")
    for _ in range(7):
        machine.throttle().acquire()
    machine.boot, machine.now = "second", uptime
    assert machine.throttle().acquire() == 0


def test_what_is_left_of_a_pause_is_kept_over_a_boot(tmp_path, monkeypatch):
    machine = Machine(monkeypatch, tmp_path / "slots")
    machine.throttle().pause(300)
    machine.boot, machine.now = "second", 7.0
    machine.wall += 100
    assert machine.throttle().acquire() == pytest.approx(200, abs=1)
    assert machine.throttle().acquire() < 1


def test_a_pause_is_kept_for_other_processes(tmp_path, monkeypatch):
    machine = Machine(monkeypatch, tmp_path / "slots")
    machine.throttle().pause(300)
    assert machine.throttle().acquire() == pytest.approx(300)
    assert machine.throttle().acquire() < 1


@pytest.mark.skipif(sys.platform != "linux", reason="where Linux tells it")
def test_this_boot_has_an_id():
    assert len(boot_id()) == 36


def odd_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/null")
    (tmp_path / "file").write_text("")
    return ["/dev/null", str(tmp_path / "fifo"), str(tmp_path / "link"), str(tmp_path), str(tmp_path / "file" / "x")]


def test_token_and_metrics_files_that_are_not_files_are_refused_before_anything_is_sent(bent, tmp_path):
    for file in odd_files(tmp_path):
        with pytest.raises(ConfigError, match="Setting token_file"):
            from_config({**OAUTH, "token_file": file}, bent.url, lambda *_: None)
        with pytest.raises(ConfigError, match="Setting metrics_file"):
            raise read(bent, metrics_file=file).error
    assert bent.seen == []
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)


@root
def test_token_and_metrics_files_of_another_user_are_refused(bent, tmp_path):
    file = tmp_path / "file"
    file.write_text("{}")
    os.chown(file, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=f"belongs to user {NOBODY}"):
        from_config({**OAUTH, "token_file": str(file)}, bent.url, lambda *_: None)
    assert f"belongs to user {NOBODY}" in str(read(bent, metrics_file=str(file)).error)


def test_a_metrics_file_that_holds_something_else_stays_as_it_is(bent, tmp_path):
    file = tmp_path / "letter.txt"
    file.write_text("Dear Anna")
    assert "does not contain metrics" in str(read(bent, metrics_file=str(file)).error)
    assert file.read_text() == "Dear Anna"
    assert bent.seen == []


def test_metrics_are_for_the_user_s_eyes_and_are_written_again(bent, tmp_path):
    file = tmp_path / "new" / "metrics.json"
    for _ in range(2):
        assert read(bent, metrics_file=str(file)).error is None
    assert mode(file) == 0o600
    assert json.loads(file.read_text())["requests"] > 0


def test_a_file_is_replaced_whole_and_a_link_in_its_place_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("tokens")
    (tmp_path / "out").symlink_to(precious)
    write_whole(tmp_path / "out", "new")
    assert precious.read_text() == "tokens"
    assert (tmp_path / "out").read_text() == "new"
    assert mode(tmp_path / "out") == 0o600
