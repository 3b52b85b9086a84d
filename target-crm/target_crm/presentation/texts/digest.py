"""All texts of the digest, English and Russian side by side."""

from __future__ import annotations

from target_crm.presentation.texts.common import COMMON

TEXTS: dict[str, tuple[str, str]] = COMMON | {
    "digest_late": ("The amoCRM sync is overdue", "Синхронизация с amoCRM запаздывает"),
    "digest_never": ("There has been no complete amoCRM sync yet", "Полной синхронизации с amoCRM ещё не было"),
    "digest_failed": ("The last amoCRM sync did not succeed", "Последняя синхронизация с amoCRM не удалась"),
    "digest_gap": ("Records of amoCRM may be missing", "Часть записей amoCRM могла не загрузиться"),
    "digest_waits": (
        "amoCRM sync: {n} open issue|amoCRM sync: {n} open issues",
        "Синхронизация с amoCRM: {n} открытый вопрос|Синхронизация с amoCRM: {n} открытых вопроса|Синхронизация с "
        "amoCRM: {n} открытых вопросов",
    ),
    "digest_well": ("amoCRM sync: everything is in order", "Синхронизация с amoCRM: всё в порядке"),
    "digest_unknown": ("The status of the amoCRM sync can't be read", "Состояние синхронизации с amoCRM не прочитать"),
    "period": ("{since} to {until}", "С {since} по {until}"),
    "complete": ("Last complete sync: {age} (run {run}).", "Последняя полная синхронизация: {age} (загрузка № {run})."),
    "complete_of": (
        "Last complete sync of account {account}: {age} (run {run}).",
        "Последняя полная синхронизация аккаунта {account}: {age} (загрузка № {run}).",
    ),
    "never": ("There has been no complete sync yet.", "Полной синхронизации ещё не было."),
    "overdue": (
        "It is overdue: the limit is {limit}.",
        "Она запаздывает: допустимый возраст — {limit}.",
    ),
    "last_ended": (
        "The last load, run {run}: {status}. See target-crm-admin status for the reason.",
        "Последняя загрузка № {run}: {status}. Причину покажет target-crm-admin status.",
    ),
    "gap": ("Run {run}: {text} To close the gap: {command}", "Загрузка № {run}: {text} Чтобы дочитать: {command}"),
    "loads_none": ("No loads ran in this period.", "За это время загрузок не было."),
    "loads_good": (
        "{n} load ran and succeeded.|{n} loads ran and succeeded.",
        "Загрузок: {n}, прошла успешно.|Загрузок: {n}, все прошли успешно.|Загрузок: {n}, все прошли успешно.",
    ),
    "loads_mixed": ("Loads: {what}.", "Загрузки: {what}."),
    "loads_of": ("{n} {status}", "{status} — {n}"),
    "decided": (
        "{n} decision was made.|{n} decisions were made.",
        "Принято {n} решение.|Принято {n} решения.|Принято {n} решений.",
    ),
    "rolled_back": (
        "{n} run was rolled back.|{n} runs were rolled back.",
        "Откачена {n} загрузка.|Откачено {n} загрузки.|Откачено {n} загрузок.",
    ),
    "changed_title": ("What changed in the CRM", "Что изменилось в CRM"),
    "changed_nothing": ("Nothing changed.", "Ничего не изменилось."),
    "changed_in": ("{table}: {what}.", "{table}: {what}."),
    "digest_restored": ("{n} restored|{n} restored", "восстановлена {n}|восстановлено {n}|восстановлено {n}"),
    "digest_adopted": ("{n} matched|{n} matched", "сопоставлена {n}|сопоставлено {n}|сопоставлено {n}"),
    "waits_title": ("What needs a decision", "Что ждёт решения"),
    "waits_conflicts": (
        "{n} conflict: both sides changed the same value|{n} conflicts: both sides changed the same value",
        "{n} конфликт: значение изменили и в CRM, и в amoCRM|{n} конфликта: значение изменили и в CRM, и в amoCRM|"
        "{n} конфликтов: значение изменили и в CRM, и в amoCRM",
    ),
    "waits_proposals": (
        "{n} record that is similar to several records of the CRM|{n} records that are similar to several records of "
        "the CRM",
        "{n} запись, для которой нужно выбрать строку|{n} записи, для которых нужно выбрать строку|{n} записей, для "
        "которых нужно выбрать строку",
    ),
    "waits_rejects": (
        "{n} record that could not be loaded|{n} records that could not be loaded",
        "{n} незагруженная запись|{n} незагруженные записи|{n} незагруженных записей",
    ),
    "waits_warnings": (
        "{n} value that its field can't hold|{n} values that their fields can't hold",
        "{n} значение, которое поле не принимает|{n} значения, которые поля не принимают|{n} значений, которые поля "
        "не принимают",
    ),
    "waits_since": ("{what}, the oldest from {day}", "{what}, самое давнее — {day}"),
    "open_page": ("Open the review page", "Открыть страницу сверки"),
}
