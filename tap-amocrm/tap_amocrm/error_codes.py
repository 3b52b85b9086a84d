"""The codes of the tap's errors, by the name of their class: what docs/errors.md lists and every message ends with.

Each code has its texts in both languages; parameters in braces are filled in from the error (`rendered`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["en", "ru"]
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Text:
    """A sentence in both languages."""

    en: str
    ru: str

    def of(self, language: Language) -> str:
        """The sentence in a language."""
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True)
class ErrorCode:
    """A stable code, what it means, what to do, and the parameters that every error of it carries.

    `problems`: what its parameter `problem` may be, and what each says.
    """

    code: str
    meaning: Text
    remedy: Text
    parameters: tuple[str, ...] = ()
    problems: Mapping[str, Text] | None = None

    def rendered(self, parameters: Mapping[str, Any], language: Language) -> str:
        """Meaning, problem and remedy in a language, with an error's parameters."""
        parts = [self.meaning]
        if self.problems is not None:
            parts = [self.problems[str(parameters["problem"])]]
        text = " ".join(part.of(language) for part in (*parts, self.remedy))
        return _PARAMETER.sub(lambda name: shown(parameters.get(name[1])), text)


def shown(value: Any) -> str:
    """A parameter as a text shows it."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


_SETTING_PROBLEMS = {
    "missing": Text("{setting} is missing.", "Не задано: {setting}."),
    "format": Text("{setting} has a value in a wrong format.", "Значение имеет не тот вид: {setting}."),
    "range": Text("{setting} is out of its range.", "Значение вне допустимых пределов: {setting}."),
    "choice": Text("{setting} must have one of its listed values.", "Такого значения нет в списке: {setting}."),
    "future": Text("{setting} is in the future.", "Время ещё не наступило: {setting}."),
    "together": Text("{setting}: set both or neither.", "Задайте обе настройки или ни одной: {setting}."),
    "unreadable": Text("The file of {setting} can't be read.", "Файл не читается: {setting}."),
    "unwritable": Text("The file of {setting} can't be written.", "Файл не записывается: {setting}."),
    "no_home": Text(
        "{setting} is below the home folder, and this user has none.",
        "Путь начинается с домашней папки, а у этого пользователя её нет: {setting}.",
    ),
    "other_content": Text("The file of {setting} has other contents.", "В файле хранится другое: {setting}."),
    "other_account": Text("{setting}: the address leads to another account.", "Адрес ведёт в другое место: {setting}."),
    "no_account": Text("{setting}: the address does not lead to an account.", "По адресу нет аккаунта: {setting}."),
    "refused": Text("amoCRM refuses {setting}.", "amoCRM не принимает значение: {setting}."),
    "in_use": Text("The address of {setting} can't be listened on.", "Адрес занят или недоступен: {setting}."),
    "packages": Text("{setting} requires additional packages.", "Не установлены нужные пакеты: {setting}."),
    "unusable": Text("What {setting} names can't be used.", "Указанное нельзя использовать: {setting}."),
}  # fmt: skip
_LOGIN_PROBLEMS = {
    "denied": Text("The access was not allowed.", "Доступ не разрешён: это делает администратор аккаунта."),
    "no_code": Text("The answer holds no code.", "В ответе нет кода."),
    "no_account": Text("The code does not identify the account.", "По коду не видно, какой это аккаунт."),
    "foreign_host": Text("The answer names no account of amoCRM.", "В ответе указан адрес не amoCRM."),
    "other_account": Text("Access was allowed to another account.", "Доступ разрешён к другому аккаунту."),
    "no_answer": Text("No answer arrived in time.", "Ответ не пришёл вовремя."),
    "nothing_pasted": Text("Nothing was pasted.", "Ничего не вставлено."),
}
_CATALOG_PROBLEMS = {
    "not_a_catalog": Text("The file is not a Singer catalog.", "Файл не является каталогом Singer."),
    "nothing_selected": Text("The catalog selects no stream.", "В каталоге не выбран ни один поток."),
    "no_owner": Text(
        "A selected stream is derived from a stream that is not selected.",
        "Не выбран поток, из записей которого получается выбранный.",
    ),
    "replication_method": Text(
        "The catalog asks for an unknown replication method.", "В каталоге указан неизвестный способ репликации."
    ),
}

CODES: dict[str, ErrorCode] = {
    "TapError": ErrorCode(
        "E_READING",
        Text("The account can't be read.", "Аккаунт не удаётся прочитать."),
        Text("Follow the message; run again.", "Прочитайте сообщение и запустите снова."),
    ),
    "ConfigError": ErrorCode(
        "E_SETTING",
        Text("A setting is missing or wrong.", "Настройка не задана или неверна."),
        Text("Correct the setting that the message names.", "Исправьте настройку, которая названа в сообщении."),
        ("setting", "problem"),
        _SETTING_PROBLEMS,
    ),
    "UnknownSettingError": ErrorCode(
        "E_SETTING_UNKNOWN",
        Text(
            "A setting or a variable `TAP_AMOCRM_...` is misspelt, or is a setting of the Singer SDK that has no "
            "effect here.",
            "Имя настройки или переменной `TAP_AMOCRM_...` написано с ошибкой, либо эта настройка Singer SDK здесь не "
            "действует.",
        ),
        Text(
            "Use the name that the message proposes, or remove the setting.",
            "Возьмите имя, которое предлагает сообщение, или уберите настройку.",
        ),
        ("settings",),
    ),
    "FileError": ErrorCode(
        "E_FILE",
        Text(
            "A file that an option names can't be read, or is not JSON.",
            "Файл, указанный в параметре, не читается или не содержит JSON.",
        ),
        Text("Correct the path or the file.", "Исправьте путь или файл."),
        ("source",),
    ),
    "CatalogError": ErrorCode(
        "E_CATALOG",
        Text(
            "The catalog is not a Singer catalog, selects no stream, lacks a stream from which a selected one is "
            "derived, or requests an unknown replication method.",
            "Файл не является каталогом Singer, в нём не выбран ни один поток, не хватает потока, из которого "
            "получается выбранный, или указан неизвестный способ репликации.",
        ),
        Text(
            "Create a catalog with `tap-amocrm --discover`, or correct the select rules.",
            "Создайте каталог командой `tap-amocrm --discover` или исправьте правила выбора.",
        ),
        ("problem",),
        _CATALOG_PROBLEMS,
    ),
    "StreamMapError": ErrorCode(
        "E_STREAM_MAP",
        Text("An expression of `stream_maps` can't be read.", "Выражение в `stream_maps` не вычисляется."),
        Text("Correct the expression.", "Исправьте выражение."),
    ),
    "StateError": ErrorCode(
        "E_STATE",
        Text("The state is not a state of tap-amocrm.", "Это не состояние tap-amocrm."),
        Text(
            "Pass the last STATE of a run, or omit the state to read everything.",
            "Передайте последнее сообщение STATE или запустите без состояния, чтобы прочитать всё.",
        ),
        ("where",),
    ),
    "OutputError": ErrorCode(
        "E_OUTPUT",
        Text(
            "Messages can't be written: the loader has ended, or the disk is full.",
            "Сообщения некуда записать: загрузчик завершился или диск полон.",
        ),
        Text("Look at the loader's own message; run again.", "Посмотрите сообщение загрузчика и запустите снова."),
        ("reason",),
    ),
    "LoginError": ErrorCode(
        "E_LOGIN",
        Text("The login did not give access to the account.", "Вход не дал доступа к аккаунту."),
        Text("Run `tap-amocrm-login` again.", "Запустите `tap-amocrm-login` ещё раз."),
        ("problem",),
        _LOGIN_PROBLEMS,
    ),
    "ForeignAnswerError": ErrorCode(
        "E_LOGIN_ANSWER",
        Text("The response does not belong to the login in progress.", "Это ответ на другой вход."),
        Text("Open the address that the command printed.", "Откройте адрес, который показала команда."),
    ),
    "AuthorisationError": ErrorCode(
        "E_TOKEN_REFUSED",
        Text("amoCRM refuses the token.", "amoCRM не принимает токен."),
        Text("Make a new token, or run `tap-amocrm-login`.", "Создайте новый токен или запустите `tap-amocrm-login`."),
        ("status",),
    ),
    "GrantRefusedError": ErrorCode(
        "E_GRANT_REFUSED",
        Text(
            "amoCRM did not issue a new token for the code or refresh token.",
            "amoCRM не выдаёт новый токен по этому коду или токену обновления.",
        ),
        Text("Run `tap-amocrm-login`.", "Запустите `tap-amocrm-login`."),
        ("status", "grant"),
    ),
    "AccountBlockedError": ErrorCode(
        "E_ADDRESS_BLOCKED",
        Text(
            "amoCRM has blocked this address after too many requests.",
            "amoCRM заблокировала этот адрес из-за слишком частых запросов.",
        ),
        Text(
            "Stop all integrations that run from this address, and contact amoCRM's support.",
            "Остановите все интеграции, которые работают с этого адреса, и напишите в поддержку amoCRM.",
        ),
    ),
    "UnreachableError": ErrorCode(
        "E_UNREACHABLE",
        Text("No usable answer after all retries.", "Пригодного ответа нет и после всех повторов ({host})."),
        Text(
            "Check `subdomain` or `api_url` and the network; run again.",
            "Проверьте `subdomain` или `api_url` и сеть, затем запустите снова.",
        ),
        ("host",),
    ),
    "PausedError": ErrorCode(
        "E_PAUSED",
        Text(
            "amoCRM requests a pause that is longer than the longest wait of a run.",
            "amoCRM просит о паузе, которая дольше, чем ждёт загрузка: до {until}.",
        ),
        Text("Run again after the time in the message.", "Запустите снова после этого времени."),
        ("seconds", "until"),
    ),
    "ApiError": ErrorCode(
        "E_API_REFUSED",
        Text("The API refuses a request.", "API отклоняет запрос {path}: {status}."),
        Text(
            "Look at the status, the path and the reason in the message.",
            "Посмотрите на код ответа, адрес и причину в сообщении.",
        ),
        ("status", "path"),
    ),
    "UrlTooLongError": ErrorCode(
        "E_URL_TOO_LONG",
        Text(
            "A request URL was too long for the API even with a single ID.",
            "Адрес запроса слишком длинный для API даже с одним id: {path}.",
        ),
        Text("Report it with the log.", "Сообщите об этом и приложите журнал."),
        ("status", "path"),
    ),
    "DriveError": ErrorCode(
        "E_DRIVE",
        Text(
            "The account's files can't be read: the account has no drive, or its drive is not a host of amoCRM.",
            "Файлы аккаунта не читаются: адрес хранилища не указан или не относится к amoCRM.",
        ),
        Text(
            "Set `drive_url` if the address in the message is right.",
            "Если адрес в сообщении верен, задайте `drive_url`.",
        ),
    ),
    "PlaceError": ErrorCode(
        "E_PLACE",
        Text("The location for downloaded files can't be used.", "Место для файлов нельзя использовать: {place}."),
        Text(
            "Correct the address or the access to it; install the extra that the message names.",
            "Исправьте адрес или доступ к нему; установите дополнение, которое названо в сообщении.",
        ),
        ("place",),
    ),
    "EndlessListError": ErrorCode(
        "E_LIST_ENDLESS",
        Text("A list of the API does not end.", "Список API не заканчивается: {path}, страниц: {pages}."),
        Text("Report it with the log; run again.", "Сообщите об этом, приложите журнал и запустите снова."),
        ("path", "pages"),
    ),
    "LockedError": ErrorCode(
        "E_LOCKED",
        Text("Another process has locked a file that processes share.", "Общий файл занят другим процессом: {file}."),
        Text(
            "End that process, or wait for it; run again.",
            "Завершите этот процесс или дождитесь его конца и запустите снова.",
        ),
        ("file",),
    ),
}


def code_of(error: type) -> ErrorCode:
    """The code of an error's class, or of the nearest class above it that has one."""
    return next(CODES[base.__name__] for base in error.__mro__ if base.__name__ in CODES)
