"""Accept and Content-Type: which form a body has and which one the client wants.

Replies are JSON or YAML, whole objects, Tables or metadata only. Protobuf is read (typed Go clients send nothing
else) but never written: every client that accepts it also accepts JSON.
"""

from dataclasses import dataclass, field

from controlplane.api import errors

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header."""

    type: str
    params: dict[str, str] = field(default_factory=dict)
    quality: float = 1.0


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a reply; `transform` is empty, `Table`, `PartialObjectMetadata` or `PartialObjectMetadataList`."""

    media_type: str = JSON
    transform: str = ""
    transform_version: str = "v1"


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges of an Accept header, best first; ties keep their order."""
    ranges = []
    for part in header.split(","):
        pieces = [piece.strip() for piece in part.split(";")]
        if not pieces[0]:
            continue
        params: dict[str, str] = {}
        for piece in pieces[1:]:
            name, _, value = piece.partition("=")
            params[name.strip().lower()] = value.strip().strip('"')
        try:
            quality = float(params.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0:
            ranges.append(MediaRange(pieces[0].lower(), params, quality))
    ranges.sort(key=lambda one: -one.quality)
    return ranges


def reply_form(accept: str, *, can_transform: bool = True) -> Form:
    """The best form the client accepts; NotAcceptable when there is none."""
    ranges = parse_accept(accept) or [MediaRange("*/*")]
    for wanted in ranges:
        if wanted.type in (JSON, "*/*", "application/*"):
            media_type = JSON
        elif wanted.type in (YAML, "application/x-yaml", "text/yaml"):
            media_type = YAML
        else:
            continue
        transform = wanted.params.get("as", "")
        if not transform:
            return Form(media_type)
        if wanted.params.get("g") != "meta.k8s.io" or not can_transform:
            continue
        version = wanted.params.get("v", "")
        if version not in ("v1", "v1beta1"):
            continue
        if transform in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
            return Form(media_type, transform, version)
    raise errors.NotAcceptable()


def body_type(content_type: str) -> str:
    """The media type of a body; none at all is JSON."""
    # Compat: kubectl scale sends PUT without a Content-Type.
    return content_type.partition(";")[0].strip().lower() or JSON
