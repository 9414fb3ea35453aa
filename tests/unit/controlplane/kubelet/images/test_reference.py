"""Names made whole."""

import pytest

from controlplane.kubelet.images.reference import normalized


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("me/app", "docker.io/me/app:latest"),
        ("index.docker.io/me/app:1", "docker.io/me/app:1"),
        (
            "registry.k8s.io/e2e-test-images/agnhost:2.53",
            "registry.k8s.io/e2e-test-images/agnhost:2.53",
        ),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("localhost/a", "localhost/a:latest"),
        ("nginx:1@sha256:00", "docker.io/library/nginx@sha256:00"),
    ],
)
def test_normalized(reference: str, expected: str) -> None:
    assert normalized(reference) == expected
    assert normalized(expected) == expected
