"""What a controller is built from: client, caches, recorder, clock, chance, the kinds that are served."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api.resource import Resource
from controlplane.client.events import Recorder
from controlplane.client.informer import Informer
from controlplane.client.rest import RestClient
from controlplane.client.rest_mapper import RestMapper
from controlplane.controllers.framework.informers import FollowedKinds, Informers
from kvstore.base.clock import Clock


class UndeclaredCache(Exception):
    """A controller asks for a cache its descriptor does not declare: nobody would have waited for it."""


class DeclaredInformers:
    """The caches one controller may read."""

    def __init__(self, informers: Informers, declared: Iterable[Resource]) -> None:
        self._informers = informers
        self._declared = {resource.group_resource for resource in declared}

    def of(self, resource: Resource) -> Informer:
        """The informer of a declared resource. Raises UndeclaredCache."""
        if resource.group_resource not in self._declared:
            raise UndeclaredCache(resource.group_resource)
        return self._informers.of(resource)


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the running program; `client` refuses changes once leadership is in doubt.

    `reader` is the program's own identity, as the caches have: it may list and watch everything and change nothing.
    `client` may be a service account that reads less.
    """

    client: RestClient
    reader: RestClient
    informers: DeclaredInformers
    kinds: RestMapper
    followed: FollowedKinds
    recorder: Recorder
    clock: Clock
    rng: random.Random
