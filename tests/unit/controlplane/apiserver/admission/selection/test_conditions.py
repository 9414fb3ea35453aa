"""Expressions over a request: the authorizer, which may have to be waited for, and bounds."""

from typing import Any

import pytest

from controlplane.api import errors
from controlplane.api.cel import authorization
from controlplane.apiserver.admission.selection.conditions import (
    Evaluator,
    ExpressionError,
)
from controlplane.apiserver.authz.interface import Attributes, Decision, Verdict
from controlplane.apiserver.http.messages import User


class Asked:
    """An authorizer that allows `get`, and cannot tell of `watch`."""

    def __init__(self) -> None:
        self.questions: list[Attributes] = []

    async def authorize(self, attributes: Attributes) -> Verdict:
        self.questions.append(attributes)
        if attributes.verb == "watch":
            raise errors.ServiceUnavailable("away")
        is_allowed = attributes.verb == "get"
        return Verdict(Decision.ALLOW if is_allowed else Decision.NO_OPINION, "because")


VALUES: dict[str, Any] = {
    "object": {"n": [1, 2], "long": list(range(3000))},
    "authorizer": authorization.authorizer(authorization.Check(resource="pods", namespace="d")),
    "variables": {},
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("authorizer.requestResource.check('get').allowed()", True),
        ("authorizer.requestResource.check('list').allowed()", False),
        ("authorizer.path('/healthz').check('get').reason()", "because"),
        ("authorizer.group('apps').resource('x').check('watch').errored()", True),
        ("authorizer.group('apps').resource('x').check('watch').error()", "away"),
        (
            "authorizer.serviceAccount('n', 's').group('').resource('x').subresource('y')"
            ".namespace('m').name('z').fieldSelector('a=b').labelSelector('c=d').check('get')"
            ".allowed()",
            True,
        ),
        # Two questions, the second of which is asked after the first is answered.
        (
            "authorizer.path('/a').check('get').allowed() ? "
            "authorizer.path('/b').check('list').allowed() : true",
            False,
        ),
    ],
)
async def test_the_authorizer_is_asked(expression: str, value: Any) -> None:
    assert await Evaluator(Asked(), User("u")).evaluate(expression, VALUES) == value


async def test_questions_carry_all_that_was_said_and_are_asked_once() -> None:
    asked = Asked()
    evaluator = Evaluator(asked, User("u"))
    expression = (
        "authorizer.serviceAccount('n', 's').group('g').resource('r').subresource('y')"
        ".namespace('m').name('z').fieldSelector('a=b').labelSelector('c=d').check('get').allowed()"
    )
    assert await evaluator.evaluate(expression, VALUES) is True
    assert await evaluator.evaluate(expression, VALUES) is True
    (question,) = asked.questions
    assert question.user.name == "system:serviceaccount:n:s"
    assert question.user.groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:n",
        "system:authenticated",
    )
    assert (question.group, question.resource, question.subresource) == ("g", "r", "y")
    assert (question.namespace, question.name) == ("m", "z")
    assert (question.field_selector, question.label_selector) == ("a=b", "c=d")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("authorizer.path('').check('get').allowed()", "path must not be empty"),
        ("object.check('get').allowed()", "no such overload: check"),
        (
            "authorizer.serviceAccount('', 's').path('/').check('get').allowed()",
            "Invalid service account name or namespace",
        ),
        (
            "object.long.all(a, object.long.all(b, a == b))",
            None,
        ),
        (
            "object.long.all(a, object.long.all(b, object.n.all(c, true)))",
            "operation cancelled: actual cost limit exceeded",
        ),
    ],
)
async def test_what_cannot_be_evaluated_says_why(expression: str, why: str | None) -> None:
    evaluator = Evaluator(Asked(), User("u"))
    if why is None:
        assert await evaluator.evaluate(expression, VALUES) is False
        return
    with pytest.raises(ExpressionError) as failed:
        await evaluator.evaluate(expression, VALUES)
    assert str(failed.value) == f"expression '{expression}' resulted in error: {why}"
