"""What people do with what the loads left behind: see, explain, settle, undo. Commands and pages call these."""
