"""CEL as Kubernetes speaks it; cases from the published documentation of its libraries."""

from typing import Any

import pytest

from controlplane.api.cel.environment import (
    BOOL,
    DYN,
    CompileError,
    Environment,
    EvaluationError,
)

ENVIRONMENT = Environment({"self": DYN, "oldSelf": DYN})


def value_of(expression: str, self: Any = None) -> Any:
    return ENVIRONMENT.compile(expression).evaluate({"self": self, "oldSelf": None})


TRUE = [
    "[1, 2, 3].isSorted() && !['b', 'a'].isSorted()",
    "[1, 3].sum() == 4 && [1.5, 2.5].sum() == 4.0 && [].sum() == 0",
    "[1, 3, 2].min() == 1 && [1, 3, 2].max() == 3",
    "['a', 'b', 'b'].indexOf('b') == 1 && ['a', 'b', 'b'].lastIndexOf('b') == 2",
    "['a'].indexOf('x') == -1",
    "sets.contains([1, 2], [2]) && !sets.contains([1], [2]) && sets.contains([1], [])",
    "sets.equivalent([1, 1, 2], [2, 1]) && sets.intersects([1], [1, 2])",
    "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == ''",
    "'123 abc 456'.findAll('[0-9]+') == ['123', '456']",
    "'123 abc 456'.findAll('[0-9]+', 1) == ['123']",
    "isQuantity('1.3G') && !isQuantity('1.3GG')",
    "quantity('1000m') == quantity('1') && quantity('1Ki').asInteger() == 1024",
    "quantity('50k').add('20k' == '' ? 1 : 20000) == quantity('70k')",
    "quantity('50k').sub(quantity('20k')).compareTo(quantity('30k')) == 0",
    "quantity('-1').sign() == -1 && !quantity('500m').isInteger()",
    "quantity('200M').isGreaterThan(quantity('0.1G')) && quantity('1').isLessThan(quantity('2'))",
    "quantity('500m').asApproximateFloat() == 0.5",
    "isSemver('1.0.0') && !isSemver('v1.0') && isSemver('v1.0', true)",
    "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
    "semver('1.2.3-alpha.2').isLessThan(semver('1.2.3-alpha.10'))",
    "semver('1.2.3-rc').isLessThan(semver('1.2.3')) && semver('1.2.3').compareTo(semver('1.2.3')) == 0",
    "isIP('127.0.0.1') && isIP('::1') && !isIP('127.0.0.256') && !isIP('::ffff:1.2.3.4')",
    "ip('2001:db8::abcd') == ip('2001:DB8::ABCD') && !ip.isCanonical('2001:DB8::ABCD')",
    "ip('127.0.0.1').family() == 4 && ip('::1').family() == 6",
    "ip('0.0.0.0').isUnspecified() && ip('127.0.0.1').isLoopback()",
    "ip('224.0.0.1').isLinkLocalMulticast() && ip('169.254.169.254').isLinkLocalUnicast()",
    "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
    "isCIDR('192.168.0.0/16') && !isCIDR('192.168.0.0/')",
    "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))",
    "cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('192.168.0.0/24').containsIP('10.0.0.1')",
    "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')",
    "cidr('192.168.1.1/24').ip() == ip('192.168.1.1') && cidr('192.168.1.1/24').masked() == cidr('192.168.1.0/24')",
    "cidr('::1/64').prefixLength() == 64",
    "isURL('https://user:pass@example.com:80/path') && isURL('/absolute') && !isURL('../relative')",
    "url('https://example.com:80/').getHost() == 'example.com:80'",
    "url('https://[::1]:80/').getHostname() == '::1' && url('https://example.com:80/').getPort() == '80'",
    "url('/path').getScheme() == '' && url('https://example.com/a%20b').getEscapedPath() == '/a%20b'",
    "url('https://example.com/?k1=a&k2=b&k2=c').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}",
    "!format.dns1123Label().validate('my-label').hasValue()",
    "format.dns1123Label().validate('Bad!').value().size() == 1",
    "format.named('uuid').hasValue() && !format.named('nope').hasValue()",
    "'a,b'.split(',') == ['a', 'b'] && 'AbC'.lowerAscii() == 'abc' && '%d'.format([3]) == '3'",
    "dyn(1) == 1.0 && dyn(2u) > 1",
]


@pytest.mark.parametrize("expression", TRUE)
def test_documented_cases_hold(expression: str) -> None:
    assert value_of(expression) is True


@pytest.mark.parametrize(
    ("expression", "self", "reason"),
    [
        (
            "quantity('1.3GG') == quantity('1')",
            None,
            "quantities must match the regular expression",
        ),
        ("quantity('500m').asInteger() > 0", None, "cannot convert value to integer"),
        ("ip('nope').family() == 4", None, "parse error during conversion from string"),
        ("[].min() == 1", None, "min called on empty list"),
        ("self.a.b == 1", {"a": {}}, "no such key: b"),
        ("1 / self == 1", 0, "divide by zero"),
        ("self < 'a'", 1, "no such overload"),
        ("'x'.find('(?=a)') == ''", None, "invalid perl operator"),
    ],
)
def test_a_failure_says_why(expression: str, self: Any, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason.replace("(", r"\(")):
        value_of(expression, self)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("1 + 'a'", "found no matching overload for '_\\+_' applied to '\\(int, string\\)'"),
        ("foo == 1", "undeclared reference to 'foo'"),
        ("self.", "Syntax error"),
    ],
)
def test_what_does_not_compile_is_refused_with_its_place(expression: str, text: str) -> None:
    with pytest.raises(CompileError, match=f"ERROR: <input>:1:[0-9]+: {text}"):
        ENVIRONMENT.compile(expression)


def test_an_error_that_decides_nothing_is_passed_over() -> None:
    assert value_of("self.a == 1 || true", {}) is True


def test_a_pattern_cannot_take_exponential_time() -> None:
    assert value_of("self.find('^(a+)+$')", "a" * 5000 + "b") == ""


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("self.x == oldSelf.x", {"self", "oldSelf"}),
        ("self.all(oldSelf, oldSelf > 1)", {"self"}),
        ("[1].map(x, {'a': self})", {"self"}),
        ("true", set()),
    ],
)
def test_the_variables_of_an_expression_are_known(expression: str, wanted: set[str]) -> None:
    assert ENVIRONMENT.compile(expression).variables() == wanted


def test_the_type_of_an_expression_is_known() -> None:
    assert ENVIRONMENT.compile("1 == 1").result_type == BOOL
    assert ENVIRONMENT.compile("1 + 1").result_type != BOOL
