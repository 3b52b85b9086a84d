"""Texts of the errors that end a load: guards, limits, and every trouble with the database.

`said` are the server's own words, in the server's language: the Russian texts leave them out.
"""

from __future__ import annotations

from target_crm.presentation.texts.text import Text

_AGAIN = "What was committed stays; run again."
_AGAIN_RU = "Записанное осталось; запустите ещё раз."
_URL = "Check setting database_url."
_URL_RU = "Проверьте настройку database_url."
_SERVER_LOG = f"The server's log has the details. {_AGAIN}"
_SERVER_LOG_RU = f"Подробности — в журнале сервера. {_AGAIN_RU}"

RUN_PROBLEMS: dict[str, Text] = {
    # Guards and limits
    "E_MASS_DELETE": Text(
        "This run would mark {number} of {rows} rows of {table} deleted, more than max_deletes_percent = {percent}. "
        "Nothing was marked.",
        "Загрузка пометила бы удалёнными строк таблицы {table}: {number} из {rows}, больше max_deletes_percent = "
        "{percent}. Ничего не помечено.",
        "If this is correct, allow it once on the page of the run or with target-crm-admin allow; allow_mass_delete: "
        "true allows it for every run.",
        "Если так и надо, разрешите это один раз на странице загрузки или командой target-crm-admin allow; "
        "allow_mass_delete: true разрешает это всем загрузкам.",
    ),
    "E_MASS_CHANGE": Text(
        "This batch would overwrite {table}.{column} in {number} of {rows} rows, more than max_changes_percent = "
        "{percent}. None of them was written.",
        "Пакет переписал бы {table}.{column} в строках: {number} из {rows}, больше max_changes_percent = {percent}. "
        "Ни одна не записана.",
        "Check the mapping with target-crm-admin plan. If the change is correct, allow it once on the page of the "
        "run or with target-crm-admin allow.",
        "Проверьте сопоставление командой target-crm-admin plan; если так и надо, разрешите это один раз на странице "
        "загрузки или командой target-crm-admin allow.",
    ),
    "E_TOO_MANY_REJECTS": Text(
        "{number} records were rejected, more than max_bad_records = {most}.",
        "Отклонено записей: {number}, больше max_bad_records = {most}.",
        "The reasons are in the table {schema}.sync_rejects (target-crm-admin rejects). If the load may go on without "
        "these records, allow it once on the page of the run or with target-crm-admin allow.",
        "Причины — в таблице {schema}.sync_rejects (target-crm-admin rejects). Если загрузка может пройти без этих "
        "записей, разрешите это один раз на странице загрузки или командой target-crm-admin allow.",
    ),
    "E_STRICT": Text(
        "Stream {stream}[[, record {record}]]: {problem} The run stops, because on_bad_record is fail.",
        "Поток {stream}[[, запись {record}]]: запись отклонена ({why}), а on_bad_record — fail: загрузка остановлена.",
        "Correct the record in amoCRM, or set on_bad_record: quarantine to continue without it.",
        "Исправьте запись в amoCRM; с on_bad_record: quarantine загрузка продолжилась бы без неё.",
    ),
    "E_STREAM_REFUSED": Text(
        "Stream {stream} is not mapped.",
        "Для потока {stream} не указана таблица.",
        "Map it in mapping_file, list it there under ignore, or set unmapped_streams to warn.",
        "Опишите его в mapping_file, внесите там в ignore или задайте unmapped_streams: warn.",
    ),
    "E_INPUT_OF_VERIFICATION": Text(
        "These messages come from tap-amocrm --verify: they are for comparison, not for loading. Nothing was written.",
        "Это сообщения tap-amocrm --verify: они для проверки, а не для загрузки. Ничего не записано.",
        "Pipe them into target-crm-admin verify. For a load, run tap-amocrm without --verify.",
        "Передайте их команде target-crm-admin verify; для загрузки запустите tap-amocrm без --verify.",
    ),
    "E_FIELDS_AS_COLUMNS": Text(
        "Stream {stream} sends custom fields as columns; the mapping reads them from custom_fields_values.",
        "Поток {stream} передаёт дополнительные поля отдельными свойствами, а сопоставление берёт их из "
        "custom_fields_values.",
        "Set custom_fields: array in tap-amocrm.",
        "Задайте в tap-amocrm custom_fields: array.",
    ),
    # Connecting
    "E_DATABASE_UNREACHABLE": Text("The database can't be reached: {said}", "База данных недоступна.", _URL, _URL_RU),
    "E_DATABASE_PASSWORD_MISSING": Text(
        "The server requires a password: {said}",
        "Серверу нужен пароль.",
        "Put it into setting database_url.",
        "Укажите его в настройке database_url.",
    ),
    "E_DATABASE_LOGIN": Text(
        "The server rejected the user name or the password: {said}", "Сервер не принял имя или пароль.", _URL, _URL_RU
    ),
    "E_DATABASE_HBA": Text(
        "The server does not accept this user from this host: {said}",
        "Сервер не принимает этого пользователя с этого хоста.",
        "Ask an administrator to allow the connection in pg_hba.conf.",
        "Администратор может разрешить это в pg_hba.conf.",
    ),
    "E_DATABASE_NO_ROOM": Text(
        "The server accepts no more connections: {said}",
        "База данных не принимает новых подключений.",
        "Raise the limit, lower parallel_merges, or end sessions that are not needed.",
        "Увеличьте предел, уменьшите parallel_merges или завершите лишние сеансы.",
    ),
    "E_DATABASE_NOT_READY": Text(
        "The server is not ready: {said}", "Сервер ещё не готов.", "Try again in a moment.", "Повторите чуть позже."
    ),
    "E_DATABASE_UNKNOWN": Text(
        "The database does not exist: {said}",
        "Такой базы данных нет.",
        "Check the name in setting database_url.",
        "Проверьте имя в настройке database_url.",
    ),
    "E_DATABASE_ROLE_UNKNOWN": Text("The database role does not exist: {said}", "Такой роли нет.", _URL, _URL_RU),
    "E_DATABASE_CLOSED": Text(
        "The database does not accept connections of this role: {said}",
        "База данных не принимает подключения этой роли.",
        "Ask an administrator to GRANT CONNECT or to allow connections.",
        "Администратор может выполнить GRANT CONNECT или разрешить подключения.",
    ),
    "E_DATABASE_SERVER_KIND": Text(
        "No server in database_url matches target_session_attrs: {said}",
        "Ни один сервер из database_url не подходит под target_session_attrs.",
        "Check the hosts and that parameter.",
        "Проверьте хосты и этот параметр.",
    ),
    "E_DATABASE_POOLER": Text(
        "The pooler rejects a parameter: {said}",
        "Пулер не принимает параметр.",
        "Remove it from database_url, and PGOPTIONS from the environment.",
        "Уберите его из database_url, а PGOPTIONS — из окружения.",
    ),
    # Citus
    "E_CITUS_NODE": Text(
        "{host}:{port} is a worker of Citus. Locks and numbers of runs are one node's own, so loads, commands and the "
        "review page use the coordinator alone. Nothing was written.",
        "{host}:{port} — рабочий узел Citus. Блокировки и номера загрузок у каждого узла свои, поэтому загрузки, "
        "команды и страница сверки работают только через координатор. Ничего не записано.",
        "Name the coordinator in database_url.",
        "Укажите в database_url координатор.",
    ),
    "E_CITUS_STAGING": Text(
        "Setting staging: temporary tables would be on another node of Citus than schema {schema}.",
        "Параметр staging: временные таблицы были бы не на том узле Citus, где схема {schema}.",
        "Set staging to auto or schema.",
        "Задайте staging: auto или schema.",
    ),
    # Afterwards
    "E_DATABASE_LOST": Text(
        "The connection to the database was lost: {said}", "Связь с базой данных прервалась.", _AGAIN, _AGAIN_RU
    ),
    "E_DATABASE_ENDED": Text(
        "The database closed the connection: {said}", "База данных закрыла подключение.", _AGAIN, _AGAIN_RU
    ),
    "E_DATABASE_DISK_FULL": Text(
        "The database's disk is full: {said}",
        "Диск базы данных заполнен.",
        f"Free some space. {_AGAIN}",
        f"Освободите место. {_AGAIN_RU}",
    ),
    "E_DATABASE_MEMORY": Text(
        "The database is out of memory: {said}",
        "Базе данных не хватает памяти.",
        "Lower batch_size_rows or parallel_merges, or give it more memory.",
        "Уменьшите batch_size_rows или parallel_merges либо добавьте памяти.",
    ),
    "E_DATABASE_CONFIGURED_LIMIT": Text(
        "A limit of the database is exceeded: {said}",
        "Превышено ограничение базы данных.",
        "Raise it (temp_file_limit, for example), or lower batch_size_rows.",
        "Увеличьте его (например, temp_file_limit) или уменьшите batch_size_rows.",
    ),
    "E_DATABASE_LIMIT": Text(
        "A limit of PostgreSQL is exceeded: {said}",
        "Превышено ограничение PostgreSQL.",
        "Shorten the value, or leave its column out of the mapping.",
        "Сократите значение или уберите его поле из сопоставления.",
    ),
    "E_DATABASE_INDEX_WIDTH": Text(
        "A value is too long for an index: {said}",
        "Значение слишком длинное для индекса.",
        "Drop that index, or index a part or a hash of the value.",
        "Удалите индекс либо индексируйте часть значения или его хеш.",
    ),
    "E_DATABASE_DOCUMENT_SIZE": Text(
        "A jsonb value is larger than the 256 MB that PostgreSQL accepts: {said}",
        "Значение jsonb больше 256 МБ, которые принимает PostgreSQL.",
        "The record can't be loaded.",
        "Такую запись не загрузить.",
    ),
    "E_DATABASE_LOCK": Text(
        "A lock was not released in time: {said}",
        "Блокировку не освободили вовремя.",
        "The view pg_stat_activity shows who holds it; lock_timeout_seconds sets how long a load waits.",
        "Кто её держит, видно в pg_stat_activity; сколько ждать, задаёт lock_timeout_seconds.",
    ),
    "E_DATABASE_CANCELLED": Text(
        "A statement was cancelled by someone else: {said}",
        "Запрос отменили извне.",
        f"An administrator did that, or a pooler's query_timeout. {_AGAIN}",
        f"Это сделал администратор или query_timeout пулера. {_AGAIN_RU}",
    ),
    "E_DATABASE_READ_ONLY": Text(
        "The server is read-only: {said}",
        "Сервер доступен только для чтения.",
        "It may be a standby: name the primary in database_url, or add target_session_attrs=read-write.",
        "Возможно, это реплика: укажите в database_url основной сервер или добавьте target_session_attrs=read-write.",
    ),
    "E_DATABASE_RIGHTS": Text(
        "The database role lacks a privilege: {said}",
        "Роли базы данных не хватает прав.",
        "docs/least-privilege.md lists the required privileges.",
        "Нужные права перечислены в docs/least-privilege.md.",
    ),
    "E_DATABASE_SCHEMA_UNKNOWN": Text(
        "The schema does not exist: {said}",
        "Такой схемы нет.",
        "Check setting crm_schema.",
        "Проверьте настройку crm_schema.",
    ),
    "E_DATABASE_CONTENDED": Text(
        "The transaction kept conflicting with other sessions: {said}",
        "Транзакция снова и снова сталкивалась с другими сеансами.",
        _AGAIN,
        _AGAIN_RU,
    ),
    "E_DATABASE_FILES": Text(
        "The server reports a problem with its files: {said}",
        "У сервера неполадки с файлами.",
        _SERVER_LOG,
        _SERVER_LOG_RU,
    ),
    "E_DATABASE_DAMAGED": Text(
        "The database is damaged: {said}",
        "Данные базы повреждены.",
        "The server's log has the details; restore the database from a backup.",
        "Подробности — в журнале сервера; восстановите базу из резервной копии.",
    ),
    "E_DATABASE_INDEX_DAMAGED": Text(
        "An index of the database is damaged: {said}",
        "Индекс базы повреждён.",
        "REINDEX it; the server's log has the details.",
        "Выполните REINDEX; подробности — в журнале сервера.",
    ),
    "E_DATABASE_STATEMENT": Text(
        "The database rejected a statement: {said}",
        "База данных отклонила запрос.",
        "The server's log has the details.",
        "Подробности — в журнале сервера.",
    ),
}
