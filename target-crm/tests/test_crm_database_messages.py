"""Each trouble with a database has its own sentence, and no sentence holds a password or a person's record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import Refusing, with_database

from target_crm.config.database_url import check_database_url
from target_crm.database import refusals
from target_crm.errors import ConfigError, DatabaseError

BIN = Path(sys.executable).parent
SECRET = "Hunter2Secret"
UNREADABLE = [
    "postgresql://u:pa%ss{}@127.0.0.1:1/crm",
    "postgresql://u:pa {}@127.0.0.1:1/crm",
    "postgresql://u:first@{}@127.0.0.1:1/crm",
    "postgresql://u:a/{}@127.0.0.1:1/crm",
    "postgresql://u:a?{}@127.0.0.1:1/crm",
    "postgresql://u:a#{}@127.0.0.1:1/crm",
    "postgresql://u:{}\n@127.0.0.1:1/crm",
    "postgresql://u:{}\u00a0@127.0.0.1:1/crm",
    "postgresql://u:{}",
    "postgresql://u:{}@[::1/crm",
    "postgresql://u:{}@127.0.0.1:port/crm",
    "postgresql:///{}@x/crm",
    "postgresql://u@127.0.0.1:1/crm?passwrod={}",
    "postgresql://u@127.0.0.1:1/crm?password={}&nonsense=1",
    "postgres:u:{}@h/crm",
    "postgresql+psycopg://u:{}@h/crm",
    "host=127.0.0.1 port=1 user=u password={}",
    "password={}",
    "{}",
]


@pytest.mark.parametrize("form", UNREADABLE)
def test_a_url_that_does_not_parse_is_refused_without_a_word_of_it(form):
    with pytest.raises(ConfigError, match=r"^Setting database_url: ") as caught:
        check_database_url(form.format(SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:a%20%40%2F%25@h1,h2:5432,5433/crm?target_session_attrs=any",
        "postgres:///crm?host=/run/postgresql&user=x",
        "postgresql://u@[::1]:5432/crm?sslrootcert=/home/me@firm/ca.pem",
        "postgresql://localhost",
    ],
)
def test_a_url_that_is_right_is_taken(url):
    check_database_url(url)


@pytest.mark.parametrize("way", ["config", "environment", "admin"])
def test_no_way_into_the_programs_shows_the_password(way, tmp_path):
    url = f"postgresql://u:first@{SECRET}@127.0.0.1:1/crm"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"database_url": url}))
    arguments = {
        "config": ["target-crm", "--config", str(config)],
        "environment": ["target-crm", "--config", "ENV"],
        "admin": ["target-crm-admin", "--database-url", url, "status"],
    }[way]
    done = subprocess.run(
        [BIN / arguments[0], *arguments[1:]],
        input="",
        capture_output=True,
        text=True,
        env={**os.environ, "TARGET_CRM_DATABASE_URL": url},
    )
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Setting database_url" in done.stderr


REFUSED = {
    "a wrong password": (
        'password authentication failed for user "crm"',
        "The server rejected the user name or the password",
    ),
    "a wrong password, in Russian": (
        'пользователь "crm" не прошёл проверку подлинности (по паролю)',
        "The server rejected the user name or the password",
    ),
    "no room": ("sorry, too many clients already", "The server accepts no more connections"),
    "no room for the role": ('too many connections for role "crm"', "The server accepts no more connections"),
    "no room, in Russian": ("извините, уже слишком много клиентов", "The server accepts no more connections"),
    "a server that starts": ("the database system is starting up", "The server is not ready"),
    "an unknown database": ('database "crm" does not exist', "The database does not exist"),
    "an unknown database, in Russian": ('база данных "crm" не существует', "The database does not exist"),
    "an unknown role": ('role "crm" does not exist', "The database role does not exist"),
    "an address that is not let in": (
        'no pg_hba.conf entry for host "127.0.0.1", user "crm", database "crm", no encryption',
        "The server does not accept this user from this host",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_a_server_says_to_a_stranger_has_its_own_sentence(crm, words, sentence):
    with Refusing(words) as server, pytest.raises(DatabaseError) as caught:
        crm.load([], database_url=server.url)
    assert str(caught.value).startswith(sentence)
    assert words in str(caught.value)
    assert "went away" not in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(crm):
    with pytest.raises(DatabaseError, match=r"^The database does not exist: .*no_such_database"):
        crm.load([], database_url=with_database(crm.url, "no_such_database"))


RAISED = {
    "53100": "The database's disk is full",
    "53200": "The database is out of memory",
    "53300": "The server accepts no more connections",
    "53400": "A limit of the database is exceeded",
    "57014": "A statement was cancelled by someone else",
    "25006": "The server is read-only",
    "42501": "The database role lacks a privilege",
    "58030": "The server reports a problem with its files",
    "XX001": "The database is damaged",
}


@pytest.mark.parametrize(("state", "sentence"), RAISED.items(), ids=RAISED)
def test_what_a_server_says_in_a_load_has_its_own_sentence(crm, state, sentence, monkeypatch):
    # A trigger raises in place of the server. Normally, what a trigger raises belongs to a record, whatever its code.
    monkeypatch.setattr(refusals, "_RAISED", "the server itself")
    crm.load([])
    crm.execute(
        f"CREATE FUNCTION {crm.schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE EXCEPTION 'no way' USING ERRCODE = '{state}', DETAIL = 'Ivanov'; END$$; "
        f"CREATE TRIGGER refuse BEFORE INSERT ON contacts EXECUTE FUNCTION {crm.schema}.refuse()"
    )
    with pytest.raises(DatabaseError) as caught:
        crm.sync("contacts", {"id": 1, "last_name": "Ivanov"}, lock_timeout_seconds=0)
    assert str(caught.value).startswith(f"{sentence}: no way.")
    assert "went away" not in str(caught.value)
    assert "Ivanov" not in str(caught.value)


def test_a_session_that_an_administrator_ends_in_a_load_is_said_to_be_ended(crm):
    crm.load([])
    crm.execute(
        f"CREATE FUNCTION {crm.schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END$$; "
        f"CREATE TRIGGER refuse BEFORE INSERT ON contacts EXECUTE FUNCTION {crm.schema}.refuse()"
    )
    with pytest.raises(
        DatabaseError,
        match=r"^The (database closed the connection|connection to the database was lost): .* run again\.$",
    ):
        crm.sync("contacts", {"id": 1})
