"""The variables of a policy's expressions, `variables.x` among them, which are evaluated when an expression reads them.

A variable that fails makes those expressions fail that come to read it.
Source: apiserver/pkg/admission/plugin/cel/composition.go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from controlplane.api.meta import Obj
from controlplane.apiserver.admission.selection.conditions import (
    Evaluator,
    ExpressionError,
    selected_variables,
)

_NO_KEY = "no such key: "


class Values:
    """The values for one policy, one set of parameters, and one state of the object."""

    def __init__(
        self, evaluator: Evaluator, values: dict[str, Any], variables: Sequence[Obj]
    ) -> None:
        self._evaluator = evaluator
        self._values = values
        self._variables = {str(one["name"]): str(one["expression"]) for one in variables}
        self._known: dict[str, Any] = {}
        self._problems: dict[str, str] = {}

    async def evaluate(
        self, expression: str, *, has_authorizer: bool = True, shown: str = ""
    ) -> Any:
        """The value of an expression, which errors show as `shown` if that is given. ExpressionError."""
        await self._provide(expression)
        values = {**self._values, "variables": self._known}
        if not has_authorizer:
            values["authorizer"] = {}
        try:
            return await self._evaluator.evaluate(expression, values, shown=shown)
        except ExpressionError as error:
            for name, problem in self._problems.items():
                if str(error).endswith(_NO_KEY + name):
                    text = str(error).removesuffix(_NO_KEY + name)
                    raise ExpressionError(
                        f"{text}composited variable {json.dumps(name)} fails to evaluate: {problem}"
                    ) from error
            raise

    async def _provide(self, expression: str) -> None:
        """Evaluate the variables that the expression may read; later ones may read earlier ones."""
        wanted = selected_variables(expression)
        for name in self._variables:
            if name in self._known or name in self._problems:
                continue
            if wanted is not None and name not in wanted:
                continue
            try:
                self._known[name] = await self.evaluate(self._variables[name])
            except ExpressionError as error:
                prefix = f"expression '{self._variables[name]}' resulted in error: "
                self._problems[name] = str(error).removeprefix(prefix)
