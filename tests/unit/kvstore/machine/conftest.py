"""A state machine that is checked after every test."""

from collections.abc import Iterator

import pytest

from kvstore.machine.machine import StateMachine


@pytest.fixture
def machine() -> Iterator[StateMachine]:
    built = StateMachine()
    yield built
    built.check_invariants()
