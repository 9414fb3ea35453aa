"""The controller manager put together: client, election, shared caches, controllers, health."""

import random
from pathlib import Path

from controlplane.client.rest import RestClient
from controlplane.controllers.catalog import chosen
from controlplane.controllers.config import ControllersConfig
from controlplane.controllers.framework.manager import Manager
from controlplane.controllers.garbage.reconciler import collected
from controlplane.program.health import HealthServer
from kvstore.base.clock import Clock

COMPONENT = "kube-controller-manager"


def build_manager(
    config: ControllersConfig, client: RestClient, clock: Clock, rng: random.Random
) -> Manager:
    """The whole program but for the event loop and the client's life."""
    elector = config.leading.elector(client, COMPONENT, clock, rng)
    address = config.leading.health_address
    root_ca = Path(config.root_ca_file).read_text() if config.root_ca_file else ""
    return Manager(
        client,
        clock,
        rng,
        elector,
        collected(),
        chosen(config, root_ca),
        component=COMPONENT,
        health=HealthServer(*address) if address is not None else None,
    )


async def run(config: ControllersConfig, clock: Clock, rng: random.Random) -> None:
    """Run until cancelled."""
    client = RestClient.from_kubeconfig(
        config.leading.kubeconfig, config.leading.servers, clock=clock, user_agent=COMPONENT
    )
    try:
        await build_manager(config, client, clock, rng).run()
    finally:
        await client.close()
