"""Texts of the plan: what the next load would change."""

from __future__ import annotations

PLANS: dict[str, tuple[str, str]] = {
    "plan": ("Plan", "План"),
    "plan_title": ("What the next load would change", "Что изменит следующая загрузка"),
    "plan_none": (
        "No plan yet. A load with dry_run creates one; target-crm-admin serve --plan FILE shows the plan for a file "
        "of messages.",
        "Плана пока нет. Его записывает загрузка с настройкой dry_run; target-crm-admin serve --plan FILE покажет "
        "план для файла с сообщениями.",
    ),
    "plan_at": ("Calculated {when}.", "Рассчитано {when}."),
    "plan_nothing_written": (
        "Nothing has been written. Later edits are not included.",
        "Ничего не записано; более поздние правки не учтены.",
    ),
    "plan_cut": (
        "The plan is large: its last entries are counted but not shown. target-crm-admin plan --limit 0 lists all of "
        "them.",
        "План большой: последние записи посчитаны, но не показаны. Все выводит target-crm-admin plan --limit 0.",
    ),
    "plan_sections": ("Parts of the plan", "Части плана"),
    "plan_empty": ("The load would change nothing.", "Загрузка ничего не изменит."),
    "plan_becomes": ("Would become", "Станет"),
    "plan_stays": ("In the CRM (stays)", "В CRM (останется)"),
    "plan_changed": ("Changed", "Изменятся"),
    "plan_changed_why": (
        "Nobody has edited these values in the CRM, so amoCRM's values replace them.",
        "В CRM эти значения не правили, поэтому придут значения из amoCRM.",
    ),
    "plan_new": ("Added", "Добавятся"),
    "plan_new_why": ("These records exist in amoCRM but not in the CRM.", "Эти записи есть в amoCRM, но нет в CRM."),
    "plan_removed": ("Removed", "Удалятся"),
    "plan_removed_why": ("amoCRM no longer has them.", "В amoCRM их больше нет."),
    "plan_kept": ("Not changed", "Не изменятся"),
    "plan_kept_why": (
        "Someone edited these values in the CRM, and amoCRM's value has not changed: the edit stays.",
        "Эти значения поправили в CRM, а в amoCRM они прежние: правка останется.",
    ),
    "plan_conflict": ("Conflicts", "Конфликты"),
    "plan_conflict_why": (
        "Both sides changed these values. The CRM's value stays until someone decides.",
        "Эти значения изменили с обеих сторон. Значение CRM останется, пока человек не решит.",
    ),
    "plan_adopted": ("Matched", "Сопоставлены"),
    "plan_adopted_why": (
        "Records of the CRM that match records of amoCRM.",
        "Записи CRM, с которыми сопоставлены записи amoCRM.",
    ),
    "plan_proposal": ("Waiting for a decision", "Ждут решения"),
    "plan_proposal_why": (
        "These records are similar to several records of the CRM. Someone chooses after the load.",
        "Эти записи похожи сразу на несколько записей CRM. Человек выберет после загрузки.",
    ),
    "plan_reject": ("Not loaded", "Не загрузятся"),
    "plan_reject_why": (
        "These records can't be loaded; all others can.",
        "Эти записи загрузить не удастся, остальные загрузятся.",
    ),
    "plan_warning": ("Values left out", "Пропущенные значения"),
    "plan_warning_why": (
        "Their fields can't hold these values; the rest of the record is loaded.",
        "Поля не примут эти значения, остальное в записях загрузится.",
    ),
}
