"""Texts of the review page about records that may be existing rows."""

from __future__ import annotations

PROPOSALS: dict[str, tuple[str, str]] = {
    "proposals": ("Matches", "Сопоставление"),
    "proposals_lead": (
        "Records of amoCRM that are similar to records already in the CRM. Choose the right one, or add a new "
        "record. Records that refer to them are loaded and will be linked once you decide.",
        "Записи amoCRM, похожие на те, что уже есть в CRM. Выберите, какая это запись, или добавьте новую. Всё, что "
        "на них ссылается, загружено и будет связано после решения.",
    ),
    "proposals_none": ("No records to match.", "Нет записей, которые нужно сопоставить."),
    "proposals_start": ("Review one by one", "Разобрать по одной"),
    "proposals_decided_too": ("Include decided", "Вместе с решёнными"),
    "proposal_record": ("Record in amoCRM", "Запись в amoCRM"),
    "proposal_rows": ("Similar in the CRM", "Похожие в CRM"),
    "proposal_by": ("Matched by", "Совпадает"),
    "proposal_since": ("Waiting since", "Ждёт с"),
    "proposal_others": ("and {n} more", "и ещё {n}"),
    "proposal_no_rule": (
        "not compared yet; the next load compares it",
        "ещё не сравнивали; сравнит следующая загрузка",
    ),
    "proposal_constraint": ("a value that must be unique in the CRM", "значение, которое в CRM не может повторяться"),
    "proposal_in_amo": ("In amoCRM", "В amoCRM"),
    "proposal_candidate": ("In the CRM, {n}: {name}", "В CRM, {n}: {name}"),
    "proposal_caption": (
        "Differences from amoCRM are highlighted. ✓ marks values that count as the same.",
        "Отличия от amoCRM выделены. Совпадающие значения отмечены знаком ✓.",
    ),
    "proposal_same": ("the same", "совпадает"),
    "proposal_choose": ("Choose this one", "Это она"),
    "proposal_choose_named": ("Choose this one: {n}, {name}", "Это она: {n}, {name}"),
    "proposal_add": ("Add as new", "Добавить как новую"),
    "proposal_ignore": ("Don't load", "Не загружать"),
    "proposal_ignore_why": (
        "The record and its future versions will not be loaded.",
        "Запись не загрузится, и её новые версии тоже.",
    ),
    "proposal_gone": ("deleted in the CRM", "уже удалена в CRM"),
    "proposal_taken": ("already belongs to another record of amoCRM", "уже связана с другой записью amoCRM"),
    "proposal_no_rows": ("No similar records are left in the CRM.", "Похожих записей в CRM не осталось."),
    "proposal_more_rows": ("Other candidates", "Другие похожие"),
    "proposal_first_rows": ("First candidates", "Первые похожие"),
    "proposal_nothing": ("Nothing was selected, so nothing was decided.", "Ничего не выбрано, решение не принято."),
    "proposal_settled": ("Decided: {how}.", "Решено: {how}."),
    "proposal_decided": (
        "Someone decided in the meantime: {how}. Your decision was not saved.",
        "Пока страница была открыта, решение уже приняли: {how}. Ваше решение не выполнено.",
    ),
    "proposal_changed": (
        "The record or one of the candidates has changed since you opened this page. Nothing was decided; review it "
        "again.",
        "С тех пор как вы открыли страницу, запись или одна из похожих изменилась. Решение не принято, посмотрите "
        "ещё раз.",
    ),
    "proposal_take": ("matched", "сопоставлена"),
    "proposal_insert": ("added as new", "добавлена как новая"),
    "proposal_adopted": ("matched by a load", "сопоставлена при загрузке"),
    "proposal_inserted": ("added by a load", "добавлена при загрузке"),
    "proposal_ignored": ("not loaded by decision", "решено не загружать"),
    "proposal_deleted": ("deleted in amoCRM", "удалена в amoCRM"),
    "proposal_rejected": ("could not be loaded", "не удалось загрузить"),
    "proposal_undone": ("the run that found it was rolled back", "отменена загрузка, которая её нашла"),
    "proposals_same_inn": ("Match by INN…", "Взять единственную с тем же ИНН…"),
    "proposals_bulk_title": ("All at once", "Все сразу"),
    "proposals_bulk_lead": (
        "For every record that has exactly one candidate with the same INN. You will see the list before anything is "
        "saved.",
        "Для всех записей, у которых ИНН совпадает ровно с одной похожей. Список покажем до записи.",
    ),
    "proposals_bulk_confirm": (
        "Match {n} record by INN?|Match {n} records by INN?",
        "Сопоставить по ИНН {n} запись?|Сопоставить по ИНН {n} записи?|Сопоставить по ИНН {n} записей?",
    ),
    "proposals_bulk_none": (
        "No record has exactly one candidate with the same INN.",
        "Нет записей, у которых ИНН совпадает ровно с одной похожей.",
    ),
    "proposals_bulk_do": (
        "Match {n} record|Match {n} records",
        "Сопоставить {n} запись|Сопоставить {n} записи|Сопоставить {n} записей",
    ),
    "proposals_bulk_row": ("Record in the CRM", "Запись в CRM"),
    "proposals_bulk_sample": ("First records", "Первые из них"),
    "done_matched": ("Matched.", "Сопоставлено."),
    "done_inserted": ("Added as a new record.", "Добавлено как новая запись."),
    "done_left_out": ("The record will not be loaded.", "Запись не будет загружаться."),
    "done_matched_bulk": (
        "Matched by INN: {settled}. Not changed: {left}.",
        "Сопоставлено по ИНН: {settled}. Осталось без решения: {left}.",
    ),
    "done_match_bad": (
        "The record could not be loaded; it is listed under Not loaded, or still waits here.",
        "Запись не удалось загрузить: она среди незагруженных или по-прежнему ждёт здесь.",
    ),
    "done_match_none": (
        "Nothing was matched: the data has changed since you opened the page.",
        "Ничего не сопоставлено: данные изменились, пока страница была открыта.",
    ),
    "reject_proposed": ("waiting to be matched, run {n}", "ждёт сопоставления, № {n}"),
    "key_candidate": ("match: choose this candidate", "сопоставление: это она"),
    "key_proposal": ("match: add as new, don't load", "сопоставление: добавить как новую, не загружать"),
}
