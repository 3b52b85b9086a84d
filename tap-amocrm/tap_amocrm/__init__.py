"""tap-amocrm: amoCRM (Kommo) API v4 as Singer messages."""

__version__ = "0.2.0"
