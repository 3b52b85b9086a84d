"""The commands tap-amocrm-check, tap-amocrm-files, tap-amocrm-login and tap-amocrm-smoke."""
