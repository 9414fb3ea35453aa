"""Expressions compiled and run: the one file that knows the CEL library.

An `Environment` has variables, the standard functions, strings, optional types, and Kubernetes' own functions.
`compile` checks types and gives a `Program`; `Program.evaluate` takes the variables' values as JSON-like data and gives
such data.

The library cannot tell why a function of ours refused its arguments; the reason is kept aside and put into the error.
Evaluation is not metered: what bounds it are RE2, the sizes that schemas allow and the size of a request.
"""

import contextlib
import contextvars
import datetime
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

from controlplane.api.cel import ast, authorization, networks, quantities, sequences, texts
from controlplane.api.cel.tagged import FunctionError
from controlplane.api.cel.wording import as_upstream

_T = cel.Type
_MAP = _T.Map(_T.STRING, _T.DYN)
_LIST = _T.List(_T.DYN)

DYN, BOOL, STRING, INT, MAP = _T.DYN, _T.BOOL, _T.STRING, _T.INT, _MAP

_refusal: contextvars.ContextVar[str] = contextvars.ContextVar("refusal", default="")


class CompileError(ValueError):
    """The expression is not valid CEL, or its types do not fit; the text is the checker's."""


class EvaluationError(ValueError):
    """The expression could not be evaluated with these values."""


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except FunctionError as error:
            _refusal.set(str(error))
            raise

    return call


def _declared(
    name: str, *overloads: tuple[Any, list[Any], bool, Callable[..., Any]]
) -> cel.FunctionDecl:
    """A function by its overloads: (result, parameters, whether the first one is the receiver, what it does)."""
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(f"{name}_{number}", result, parameters, is_member, _guarded(function))
            for number, (result, parameters, is_member, function) in enumerate(overloads)
        ],
    )


def _compare(name: str, holds: Callable[[int], Any], result: Any) -> cel.FunctionDecl:
    return _declared(
        name,
        (
            result,
            [_MAP, _MAP],
            True,
            lambda left, right: holds(quantities.compare(left, right, name)),
        ),
    )


def _flag(name: str, function: Callable[[Any], bool]) -> cel.FunctionDecl:
    return _declared(name, (_T.BOOL, [_MAP], True, function))


def _url_parts() -> list[cel.FunctionDecl]:
    def part(name: str) -> Callable[[Any], str]:
        return lambda value: networks.url_part(value, name)

    names = ("getScheme", "getHost", "getHostname", "getPort", "getEscapedPath")
    return [_declared(name, (_T.STRING, [_MAP], True, part(name))) for name in names]


def _formats() -> list[cel.FunctionDecl]:
    def constant(name: str) -> Callable[[], Any]:
        return lambda: texts.named_format(name)["@optional"][0]

    return [
        _declared(f"format.{name}", (_MAP, [], False, constant(name))) for name in texts.FORMATS
    ]


def _authorization() -> list[cel.FunctionDecl]:
    types = {authorization.MAP: _MAP, authorization.BOOL: _T.BOOL, authorization.STRING: _T.STRING}
    return [
        _declared(
            name,
            (types[gives], [_MAP, *(types[t] for t in takes)], True, authorization.call(name)),
        )
        for name, (gives, takes) in authorization.FUNCTIONS.items()
    ]


