"""ServiceAccount: a pod that names no service account is given `default`.

No token is mounted: that needs tokens, which come with their own authenticator.

Source: plugin/pkg/admission/serviceaccount.
"""

from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.core.pod.resource import PODS


class ServiceAccount:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New pods."""
        return operation == CREATE and resource == PODS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Set both spellings of the account's name."""
        spec = attributes.require_object().setdefault("spec", {})
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = account
