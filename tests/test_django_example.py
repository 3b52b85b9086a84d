"""The Django project in examples/django-crm: migrated, loaded through its mapping, edited by its ORM, synced again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from crm_truth import Truth, numbers
from psycopg.rows import dict_row

BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "django-crm"
# The tests share a database and what was synced into it.
pytestmark = pytest.mark.xdist_group("django")
TABLES = {
    "companies": "companies_company",
    "contacts": "companies_contact",
    "leads": "sales_deal",
    "tasks": "sales_task",
    "notes": "sales_note",
}
SIZES = {"companies": 40, "contacts": 90, "leads": 40, "notes": 120, "tasks": 60}


class Site:
    """The Django project on a separate database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def manage(self, *arguments: str) -> str:
        """Run manage.py."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=EXAMPLE,
            env={**os.environ, "DATABASE_URL": self.url, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def orm(self, code: str, **values: object) -> object:
        """Run code as a person's Django would, with `values` as names; what it leaves in `result`."""
        given = f"globals().update(json.loads({json.dumps(json.dumps(values))}))\n"
        models = "import json\nfrom companies.models import *\nfrom sales.models import *\nresult = None\n"
        told = "\nprint('RESULT', json.dumps(result, default=str))"
        out = self.manage("shell", "--no-imports", "-c", models + given + textwrap.dedent(code) + told)
        return json.loads(out.rpartition("RESULT ")[2])

    def rows(self, query: str, *values: object) -> list[dict]:
        """What the tables hold."""
        return self.connection.execute(query, values or None).fetchall()

    def versions(self, table: str) -> dict[int, str]:
        """Each imported row's version, by amoCRM's id."""
        return {r["amo_id"]: r["v"] for r in self.rows(f"SELECT amo_id, xmin::text AS v FROM {table}")}


@pytest.fixture(scope="module")
def new_site(database_url):
    """Makes an empty database and runs the project's migrations on it."""
    made: list[tuple[str, Site]] = []

    def make() -> Site:
        name = f"django_{os.getpid()}_{len(made)}"
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(database_url)
        site = Site(urlunsplit((*parts[:2], f"/{name}", *parts[3:])))
        made.append((name, site))
        site.manage("migrate", "--verbosity", "0")
        return site

    yield make
    for name, site in made:
        site.connection.close()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def site(new_site):
    """The project's tables, which the tests share."""
    return new_site()


@pytest.fixture(scope="module")
def loaded(site, module_pair):
    """An account, synced once into the project's tables; two of its users are Django's, too."""
    made = module_pair(**SIZES)
    users = sorted(made.dump()["users"].values(), key=lambda u: u["id"])[:2]
    site.orm(
        """
        from django.contrib.auth.models import User
        for n, mail in enumerate(mails):
            User.objects.create_user(f"user{n}", mail.upper(), "x", is_staff=True, is_superuser=True)
        """,
        mails=[u["email"] for u in users],
    )
    made.target = {
        "database_url": site.url,
        "crm_schema": "amocrm",
        "mapping_file": str(EXAMPLE / "mapping.yaml"),
        "on_bad_record": "fail",
    }
    made.sync()
    return made


