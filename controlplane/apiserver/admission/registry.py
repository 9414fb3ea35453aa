"""Which admission plugins there are, in the order in which they are asked; the only list.

The order is upstream's (pkg/kubeapiserver/options/plugins.go, AllOrderedPlugins), and so is which of them
are on without being asked for.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.api.resource import Resource
from controlplane.api.scheme import Scheme
from controlplane.apiserver.admission.interface import Plugin
from controlplane.apiserver.admission.plugins.always_pull_images import AlwaysPullImages
from controlplane.apiserver.admission.plugins.certificate_approval import CertificateApproval
from controlplane.apiserver.admission.plugins.certificate_signing import CertificateSigning
from controlplane.apiserver.admission.plugins.certificate_subject_restriction import (
    CertificateSubjectRestriction,
)
from controlplane.apiserver.admission.plugins.default_ingress_class import DefaultIngressClass
from controlplane.apiserver.admission.plugins.default_storage_class import DefaultStorageClass
from controlplane.apiserver.admission.plugins.default_toleration_seconds import (
    DefaultTolerationSeconds,
)
from controlplane.apiserver.admission.plugins.deny_service_external_ips import (
    DenyServiceExternalIPs,
)
from controlplane.apiserver.admission.plugins.extended_resource_toleration import (
    ExtendedResourceToleration,
)
from controlplane.apiserver.admission.plugins.limit_pod_hard_anti_affinity_topology import (
    LimitPodHardAntiAffinityTopology,
)
from controlplane.apiserver.admission.plugins.limit_ranger import LimitRanger
from controlplane.apiserver.admission.plugins.namespace_lifecycle import NamespaceLifecycle
from controlplane.apiserver.admission.plugins.node_restriction import NodeRestriction
from controlplane.apiserver.admission.plugins.persistent_volume_claim_resize import (
    PersistentVolumeClaimResize,
)
from controlplane.apiserver.admission.plugins.pod_security import PodSecurity
from controlplane.apiserver.admission.plugins.pod_topology_labels import PodTopologyLabels
from controlplane.apiserver.admission.plugins.priority import Priority
from controlplane.apiserver.admission.plugins.resource_quota import Quotas, ResourceQuota
from controlplane.apiserver.admission.plugins.runtime_class import RuntimeClass
from controlplane.apiserver.admission.plugins.service_account import ServiceAccount
from controlplane.apiserver.admission.plugins.storage_object_in_use import StorageObjectInUse
from controlplane.apiserver.admission.plugins.taint_nodes_by_condition import (
    TaintNodesByCondition,
)
from controlplane.apiserver.admission.policies.bound import Policies
from controlplane.apiserver.admission.policies.dispatcher import Dispatcher
from controlplane.apiserver.admission.policies.invocations import Finder
from controlplane.apiserver.admission.policies.mutating import MutatingPolicies
from controlplane.apiserver.admission.policies.validating import ValidatingPolicies
from controlplane.apiserver.admission.selection.views import Views
from controlplane.apiserver.admission.webhooks.call import Caller
from controlplane.apiserver.admission.webhooks.hooks import Hooks
from controlplane.apiserver.admission.webhooks.mutating import MutatingWebhooks
from controlplane.apiserver.admission.webhooks.validating import ValidatingWebhooks
from controlplane.apiserver.authz.interface import Authorizer
from controlplane.apiserver.callouts.client import WebhookClient
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.followed import Followed
from controlplane.apiserver.lookup import Lookup
from controlplane.apiserver.metrics import AdmissionMetrics
from controlplane.kinds.admissionregistration.mutating_admission_policy import (
    MUTATING_ADMISSION_POLICIES,
)
from controlplane.kinds.admissionregistration.mutating_admission_policy_binding import (
    MUTATING_ADMISSION_POLICY_BINDINGS,
)
from controlplane.kinds.admissionregistration.mutating_webhook_configuration import (
    MUTATING_WEBHOOK_CONFIGURATIONS,
)
from controlplane.kinds.admissionregistration.validating_admission_policy import (
    VALIDATING_ADMISSION_POLICIES,
)
from controlplane.kinds.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from controlplane.kinds.admissionregistration.validating_webhook_configuration import (
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from controlplane.storage.watch_cache import WatchCache
from kvstore.base.clock import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What plugins are made of."""

    config: ApiServerConfig
    lookup: Lookup
    clock: Clock
    rng: random.Random
    authorizer: Authorizer
    # Whether the server can issue tokens.
    has_tokens: bool
    caches: WatchCache
    # The kinds that are served now.
    scheme: Callable[[], Scheme]
    views: Views
    webhooks: WebhookClient
    metrics: AdmissionMetrics
    quotas: Quotas

    def hooks(self, configurations: Resource) -> Hooks:
        """The webhooks of configurations of one kind."""
        return Hooks(Followed(configurations, self.caches))

    def policies(self, policies: Resource, bindings: Resource) -> Policies:
        """The policies of one sort."""
        return Policies(Followed(policies, self.caches), Followed(bindings, self.caches))

    @property
    def dispatcher(self) -> Dispatcher:
        """What finds and applies policies."""
        finder = Finder(self.views, self.lookup, self.scheme)
        return Dispatcher(finder, self.views, self.lookup, self.authorizer, self.metrics)

    @property
    def caller(self) -> Caller:
        """What calls webhooks."""
        return Caller(
            self.webhooks,
            self.views,
            self.lookup,
            self.authorizer,
            self.clock,
            self.rng,
            self.metrics,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin by its name in flags; `is_default` says whether it is on without being asked for."""

    name: str
    make: Callable[[Surroundings], Plugin]
    is_default: bool = True


PLUGINS = (
    Entry("NamespaceLifecycle", lambda at: NamespaceLifecycle(at.lookup)),
    Entry(
        "LimitPodHardAntiAffinityTopology",
        lambda at: LimitPodHardAntiAffinityTopology(),
        is_default=False,
    ),
    Entry("LimitRanger", lambda at: LimitRanger(at.lookup)),
    Entry(
        "ServiceAccount",
        lambda at: ServiceAccount(at.lookup, at.clock, at.rng, has_tokens=at.has_tokens),
    ),
    Entry("NodeRestriction", lambda at: NodeRestriction(at.lookup), is_default=False),
    # Compat: upstream has it on; here a node that says it is ready may take pods at once.
    Entry("TaintNodesByCondition", lambda at: TaintNodesByCondition(), is_default=False),
    Entry("AlwaysPullImages", lambda at: AlwaysPullImages(), is_default=False),
    Entry("PodSecurity", lambda at: PodSecurity(at.lookup)),
    Entry("Priority", lambda at: Priority(at.lookup)),
    Entry(
        "DefaultTolerationSeconds",
        lambda at: DefaultTolerationSeconds(
            at.config.not_ready_toleration_seconds, at.config.unreachable_toleration_seconds
        ),
    ),
    Entry("ExtendedResourceToleration", lambda at: ExtendedResourceToleration(), is_default=False),
    Entry("DefaultStorageClass", lambda at: DefaultStorageClass(at.lookup)),
    Entry("StorageObjectInUseProtection", lambda at: StorageObjectInUse()),
    Entry("PersistentVolumeClaimResize", lambda at: PersistentVolumeClaimResize(at.lookup)),
    Entry("RuntimeClass", lambda at: RuntimeClass(at.lookup)),
    Entry("CertificateApproval", lambda at: CertificateApproval(at.authorizer)),
    Entry("CertificateSigning", lambda at: CertificateSigning(at.authorizer)),
    Entry("CertificateSubjectRestriction", lambda at: CertificateSubjectRestriction()),
    Entry("DefaultIngressClass", lambda at: DefaultIngressClass(at.lookup)),
    Entry("DenyServiceExternalIPs", lambda at: DenyServiceExternalIPs(), is_default=False),
    Entry("PodTopologyLabels", lambda at: PodTopologyLabels(at.lookup)),
    Entry(
        "MutatingAdmissionPolicy",
        lambda at: MutatingPolicies(
            at.policies(MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS),
            at.dispatcher,
        ),
    ),
    Entry(
        "MutatingAdmissionWebhook",
        lambda at: MutatingWebhooks(at.hooks(MUTATING_WEBHOOK_CONFIGURATIONS), at.caller),
    ),
    Entry(
        "ValidatingAdmissionPolicy",
        lambda at: ValidatingPolicies(
            at.policies(VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS),
            at.dispatcher,
        ),
    ),
    Entry(
        "ValidatingAdmissionWebhook",
        lambda at: ValidatingWebhooks(at.hooks(VALIDATING_WEBHOOK_CONFIGURATIONS), at.caller),
    ),
    # The last, so that nothing is charged that another refuses.
    Entry("ResourceQuota", lambda at: ResourceQuota(at.lookup, at.quotas, at.clock)),
)
NAMES = tuple(entry.name for entry in PLUGINS)


def unknown(names: Iterable[str]) -> list[str]:
    """Those of `names` that no plugin has."""
    return sorted(set(names) - set(NAMES))


def chosen(surroundings: Surroundings) -> list[Plugin]:
    """The plugins that are on, in order."""
    config = surroundings.config
    on, off = config.enabled_admission_plugins, config.disabled_admission_plugins
    return [
        entry.make(surroundings)
        for entry in PLUGINS
        if entry.name not in off and (entry.is_default or entry.name in on)
    ]
