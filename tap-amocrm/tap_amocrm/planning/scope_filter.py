"""Which companies the settings ask for."""

from __future__ import annotations

from tap_amocrm.config.settings import Settings
from tap_amocrm.http.client import Params
from tap_amocrm.shapes import Record, items, whole


class ScopeFilter:
    """Decides whether a company is in scope, here and in the query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def matches(self, company: Record) -> bool:
        """Whether a company is in scope; the limit aside."""
        users = self._settings.responsible_user_ids
        if users and whole(company.get("responsible_user_id")) not in users:
            return False
        field_id = self._settings.company_custom_field_id
        if field_id is None:
            return True
        wanted = self._settings.company_custom_field_value
        for custom in items(company.get("custom_fields_values")):
            if whole(custom.get("field_id")) == field_id:
                for value in items(custom.get("values")):
                    if wanted in (str(value.get("value")), str(value.get("enum_id"))):
                        return True
        return False

    def params(self, *, filter_package: bool) -> Params:
        """Parameters that ask for these companies, with the ids of what is linked to them."""
        params: Params = [("with", "contacts,leads")]
        if filter_package:
            params += [("filter[responsible_user_id][]", str(u)) for u in self._settings.responsible_user_ids]
            field_id = self._settings.company_custom_field_id
            if field_id is not None:
                value = self._settings.company_custom_field_value or ""
                params.append((f"filter[custom_fields_values][{field_id}][]", value))
        return params
