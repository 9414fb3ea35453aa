"""Numbers in a request's options, as Go reads them."""

import json
import re

from controlplane.api import errors
from controlplane.apiserver.http.messages import Request

_MAX_INT64 = 2**63 - 1


def integer(request: Request, name: str) -> int | None:
    """The option's number, None when it is not given. Raises BadRequest in Go's words."""
    text = request.option(name)
    if not text:
        return None
    shown = json.dumps(text, ensure_ascii=False)
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise errors.BadRequest(f"strconv.ParseInt: parsing {shown}: invalid syntax")
    value = int(text)
    if abs(value) > _MAX_INT64:
        raise errors.BadRequest(f"strconv.ParseInt: parsing {shown}: value out of range")
    return value
