"""DenyServiceExternalIPs: no Service takes traffic of addresses that nobody gave it (CVE-2020-8554).

Source: plugin/pkg/admission/network/denyserviceexternalips.
"""

from controlplane.api import meta
from controlplane.api.errors import Forbidden
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.kinds.core.service import SERVICES


class DenyServiceExternalIPs:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes of Services."""
        return operation in (CREATE, UPDATE) and resource == SERVICES and not subresource

    async def validate(self, attributes: Attributes) -> None:
        """Refuse addresses that are new; those that were there may stay or go."""
        wanted = meta.spec(attributes.require_object()).get("externalIPs") or ()
        before = meta.spec(attributes.old or {}).get("externalIPs") or ()
        if set(wanted) <= set(before):
            return
        raise Forbidden.of(
            attributes.resource,
            attributes.name,
            "Use of external IPs is denied by admission control",
        )
