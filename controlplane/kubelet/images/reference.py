"""Names of images, made whole. Pure. Source: github.com/distribution/reference (normalize.go)."""

_REGISTRY = "docker.io"
_LIBRARY = "library"


def normalized(reference: str) -> str:
    """With registry, repository, and tag or digest: `nginx` is docker.io/library/nginx:latest."""
    name, at, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = _REGISTRY, name
    if first == "index.docker.io":
        first = _REGISTRY
    if first == _REGISTRY and "/" not in rest:
        rest = f"{_LIBRARY}/{rest}"
    if at:
        # With both, the digest alone counts.
        return f"{first}/{rest.partition(':')[0]}@{digest}"
    repository, colon, tag = rest.partition(":")
    return f"{first}/{repository}:{tag if colon else 'latest'}"
