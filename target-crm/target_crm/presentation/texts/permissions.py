"""Texts of what is allowed once although a guard stopped it."""

from __future__ import annotations

PERMISSIONS: dict[str, tuple[str, str]] = {
    "allowed_title": ("Allowed once", "Разовые разрешения"),
    "allow_title": ("Is this expected?", "Так и должно быть?"),
    "allow_E_MASS_DELETE": (
        "The next load may mark up to {most} rows deleted: {table}.",
        "Следующая загрузка сможет пометить удалёнными записи таблицы «{table}», не больше {most}.",
    ),
    "allow_E_MASS_CHANGE": (
        "The next load may overwrite the column in any number of rows: {column}.",
        "Следующая загрузка сможет переписать поле «{column}» в любом числе записей.",
    ),
    "allow_E_TOO_MANY_REJECTS": (
        "The next load may leave out any number of records that can't be loaded.",
        "Следующая загрузка сможет пропустить любое число записей, которые не удаётся загрузить.",
    ),
    "allow_once": ("Allow once", "Разрешить один раз"),
    "allow_lead": (
        "Look at the records below. If amoCRM is right, allow it once: the limit applies again to every load after the "
        "next one.",
        "Посмотрите на записи ниже. Если в amoCRM всё верно, разрешите это один раз: для всех загрузок после следующей "
        "ограничение снова действует.",
    ),
    "allow_lead_rejects": (
        "Look at the records below. If the load may go on without them, allow it once: the limit applies again to "
        "every load after the next one.",
        "Посмотрите на записи ниже. Если загрузка может пройти без них, разрешите это один раз: для всех загрузок "
        "после следующей ограничение снова действует.",
    ),
    "allow_waits": ("Allowed by {who}, {when}.", "Кто разрешил: {who}, {when}."),
    "allow_used": ("used by run {n}, {when}", "использовала загрузка № {n}, {when}"),
    "allow_revoked": ("revoked, {when}", "отозвано {when}"),
    "allow_is_open": ("waiting for the next load", "ждёт следующей загрузки"),
    "allow_revoke": ("Revoke", "Отозвать"),
    "allow_records": ("Affected records", "О каких записях речь"),
    "allow_records_cut": ("The first {n} of {total}.", "Первые {n} из {total}."),
    "allow_what": ("what", "что разрешено"),
    "done_allowed": (
        "Allowed once. Start the sync again: the limit won't stop the next load.",
        "Разрешено один раз. Запустите синхронизацию ещё раз: ограничение её не остановит.",
    ),
    "done_revoked": ("The permission was revoked.", "Разрешение отозвано."),
}
