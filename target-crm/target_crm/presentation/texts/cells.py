"""Texts of values that their columns could not take."""

from __future__ import annotations

CELLS: dict[str, tuple[str, str]] = {
    "warnings_lead": (
        "Their columns can't take these values. The columns stayed as they were, everything else was loaded. The "
        "next good value closes a warning.",
        "Поля не принимают эти значения. Поля остались прежними, остальное загружено. Следующее подходящее "
        "значение закроет предупреждение.",
    ),
    "none_warned": ("No value was left out.", "Все значения загружены."),
    "retry_cells": (
        "Load this one again|Load these {n} again",
        "Загрузить ещё раз: {n} запись|Загрузить ещё раз: {n} записи|Загрузить ещё раз: {n} записей",
    ),
    "discard_cells": (
        "Discard this one|Discard these {n}",
        "Убрать {n} предупреждение|Убрать {n} предупреждения|Убрать {n} предупреждений",
    ),
    "cells_wait": (
        "Nothing is to be done: the next load tries again by itself.",
        "Делать ничего не нужно: следующая загрузка повторит сама.",
    ),
    "done_cells": (
        "Loaded again: {tried}. Recorded as operation {run}.",
        "Загружено ещё раз: {tried}. Записано как операция № {run}.",
    ),
    "done_cells_bad": (
        "Loaded again: {tried}; values that still do not fit: {bad}. Recorded as operation {run}.",
        "Загружено ещё раз: {tried}; по-прежнему не подходит значений: {bad}. Записано как операция № {run}.",
    ),
    "done_cells_discarded": ("Warnings discarded: {settled}.", "Убрано предупреждений: {settled}."),
}
