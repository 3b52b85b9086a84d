"""The first start, step by step: account, token, database, mapping, a trial, `.env`, a schedule."""
