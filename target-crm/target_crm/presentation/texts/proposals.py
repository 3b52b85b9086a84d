"""Texts of the review page about records that may be existing rows."""

from __future__ import annotations

PROPOSALS: dict[str, tuple[str, str]] = {
    "proposals": ("Matches", "Сопоставление"),
    "proposals_lead": (
        "Records of amoCRM that are like records which the CRM has already. Choose which one it is, or let it be a new "
        "one. What refers to them is loaded, and is linked when you have decided.",
        "Записи amoCRM, похожие на те, что уже есть в CRM. Выберите, какая это запись, или добавьте новую. Всё, что на "
        "них ссылается, загружено и будет связано после решения.",
    ),
    "proposals_none": ("No record waits to be matched.", "Нет записей, которые нужно сопоставить."),
    "proposals_start": ("Go through them one by one", "Разобрать по одной"),
    "proposals_decided_too": ("decided ones, too", "и решённые"),
    "proposal_record": ("record in amoCRM", "запись в amoCRM"),
    "proposal_rows": ("like these in the CRM", "похожие в CRM"),
    "proposal_by": ("matched by", "совпадает"),
    "proposal_since": ("waits since", "ждёт с"),
    "proposal_others": ("and {n} more", "и ещё {n}"),
    "proposal_no_rule": ("not compared yet; the next load does it", "ещё не сравнивали; сравнит следующая загрузка"),
    "proposal_constraint": (
        "a value that the CRM allows only once",
        "значение, которое в CRM не может повторяться",
    ),
    "proposal_in_amo": ("In amoCRM", "В amoCRM"),
    "proposal_candidate": ("In the CRM, {n}: {name}", "В CRM, {n}: {name}"),
    "proposal_caption": (
        "What differs from amoCRM is marked. Values that count as the same carry a ✓.",
        "Отличия от amoCRM выделены. Совпадающие значения отмечены знаком ✓.",
    ),
    "proposal_same": ("the same", "совпадает"),
    "proposal_choose": ("This is the one", "Это она"),
    "proposal_choose_named": ("This is the one: {n}, {name}", "Это она: {n}, {name}"),
    "proposal_add": ("Add as a new one", "Добавить как новую"),
    "proposal_ignore": ("Leave it out", "Не загружать"),
    "proposal_ignore_why": (
        "A record that is left out is not loaded, nor are newer versions of it.",
        "Запись не загрузится, и её новые версии тоже.",
    ),
    "proposal_gone": ("deleted in the CRM since", "уже удалена в CRM"),
    "proposal_taken": ("belongs to another record of amoCRM by now", "уже связана с другой записью amoCRM"),
    "proposal_no_rows": ("No record of the CRM is offered.", "Похожих записей в CRM не осталось."),
    "proposal_more_rows": ("Other candidates", "Другие похожие"),
    "proposal_first_rows": ("First candidates", "Первые похожие"),
    "proposal_nothing": ("Nothing was chosen, so nothing was decided.", "Ничего не выбрано, решение не принято."),
    "proposal_settled": ("Decided: {how}.", "Решено: {how}."),
    "proposal_decided": (
        "Somebody decided meanwhile: {how}. Your decision was not carried out.",
        "Пока страница была открыта, решение уже приняли: {how}. Ваше решение не выполнено.",
    ),
    "proposal_changed": (
        "The record or one of the candidates changed since the page was made. Nothing was decided; look again.",
        "С тех пор как вы открыли страницу, запись или одна из похожих изменилась. Решение не принято, посмотрите ещё "
        "раз.",
    ),
    "proposal_take": ("matched", "сопоставлена"),
    "proposal_insert": ("added as a new one", "добавлена как новая"),
    "proposal_adopted": ("matched by a load", "сопоставлена при загрузке"),
    "proposal_inserted": ("added by a load", "добавлена при загрузке"),
    "proposal_ignored": ("left out", "решено не загружать"),
    "proposal_deleted": ("deleted in amoCRM", "удалена в amoCRM"),
    "proposal_rejected": ("could not be loaded", "не удалось загрузить"),
    "proposal_undone": ("the run that found it was rolled back", "отменена загрузка, которая её нашла"),
    "proposals_same_inn": ("Take the only candidate with the same INN …", "Взять единственную с тем же ИНН …"),
    "proposals_bulk_title": ("All at once", "Все сразу"),
    "proposals_bulk_lead": (
        "For every record of which exactly one candidate has the same INN. You see them before anything is written.",
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
    "proposals_bulk_row": ("becomes in the CRM", "станет в CRM"),
    "proposals_bulk_sample": ("The first of them", "Первые из них"),
    "done_matched": ("Matched.", "Сопоставлено."),
    "done_inserted": ("Added as a new record.", "Добавлено как новая запись."),
    "done_left_out": ("The record is left out.", "Запись не будет загружаться."),
    "done_matched_bulk": (
        "Matched by INN: {settled}. Left as they were: {left}.",
        "Сопоставлено по ИНН: {settled}. Осталось без решения: {left}.",
    ),
    "done_match_bad": (
        "The record could not be loaded; it is among those not loaded, or still waits here.",
        "Запись не удалось загрузить: она среди незагруженных или по-прежнему ждёт здесь.",
    ),
    "done_match_none": (
        "Nothing was matched: what was shown is no longer so.",
        "Ничего не сопоставлено: данные изменились, пока страница была открыта.",
    ),
    "reject_proposed": ("waits to be matched, run {n}", "ждёт сопоставления, № {n}"),
    "key_candidate": ("match: take this candidate", "сопоставление: это она"),
    "key_proposal": ("match: add as new, leave out", "сопоставление: добавить как новую, не загружать"),
}
