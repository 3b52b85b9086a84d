"""What people do with what the loads left behind: see, explain, resolve, undo. Commands and pages call these."""
