"""Capabilities by name."""

from typing import Any

import pytest

from controlplane.kubelet.runtimes.namespaces.process import (
    CAPABILITIES,
    DEFAULT,
    capability_mask,
)


def names(mask: int) -> set[str]:
    return {name for number, name in enumerate(CAPABILITIES) if mask >> number & 1}


@pytest.mark.parametrize(
    ("privileges", "expected"),
    [
        ({}, set(DEFAULT)),
        ({"drop_capabilities": ["ALL"]}, set()),
        ({"drop_capabilities": ["ALL"], "add_capabilities": ["CAP_NET_ADMIN"]}, {"NET_ADMIN"}),
        (
            {"add_capabilities": ["all"], "drop_capabilities": ["SYS_ADMIN"]},
            set(CAPABILITIES) - {"SYS_ADMIN"},
        ),
        ({"drop_capabilities": ["mknod"]}, set(DEFAULT) - {"MKNOD"}),
        ({"privileged": True, "drop_capabilities": ["ALL"]}, set(CAPABILITIES)),
    ],
)
def test_masks(privileges: dict[str, Any], expected: set[str]) -> None:
    assert names(capability_mask(privileges)) == expected


def test_numbers_are_the_kernels() -> None:
    assert CAPABILITIES.index("SYS_ADMIN") == 21
    assert CAPABILITIES.index("CHECKPOINT_RESTORE") == 40
