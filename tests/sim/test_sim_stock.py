"""The library as it is, without our guards, is found guilty; without faults it is not, so the judge is fair."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module", name="StockWorld")
def stock_world():
    """The class of stock.py, which is a program of its own beside this file."""
    path = Path(__file__).with_name("stock.py")
    spec = importlib.util.spec_from_file_location("stock_pysyncobj", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.StockWorld


@pytest.mark.parametrize("fault", ["power-loss", "power-loss-all"])
def test_a_loss_of_power_breaks_the_library_as_it_is(StockWorld, fault):
    found = [StockWorld(seed, [fault]).run() for seed in range(4)]
    assert all(found)
    told = {one.property for violations in found for one in violations}
    # Nothing it writes is synced: its log cannot be read again, votes are given twice, what was acknowledged is lost.
    assert told & {"crash-safety", "one-vote", "linearizable", "agreement"}


def test_reads_from_memory_are_stale(StockWorld):
    found = StockWorld(1, ["isolate"], reads_locally=True).run()
    assert "linearizable" in {one.property for one in found}


@pytest.mark.parametrize("seed", [1, 2])
def test_without_a_loss_of_power_nothing_is_found_and_runs_repeat(StockWorld, seed):
    world, again = (StockWorld(seed, ["kill", "isolate", "reset"]) for _ in range(2))
    assert world.run() == []
    assert again.run() == []
    assert len(world.history) > 100
    assert world.history.operations == again.history.operations
