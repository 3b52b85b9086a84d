"""Texts of the plan: what the next load would change."""

from __future__ import annotations

PLANS: dict[str, tuple[str, str]] = {
    "plan": ("Plan", "План"),
    "plan_title": ("What the next load would change", "Что изменит следующая загрузка"),
    "plan_none": (
        "No plan has been made. A load with dry_run writes one; target-crm-admin serve --plan FILE shows the plan of a "
        "file of messages.",
        "Плана пока нет. Его записывает загрузка с настройкой dry_run; target-crm-admin serve --plan FILE покажет план "
        "для файла с сообщениями.",
    ),
    "plan_at": ("Worked out {when}.", "Рассчитано {when}."),
    "plan_nothing_written": (
        "Nothing has been written; what was edited since is not in it.",
        "Ничего не записано; более поздние правки не учтены.",
    ),
    "plan_cut": (
        "The plan is large: its last entries are counted and not shown. target-crm-admin plan --limit 0 lists all.",
        "План большой: последние записи посчитаны, но не показаны. Все выводит target-crm-admin plan --limit 0.",
    ),
    "plan_sections": ("Parts of the plan", "Части плана"),
    "plan_empty": ("The load would change nothing.", "Загрузка ничего не изменит."),
    "plan_becomes": ("would become", "станет"),
    "plan_stays": ("in the CRM: stays", "в CRM: останется"),
    "plan_changed": ("Changed", "Изменятся"),
    "plan_changed_why": (
        "Nobody has edited these values in the CRM, so amoCRM's come in.",
        "В CRM эти значения не правили, поэтому придут значения из amoCRM.",
    ),
    "plan_new": ("Added", "Добавятся"),
    "plan_new_why": ("amoCRM has these records, the CRM does not.", "Эти записи есть в amoCRM, но нет в CRM."),
    "plan_removed": ("Removed", "Будут убраны"),
    "plan_removed_why": ("amoCRM has them no longer.", "В amoCRM их больше нет."),
    "plan_kept": ("Left alone", "Не изменятся"),
    "plan_kept_why": (
        "Somebody edited these values in the CRM, and amoCRM still says what it said before: the edit stays.",
        "Эти значения поправили в CRM, а в amoCRM они прежние: правка останется.",
    ),
    "plan_conflict": ("Conflicts", "Конфликты"),
    "plan_conflict_why": (
        "Both sides changed these values. The CRM's stays until a person decides.",
        "Эти значения изменили с обеих сторон. Значение CRM останется, пока человек не решит.",
    ),
    "plan_adopted": ("Recognised", "Сопоставлены"),
    "plan_adopted_why": (
        "Rows of the CRM that records of amoCRM are matched with.",
        "Записи CRM, с которыми сопоставлены записи amoCRM.",
    ),
    "plan_proposal": ("Wait for a decision", "Ждут решения"),
    "plan_proposal_why": (
        "These records are like several rows of the CRM. A person chooses after the load.",
        "Эти записи похожи сразу на несколько записей CRM. Человек выберет после загрузки.",
    ),
    "plan_reject": ("Not loaded", "Не загрузятся"),
    "plan_reject_why": (
        "These records can't be loaded; all others are.",
        "Эти записи загрузить не удастся, остальные загрузятся.",
    ),
    "plan_warning": ("Values left out", "Пропущенные значения"),
    "plan_warning_why": (
        "Their columns can't take these values; the rest of the record is loaded.",
        "Поля не примут эти значения, остальное в записях загрузится.",
    ),
}
