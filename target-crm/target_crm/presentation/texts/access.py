"""Texts of entering the review page, and of who works there."""

from __future__ import annotations

ACCESS: dict[str, tuple[str, str]] = {
    "enter": ("Log in", "Войти"),
    "enter_title": ("Key required", "Нужен ключ"),
    "enter_people": ("Log in", "Вход на страницу сверки"),
    "enter_token": (
        "Open the address that target-crm-admin serve printed when it started; it contains the key.",
        "Откройте адрес, который напечатала команда target-crm-admin serve при запуске: в нём ключ.",
    ),
    "enter_token_or": (
        "Or open the address that target-crm-admin serve printed when it started.",
        "Или откройте адрес, который напечатала команда target-crm-admin serve при запуске.",
    ),
    "enter_password": ("Password", "Пароль"),
    "enter_name": ("Your name (recorded with your decisions)", "Ваше имя (записывается вместе с решениями)"),
    "enter_your_name": ("Your name", "Ваше имя"),
    "enter_wrong": ("Wrong password.", "Неверный пароль."),
    "enter_wrong_either": ("Wrong name or password.", "Неверное имя или пароль."),
    "enter_tired": ("Too many failed attempts. Wait a minute.", "Слишком много неверных попыток; подождите минуту."),
    "made_by": ("Who", "Кто"),
    "made_by_nobody": ("no name", "без имени"),
    "who": ("Your decisions are recorded as", "Решения записываются от имени"),
    "who_save": ("Save", "Сохранить"),
}
