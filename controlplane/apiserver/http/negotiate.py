"""Accept and Content-Type: which form a body has and which one the client wants.

Two steps, as in the original. A route first asks whether any range of the Accept header names a type it can make at
all (`check_route`; `application/*` names none, parameters do not count). Then the ranges are tried one by one, the
best quality first: a range whose parameters ask for something else than can be made is passed over.

Answers are JSON, YAML or protobuf, whole objects, Tables or metadata only. Tables have no protobuf form, custom
resources none but their metadata's, watches no YAML one. CBOR is off in the original's default setup and refused here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from controlplane.api import errors

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
# What answers may be made of, in the order in which the original names them.
FORMS = (JSON, YAML, PROTOBUF)
STREAM_FORMS = (JSON, PROTOBUF)
_STREAM = ";stream=watch"
# Parameters that change nothing in an answer, or are looked at elsewhere.
_TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
# Compat: browsers and the tools that people read the output of get it indented.
_READERS = ("curl", "Wget", "Mozilla/5.0")


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
    is_pretty: bool = False


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


def check_route(accept: str, *, with_streams: bool = False) -> None:
    """Refuse a header none of whose ranges names a type that a route makes; `with_streams` for lists and watches."""
    for part in accept.split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in ("", "*/*") or media_type in FORMS:
            return
    made = (*FORMS, *(form + _STREAM for form in STREAM_FORMS)) if with_streams else FORMS
    text = "406: Not Acceptable\n\nAvailable representations: " + ", ".join(made)
    error = errors.NotAcceptable(text)
    error.has_empty_details = True
    raise error


def reply_form(
    accept: str,
    *,
    can_transform: bool = True,
    has_table: bool = True,
    has_protobuf: bool = True,
    is_stream: bool = False,
) -> Form:
    """The best form the client accepts; NotAcceptable when there is none.

    `has_protobuf` is false for custom resources: of them only the metadata has a protobuf form. `has_table` is false
    for what is answered and not stored: upstream gives it no table convertor.
    """
    for wanted in parse_accept(accept) or [MediaRange("*/*")]:
        for offered in FORMS:
            if wanted.type not in (offered, "*/*", "application/*"):
                continue
            form = _form(wanted, offered, can_transform=can_transform, has_protobuf=has_protobuf)
            if form is not None and (has_table or form.transform != "Table"):
                if is_stream and offered not in STREAM_FORMS:
                    raise not_acceptable(tuple(one + _STREAM for one in STREAM_FORMS))
                return form
    raise not_acceptable(FORMS)


def _form(
    wanted: MediaRange, offered: str, *, can_transform: bool, has_protobuf: bool
) -> Form | None:
    params = wanted.params
    if params.get("stream", "watch") not in ("", "watch"):
        return None
    is_pretty = params.get("pretty") == "1"
    transform = params.get("as", "")
    if not transform and not params.get("g") and not params.get("v"):
        return Form(offered, is_pretty=is_pretty) if has_protobuf or offered != PROTOBUF else None
    version = params.get("v", "")
    if (
        not can_transform
        or transform not in _TRANSFORMS
        or params.get("g") != "meta.k8s.io"
        or version not in ("v1", "v1beta1")
        or (transform == "Table" and offered == PROTOBUF)
    ):
        return None
    return Form(offered, transform, version, is_pretty)


def not_acceptable(made: Sequence[str]) -> errors.NotAcceptable:
    """The refusal that names what can be made."""
    return errors.NotAcceptable("only the following media types are accepted: " + ", ".join(made))


def wants_pretty(pretty: str, user_agent: str) -> bool:
    """Whether an answer is indented: the query's `pretty` says so, or a person reads it."""
    if pretty:
        return pretty in ("1", "t", "T", "true", "TRUE", "True")
    return user_agent.startswith(_READERS)


def body_type(content_type: str) -> str:
    """The media type of a body; none at all is JSON."""
    # Compat: kubectl scale sends PUT without a Content-Type.
    return content_type.partition(";")[0].strip().lower() or JSON
