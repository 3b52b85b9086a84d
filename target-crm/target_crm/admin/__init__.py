"""The command `target-crm-admin`: see, explain, resolve and undo what the loads did."""

from __future__ import annotations

from target_crm.admin.main import main

__all__ = ["main"]
