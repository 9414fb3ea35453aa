"""ServiceAccounts: who a pod is."""

from controlplane.api.resource import Resource

SERVICE_ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",))
