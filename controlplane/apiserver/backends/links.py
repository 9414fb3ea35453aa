"""Links in what a server behind this one answers, made to lead through this one again. Pure.

A server that thinks itself at the root sends links such as `/next`; through the proxy they must read
`/api/v1/namespaces/ns/services/name/proxy/next`. Rewritten are the Location header and, in HTML, the attributes that
hold a URL; links to other hosts and relative ones are right as they are.

Source: apimachinery/pkg/util/proxy/transport.go (which attributes, which links).
"""

import html
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

PATH_SAFE = "/-_.~$&+,:;=@"
"""Letters that Go leaves as they are in a path, beside letters and digits."""

_ATTRIBUTES: dict[str, frozenset[str]] = {
    tag: frozenset(words.split())
    for tag, words in {
        "a": "href", "applet": "codebase", "area": "href", "audio": "src", "base": "href",
        "blockquote": "cite", "body": "background", "button": "formaction", "command": "icon",
        "del": "cite", "embed": "src", "form": "action", "frame": "longdesc src",
        "head": "profile", "html": "manifest", "iframe": "longdesc src",
        "img": "longdesc src usemap", "input": "src usemap formaction", "ins": "cite",
        "link": "href", "object": "classid codebase data usemap", "q": "cite", "script": "src",
        "source": "src", "video": "poster src",
    }.items()
}  # fmt: skip
# What stands in these is text, whatever it looks like.
_RAW = frozenset(
    [
        "iframe",
        "noembed",
        "noframes",
        "noscript",
        "plaintext",
        "script",
        "style",
        "textarea",
        "title",
        "xmp",
    ]
)
_OPENING = re.compile(r"<(?:([A-Za-z][^\s/>]*)|(!--)|([!?/]))")
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?:(=?[^\s/>=]+)(?:\s*=\s*(?:"([^"]*)(?:"|\Z)|'([^']*)(?:'|\Z)|([^\s>"'][^\s>]*)?))?)?"""
)
_ESCAPES = {"&": "&amp;", "'": "&#39;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "\r": "&#13;"}


def joined(prefix: str, path: str) -> str:
    """Both as one path without empty, `.` and `..` parts; a slash at the end stays."""
    clean = posixpath.normpath(f"/{prefix}/{path}".replace("//", "/"))
    clean = "/" + clean.lstrip("/")
    return clean + "/" if path.endswith("/") and not clean.endswith("/") else clean


@dataclass(frozen=True, slots=True)
class Links:
    """Where the proxy stands: its path, the server behind it as `host:port`, and what the client calls this one."""

    prefix: str
    backend: str
    host: str

    def rewritten(self, link: str) -> str:
        """The link as the client must see it; what is no URL stays as it is."""
        try:
            parts = urlsplit(link)
            _ = parts.port
        except ValueError:
            return link
        is_elsewhere = parts.netloc not in ("", self.backend, self.host)
        if is_elsewhere or not parts.path.startswith("/"):
            return link
        scheme, place = parts.scheme, parts.netloc
        if place != self.host:
            scheme, place = "", ""
        path = parts.path
        if not unquote(path).startswith(self.prefix):
            path = quote(joined(self.prefix, unquote(path)), safe=PATH_SAFE)
        return urlunsplit(SplitResult(scheme, place, path, parts.query, parts.fragment))

    def in_html(self, text: str) -> str:
        """A page whose links lead through the proxy."""
        out: list[str] = []
        place = 0
        while (found := _OPENING.search(text, place)) is not None:
            out.append(text[place : found.start()])
            tag = (found.group(1) or "").lower()
            if not tag:
                place = _after_other(text, found)
                out.append(text[found.start() : place])
                continue
            shown, place = self._tag(text, tag, found.end())
            out.append(shown or text[found.start() : place])
            if tag in _RAW and shown and not shown.endswith("/>"):
                end = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE).search(text, place)
                until = len(text) if end is None else end.start()
                out.append(text[place:until])
                place = until
        out.append(text[place:])
        return "".join(out)

    def _tag(self, text: str, tag: str, place: int) -> tuple[str, int]:
        """A start tag as it is sent on, and where it ends; empty when it never ends."""
        urls = _ATTRIBUTES.get(tag, frozenset())
        shown = [tag]
        while True:
            found = _ATTRIBUTE.match(text, place)
            if found is None or place >= len(text):
                return "", len(text)
            if found.end() == place and text[place] != ">":
                place += 1
                continue
            place = found.end()
            if found.group(1):
                value = next((one for one in found.groups()[1:] if one is not None), "")
                value = html.unescape(value)
                key = found.group(1).lower()
                if key in urls:
                    value = self.rewritten(value)
                shown.append(f'{key}="{"".join(_ESCAPES.get(one, one) for one in value)}"')
            if text[place : place + 1] == ">":
                end = "/>" if text[place - 1] == "/" else ">"
                return f"<{' '.join(shown)}{end}", place + 1


def _after_other(text: str, found: re.Match[str]) -> int:
    """Where a comment, a declaration or an end tag is over."""
    mark = "-->" if found.group(2) else ">"
    end = text.find(mark, found.end())
    return len(text) if end < 0 else end + len(mark)
