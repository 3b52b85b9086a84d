"""All texts of the page about a verification, English and Russian side by side."""

from __future__ import annotations

from target_crm.presentation.texts.common import COMMON

TEXTS: dict[str, tuple[str, str]] = COMMON | {
    "title": ("Verification: amoCRM and the CRM", "Проверка: amoCRM и CRM"),
    "complete": ("Everything is here", "Всё на месте"),
    "incomplete": ("Not everything is here", "Не всё на месте"),
    "complete_told": (
        "Every record that amoCRM showed is in the CRM, with every value that has a column.",
        "Каждая запись, которую показала amoCRM, есть в CRM, со всеми значениями, для которых есть поле.",
    ),
    "incomplete_told": (
        "What is missing, and the commands that mend it, are listed below.",
        "Чего не хватает и какими командами это исправить — ниже.",
    ),
    "verified": ("Compared {when}, amoCRM account {ids}.", "Сравнение {when}, аккаунт amoCRM {ids}."),
    "nothing_written": ("Nothing was written to the database.", "В базу данных ничего не записано."),
    "scoped": (
        "The reading was limited to a scope: what the CRM holds beyond it was not judged.",
        "Чтение было ограничено областью: то, что в CRM за её пределами, не проверялось.",
    ),
    "not_whole": (
        "The input was not a reading from the beginning: it proves nothing of what it left out.",
        "На входе было чтение не с начала: о том, чего в нём нет, оно ничего не доказывает.",
    ),
    "todo": ("What is not here", "Чего не хватает"),
    "command": ("The command that mends it", "Команда, которая это исправит"),
    "by_stream": ("Both sides by stream", "Обе стороны по потокам"),
    "stream": ("stream", "поток"),
    "in_amocrm": ("in amoCRM", "в amoCRM"),
    "in_crm": ("in the CRM", "в CRM"),
    "marked_deleted": ("of these marked deleted", "из них помечено удалёнными"),
    "own_rows": ("rows of the CRM's own", "собственных строк CRM"),
    "waiting_links": ("links without another end", "связей без второго конца"),
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
    "settled": ("What differs and is right", "Что отличается, и это правильно"),
    "settled_note": (
        "Values that were edited in the CRM, rows that were deleted there, and notes and tasks that amoCRM deleted "
        "with the record they belonged to: the CRM keeps them.",
        "Значения, исправленные в CRM, строки, удалённые там, а также примечания и задачи, которые amoCRM удалила "
        "вместе с их записью: в CRM они остаются.",
    ),
    "entries": ("The first {n}", "Первые {n}"),
    "amo_id": ("amoCRM's id", "номер в amoCRM"),
    "row": ("row", "строка"),
    "columns": ("columns", "поля"),
    "reason": ("reason", "причина"),
    "document": ("the record itself", "сама запись"),
    "without_column": ("What amoCRM holds and no column takes", "Что есть в amoCRM и для чего нет поля"),
    "without_column_note": (
        "It is kept with each row, in raw_fields. A line of the mapping gives it a column.",
        "Оно хранится у каждой строки в raw_fields. Строка сопоставления даст ему своё поле.",
    ),
    "what_field": ("custom field", "поле amoCRM"),
    "what_property": ("property", "свойство"),
    "name": ("name", "название"),
    "records": ("records", "записей"),
    "unmapped": ("Streams that go nowhere", "Потоки, которые никуда не попадают"),
    "samples": ("Records side by side", "Записи рядом"),
    "samples_note": (
        "Chosen at random: what the mapping makes of amoCRM's record, and what the row holds.",
        "Отобраны случайно: что сопоставление берёт из записи amoCRM и что в строке.",
    ),
    "no_row": ("no row", "строки нет"),
    "column": ("column", "поле"),
    "amocrm": ("amoCRM", "amoCRM"),
    "crm": ("CRM", "CRM"),
    "differs": ("differs", "отличается"),
    "same": ("the same", "совпадает"),
    "none": ("None.", "Нет."),
    "written": ("Verification written to {file}.", "Проверка записана в {file}."),
    "others": ("Records that belong to no mapped stream", "Записи, которые не относятся ни к одному потоку"),
}