def admin(site: Site, mapping: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run target-crm-admin on the project's database."""
    given = ["--database-url", site.url, "--crm-schema", "amocrm", "--mapping-file", str(mapping)]
    command = [str(BIN / "target-crm-admin"), *given, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_the_migrations_are_those_of_the_models(site):
    assert "No changes" in site.manage("makemigrations", "--check", "--dry-run")


def test_every_record_lands_in_the_projects_own_tables(site, loaded):
    counts = {stream: site.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for stream, table in TABLES.items()}
    assert counts == SIZES
    dump = loaded.dump()
    truth = Truth(dump)
    for row in site.rows(
        "SELECT c.*, f.amo_id AS company FROM companies_contact c LEFT JOIN companies_company f ON f.id = c.company_id"
    ):
        wanted = truth.rows("contacts")[row["amo_id"]]
        assert (row["company"], row["last_name"]) == (wanted["company"], wanted["last_name"] or "")
        assert sorted(row["labels"]) == wanted["tags"]
    phones = site.rows(
        "SELECT f.amo_id, array_agg(p.number) FILTER (WHERE p.number IS NOT NULL) AS found FROM companies_company f "
        "JOIN companies_companyphone p ON p.company_id = f.id GROUP BY 1"
    )
    assert {r["amo_id"]: set(r["found"] or ()) for r in phones} == {
        i: numbers(r)
        for i, r in dump["companies"].items()
        if any(f["field_code"] == "PHONE" for f in r["custom_fields_values"] or ())
    }
    branches = {"Север": "north", "Юг": "south", "Запад": "west", "Восток": "east", "Центр": "centre"}
    held = {r["amo_id"]: r["branch"] for r in site.rows("SELECT amo_id, branch FROM companies_company")}
    for identity, record in dump["companies"].items():
        said = [f["values"][0]["value"] for f in record["custom_fields_values"] or () if f["field_id"] == 700010]
        assert held[identity] == (branches[said[0]] if said else "")
    deals = truth.rows("leads")
    for row in site.rows("SELECT * FROM sales_deal"):
        wanted = deals[row["amo_id"]]
        assert (row["funnel"], row["stage"], row["amount"]) == (wanted["pipeline"], wanted["status"], wanted["price"])


def test_employees_are_matched_to_djangos_users_and_none_is_made(site, loaded):
    users = site.rows("SELECT id, lower(email) AS email FROM auth_user")
    assert len(users) == 2
    known = {u["email"]: u["id"] for u in users}
    dump = loaded.dump()
    wanted = {
        i: known.get(dump["users"].get(r["responsible_user_id"], {}).get("email")) for i, r in dump["companies"].items()
    }
    held = {r["amo_id"]: r["manager_id"] for r in site.rows("SELECT amo_id, manager_id FROM companies_company")}
    assert held == wanted
    assert set(known.values()) <= set(held.values())


def test_edits_in_the_orm_outlive_the_next_sync_which_brings_what_is_new_and_touches_nothing_else(site, loaded):
    dump = loaded.dump()
    company, other, *_ = sorted(dump["companies"])
    contact = next(i for i, r in sorted(dump["contacts"].items()) if len(numbers(r)) == 1)
    lead = min(dump["leads"])
    site.orm(
        """
        firm = Company.objects.get(amo_id=company)
        firm.industry, firm.remarks = "Typed by hand", "Our own"
        firm.save()
        person = Contact.objects.get(amo_id=contact)
        person.job_title = "Boss"
        person.save()
        person.phones.create(number="+74950000000", note="added by hand")
        Deal.objects.filter(amo_id=lead).update(stage="Edited by hand", amount=1)
        Company.objects.create(title="Our own firm, not in amoCRM")
        """,
        company=company,
        contact=contact,
        lead=lead,
    )
    before = {table: site.versions(table) for table in TABLES.values()}
    status = next(
        s["id"]
        for p in dump["leads/pipelines"].values()
        if p["id"] == dump["leads"][lead]["pipeline_id"]
        for s in p["_embedded"]["statuses"]
        if s["id"] != dump["leads"][lead]["status_id"]
    )
    loaded.sim.change("update", kind="companies", ids=[company], fields={"name": "New name"})
    loaded.sim.change("update", kind="contacts", ids=[contact], fields={"last_name": "Newname"})
    loaded.sim.change("update", kind="leads", ids=[lead], fields={"status_id": status})
    loaded.sim.change("delete", kind="companies", ids=[other])
    loaded.sync()
    held = site.orm(
        """
        firm, person = Company.objects.get(amo_id=company), Contact.objects.get(amo_id=contact)
        deal = Deal.objects.get(amo_id=lead)
        result = {
            "company": [firm.title, firm.industry, firm.remarks],
            "contact": [person.last_name, person.job_title],
            "phones": sorted(p.number for p in person.phones.all()),
            "deal": [deal.stage, int(deal.amount)],
            "deleted": list(Company.objects.exclude(amo_deleted_at=None).values_list("amo_id", flat=True)),
            "own": Company.objects.filter(amo_id=None).count(),
        }
        """,
        company=company,
        contact=contact,
        lead=lead,
    )
    assert held["company"] == ["New name", "Typed by hand", "Our own"]
    assert held["contact"] == ["Newname", "Boss"]
    assert held["phones"] == sorted({"+74950000000", *numbers(dump["contacts"][contact])})
    # stage is amo_wins in the mapping, amount is not.
    assert held["deal"] == [Truth(loaded.dump()).rows("leads")[lead]["status"], 1]
    assert (held["deleted"], held["own"]) == ([other], 1)
    touched = {
        table: {i for i, v in site.versions(table).items() if before[table].get(i) != v} for table in TABLES.values()
    }
    assert touched == {
        "companies_company": {company, other},
        "companies_contact": {contact},
        "sales_deal": {lead},
        "sales_task": set(),
        "sales_note": set(),
    }


def everything(site: Site) -> dict[str, list[str]]:
    """All rows of the project's tables, without the stamp that any write moves."""
    tables = (*TABLES.values(), "companies_companyphone", "companies_contactphone", "companies_contactemail")
    return {
        t: sorted(repr({k: v for k, v in r.items() if k != "modified"}) for r in site.rows(f"SELECT * FROM {t}"))
        for t in tables
    }


def test_a_sync_is_explained_and_undone_and_a_conflict_resolved_in_the_projects_own_tables(site, loaded):
    mapping = EXAMPLE / "mapping.yaml"
    third = sorted(loaded.dump()["companies"])[2]
    table = "public.companies_company"
    site.orm("Company.objects.filter(amo_id=company).update(title='Ours')", company=third)
    before = everything(site)
    loaded.sim.change("update", kind="companies", ids=[third], fields={"name": "Theirs"})
    loaded.sync()
    run = site.rows("SELECT max(id) AS id FROM amocrm.sync_runs")[0]["id"]
    (conflict,) = json.loads(admin(site, mapping, "conflicts", "--run", run, "--json").stdout)
    assert (conflict["table_name"], conflict["crm_value"], conflict["amo_value"]) == (table, "Ours", "Theirs")
    admin(site, mapping, "conflicts", conflict["id"], "--take", "amo")
    assert site.orm("result = Company.objects.get(amo_id=company).title", company=third) == "Theirs"
    told = json.loads(admin(site, mapping, "explain", table, f"amo:{third}", "--json").stdout)
    assert next(c for c in told["cells"] if c["column"] == "title")["amo_value"] == "Theirs"
    for number in (run + 1, run):
        admin(site, mapping, "undo", number)
    assert everything(site) == before
    with pytest.raises(AssertionError, match="only matched"):
        admin(site, mapping, "explain", "public.auth_user", "1")


def test_the_admin_shows_the_rows_and_saves_an_edit(site, loaded):
    company = max(loaded.dump()["companies"])
    site.connection.execute("UPDATE companies_company SET title = 'Findable' WHERE amo_id = %s", (company,))
    seen = site.orm(
        """
        from django.contrib.auth.models import User
        from django.test import Client
        from django.test.utils import setup_test_environment
        setup_test_environment()
        client = Client(SERVER_NAME="localhost")
        client.force_login(User.objects.first())
        firm = Company.objects.get(amo_id=company)
        page = f"/admin/companies/company/{firm.pk}/change/"
        lists = ["companies/company", "companies/contact", "sales/deal", "sales/task", "sales/note"]
        people = [f"/admin/companies/contact/{Contact.objects.exclude(emails=None).first().pk}/change/"]
        others = [f"/admin/sales/{name}/{model.objects.first().pk}/change/" for name, model in
                  (("deal", Deal), ("task", Task), ("note", Note))]
        status = {p: client.get(p).status_code for p in [f"/admin/{x}/" for x in lists] + people + others + [page]}
        shown = client.get(page)
        form = {}
        for part in [shown.context["adminform"].form, *(f for s in shown.context["inline_admin_formsets"]
                     for f in [s.formset.management_form, *s.formset.initial_forms])]:
            for field in part:
                value = field.value()
                if value not in (None, False):
                    form[field.html_name] = value
        form |= {"industry": "Typed in the admin"}
        saved = client.post(page, form)
        firm.refresh_from_db()
        result = {
            "status": status,
            "found": "Findable" in client.get("/admin/companies/company/?q=Findable").content.decode(),
            "amo_id": str(company) in shown.content.decode(),
            "phones": [p.number in shown.content.decode() for p in firm.phones.exclude(number=None)],
            "saved": [saved.status_code, firm.industry],
        }
        """,
        company=company,
    )
    assert set(seen["status"].values()) == {200}
    assert len(seen["status"]) == 10
    assert seen["found"]
    assert seen["amo_id"]
    assert all(seen["phones"])
    assert seen["saved"] == [302, "Typed in the admin"]


def test_the_mapping_that_map_init_writes_loads_the_main_streams(new_site, module_pair, tmp_path):
    made, site = module_pair(**SIZES), new_site()
    file = tmp_path / "mapping.yaml"
    written = admin(site, file, "map", "--init", "-o", file)
    assert "It fits the database; correct" in written.stderr
    # What a person corrects: a field of choices that only this account has.
    guessed = file.read_text("utf-8")
    place = "    columns:\n      manager_id: {from: responsible_user_id, link: users}\n      title: name\n"
    assert guessed.count(place) == 1
    branch = '      branch: {field: [700010], values: {Юг: south, "*": ""}}\n'
    file.write_text(guessed.replace(place, place + branch), "utf-8")
    made.target = {
        "database_url": site.url,
        "crm_schema": "amocrm",
        "mapping_file": str(file),
        "on_bad_record": "fail",
    }
    made.sync()
    counts = {stream: site.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for stream, table in TABLES.items()}
    assert counts == SIZES
    truth = Truth(made.dump())
    contacts = site.rows(
        "SELECT c.amo_id, c.last_name, f.amo_id AS company, (SELECT count(*) FROM companies_contactphone p "
        "WHERE p.contact_id = c.id AND p.number IS NOT NULL) AS phones FROM companies_contact c "
        "LEFT JOIN companies_company f ON f.id = c.company_id"
    )
    for row in contacts:
        wanted = truth.rows("contacts")[row["amo_id"]]
        assert row == {
            "amo_id": row["amo_id"],
            "last_name": wanted["last_name"] or "",
            "company": wanted["company"],
            "phones": len(wanted["phones"]),
        }
    tasks = site.rows(
        "SELECT t.amo_id, d.amo_id AS lead, t.done FROM sales_task t LEFT JOIN sales_deal d ON d.id = t.deal_id"
    )
    assert {r["amo_id"]: (r["lead"], r["done"]) for r in tasks} == {
        i: (r["lead"], r["is_completed"]) for i, r in truth.rows("tasks").items()
    }
    assert site.rows("SELECT count(*) AS n FROM companies_company WHERE branch = 'south'")[0]["n"] > 0


def test_a_migration_that_is_missing_is_reported_before_a_row_is_written(site, loaded):
    site.connection.execute("ALTER TABLE companies_contact RENAME job_title TO post")
    try:
        before = site.versions("companies_contact")
        loaded.state = None
        with pytest.raises(AssertionError, match=r"mapping\.yaml, line \d+: table companies_contact has no column job"):
            loaded.sync()
        assert site.versions("companies_contact") == before
    finally:
        site.connection.execute("ALTER TABLE companies_contact RENAME post TO job_title")


def load(site: Site, *companies: dict) -> None:
    """Load companies with the command itself, which tells of each commit."""
    lines = [{"type": "SCHEMA", "stream": "companies", "schema": {"properties": {"id": {"type": "integer"}}},
              "key_properties": ["account_id", "id"]}]  # fmt: skip
    common = {"account_id": 7, "updated_at": "2026-01-01T00:00:00+00:00", "custom_fields_values": None}
    lines += [{"type": "RECORD", "stream": "companies", "record": {**common, **company}} for company in companies]
    config = {"TARGET_CRM_DATABASE_URL": site.url, "TARGET_CRM_CRM_SCHEMA": "amocrm",
              "TARGET_CRM_MAPPING_FILE": str(EXAMPLE / "mapping.yaml"),
              "TARGET_CRM_NOTIFY_CHANNEL": "crm_loads"}  # fmt: skip
    done = subprocess.run(
        [str(BIN / "target-crm"), "--config", "ENV"],
        input="\n".join(map(json.dumps, lines)) + "\n",
        env={**os.environ, **config},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def indexed(site: Site) -> dict[str, str]:
    """What the search index holds, by the company's title."""
    query = (
        "SELECT c.title, s.text FROM companies_companysearch AS s JOIN companies_company AS c ON c.id = s.company_id"
    )
    return {row["title"]: row["text"] for row in site.rows(query)}


def test_an_index_that_a_signal_keeps_is_complete_when_loads_are_followed(new_site):
    site = new_site()
    load(site, {"id": 1, "name": "Ромашка"})
    assert indexed(site) == {}
    site.manage("follow_loads", "--run", "1")
    assert indexed(site) == {"Ромашка": "ромашка"}
    command = [sys.executable, "manage.py", "follow_loads"]
    environment = {**os.environ, "DATABASE_URL": site.url, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, cwd=EXAMPLE, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "listening\n"
            load(site, {"id": 1, "name": "Ромашка"}, {"id": 2, "name": "Лютик"})
            deadline = time.monotonic() + 60
            while len(indexed(site)) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            follower.terminate()
    assert indexed(site) == {"Ромашка": "ромашка", "Лютик": "лютик"}
