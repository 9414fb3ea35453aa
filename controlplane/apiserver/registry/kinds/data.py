"""ConfigMaps, Secrets and Events: stringData is merged, events are forgotten."""

import base64
from typing import Any

from controlplane.api.strategy import Strategy

Obj = dict[str, Any]


class DataStrategy(Strategy):
    """The rules of ConfigMaps and Secrets."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Merge a Secret's stringData."""
        super().prepare_for_create(obj)
        self._merge_strings(obj)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """Merge a Secret's stringData; keep the type that was not given."""
        super().prepare_for_update(obj, live)
        self._merge_strings(obj)
        if self.resource.kind == "Secret" and not obj.get("type") and live.get("type"):
            obj["type"] = live["type"]

    @staticmethod
    def _merge_strings(obj: Obj) -> None:
        strings = obj.pop("stringData", None)
        if strings:
            data = obj["data"] = dict(obj.get("data") or {})
            for key, value in strings.items():
                data[key] = base64.b64encode(str(value).encode()).decode()


class EventStrategy(Strategy):
    """Events are forgotten after an hour."""

    ttl_seconds = 3600
