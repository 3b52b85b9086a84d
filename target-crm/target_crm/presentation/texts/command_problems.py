"""Texts of the errors that commands and pages end with: what happened and what to do, English and Russian.

Names in braces are a code's arguments. `[[...]]` is left out where an argument in it is empty; `[[...||...]]` then
shows its second part.
"""

from __future__ import annotations

from target_crm.presentation.texts.text import Text

_LIST_RUNS = "target-crm-admin status lists the runs."
_LIST_RUNS_RU = "Список загрузок: target-crm-admin status."
_LATER = "Start it again later, or raise lock_timeout_seconds."
_LATER_RU = "Повторите позже или увеличьте lock_timeout_seconds."
_MAPPED = "Take a name from the mapping; target-crm-admin map shows it."
_MAPPED_RU = "Возьмите имя из сопоставления: его показывает target-crm-admin map."
_METRICS = "Give the file that the setting metrics_file of tap-amocrm names."
_METRICS_RU = "Укажите файл, который называет настройка metrics_file тапа."

COMMAND_PROBLEMS: dict[str, Text] = {
    # A run
    "E_NO_RUN_YET": Text(
        "No run has been recorded yet.", "Загрузок ещё не было.", "Run a load first.", "Сначала выполните загрузку."
    ),
    "E_RUN_UNKNOWN": Text(
        "Run {run} does not exist; the runs are {first} to {last}.",
        "Загрузки {run} нет; есть загрузки с {first} по {last}.",
        _LIST_RUNS,
        _LIST_RUNS_RU,
    ),
    "E_RUN_RUNNING": Text(
        "Run {run} is still running.",
        "Загрузка {run} ещё идёт.",
        "Wait until it has ended.",
        "Дождитесь её окончания.",
    ),
    "E_RUN_UNDONE": Text(
        "Run {run} was undone by run {by}.",
        "Загрузка {run} уже отменена загрузкой {by}.",
        "To bring its changes back, undo run {by}.",
        "Чтобы вернуть её изменения, отмените загрузку {by}.",
    ),
    "E_RUN_JOURNAL_REMOVED": Text(
        "Run {run} can't be undone: its journal was removed.",
        "Загрузку {run} не отменить: её журнал удалён.",
        "The setting journal_retention_days says how long journals are kept.",
        "Срок хранения журнала задаёт настройка journal_retention_days.",
    ),
    "E_LOAD_RUNNING": Text(
        "Another load of account {account} is running on this database; it did not end within lock_timeout_seconds = "
        "{seconds}.",
        "В эту базу идёт другая загрузка аккаунта {account}; за lock_timeout_seconds = {seconds} она не закончилась.",
        _LATER,
        _LATER_RU,
    ),
    "E_ROWS_HELD": Text(
        "Another session has locked rows that are needed and did not release them within lock_timeout_seconds = "
        "{seconds}. Nothing was changed.",
        "Нужные строки заблокировал другой сеанс; за lock_timeout_seconds = {seconds} он их не освободил. Ничего не "
        "изменено.",
        _LATER,
        _LATER_RU,
    ),
    "E_RUN_STOPPED": Text(
        "The run was stopped by a signal.",
        "Загрузку остановили сигналом.",
        "What was committed stays; run it again.",
        "Записанное осталось; запустите загрузку ещё раз.",
    ),
    "E_RUN_ENDED": Text(
        "The process ended without closing its run.",
        "Процесс завершился, не закрыв загрузку.",
        "What was committed stays; run it again.",
        "Записанное осталось; запустите загрузку ещё раз.",
    ),
    # A conflict or a reject
    "E_CONFLICT_UNKNOWN": Text(
        "No such conflict: {numbers}. [[Open conflicts: {open}.||No conflict is open.]]",
        "Такого конфликта нет: {numbers}. [[Открытые конфликты: {open}.||Открытых конфликтов нет.]]",
        "target-crm-admin conflicts lists them.",
        "Список: target-crm-admin conflicts.",
    ),
    "E_CONFLICT_RESOLVED": Text(
        "Already resolved: conflict {resolved}. [[Open conflicts: {open}.||No conflict is open.]]",
        "Уже решён конфликт {resolved}. [[Открытые конфликты: {open}.||Открытых конфликтов нет.]]",
        "target-crm-admin undo takes a decision back.",
        "Отменить решение: target-crm-admin undo.",
    ),
    "E_REJECT_UNKNOWN": Text(
        "No such reject: {numbers}. [[Open rejects: {open}.||No reject is open.]]",
        "Такой отклонённой записи нет: {numbers}. [[Открытые: {open}.||Открытых отклонённых записей нет.]]",
        "target-crm-admin rejects lists them.",
        "Список: target-crm-admin rejects.",
    ),
    "E_REJECT_CLOSED": Text(
        "Already closed: reject {resolved}. [[Open rejects: {open}.||No reject is open.]]",
        "Уже закрыта отклонённая запись {resolved}. [[Открытые: {open}.||Открытых отклонённых записей нет.]]",
        "target-crm-admin rejects --resolved lists closed ones as well.",
        "Закрытые тоже показывает target-crm-admin rejects --resolved.",
    ),
    "E_PROPOSAL_UNKNOWN": Text(
        "No such proposal: {numbers}. [[Open proposals: {open}.||No proposal is open.]]",
        "Такого предложения нет: {numbers}. [[Открытые предложения: {open}.||Открытых предложений нет.]]",
        "target-crm-admin proposals lists them.",
        "Список: target-crm-admin proposals.",
    ),
    "E_PROPOSAL_CLOSED": Text(
        "Already decided: proposal {resolved}. [[Open proposals: {open}.||No proposal is open.]]",
        "Уже решено предложение {resolved}. [[Открытые: {open}.||Открытых предложений нет.]]",
        "target-crm-admin proposals --resolved lists decided ones as well; undo takes a decision back.",
        "Решённые тоже показывает target-crm-admin proposals --resolved; undo отменяет решение.",
    ),
    "E_ROW_TAKEN": Text(
        "Row {row} of {table} already belongs to record amo:{amo_id}.",
        "Строка {row} таблицы {table} уже принадлежит записи amo:{amo_id}.",
        "Untie it first: target-crm-admin untie {table} amo:{amo_id}.",
        "Сначала отвяжите её: target-crm-admin untie {table} amo:{amo_id}.",
    ),
    "E_TABLE_GETS_NO_ROWS": Text(
        "Rows of {table} are only matched (match_only); no rows are inserted.",
        "Строки таблицы {table} только сопоставляются (match_only); новые строки не добавляются.",
        "Take an existing row (--take ROW), or leave the record out (--ignore). A row that you add in the CRM is "
        "matched by the next load.",
        "Выберите существующую строку (--take ROW) или не загружайте запись (--ignore). Строку, которую вы добавите в "
        "CRM, сопоставит следующая загрузка.",
    ),
    "E_RECORD_HAS_ROW": Text(
        "Record amo:{amo_id} already has a row of {table} ({row}). Its newer version waits, because one of its "
        "values must be unique in the database.",
        "У записи amo:{amo_id} уже есть строка таблицы {table} ({row}). Новая версия ждёт: одно из её значений не "
        "может повторяться в базе данных.",
        "Take the row that holds the value (--take ROW), change that value in the CRM and load again, or leave the "
        "record out (--ignore).",
        "Выберите строку с этим значением (--take ROW), измените значение в CRM и повторите загрузку или не загружайте "
        "запись (--ignore).",
    ),
    "E_ROW_CHOSEN_TWICE": Text(
        "Two records can't share one row ({row}).",
        "Две записи не могут занять одну строку ({row}).",
        "Decide on them one at a time.",
        "Решайте по одной.",
    ),
    "E_NOT_A_RECORD_KEY": Text(
        "{record} does not name a record of amoCRM.",
        "{record} — не запись amoCRM.",
        "Write amo:ID or ACCOUNT/amo:ID.",
        "Напишите amo:НОМЕР или АККАУНТ/amo:НОМЕР.",
    ),
    "E_RECORD_IN_SEVERAL_ACCOUNTS": Text(
        "{record} waits in several accounts.",
        "{record} ждёт решения в нескольких аккаунтах.",
        "Name the account as well: ACCOUNT/amo:ID.",
        "Укажите и аккаунт: АККАУНТ/amo:НОМЕР.",
    ),
    "E_ROW_NEVER_MERGED": Text(
        "Row {row} of {table} holds no record of amoCRM: no load has merged it yet.",
        "В строке {row} таблицы {table} нет записи amoCRM: ни одна загрузка её не сливала.",
        "Clear its id columns with SQL.",
        "Очистите столбцы с идентификаторами запросом SQL.",
    ),
    "E_RULE_UNKNOWN": Text(
        "Rule {rule} does not exist.",
        "Правила {rule} нет.",
        "The rules are {known}.",
        "Правила: {known}.",
    ),
    "E_TAKE_UNKNOWN": Text(
        "--take {take}: unknown value.",
        "--take {take}: неизвестное значение.",
        "Use one of {known}.",
        "Допустимые значения: {known}.",
    ),
    # A table, a column, a row
    "E_TABLE_UNKNOWN": Text(
        "Table {table} is not in the mapping.[[ Did you mean {nearest}?]] Mapped tables: {known}.",
        "Таблицы {table} нет в сопоставлении.[[ Похожее имя: {nearest}.]] Есть: {known}.",
        _MAPPED,
        _MAPPED_RU,
    ),
    "E_COLUMN_UNKNOWN": Text(
        "Column {column}[[ of {table}]] is not in the mapping.[[ Did you mean {nearest}?]] Mapped columns: {known}.",
        "Поля {column}[[ таблицы {table}]] нет в сопоставлении.[[ Похожее имя: {nearest}.]] Есть: {known}.",
        _MAPPED,
        _MAPPED_RU,
    ),
    "E_STREAM_UNKNOWN": Text(
        "Stream {stream} is not in the mapping.[[ Did you mean {nearest}?]] Mapped streams: {known}.",
        "Потока {stream} нет в сопоставлении.[[ Похожее имя: {nearest}.]] Есть: {known}.",
        _MAPPED,
        _MAPPED_RU,
    ),
    "E_TABLE_MATCH_ONLY": Text(
        "Rows of {table} are only matched (match_only); they hold no values of amoCRM.",
        "Строки таблицы {table} только сопоставляются (match_only); значений из amoCRM в них нет.",
        "Choose another table.",
        "Выберите другую таблицу.",
    ),
    "E_ROW_UNKNOWN": Text(
        "Table {table} has no row {row}[[ (it has amo:{example}, for example)]].",
        "В таблице {table} нет строки {row}[[; есть, например, amo:{example}]].",
        "Give the row's key, amo:ID or ACCOUNT/amo:ID.",
        "Укажите ключ строки, amo:НОМЕР или АККАУНТ/amo:НОМЕР.",
    ),
    "E_STATES_SEVERAL": Text(
        "Several states are stored: {known}.",
        "Сохранено несколько состояний: {known}.",
        "Name the account (--account) and, if necessary, the tap (--tap).",
        "Укажите аккаунт (--account) и при необходимости тап (--tap).",
    ),
    "E_ROW_AMBIGUOUS": Text(
        "Several rows of {table} match {row}.",
        "Под {row} подходит несколько строк таблицы {table}.",
        "Name the account as well: ACCOUNT/amo:ID.",
        "Укажите и аккаунт: АККАУНТ/amo:НОМЕР.",
    ),
    # The database
    "E_NO_DATABASE_YET": Text(
        "No load has run here yet: {folder} contains no embedded PostgreSQL.",
        "Здесь загрузок ещё не было: в {folder} нет встроенного PostgreSQL.",
        "Run a load first. To look at another database, set database_url (TARGET_CRM_DATABASE_URL) or data_dir.",
        "Сначала выполните загрузку. Другую базу укажите в database_url (TARGET_CRM_DATABASE_URL) или data_dir.",
    ),
    "E_NO_TABLES_YET": Text(
        "No load has run here yet: schema {schema} of database {database} on {host} contains no tables of target-crm.",
        "Здесь загрузок ещё не было: в схеме {schema} базы {database} на {host} нет таблиц target-crm.",
        "Run a load first, or check database_url and crm_schema.",
        "Сначала выполните загрузку или проверьте database_url и crm_schema.",
    ),
    "E_TABLES_OF_EARLIER_VERSION": Text(
        "The tables of schema {schema} have version {version}; this target-crm requires version {current}.",
        "Таблицы схемы {schema} имеют версию {version}, а этой target-crm нужна версия {current}.",
        "Run a load first: it upgrades the tables and keeps their contents.",
        "Сначала выполните загрузку: она обновит таблицы и сохранит всё, что в них есть.",
    ),
    # A plan, a report
    "E_PLAN_MISSING": Text(
        "Plan {file} does not exist.",
        "Плана {file} нет.",
        "Run a load with dry_run: true; it writes the plan.",
        "Выполните загрузку с dry_run: true, она запишет план.",
    ),
    "E_PLAN_NOT_READABLE": Text(
        "The plan {file} can't be read: {reason}.",
        "План {file} не читается.",
        "Check the path and the permissions of the file.",
        "Проверьте путь и права на файл.",
    ),
    "E_PLAN_FOREIGN": Text(
        "{file} is not a plan that target-crm wrote.",
        "{file} — не план, записанный target-crm.",
        "Run a load with dry_run: true again.",
        "Выполните загрузку с dry_run: true ещё раз.",
    ),
    "E_PLAN_NOT_WRITTEN": Text(
        "Setting plan_file: {file} can't be written: {reason}.",
        "Настройка plan_file: файл {file} не записать.",
        "Check the path, the permissions of the folder and the free space on the disk.",
        "Проверьте путь, права на каталог и место на диске.",
    ),
    "E_PLAN_UNNAMED": Text(
        "No plan of a dry run was kept: this user has no home directory.",
        "План пробной загрузки не сохранён: у пользователя нет домашнего каталога.",
        "Name a file of Singer messages, or set plan_file to keep the plan of a dry run.",
        "Укажите файл с сообщениями Singer или задайте plan_file, чтобы план сохранялся.",
    ),
    "E_REPORT_NOT_WRITTEN": Text(
        "--html {file} can't be written: {reason}.",
        "--html: файл {file} не записать.",
        "Check the path and the permissions of the folder.",
        "Проверьте путь и права на каталог.",
    ),
    "E_METRICS_NOT_A_FILE": Text(
        "--metrics-file {file} is not a file.", "--metrics-file: {file} — не файл.", _METRICS, _METRICS_RU
    ),
    "E_METRICS_TOO_LARGE": Text(
        "--metrics-file {file} is larger than {megabytes} MB.",
        "--metrics-file: файл {file} больше {megabytes} МБ.",
        _METRICS,
        _METRICS_RU,
    ),
    "E_METRICS_NOT_READABLE": Text(
        "--metrics-file {file} can't be read: {reason}.",
        "--metrics-file: файл {file} не читается.",
        "Check the permissions of the file.",
        "Проверьте права на файл.",
    ),
    "E_METRICS_FOREIGN": Text(
        "--metrics-file {file} does not hold metrics of tap-amocrm: {reason}.",
        "--metrics-file: в файле {file} нет метрик tap-amocrm.",
        _METRICS,
        _METRICS_RU,
    ),
    "E_METRICS_OF_ANOTHER_RUN": Text(
        "--metrics-file {file} holds the metrics of a run other than run {run}.",
        "--metrics-file: в файле {file} метрики другой загрузки, не {run}.",
        "Each run of the tap replaces the file (setting metrics_file): keep a copy of it with each report.",
        "Каждый запуск тапа заменяет файл (настройка metrics_file): храните его копию вместе с отчётом.",
    ),
    # The first start
    "E_SETUP_ADDRESS": Text(
        "{address} is not the address of an account.",
        "{address}: это не адрес аккаунта.",
        "Give its name (mycompany), its host (mycompany.amocrm.ru) or an address that the browser shows.",
        "Укажите имя (mycompany), хост (mycompany.amocrm.ru) или адрес из браузера.",
    ),
    "E_SETUP_PROGRAM": Text(
        "{program} was found neither on PATH nor beside target-crm-admin.",
        "Команда {program} не найдена ни рядом с target-crm-admin, ни в PATH.",
        "Install it: pip install tap-amocrm.",
        "Установите её: pip install tap-amocrm.",
    ),
    "E_SETUP_FILE": Text(
        "{file} can't be read or written: {reason}.",
        "Файл {file} не прочитать или не записать.",
        "Check the path and the permissions of the folder, or name another file with --env-file.",
        "Проверьте путь и права на каталог или укажите другой файл в --env-file.",
    ),
    # The digest
    "E_SINCE": Text(
        "--since {text} is not a time in the past.",
        "--since {text}: это не момент в прошлом.",
        "Give yesterday, today, a period such as 24h or 7d, or a time such as 2026-11-25T08:00.",
        "Укажите yesterday, today, срок вида 24h или 7d либо время вида 2026-11-25T08:00.",
    ),
    "E_DIGEST_NO_ADDRESS": Text(
        "Setting digest_urls is missing, so the digest has no recipient.",
        "Не задана настройка digest_urls: у сводки нет получателя.",
        "Set TARGET_CRM_DIGEST_URLS to Apprise addresses, such as mailto://user:password@example.com.",
        "Задайте в TARGET_CRM_DIGEST_URLS адреса Apprise, например mailto://user:password@example.com.",
    ),
    "E_DIGEST_ADDRESS": Text(
        "Setting digest_urls: an address is not valid. Nothing was sent.",
        "Настройка digest_urls: неверный адрес. Ничего не отправлено.",
        "The forms of addresses are described at https://appriseit.com/services/; separate several addresses with "
        "spaces.",
        "Форму адреса смотрите на https://appriseit.com/services/; несколько адресов разделяйте пробелами.",
    ),
    "E_DIGEST_NOT_SENT": Text(
        "The digest could not be delivered to: {services}.",
        "Не удалось доставить сводку: {services}.",
        "Check these addresses in setting digest_urls, and that this machine can reach them.",
        "Проверьте эти адреса в настройке digest_urls и доступны ли они с этой машины.",
    ),
    # The review page
    "E_SERVE_REMOTE": Text(
        "--host {host} would show the CRM to other machines.",
        "--host {host} открыл бы CRM для других машин.",
        "Add --allow-remote and a password; or leave --host out and use a tunnel (ssh -L).",
        "Добавьте --allow-remote и пароль либо уберите --host и подключайтесь через туннель (ssh -L).",
    ),
    "E_SERVE_NO_PASSWORD": Text(
        "--allow-remote requires a password, or users with their own passwords.",
        "Для --allow-remote нужен пароль или пользователи со своими паролями.",
        "Add people with target-crm-admin users add, set CRM_REVIEW_PASSWORD, or name a file with --password-file.",
        "Добавьте пользователей командой target-crm-admin users add, задайте CRM_REVIEW_PASSWORD или укажите файл в "
        "--password-file.",
    ),
    "E_SERVE_SHORT_PASSWORD": Text(
        "The password is too short.",
        "Пароль слишком короткий.",
        "Choose a password of at least {least} characters.",
        "Нужно не меньше {least} символов.",
    ),
    "E_NOTHING_TO_ALLOW": Text(
        "Run {run} has nothing to allow: no guard stopped it, or a load has succeeded since.",
        "Для загрузки {run} разрешать нечего: её не останавливал ограничитель, или с тех пор уже прошла другая.",
        "target-crm-admin status shows which runs failed and why.",
        "Какие загрузки не удались и почему, показывает target-crm-admin status.",
    ),
    "E_USER_NO_NAME": Text(
        "The user's name is missing.", "Имя не указано.", "Give one: users add NAME.", "Укажите имя: users add ИМЯ."
    ),
    "E_USER_TAKEN": Text(
        "A user named {name} already exists.",
        "Пользователь {name} уже есть.",
        "users passwd changes the password.",
        "Сменить пароль: users passwd.",
    ),
    "E_USER_UNKNOWN": Text(
        "User {name} does not exist.[[ Did you mean {nearest}?]][[ Users: {known}.]]",
        "Пользователя {name} нет.[[ Похожее имя: {nearest}.]][[ Есть: {known}.]]",
        "users add NAME adds a user.",
        "Добавить: users add ИМЯ.",
    ),
    "E_USER_PASSWORD": Text(
        "A password must have {least} to {most} characters.",
        "В пароле должно быть от {least} до {most} символов.",
        "Choose another one.",
        "Выберите другой пароль.",
    ),
    "E_USER_NO_PASSWORD": Text(
        "Standard input ended before a password was read.",
        "Пароль не получен: стандартный ввод пуст.",
        "Run the command in a terminal, or pass the password as the first line of standard input.",
        "Запустите команду в терминале или передайте пароль первой строкой стандартного ввода.",
    ),
    "E_SERVE_PORT": Text(
        "--host {host} --port {port}: {reason}.",
        "--host {host} --port {port}: адрес занять не удалось.",
        "Choose another port; --port 0 takes a free one.",
        "Выберите другой порт; --port 0 возьмёт свободный.",
    ),
    "E_SERVE_ADDRESS": Text(
        "{option}: the value is not a valid address.",
        "{option}: неверный адрес.",
        "Give an address such as https://crm.example.com or http://127.0.0.1:9000.",
        "Укажите адрес вида https://crm.example.com или http://127.0.0.1:9000.",
    ),
}
