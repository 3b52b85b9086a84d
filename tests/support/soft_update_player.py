"""Plays random steps on a CRM and on the model, and holds one against the other. Hypothesis draws `STEPS`."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from importlib import resources
from typing import Any

import yaml
from hypothesis import strategies as st
from soft_update_model import COLUMNS, NORMAL, SETS, Item, Model, Row, Rules, is_empty

from target_crm.errors import TargetError

# Few rows, so that the steps of a sequence meet one another.
IDS = (1, 2)
PHONES = {
    "8 (916) 123-45-67": ("+79161234567", None),
    "+7 916 123 45 67": ("+79161234567", None),
    "+7 495 123-45-67 доб. 5": ("+74951234567", "доб. 5"),
    "8 903 111 22 33": ("+79031112233", None),
    "спросить Ольгу": (None, "спросить Ольгу"),
}
EMAILS = {
    "A@Firma.ru": ("a@firma.ru", None),
    "a@firma.ru": ("a@firma.ru", None),
    "b@firma.ru (бухгалтерия)": ("b@firma.ru", "бухгалтерия"),
    "почты нет": (None, "почты нет"),
}
SET_TABLES = {"phones": "contact_phones", "emails": "contact_emails"}
DAY = "2026-03-01T10:00:00+00:00"
OTHER_DAY = datetime(2027, 1, 1, tzinfo=timezone.utc)

AGE = st.sampled_from((0, 0, 0, 1, 3))
ID = st.sampled_from(IDS)
PARENT = st.sampled_from((None, *IDS))
TEXT = st.sampled_from((None, "", "  ", "а", " а ", "б", "в"))


def _values(pool: dict[str, Any]) -> st.SearchStrategy[Any]:
    kinds = st.sampled_from((None, "WORK"))
    return st.lists(st.tuples(st.sampled_from(sorted(pool)), kinds), max_size=3, unique_by=lambda v: v[0])


FIELDS = st.tuples(_values(PHONES), _values(EMAILS))
# Custom fields in a shape that nobody knows; a headcount in words. Neither says anything of what the CRM holds.
BROKEN = "сломано"
WORDS = "50-100 чел."
HEADCOUNT = st.sampled_from((None, 0, 1, 2, WORDS))

KIND = {
    "companies": st.fixed_dictionaries({"name": TEXT, "employees_count": HEADCOUNT, "age": AGE}),
    "contacts": st.fixed_dictionaries(
        {
            "last_name": TEXT,
            "tags": st.sampled_from((None, [], ["a"], ["b", "a"], ["a", "b"], ["c"])),
            "company_id": PARENT,
            "fields": st.one_of(FIELDS, FIELDS, FIELDS, st.none(), st.just(BROKEN)),
            "age": AGE,
        }
    ),
    "tasks": st.fixed_dictionaries(
        {
            "due_at": st.sampled_from((None, DAY, "2026-03-01T13:00:00+03:00", "2026-04-01T10:00:00+00:00")),
            "is_completed": st.sampled_from((None, True, False)),
            "entity": st.sampled_from((None, *((s, i) for s in ("companies", "contacts") for i in IDS))),
            "age": AGE,
        }
    ),
}


def _record(stream: str, amo_id: int) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return KIND[stream].map(lambda drawn: (stream, {**drawn, "id": amo_id}))


KEYS = [(stream, amo_id) for stream in KIND for amo_id in IDS]
RECORD = st.sampled_from(KEYS).flatmap(lambda key: _record(*key))
ALL = st.tuples(*(_record(*key) for key in KEYS)).map(list)
EDITS = {
    ("companies", "name"): (None, "", "а", "рука"),
    ("companies", "employees_count"): (None, 2, 9),
    ("contacts", "last_name"): (None, "б", " рука "),
    ("contacts", "tags"): (None, [], ["mine"], ["b", "a"]),
    ("contacts", "phone"): (None, "8 (916) 123-45-67", "+79990001122"),
    ("contacts", "email"): (None, "A@FIRMA.RU", "c@firma.ru"),
    ("contacts", "company_id"): (None, *IDS),
    ("tasks", "due_at"): (None, datetime.fromisoformat(DAY), OTHER_DAY),
    ("tasks", "is_completed"): (None, True, False),
    ("tasks", "contact_id"): (None, *IDS),
}
ITEM_EDITS = (
    ("add", "+79990001122"),
    ("add", "8 903 111-22-33"),
    ("value", "+79990001122"),
    ("comment", "вручную"),
    ("type", "MOB"),
    ("delete", None),
)
STREAM = st.sampled_from(sorted(COLUMNS))
EDIT = st.sampled_from([(*cell, value) for cell, values in EDITS.items() for value in values])
CUT = st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 60), st.booleans()))
RULES = st.builds(
    Rules,
    st.sampled_from(("soft", "soft", "amo_wins", "crm_wins", "fill_empty")),
    st.dictionaries(
        st.sampled_from([(s, c) for s in COLUMNS for c in COLUMNS[s]]),
        st.sampled_from(("soft", "amo_wins", "crm_wins", "fill_empty")),
        max_size=3,
    ),
    st.frozensets(st.sampled_from([("contacts", "last_name"), ("tasks", "due_at"), ("companies", "name")])),
    st.dictionaries(STREAM, st.sampled_from(("never", "changed", "always"))),
)
RECORDS = st.one_of(ALL, ALL, st.lists(RECORD, min_size=1, max_size=6, unique_by=lambda r: (r[0], r[1]["id"])))
SYNC = st.tuples(st.just("sync"), RECORDS, st.sampled_from((1, 2, 3, 100)), CUT)
BY_HAND = st.one_of(
    st.tuples(st.just("edit"), ID, EDIT),
    st.tuples(st.just("edit"), ID, EDIT),
    st.tuples(st.just("item"), ID, st.sampled_from(sorted(SET_TABLES)), st.integers(0, 3), st.sampled_from(ITEM_EDITS)),
    st.tuples(st.just("remove"), STREAM, ID),
)
RARE = st.one_of(
    st.tuples(st.just("versions"), st.lists(RECORD, min_size=2, max_size=8)),
    st.tuples(st.just("again")),
    st.tuples(st.just("mark"), STREAM, ID, st.booleans()),
    st.tuples(st.just("gone"), STREAM, ID, AGE, st.sampled_from(("deleted_at", "restored_at", "is_deleted")), CUT),
    st.tuples(st.just("gone"), STREAM, ID, AGE, st.just("deleted_at"), CUT),
    st.tuples(st.just("rules"), RULES),
)
# A round: people work, something rare happens, then a sync that brings all or some records.
ROUND = st.tuples(st.lists(BY_HAND, min_size=1, max_size=5), st.lists(RARE, max_size=2), SYNC).map(
    lambda parts: [*parts[0], *parts[1], parts[2]]
)
STEPS = st.tuples(ALL, st.lists(ROUND, min_size=2, max_size=4)).map(
    lambda parts: [("sync", parts[0], 100, None), *(step for one in parts[1] for step in one)]
)


def moment(version: int) -> str:
    """A version as the time that amoCRM would send."""
    return f"2026-01-01T{version // 60:02d}:{version % 60:02d}:00+00:00"


def _field(code: str, values: list[tuple[Any, Any]]) -> dict[str, Any]:
    items = [{"value": v, **({"enum_code": t} if t else {})} for v, t in values]
    return {"field_id": sum(map(ord, code)), "field_code": code, "field_name": code, "values": items}


def as_amocrm(stream: str, drawn: dict[str, Any]) -> dict[str, Any]:
    """A drawn record as amoCRM would send it."""
    sent = {"id": drawn["id"], "updated_at": moment(drawn["version"])}
    if stream == "companies":
        count = drawn["employees_count"]
        fields = None if count is None else [_field("EMPLOYEES_COUNT", [(count, None)])]
        return sent | {"name": drawn["name"], "custom_fields_values": fields}
    if stream == "tasks":
        entity, entity_id = drawn["entity"] or (None, None)
        sent |= {"complete_till": drawn["due_at"], "is_completed": drawn["is_completed"]}
        return sent | {"entity_type": entity, "entity_id": entity_id}
    tags = drawn["tags"]
    sent |= {"last_name": drawn["last_name"], "company_id": drawn["company_id"]}
    sent["_embedded"] = {"tags": None if tags is None else [{"id": n, "name": t} for n, t in enumerate(tags)]}
    if drawn["fields"] == BROKEN:
        sent["custom_fields_values"] = BROKEN
    elif drawn["fields"] is not None:
        phones, emails = drawn["fields"]
        sent["custom_fields_values"] = [_field(c, v) for c, v in (("PHONE", phones), ("EMAIL", emails)) if v] or None
    return sent


def _items(values: list[tuple[str, Any]], pool: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    found: dict[str, tuple[Any, ...]] = {}
    for text, kind in values:
        value, comment = pool[text]
        found.setdefault(value or f"?{comment}", (value, comment, kind, len(found)))
    return list(found.items())


def as_model(stream: str, drawn: dict[str, Any]) -> dict[str, Any]:
    """A drawn record as the model takes it: values by column, items by set."""
    known = {"id": drawn["id"], "version": drawn["version"]}
    if stream == "companies":
        count = drawn["employees_count"]
        known |= {"name": drawn["name"], "in_words": count == WORDS}
        return known | {"employees_count": None if count == WORDS else count}
    if stream == "tasks":
        entity, entity_id = drawn["entity"] or (None, None)
        links = {"companies": "company_id", "contacts": "contact_id"}
        known |= {"due_at": drawn["due_at"], "is_completed": drawn["is_completed"]}
        return known | {column: entity_id for name, column in links.items() if name == entity}
    known |= {name: drawn[name] for name in ("last_name", "company_id")}
    known["tags"] = sorted(drawn["tags"] or ()) or None
    if drawn["fields"] not in (None, BROKEN):
        for name, values, pool in zip(SETS["contacts"], drawn["fields"], (PHONES, EMAILS), strict=True):
            known[name] = _items(values, pool)
            first = (pool[text][0] for text, _ in values)
            known[name[:-1]] = next((value for value in first if value), None)
    return known


class Player:
    """Plays steps. `crm` is the fixture of target-crm's tests; `proxy` the way on which loads are cut."""

    def __init__(self, crm: Any, proxy: Any = None) -> None:
        self.crm, self.proxy, self.model = crm, proxy, Model()
        self.clock, self.last, self.settings = 5, [], {}
        self.tokens: dict[str, tuple[str, int, int]] = {}
        self.counted: dict[tuple[str, int], int] = {}
        self.cuts = self.lost = 0
        crm.load([])
        tables = "companies, contacts, tasks, sync_keys, sync_pending, sync_conflicts, sync_changes, sync_rejects"
        tables += ", sync_warnings, sync_issue_changes"
        crm.execute(f"TRUNCATE {tables}, sync_runs RESTART IDENTITY CASCADE")

    def play(self, step: Any) -> None:
        """One step on both sides, and a look at whether they agree."""
        self.clock += 1
        getattr(self, f"_{step[0]}")(*step[1:])
        self.check()

    def lines(self, drawn: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """Messages of drawn records, which get the version of now."""
        streams = dict.fromkeys(stream for stream, _ in drawn)
        lines = [self.crm.schema_message(stream) for stream in streams]
        for stream, record in drawn:
            lines += self.crm.messages(stream, as_amocrm(stream, record))
        return [*lines, json.dumps({"type": "STATE", "value": {"clock": self.clock}})]

    def dated(self, drawn: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
        """Drawn records with their versions."""
        return [(stream, {**r, "version": self.clock - r["age"]}) for stream, r in drawn]

    def load(self, lines: list[str], cut: Any = None, **settings: Any) -> None:
        """A load, before it perhaps one that breaks off at a statement; its STATE must come out."""
        settings = {"allow_mass_delete": True, "lock_timeout_seconds": 20, **self.settings, **settings}
        if cut is not None and self.proxy is not None:
            self.proxy.arm(cut[0], deliver=cut[1])
            with suppress(TargetError):
                self.crm.load(lines, **{**settings, "database_url": self.proxy.url})
            self.cuts += self.proxy.cut
            self.proxy.arm(None)
        states = self.crm.load(lines, **settings)
        if '"STATE"' in lines[-1]:
            assert (
                states[-1:] == [json.dumps(json.loads(lines[-1])["value"])]
                or json.loads(states[-1]) == json.loads(lines[-1])["value"]
            )

    def _sync(self, drawn: Any, size: int, cut: Any) -> None:
        self.last = self.dated(drawn)
        self.load(self.lines(self.last), cut, batch_size_rows=size)
        self._tell(self.last)

    def _tell(self, drawn: Any) -> None:
        for stream in COLUMNS:  # parents first, as in a batch
            for of, record in drawn:
                if of == stream:
                    self.model.sync(stream, as_model(stream, record))

    def _versions(self, drawn: Any) -> None:
        """Several versions of a record in one batch: the newest counts, of equal ones the last."""
        drawn = self.dated(drawn)
        newest: dict[tuple[str, int], Any] = {}
        for stream, record in drawn:
            known = newest.get((stream, record["id"]))
            if known is None or record["version"] >= known[1]["version"]:
                newest[stream, record["id"]] = (stream, record)
        self.last = list(newest.values())
        self.load(self.lines(drawn))
        self._tell(self.last)

    def _again(self) -> None:
        """The same once more in another order; a record costs no write unless something was done to its row."""
        if self.last:
            drawn = list(reversed(self.last))
            self.load(self.lines(drawn), batch_size_rows=2)
            self._tell(drawn)

    def _edit(self, amo_id: int, edit: Any) -> None:
        stream, column, value = edit
        row = self.model.rows.get((stream, amo_id))
        link = COLUMNS[stream][column].link
        if row is None:
            return
        sent = value
        if link and value is not None:
            parent = self.model.rows.get((link, value))
            if parent is None:
                return
            value = parent.token
            sent = next(uuid for uuid, token in self.tokens.items() if token == value)
        self.crm.execute(f"UPDATE {stream} SET {column} = %s WHERE amo_id = %s", sent, amo_id)
        row.ours[column] = value

    def _item(self, amo_id: int, name: str, pick: int, edit: Any) -> None:
        row = self.model.rows.get(("contacts", amo_id))
        if row is None:
            return
        kind, value = edit
        table, items = SET_TABLES[name], row.items[name]
        if name == "emails" and value is not None and kind != "comment":
            value = "hand@firma.ru"
        if kind == "add":
            self.crm.execute(
                f"INSERT INTO {table} (contact_id, value) SELECT id, %s FROM contacts WHERE amo_id = %s", value, amo_id
            )
            items.append(Item(value, None, None, None))
            return
        if not items:
            return
        item = sorted(items, key=_order)[pick % len(items)]
        found = sorted(self._found_items(amo_id, name), key=lambda r: _order(r[1]))
        item_id, same = found[pick % len(found)]
        assert same.data == item.data
        if kind == "delete":
            self.crm.execute(f"DELETE FROM {table} WHERE id = %s", item_id)
            items.remove(item)
        else:
            self.crm.execute(f"UPDATE {table} SET {kind} = %s WHERE id = %s", value, item_id)
            setattr(item, kind, value)

    def _remove(self, stream: str, amo_id: int) -> None:
        named = any(
            COLUMNS[child][name].link == stream and (row.record.get(name) == amo_id)
            for (child, _), row in self.model.rows.items()
            for name in COLUMNS[child]
        )
        if named:
            return  # what its return would do to rows that name it is a separate test
        self.crm.execute(f"DELETE FROM {stream} WHERE amo_id = %s", amo_id)
        self.model.remove((stream, amo_id))

    def _mark(self, stream: str, amo_id: int, sets: bool) -> None:
        """A person sets the mark of deletion, or takes it off."""
        version = self.clock if sets else None
        when = None if version is None else moment(version)
        self.crm.execute(f"UPDATE {stream} SET amo_deleted_at = %s WHERE amo_id = %s", when, amo_id)
        self.model.mark((stream, amo_id), version)

    def _gone(self, stream: str, amo_id: int, age: int, what: str, cut: Any) -> None:
        version = self.clock - age
        if what == "is_deleted":
            record = {"id": amo_id, "is_deleted": True, "updated_at": moment(version)}
            lines = [self.crm.schema_message(stream), *self.crm.messages(stream, record)]
        else:
            record = {"id": f"e{self.clock}", "entity_type": stream, "entity_id": amo_id, what: moment(version)}
            lines = [self.crm.schema_message("deleted_records"), *self.crm.messages("deleted_records", record)]
        self.load(lines, cut)
        if what == "restored_at":
            self.model.restore((stream, amo_id), version)
        else:
            self.model.bury((stream, amo_id), version)

    def _rules(self, rules: Rules) -> None:
        """Another mapping from now on."""
        text = resources.files("target_crm.mapping").joinpath("builtin.yaml").read_text("utf-8")
        document = yaml.safe_load(text)
        for stream, how in rules.resurrect.items():
            document["streams"][stream]["resurrect"] = how
        for stream, columns in COLUMNS.items():
            for name in columns:
                source = document["streams"][stream]["columns"][name]
                source = source if isinstance(source, dict) else {"from": source}
                if (stream, name) in rules.policies:
                    source["policy"] = rules.policies[stream, name]
                if (stream, name) in rules.respected:
                    source["respect_clears"] = True
                document["streams"][stream]["columns"][name] = source
        file = self.crm.folder / "mapping.yaml"
        file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        self.settings = {"mapping_file": str(file), "default_policy": rules.default}
        self.model.rules = rules

    # what is there

    def _found_items(self, amo_id: int, name: str) -> list[tuple[Any, Item]]:
        rows = self.crm.execute(
            f"SELECT i.* FROM {SET_TABLES[name]} AS i JOIN contacts AS c ON c.id = i.contact_id WHERE c.amo_id = %s",
            amo_id,
        )
        return [
            (
                r["id"],
                Item(
                    r["value"],
                    r["comment"],
                    r["type"],
                    r["position"],
                    (r["raw_fields"].get("amo_values") or {}).get("key"),
                ),
            )
            for r in rows
        ]

    def _plain(self, stream: str, name: str, value: Any) -> Any:
        column = COLUMNS[stream][name]
        if is_empty(value):
            return None
        if column.link and not isinstance(value, tuple):
            return self.tokens.get(str(value), str(value))
        return NORMAL[column.kind](value)

    def look(self) -> dict[Any, Any]:
        """What the tables hold, in the model's words."""
        found: dict[Any, Any] = {}
        rows = {stream: self.crm.rows(stream) for stream in COLUMNS}
        for stream in COLUMNS:
            for row in rows[stream]:
                key = (stream, row["amo_id"])
                if str(row["id"]) not in self.tokens:
                    self.counted[key] = self.counted.get(key, 0) + 1
                    self.tokens[str(row["id"])] = (*key, self.counted[key])
        conflicts = self._conflicts()
        for stream, columns in COLUMNS.items():
            for row in rows[stream]:
                base = row["raw_fields"]["amo_values"]
                mark, key = row["amo_deleted_at"], (stream, row["amo_id"])
                found[key] = {
                    "ours": {n: row[n] if n not in ("company_id", "contact_id") else self._plain(stream, n, row[n])
                             for n in columns},
                    "base": {n: self._plain(stream, n, base.get(n)) for n in columns},
                    "deleted": mark and mark.hour * 60 + mark.minute,
                    "version": row["amo_updated_at"].hour * 60 + row["amo_updated_at"].minute,
                    "items": {n: sorted((_order(i) for _, i in self._found_items(row["amo_id"], n)))
                              for n in SETS.get(stream, ())},
                    "conflicts": conflicts.get(str(row["id"]), []),
                }  # fmt: skip
                found[key]["ours"] = {n: None if is_empty(v) else v for n, v in found[key]["ours"].items()}
        return found

    def _conflicts(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for c in self.crm.conflicts():
            name = c["column_name"]
            values = (self._plain(c["table_name"], name, c[k]) for k in ("crm_value", "amo_value"))
            found.setdefault(c["row_id"], []).append((name, *values))
        return {row_id: sorted(cells, key=str) for row_id, cells in found.items()}

    def _expected(self, stream: str, row: Row) -> dict[str, Any]:
        columns = COLUMNS[stream]
        ours = {n: None if is_empty(v) else v for n, v in row.ours.items()}
        ours |= {n: NORMAL["time"](v) for n, v in ours.items() if columns[n].kind == "time" and v is not None}
        return {
            "ours": ours,
            "base": {n: self._plain(stream, n, row.base.get(n)) for n in columns},
            "deleted": row.deleted,
            "version": row.version,
            "items": {n: sorted(_order(i) for i in items) for n, items in row.items.items()},
            "conflicts": sorted(
                ((n, self._plain(stream, n, a), self._plain(stream, n, b)) for n, a, b in row.conflicts), key=str
            ),
        }

    def check(self) -> None:
        """The CRM holds what the model says, and no cell has two open conflicts."""
        found = self.look()
        expected = {key: self._expected(key[0], row) for key, row in sorted(self.model.rows.items())}
        self.lost += sum(found.get(key) != row for key, row in expected.items())
        assert found == expected
        twice = self.crm.execute(
            "SELECT row_id, column_name FROM sync_conflicts WHERE resolved_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1"
        )
        assert twice == []
        assert self.crm.execute("SELECT error FROM sync_rejects") == []
        self._check_warnings()

    def _check_warnings(self) -> None:
        """A headcount in words is an open warning until a number comes."""
        warned = self.crm.execute(
            "SELECT amo_id FROM sync_warnings WHERE table_name = 'companies' AND column_name = 'employees_count' "
            "AND resolved_at IS NULL"
        )
        opened = [w["amo_id"] for w in warned]
        assert len(opened) == len(set(opened))
        for (stream, amo_id), row in self.model.rows.items():
            if stream == "companies" and row.record["in_words"]:
                assert amo_id in opened
            elif stream == "companies" and row.record["employees_count"] is not None:
                assert amo_id not in opened


def _order(item: Item) -> tuple[str, ...]:
    return tuple(str(part) for part in (*item.data, item.key))
