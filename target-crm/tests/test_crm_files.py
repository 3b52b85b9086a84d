"""Files and what they belong to, in the built-in tables."""

from __future__ import annotations

from pathlib import Path

import yaml

from target_crm.mapping.load import read_mapping

FILE = {
    "id": 900_001, "uuid": "u1", "version_uuid": "v1", "type": "document", "name": "Договор.pdf", "size": 3_000_000_000,
    "metadata": {"extension": "pdf", "mime_type": "application/pdf"}, "created_by": {"id": 5, "type": "user"},
}  # fmt: skip
LINK = {"id": (1 << 62) + 5, "file_uuid": "u1", "version_uuid": "v1", "file_name": "Договор.pdf"}


def test_a_file_is_found_from_the_note_and_the_card_that_name_it(crm):
    crm.sync("users", {"id": 5, "name": "Анна"})
    crm.sync("companies", {"id": 1, "name": "Ромашка"})
    crm.sync("notes", {"id": 3, "entity_type": "companies", "entity_id": 1, "note_type": "attachment", "params": {}})
    noted = {**LINK, "entity_type": "companies", "entity_id": 1, "note_id": 3}
    crm.sync("file_links", noted, {**LINK, "id": 7, "entity_type": "companies", "entity_id": 1, "field_id": 700_043})
    crm.sync("files", FILE, {**FILE, "id": 900_002, "uuid": "u2", "metadata": []})
    found = crm.execute(
        "SELECT f.name, f.size, f.mime_type, u.name AS author, n.amo_id AS note, c.amo_id AS company, l.field_id "
        "FROM file_links l JOIN files f ON f.uuid = l.file_uuid LEFT JOIN notes n ON n.id = l.note_id "
        "JOIN companies c ON c.id = l.company_id JOIN users u ON u.id = f.author_id ORDER BY l.amo_id"
    )
    shared = {
        "name": "Договор.pdf",
        "size": 3_000_000_000,
        "mime_type": "application/pdf",
        "author": "Анна",
        "company": 1,
    }
    assert found == [
        {**shared, "note": None, "field_id": 700_043},
        {**shared, "note": 3, "field_id": None},
    ]
    assert crm.row("files", 900_002)["mime_type"] is None


def test_a_file_in_the_bin_and_a_link_that_is_gone_are_marked(crm):
    crm.sync("files", FILE)
    crm.sync("file_links", LINK)
    crm.sync("files", {**FILE, "is_deleted": True}, allow_mass_delete=True)
    crm.sync("file_links", {"id": LINK["id"], "is_deleted": True}, allow_mass_delete=True)
    assert crm.row("files", 900_001)["amo_deleted_at"]
    assert crm.row("file_links", LINK["id"])["amo_deleted_at"]


def test_the_mapping_for_tables_of_one_s_own_on_the_page_is_read():
    page = (Path(__file__).resolve().parents[2] / "docs" / "files.md").read_text("utf-8")
    document = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    read = read_mapping(yaml.safe_dump(document, allow_unicode=True), "page.yaml")
    assert [c.link for c in read.tables["file_links"].columns] == [None, "companies", "notes"]
