"""All texts of a run's report, English and Russian side by side."""

from __future__ import annotations

from target_crm.presentation.texts.common import COMMON

TEXTS: dict[str, tuple[str, str]] = COMMON | {
    # head
    "title": ("Run {n} of target-crm", "Загрузка {n}: target-crm"),
    "heading_load": ("Load {n}", "Загрузка № {n}"),
    "heading": ("Run {n}: {kind}", "Загрузка {n}: {kind}"),
    "began": ("Started {when}", "Начало {when}"),
    "lasted": (", {n} seconds", ", {n} с"),
    "account": (", amoCRM account {ids}", ", аккаунт amoCRM {ids}"),
    "undoes": ("It undoes run {n}.", "Отменяет загрузку {n}."),
    "undone": ("It was undone by run {n}.", "Отменена загрузкой {n}."),
    # figures
    "tile_read": ("records read", "записей прочитано"),
    "tile_kept": ("records with edits kept", "записей с сохранёнными правками"),
    "tile_rejected": ("records not loaded", "записей не загружено"),
    "counts_title": ("What came and what was written", "Что пришло и что записано"),
    "counts": ("Counts by table", "Числа по таблицам"),
    "counts_note": (
        "edits kept: rows in which a manual edit stayed. unchanged: nothing was written. marked deleted, mark taken "
        "off: rows whose mark of deletion was set or taken off.",
        "правок сохранено: строки, в которых осталась правка вручную. без изменений: ничего не записано. помечено "
        "удалёнными, пометка снята: строки, у которых поставлена или снята пометка об удалении.",
    ),
    "nothing": ("Nothing.", "Ничего."),
    "none": ("None.", "Нет."),
    # changes
    "by_column": ("Changes by column", "Изменения по полям"),
    "entries": ("entries of the journal", "записей в журнале"),
    "changes_caption": (
        "The first {n} values; target-crm-admin serve shows every one.",
        "Первые {n} значений; все показывает target-crm-admin serve.",
    ),
    "first": ("The first {n}.", "Первые {n}."),
    # kept
    "kept_title": ("What was kept, and why", "Что сохранено и почему"),
    "kept_note": (
        "In the tables in which this run kept edits, as they are now: values of the CRM that differ from what amoCRM "
        "sent last.",
        "В таблицах, где эта загрузка сохранила правки, как они выглядят сейчас: значения CRM, которые отличаются от "
        "последних из amoCRM.",
    ),
    "reasons": ("Reasons", "Причины"),
    "why": ("why", "почему"),
    "values": ("values", "значений"),
    "kept_values": ("Values that were kept", "Сохранённые значения"),
    "kept_ours": ("kept: the CRM's", "сохранено: из CRM"),
    "no_edit": ("No manual edit differs from amoCRM.", "Правок вручную, которые расходятся с amoCRM, нет."),
    "why_edited": (
        "edited by hand; amoCRM still sends what it sent before",
        "исправлено вручную; в amoCRM то же, что раньше",
    ),
    "why_conflict": (
        "edited by hand, and amoCRM sent another value: a conflict that is open",
        "исправлено вручную, а из amoCRM пришло другое: открытый конфликт",
    ),
    "why_decided": (
        "a conflict that was decided for the CRM, or by a value that was typed",
        "конфликт, решённый в пользу CRM или вписанным значением",
    ),
    "why_crm_wins": (
        "the mapping lets the CRM win in this column",
        "по сопоставлению в этом поле главнее CRM",
    ),
    "why_fill_empty": (
        "the mapping only fills this column where it is empty",
        "по сопоставлению это поле заполняется, только если пусто",
    ),
    # conflicts
    "conflicts_counted": ("Conflicts: {n}", "Конфликты: {n}"),
    "conflicts_note": (
        "Both sides changed the same value. The CRM's was kept; target-crm-admin serve, or conflicts, settles them. "
        "Marked: what differs from the base.",
        "Одно значение изменили с обеих сторон. Оставлено значение CRM; решают конфликты в target-crm-admin serve или "
        "командой conflicts. Выделено то, что отличается от прежнего.",
    ),
    "base": ("base: amoCRM before", "раньше в amoCRM"),
    "ours": ("ours: kept", "наше: оставлено"),
    "theirs": ("theirs: amoCRM now", "сейчас в amoCRM"),
    # rejects
    "rejects_counted": ("Not loaded: {n}", "Не загружено: {n}"),
    "rejects": ("Not loaded", "Не загружено"),
    "rejects_note": (
        "These records could not be loaded, the rest was; target-crm-admin rejects --retry tries them again.",
        "Эти записи загрузить не удалось, остальные загружены; повторить: target-crm-admin rejects --retry.",
    ),
    # warnings
    "warnings_counted": ("Values left out: {n}", "Пропущенные значения: {n}"),
    "warnings_note": (
        "Their columns can't take these values; the rest of the records was loaded.",
        "Поля не принимают эти значения; остальное в записях загружено.",
    ),
    # time
    "time_title": ("Time and requests", "Время и запросы"),
    "no_metrics": (
        "Requests are not drawn: no metrics file was given (--metrics-file).",
        "Графики запросов не построены: файл с метриками не указан (--metrics-file).",
    ),
    "last_title": ("The last {n} runs", "Последние загрузки: {n}"),
    "last": ("The last runs", "Последние загрузки"),
    "rows_written": ("rows written", "строк записано"),
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
    "plot_all": ("all together", "всего"),
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
    "todo_title": ("What is to be done", "Что нужно сделать"),
    "todo_where": ("On the review page: target-crm-admin serve.", "На странице сверки: target-crm-admin serve."),
    "top_title": ("Changes, for example", "Изменения, например"),
    "slow_title": ("What the time went to", "На что ушло время"),
    "slow_limit": (
        "{share} % of the time was the limit of {limit} requests a second.",
        "{share} % времени заняло ограничение: {limit} запросов в секунду.",
    ),
    "slow_database": ("{share} % of the time went to the database.", "{share} % времени заняла база данных."),
    "slow_answers": (
        "The limit of {limit} requests a second was no obstacle ({share} % of the time): the run waited for "
        "answers or had little to ask.",
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
        "{share} % of the time the run waited for amoCRM's answers; the limit of requests was no obstacle.",
        "{share} % времени загрузка ждала ответов amoCRM; ограничение запросов не мешало.",
    ),
    "slow_nothing": (
        "Neither the limit of requests nor amoCRM nor the database held the run up for long.",
        "Ни ограничение запросов, ни amoCRM, ни база данных надолго загрузку не задержали.",
    ),
    "share_slots": ("waiting for the limit of requests", "ожидание из-за ограничения запросов"),
    "share_answers": ("waiting for amoCRM's answers", "ожидание ответов amoCRM"),
    "share_database": ("writing into the database", "запись в базу данных"),
    "shares_note": (
        "Shares of the time from start to end. Reading and writing go on at the same time, so they need not add up to "
        "100 %.",
        "Доли времени от начала до конца. Чтение и запись идут одновременно, поэтому в сумме может быть не 100 %.",
    ),
    "streams_title": ("Waiting by kind of record", "Ожидание по видам записей"),
    "streams_note": (
        "Slots: seconds in which requests waited for the limit, added up. Answers in milliseconds.",
        "Очередь: сколько секунд запросы ждали из-за ограничения, в сумме. Ответы в миллисекундах.",
    ),
    "stream_answers": ("answers", "ответов"),
    "stream_slots": ("slots, s", "очередь, с"),
    "stream_median": ("median", "медиана"),
    "stream_p95": ("95 % within", "95 % не дольше"),
    "stream_slowest": ("slowest", "самый долгий"),
    "stream_refused": ("refused, failed", "отказов, сбоев"),
    "todo_here": ("Open the review page", "Открыть страницу сверки"),
    "appendix": ("In detail", "Подробно"),
}
