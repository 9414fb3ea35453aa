"""What a container runs: the pod's words over the image's, with variables put in. Pure."""

import re
from collections.abc import Mapping

from controlplane.api.meta import View
from controlplane.kubelet.images.image import Image

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar; unknown names stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group(0))

    return _REFERENCE.sub(value, text)


def command_line(container: View, image: Image, env: Mapping[str, str]) -> list[str]:
    """What to run: the pod's command replaces the image's entry and arguments, args only those."""
    command = list(container.get("command") or ())
    arguments = list(container.get("args") or ())
    if command:
        words = [expand(word, env) for word in command + arguments]
    else:
        own = [expand(word, env) for word in arguments]
        words = [*image.entrypoint, *(own or image.arguments)]
    return words
