"""Texts of entering the review page, and of who works there."""

from __future__ import annotations

ACCESS: dict[str, tuple[str, str]] = {
    "enter": ("Enter", "Войти"),
    "enter_title": ("This page needs a key", "Нужен ключ"),
    "enter_people": ("Log in", "Вход на страницу сверки"),
    "enter_token": (
        "Open the address that target-crm-admin serve printed when it started; it holds the key.",
        "Откройте адрес, который напечатала команда target-crm-admin serve при запуске: в нём ключ.",
    ),
    "enter_token_or": (
        "Or open the address that target-crm-admin serve printed when it started.",
        "Или откройте адрес, который напечатала команда target-crm-admin serve при запуске.",
    ),
    "enter_password": ("Password", "Пароль"),
    "enter_name": ("Your name, written down with decisions", "Ваше имя: записывается вместе с решениями"),
    "enter_your_name": ("Your name", "Ваше имя"),
    "enter_wrong": ("That is not the password.", "Пароль неверен."),
    "enter_wrong_either": ("Name or password is wrong.", "Имя или пароль неверны."),
    "enter_tired": ("Too many wrong attempts; wait a minute.", "Слишком много неверных попыток; подождите минуту."),
    "made_by": ("who", "кто"),
    "made_by_nobody": ("no name", "без имени"),
    "who": ("Decisions are written down as made by", "Решения записываются от имени"),
    "who_save": ("Save", "Запомнить"),
}
