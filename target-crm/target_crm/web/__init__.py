"""The review page: runs, conflicts, rejects and records in the browser. It holds no data and no rule of its own."""
