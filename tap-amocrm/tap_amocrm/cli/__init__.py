"""The commands tap-amocrm-check, tap-amocrm-login and tap-amocrm-smoke."""