def _functions() -> list[cel.FunctionDecl]:
    """What Kubernetes adds to CEL."""
    return [
        _declared("isSorted", (_T.BOOL, [_LIST], True, sequences.is_sorted)),
        _declared("sum", (_T.DYN, [_LIST], True, sequences.total)),
        _declared("min", (_T.DYN, [_LIST], True, sequences.smallest)),
        _declared("max", (_T.DYN, [_LIST], True, sequences.largest)),
        _declared("indexOf", (_T.INT, [_LIST, _T.DYN], True, sequences.index_of)),
        _declared("lastIndexOf", (_T.INT, [_LIST, _T.DYN], True, sequences.last_index_of)),
        _declared("sets.contains", (_T.BOOL, [_LIST, _LIST], False, sequences.contains_all)),
        _declared("sets.intersects", (_T.BOOL, [_LIST, _LIST], False, sequences.intersect)),
        _declared("sets.equivalent", (_T.BOOL, [_LIST, _LIST], False, sequences.equivalent)),
        _declared("find", (_T.STRING, [_T.STRING, _T.STRING], True, texts.find)),
        _declared(
            "findAll",
            (_T.List(_T.STRING), [_T.STRING, _T.STRING], True, texts.find_all),
            (_T.List(_T.STRING), [_T.STRING, _T.STRING, _T.INT], True, texts.find_all),
        ),
        _declared("isQuantity", (_T.BOOL, [_T.STRING], False, quantities.is_quantity)),
        _declared("quantity", (_MAP, [_T.STRING], False, quantities.make_quantity)),
        _declared("sign", (_T.INT, [_MAP], True, quantities.sign)),
        _flag("isInteger", quantities.is_integer),
        _declared("asInteger", (_T.INT, [_MAP], True, quantities.as_integer)),
        _declared("asApproximateFloat", (_T.DOUBLE, [_MAP], True, quantities.as_float)),
        _declared(
            "add",
            (_MAP, [_MAP, _MAP], True, quantities.add),
            (_MAP, [_MAP, _T.INT], True, quantities.add),
        ),
        _declared(
            "sub",
            (_MAP, [_MAP, _MAP], True, quantities.subtract),
            (_MAP, [_MAP, _T.INT], True, quantities.subtract),
        ),
        _compare("isLessThan", lambda order: order < 0, _T.BOOL),
        _compare("isGreaterThan", lambda order: order > 0, _T.BOOL),
        _compare("compareTo", lambda order: order, _T.INT),
        _declared(
            "isSemver",
            (_T.BOOL, [_T.STRING], False, quantities.is_semver),
            (_T.BOOL, [_T.STRING, _T.BOOL], False, quantities.is_semver),
        ),
        _declared(
            "semver",
            (_MAP, [_T.STRING], False, quantities.make_semver),
            (_MAP, [_T.STRING, _T.BOOL], False, quantities.make_semver),
        ),
        _declared(
            "major", (_T.INT, [_MAP], True, lambda v: quantities.version_part(v, 0, "major"))
        ),
        _declared(
            "minor", (_T.INT, [_MAP], True, lambda v: quantities.version_part(v, 1, "minor"))
        ),
        _declared(
            "patch", (_T.INT, [_MAP], True, lambda v: quantities.version_part(v, 2, "patch"))
        ),
        _declared("isIP", (_T.BOOL, [_T.STRING], False, networks.is_ip)),
        _declared(
            "ip",
            (_MAP, [_T.STRING], False, networks.make_ip),
            (_MAP, [_MAP], True, networks.cidr_ip),
        ),
        _declared("ip.isCanonical", (_T.BOOL, [_T.STRING], False, networks.is_canonical)),
        _declared("family", (_T.INT, [_MAP], True, networks.family)),
        _flag("isUnspecified", networks.is_unspecified),
        _flag("isLoopback", networks.is_loopback),
        _flag("isLinkLocalMulticast", networks.is_link_local_multicast),
        _flag("isLinkLocalUnicast", networks.is_link_local_unicast),
        _flag("isGlobalUnicast", networks.is_global_unicast),
        _declared("isCIDR", (_T.BOOL, [_T.STRING], False, networks.is_cidr)),
        _declared("cidr", (_MAP, [_T.STRING], False, networks.make_cidr)),
        _declared(
            "containsIP",
            (_T.BOOL, [_MAP, _MAP], True, networks.contains_ip),
            (_T.BOOL, [_MAP, _T.STRING], True, networks.contains_ip),
        ),
        _declared(
            "containsCIDR",
            (_T.BOOL, [_MAP, _MAP], True, networks.contains_cidr),
            (_T.BOOL, [_MAP, _T.STRING], True, networks.contains_cidr),
        ),
        _declared("masked", (_MAP, [_MAP], True, networks.masked)),
        _declared("prefixLength", (_T.INT, [_MAP], True, networks.prefix_length)),
        _declared("isURL", (_T.BOOL, [_T.STRING], False, networks.is_url)),
        _declared("url", (_MAP, [_T.STRING], False, networks.make_url)),
        *_url_parts(),
        _declared("getQuery", (_T.Map(_T.STRING, _LIST), [_MAP], True, networks.url_query)),
        *_formats(),
        _declared("format.named", (_MAP, [_T.STRING], False, texts.named_format)),
        _declared("validate", (_MAP, [_MAP, _T.STRING], True, texts.validate_format)),
        _declared("hasValue", (_T.BOOL, [_MAP], True, texts.has_value)),
        _declared("value", (_T.DYN, [_MAP], True, texts.optional_value)),
        _declared("orValue", (_T.DYN, [_MAP, _T.DYN], True, texts.or_value)),
        _declared("jsonpatch.escapeKey", (_T.STRING, [_T.STRING], False, texts.escape_key)),
        *_authorization(),
    ]


