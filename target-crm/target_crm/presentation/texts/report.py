"""All texts of a run's report, English and Russian side by side."""

from __future__ import annotations

from target_crm.presentation.texts.common import COMMON

TEXTS: dict[str, tuple[str, str]] = COMMON | {
    # head
    "title": ("Report of run {n}: target-crm", "Отчёт о загрузке № {n}: target-crm"),
    "heading_load": ("Load {n}", "Загрузка № {n}"),
    "heading": ("Run {n}: {kind}", "Операция № {n}: {kind}"),
    "began": ("Started {when}", "Начало {when}"),
    "lasted": (", {n} seconds", ", {n} с"),
    "account": (", amoCRM account {ids}", ", аккаунт amoCRM {ids}"),
    "undoes": ("Rolls back run {n}.", "Отменяет загрузку № {n}."),
    "undone": ("Rolled back by run {n}.", "Отменена операцией № {n}."),
    # figures
    "tile_read": ("records read", "записей прочитано"),
    "tile_kept": ("records with edits kept", "записей с сохранёнными правками"),
    "tile_rejected": ("records not loaded", "записей не загружено"),
    "counts_title": ("Received and written", "Что пришло и что записано"),
    "counts": ("Counts by table", "Числа по таблицам"),
    "counts_note": (
        "Edits kept: records in which a manual edit stayed. Unchanged: nothing was written. Marked deleted, "
        "restored: the deletion mark was set or removed.",
        "Правок сохранено: записи, в которых осталась ручная правка. Без изменений: ничего не записано. Помечено "
        "удалёнными, восстановлено: пометка об удалении поставлена или снята.",
    ),
    "nothing": ("Nothing.", "Ничего."),
    "none": ("None.", "Нет."),
    # changes
    "by_column": ("Changes by field", "Изменения по полям"),
    "entries": ("Journal entries", "Записей в журнале"),
    "changes_caption": (
        "The first {n} values; target-crm-admin serve shows all of them.",
        "Первые {n} значений; все показывает target-crm-admin serve.",
    ),
    "first": ("The first {n}.", "Первые {n}."),
    # kept
    "kept_title": ("What was kept, and why", "Что сохранено и почему"),
    "kept_note": (
        "Current values of the CRM that differ from what amoCRM sent last, in the tables in which this run kept edits.",
        "Значения CRM, которые сейчас отличаются от последних из amoCRM, — в таблицах, где эта загрузка сохранила "
        "правки.",
    ),
    "reasons": ("Reasons", "Причины"),
    "why": ("Why", "Почему"),
    "values": ("Values", "Значений"),
    "kept_values": ("Kept values", "Сохранённые значения"),
    "kept_ours": ("Kept: the CRM's", "Сохранено: из CRM"),
    "no_edit": ("No manual edits differ from amoCRM.", "Правок вручную, которые расходятся с amoCRM, нет."),
    "why_edited": ("edited by hand; amoCRM has not changed", "исправлено вручную; в amoCRM то же, что раньше"),
    "why_conflict": (
        "edited by hand, and amoCRM sent another value: an open conflict",
        "исправлено вручную, а из amoCRM пришло другое: открытый конфликт",
    ),
    "why_decided": (
        "a conflict resolved in favour of the CRM, or with another value",
        "конфликт, решённый в пользу CRM или вписанным значением",
    ),
    "why_crm_wins": (
        "the mapping gives the CRM priority in this field",
        "по сопоставлению в этом поле приоритет у CRM",
    ),
    "why_fill_empty": (
        "the mapping fills this field only where it is empty",
        "по сопоставлению это поле заполняется, только если пусто",
    ),
    # conflicts
    "conflicts_counted": ("Conflicts: {n}", "Конфликты: {n}"),
    "conflicts_note": (
        "Both sides changed the same value; the CRM's value was kept. Resolve conflicts with target-crm-admin serve "
        "or conflicts. Differences from the earlier value are highlighted.",
        "Одно значение изменили с обеих сторон; оставлено значение CRM. Решить конфликты можно в target-crm-admin "
        "serve или командой conflicts. Выделено то, что отличается от прежнего.",
    ),
    "base": ("amoCRM before", "Раньше в amoCRM"),
    "ours": ("In the CRM (kept)", "В CRM (оставлено)"),
    "theirs": ("amoCRM now", "Сейчас в amoCRM"),
    # rejects
    "rejects_counted": ("Not loaded: {n}", "Не загружено: {n}"),
    "rejects": ("Not loaded", "Не загружено"),
    "rejects_note": (
        "These records could not be loaded; all others were. To try again: target-crm-admin rejects --retry.",
        "Эти записи загрузить не удалось, остальные загружены; повторить: target-crm-admin rejects --retry.",
    ),
    # warnings
    "warnings_counted": ("Values left out: {n}", "Пропущенные значения: {n}"),
    "warnings_note": (
        "Their fields can't hold these values; the rest of the records was loaded.",
        "Поля не принимают эти значения; остальное в записях загружено.",
    ),
    # time
    "time_title": ("Time and requests", "Время и запросы"),
    "no_metrics": (
        "No request charts: no metrics file was given (--metrics-file).",
        "Графики запросов не построены: файл с метриками не указан (--metrics-file).",
    ),
    "last_title": ("Last {n} runs", "Последние загрузки: {n}"),
    "last": ("Last runs", "Последние загрузки"),
    "rows_written": ("Records written", "Записано"),
    # plots
    "plot_rate": ("Requests per second", "Запросов в секунду"),
    "plot_limit": ("limit {n}", "предел {n}"),
    "plot_second": ("second of the run", "секунда загрузки"),
    "plot_requests": ("requests", "запросов"),
    "plot_rate_told": (
        "{requests} requests in {seconds} seconds, at most {most} in one; the limit is {limit}.",
        "Запросов: {requests} за {seconds} с, не больше {most} в секунду; предел {limit}.",
    ),
    "plot_by_stream": ("Requests by stream", "Запросы по потокам"),
    "plot_all": ("total", "всего"),
    "plot_without": ("one for each card", "если спрашивать каждую карточку отдельно"),
    "plot_by_stream_told": (
        "{streams}; {total} in all, {without} with one for each card.",
        "{streams}; всего {total}, по одному на карточку было бы {without}.",
    ),
    "plot_by_stream_total": ("{streams}; {total} in all.", "{streams}; всего {total}."),
    "plot_records_title": ("Records over time", "Записи по времени"),
    "plot_records": ("records", "записей"),
    "plot_records_told": ("Records read by the end: {streams}.", "Прочитано к концу: {streams}."),
    "plot_times": ("Where the time went", "На что ушло время"),
    "plot_seconds": ("{n} s", "{n} с"),
    "time_api": ("waiting for the API (requests in flight added up)", "ожидание API (сумма по запросам)"),
    "time_tap": ("reading from amoCRM, from start to end", "чтение из amoCRM, от начала до конца"),
    "time_target": ("loading into the CRM, from start to end", "загрузка в CRM, от начала до конца"),
    "time_merge": ("of that in the merge", "из них слияние"),
    "plot_rows": ("rows", "строк"),
    "plot_trend_told": (
        "run {n}: {written} written, {conflicts} conflicts",
        "{n}: записано {written}, конфликтов {conflicts}",
    ),
    "tile_written": ("records written", "записей записано"),
    "todo_title": ("What to do", "Что нужно сделать"),
    "todo_where": ("On the review page: target-crm-admin serve.", "На странице сверки: target-crm-admin serve."),
    "top_title": ("Examples of changes", "Примеры изменений"),
    "slow_title": ("Where the time went", "На что ушло время"),
    "slow_limit": (
        "{share} % of the time was the limit of {limit} requests a second.",
        "{share} % времени заняло ограничение: {limit} запросов в секунду.",
    ),
    "slow_database": ("{share} % of the time went to the database.", "{share} % времени заняла база данных."),
    "slow_answers": (
        "The limit of {limit} requests a second did not slow the run down ({share} % of the time): it waited for "
        "answers or had little to request.",
        "Ограничение в {limit} запросов в секунду не мешало ({share} % времени): загрузка ждала ответов или "
        "спрашивала мало.",
    ),
    "slow_answer": ("amoCRM answered in {n} s on average.", "amoCRM отвечала в среднем за {n} с."),
    "slow_merge": ("The database took {share} %.", "База данных заняла {share} %."),
    "slow_refused": (
        "Refused or failed requests: {refused}; repeated: {retries}.",
        "Отказов и сбоев: {refused}; повторов: {retries}.",
    ),
    "slow_waiting": (
        "{share} % of the time the run waited for amoCRM's answers; the limit of requests did not slow it down.",
        "{share} % времени загрузка ждала ответов amoCRM; ограничение запросов не мешало.",
    ),
    "slow_nothing": (
        "Neither the limit of requests nor amoCRM nor the database slowed the run down much.",
        "Ни ограничение запросов, ни amoCRM, ни база данных надолго загрузку не задержали.",
    ),
    "share_slots": ("waiting for the limit of requests", "ожидание из-за ограничения запросов"),
    "share_answers": ("waiting for amoCRM's answers", "ожидание ответов amoCRM"),
    "share_database": ("writing into the database", "запись в базу данных"),
    "shares_note": (
        "Shares of the total time. Reading and writing overlap, so they need not add up to 100 %.",
        "Доли времени от начала до конца. Чтение и запись идут одновременно, поэтому в сумме может быть не 100 %.",
    ),
    "streams_title": ("Waiting by record type", "Ожидание по видам записей"),
    "streams_note": (
        "Waiting: total seconds that requests waited for the limit. Answers in milliseconds.",
        "Ожидание: сколько секунд запросы ждали из-за ограничения, в сумме. Ответы в миллисекундах.",
    ),
    "stream_answers": ("Answers", "Ответов"),
    "stream_slots": ("Waiting, s", "Ожидание, с"),
    "stream_median": ("Median", "Медиана"),
    "stream_p95": ("95 % within", "95 % не дольше"),
    "stream_slowest": ("Slowest", "Самый долгий"),
    "stream_refused": ("Refused, failed", "Отказов, сбоев"),
    "todo_here": ("Open the review page", "Открыть страницу сверки"),
    "appendix": ("Details", "Подробно"),
}
