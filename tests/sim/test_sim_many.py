"""Many runs in some processes: in order, and one that ends its process ends no other."""

import signal

from kvstore.testing.sim.many import side_by_side


def test_a_run_that_ends_its_process_is_a_failure_of_its_own() -> None:
    """Found by seed 73, which took all memory: the search waited for it for ever."""
    tasks = [0, 0, int(signal.SIGKILL), 0]
    found = list(side_by_side(signal.raise_signal, tasks, 2, lambda task: f"died of {task}"))
    assert found == [None, None, "died of 9", None]


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert list(side_by_side(abs, [-3, 2, -1], 2, str)) == [3, 2, 1]