@cache
def _extensions() -> tuple[Any, ...]:
    return (
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        cel.CelExtension("kubernetes", _functions()),
    )


class Program:
    """A checked expression."""

    def __init__(self, environment: Any, expression: str) -> None:
        self.expression = expression
        self._environment = environment
        try:
            self._compiled = environment.compile(expression)
        except RuntimeError as error:
            raise CompileError(as_upstream(_text(error))) from error

    @property
    def result_type(self) -> Any:
        """The type that the checker gave the expression; compare with `BOOL`, `STRING`, `DYN`."""
        return self._compiled.return_type()

    def variables(self) -> frozenset[str]:
        """The names of the variables that the expression reads."""
        return ast.variables(self._compiled.serialize())

    def loop_depth(self) -> int:
        """How many loops stand inside each other at most."""
        return ast.loop_depth(self._compiled.serialize())

    def fields_of(self, variable: str) -> frozenset[str] | None:
        """The fields of a variable that the expression selects; None when it uses the variable as a whole."""
        return ast.fields_of(self._compiled.serialize(), variable)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value for these variables; EvaluationError when there is none."""
        token = _refusal.set("")
        try:
            try:
                result = self._compiled.eval(data=values)
                if result.type() == _T.ERROR:
                    raise EvaluationError(_refusal.get() or _reason(str(result.plain_value())))
                return result.plain_value()
            except (RuntimeError, TypeError) as error:
                raise EvaluationError(_refusal.get() or _reason(_text(error))) from error
        finally:
            with contextlib.suppress(ValueError):
                _refusal.reset(token)


class Environment:
    """Variables by name and type; an expression may use these and no others. `has_bindings` allows `cel.bind`."""

    def __init__(
        self,
        variables: Mapping[str, Any],
        *,
        descriptor_pool: Any = None,
        has_bindings: bool = False,
    ) -> None:
        self._environment = cel.NewEnv(
            descriptor_pool=descriptor_pool,
            variables=dict(variables),
            extensions=[*_extensions(), *([ext_bindings.ExtBindings()] if has_bindings else [])],
        )

    def compile(self, expression: str) -> Program:
        """The program of `expression`; CompileError when it is not valid."""
        return Program(self._environment, expression)


def message_type(name: str) -> Any:
    """The type of a protobuf message in the environment's descriptor pool."""
    return _T(name)


def _text(error: Exception) -> str:
    """The library's text without the status that it puts around."""
    text = str(error)
    for word in ("INVALID_ARGUMENT", "UNKNOWN", "NOT_FOUND", "UNIMPLEMENTED", "INTERNAL"):
        text = text.removeprefix(f"{word}: ").removesuffix(f" [{word}]")
    return text


_CONVERSION = re.compile(r"cannot convert (\w+) to (\w+)")


def _reason(text: str) -> str:
    """A failure of evaluation in the words that upstream's library has for it."""
    text = _text(RuntimeError(text))
    key = text.removeprefix('Key not found in map : "')
    if key != text:
        return f"no such key: {key.removesuffix(chr(34))}"
    if text.startswith("No matching overloads found"):
        return "no such overload"
    conversion = _CONVERSION.fullmatch(text)
    if conversion is not None:
        return f"type conversion error from '{conversion[1]}' to '{conversion[2]}'"
    return text


def timestamp(text: str) -> datetime.datetime | None:
    """An RFC 3339 instant as the value of a timestamp; None when it is none."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
