"""The API's lists, answers, records and events."""
