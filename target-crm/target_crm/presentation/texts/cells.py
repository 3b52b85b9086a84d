"""Texts of values that their columns could not take."""

from __future__ import annotations

CELLS: dict[str, tuple[str, str]] = {
    "warnings_lead": (
        "Some fields can't hold these values. Those fields kept their old values; everything else was loaded. A "
        "warning closes by itself when a valid value arrives.",
        "Поля не принимают эти значения и остались прежними, остальное загружено. Предупреждение закроется само, "
        "когда придёт подходящее значение.",
    ),
    "none_warned": ("No values were left out.", "Все значения загружены."),
    "retry_cells": (
        "Load {n} record again|Load {n} records again",
        "Загрузить ещё раз: {n} запись|Загрузить ещё раз: {n} записи|Загрузить ещё раз: {n} записей",
    ),
    "discard_cells": (
        "Discard {n} warning|Discard {n} warnings",
        "Убрать {n} предупреждение|Убрать {n} предупреждения|Убрать {n} предупреждений",
    ),
    "cells_wait": (
        "No action needed: the next load tries again.",
        "Делать ничего не нужно: следующая загрузка повторит сама.",
    ),
    "done_cells": (
        "Loaded again: {tried}. Operation {run}.",
        "Загружено ещё раз: {tried}. Записано как операция № {run}.",
    ),
    "done_cells_bad": (
        "Loaded again: {tried}; values that still don't fit: {bad}. Operation {run}.",
        "Загружено ещё раз: {tried}; по-прежнему не подходит значений: {bad}. Записано как операция № {run}.",
    ),
    "done_cells_discarded": ("Warnings discarded: {settled}.", "Убрано предупреждений: {settled}."),
}
