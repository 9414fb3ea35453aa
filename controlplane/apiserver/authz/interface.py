"""What an authorizer is asked and what it answers.

`Attributes` are what a decision may rest on. A decision is Allow, Deny (final), or NoOpinion: the next one is asked.

Source: apiserver/pkg/authorization/authorizer/interfaces.go.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from controlplane.api import errors
from controlplane.api.selectors import parse_field_selector
from controlplane.apiserver.http.messages import User

READ_VERBS = ("get", "list", "watch")


class Decision(Enum):
    """What an authorizer thinks."""

    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision; `reason` is for the audit log and, of a refusal, for the client."""

    decision: Decision
    reason: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether it may be done."""
        return self.decision is Decision.ALLOW


NO_OPINION = Verdict(Decision.NO_OPINION)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One thing that one user wants to do.

    `verb` is the API's for resources (`list`), the method in lower case for other paths. `name` is empty where the
    request is about no single object. Selectors are the text of the request's, empty for none.
    """

    user: User
    verb: str
    path: str = ""
    is_resource: bool = True
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""

    @property
    def is_read(self) -> bool:
        """Whether nothing would be changed."""
        return self.verb in READ_VERBS


def selected(field_selector: str, label: str) -> str:
    """The value that a field selector demands of a field; empty when it demands none, or cannot be read."""
    if not field_selector:
        return ""
    try:
        terms = parse_field_selector(field_selector).terms
    except errors.APIError:
        return ""
    values = {value for field, is_negated, value in terms if field == label and not is_negated}
    return values.pop() if len(values) == 1 else ""


class Authorizer(Protocol):
    """Decides, or leaves it to others."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """The verdict; never raises for "no"."""
        ...
