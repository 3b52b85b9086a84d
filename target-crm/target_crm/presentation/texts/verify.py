"""All texts of the page about a verification, English and Russian side by side."""

from __future__ import annotations

from target_crm.presentation.texts.common import COMMON

TEXTS: dict[str, tuple[str, str]] = COMMON | {
    "title": ("Verification: amoCRM and the CRM", "Проверка: amoCRM и CRM"),
    "complete": ("Everything is in the CRM", "Всё на месте"),
    "incomplete": ("Something is missing", "Не всё на месте"),
    "complete_told": (
        "Every record that amoCRM showed is in the CRM, with every value that has a column.",
        "Каждая запись, которую показала amoCRM, есть в CRM, со всеми значениями, для которых есть поле.",
    ),
    "incomplete_told": (
        "What is missing, and the commands that fix it, are listed below.",
        "Чего не хватает и какими командами это исправить — ниже.",
    ),
    "verified": ("Compared {when}, amoCRM account {ids}.", "Сравнение {when}, аккаунт amoCRM {ids}."),
    "nothing_written": ("Nothing was written to the database.", "В базу данных ничего не записано."),
    "scoped": (
        "The reading was limited to a scope: records of the CRM outside it were not checked.",
        "Чтение было ограничено областью: то, что в CRM за её пределами, не проверялось.",
    ),
    "not_whole": (
        "The input did not start from the beginning, so it says nothing about what it left out.",
        "На входе было чтение не с начала: о том, чего в нём нет, оно ничего не доказывает.",
    ),
    "todo": ("What is missing", "Чего не хватает"),
    "command": ("Command that fixes it", "Команда, которая это исправит"),
    "by_stream": ("Both sides by record type", "Обе стороны по видам записей"),
    "stream": ("Record type", "Вид записи"),
    "in_amocrm": ("In amoCRM", "В amoCRM"),
    "in_crm": ("In the CRM", "В CRM"),
    "marked_deleted": ("of these marked deleted", "из них помечено удалёнными"),
    "own_rows": ("the CRM's own records", "собственных записей CRM"),
    "waiting_links": ("links with a missing record", "связей без второй записи"),
    "kind_not_read": ("not read", "не прочитано"),
    "kind_missing": ("missing", "нет в CRM"),
    "kind_stale": ("stale", "устарело"),
    "kind_unmarked": ("deleted in amoCRM, not marked", "удалено в amoCRM, не помечено"),
    "kind_surplus": ("surplus", "лишнее в CRM"),
    "kind_rejects": ("rejects", "отклонено"),
    "kind_waiting": ("waiting", "ожидает"),
    "kind_proposals": ("proposals", "предложений"),
    "kind_conflicts": ("open conflicts", "открытых конфликтов"),
    "kind_warnings": ("warnings", "предупреждений"),
    "kind_edited": ("edits kept", "правок сохранено"),
    "kind_removed": ("deleted in the CRM", "удалено в CRM"),
    "kind_deleted_with": ("deleted in amoCRM with their record", "удалено в amoCRM вместе с записью"),
    "why_not_read": (
        "The stream is mapped and did not come: select it in the tap, or take it out of the mapping.",
        "Поток описан в сопоставлении, но не пришёл: включите его в тапе или уберите из сопоставления.",
    ),
    "why_missing": (
        "amoCRM has these records, the CRM has no row for them. Read from the beginning once, without --state.",
        "Записи есть в amoCRM, строк для них в CRM нет. Прочитайте один раз с начала, без --state.",
    ),
    "why_stale": (
        "The row holds an earlier version of the record. Read from the beginning once, without --state.",
        "В строке прежняя версия записи. Прочитайте один раз с начала, без --state.",
    ),
    "why_unmarked": (
        "The record was deleted in amoCRM, its row is not marked. Read from the beginning once, without --state.",
        "Запись удалена в amoCRM, а строка не помечена. Прочитайте один раз с начала, без --state.",
    ),
    "why_surplus": (
        "The row came from amoCRM, and amoCRM does not show its record any more: deleted long ago, merged, hidden from "
        "the token's user, or left out by the mapping. Look at each, and delete it or keep it in the CRM.",
        "Строка пришла из amoCRM, но записи там больше не видно: давно удалена, объединена, скрыта от владельца токена "
        "или не проходит по сопоставлению. Посмотрите каждую и удалите или оставьте её в CRM.",
    ),
    "why_rejects": (
        "The record could not be loaded; the reason is beside it.",
        "Запись не удалось загрузить; причина указана рядом.",
    ),
    "why_waiting": (
        "The record waits for a row that was held, or for the record that it links to. A load tries it again.",
        "Запись ждёт занятой строки или записи, на которую ссылается. Загрузка попробует ещё раз.",
    ),
    "why_proposals": (
        "The record may stand for several rows: choose one.",
        "Запись похожа на несколько строк: выберите одну.",
    ),
    "why_conflicts": (
        "Both sides changed the value, and nobody has decided. target-crm-admin serve shows them, too.",
        "Значение изменили с обеих сторон, и никто не решил. Их показывает и target-crm-admin serve.",
    ),
    "why_warnings": (
        "The column can't take the value: correct it in amoCRM or widen the column, then load.",
        "Поле не принимает значение: исправьте его в amoCRM или расширьте поле, затем загрузите.",
    ),
    "settled": ("Differences that are correct", "Что отличается, и это правильно"),
    "settled_note": (
        "Values that were edited in the CRM, rows that were deleted there, and notes and tasks that amoCRM deleted "
        "with the record they belonged to: the CRM keeps them.",
        "Значения, исправленные в CRM, строки, удалённые там, а также примечания и задачи, которые amoCRM удалила "
        "вместе с их записью: в CRM они остаются.",
    ),
    "entries": ("The first {n}", "Первые {n}"),
    "amo_id": ("ID in amoCRM", "Номер в amoCRM"),
    "row": ("Record", "Запись"),
    "columns": ("Fields", "Поля"),
    "reason": ("Reason", "Причина"),
    "document": ("the record itself", "сама запись"),
    "without_column": ("Data of amoCRM that has no field in the CRM", "Что есть в amoCRM и для чего нет поля"),
    "without_column_note": (
        "It is kept with each record, in raw_fields. One line in the mapping gives it its own field.",
        "Оно хранится у каждой записи в raw_fields. Строка сопоставления даст ему своё поле.",
    ),
    "what_field": ("custom field", "поле amoCRM"),
    "what_property": ("property", "свойство"),
    "name": ("Name", "Название"),
    "records": ("Records", "Записей"),
    "unmapped": ("Streams that are not mapped", "Потоки, для которых не указана таблица"),
    "samples": ("Records compared", "Записи рядом"),
    "samples_note": (
        "A random sample: what the mapping takes from amoCRM's record, and what the CRM holds.",
        "Отобраны случайно: что сопоставление берёт из записи amoCRM и что в строке.",
    ),
    "no_row": ("no record", "записи нет"),
    "column": ("Field", "Поле"),
    "amocrm": ("amoCRM", "amoCRM"),
    "crm": ("CRM", "CRM"),
    "differs": ("differs", "отличается"),
    "same": ("same", "совпадает"),
    "none": ("None.", "Нет."),
    "written": ("Verification written to {file}.", "Проверка записана в {file}."),
    "others": ("Records of streams that are not mapped", "Записи потоков, для которых не указана таблица"),
}
