"""Lists: the filter language and pages."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable, Iterable
from functools import reduce

from google.protobuf.message import Message

from rehearsal.cloud.descriptors import is_map
from rehearsal.cloud.errors import invalid

PAGE, BIGGEST_PAGE = 100, 1000
TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>!=|=|\(|\)|,)|(?P<word>[^\s"'!=(),]+))"""
)
Test = Callable[[Message], bool]


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each word of a filter; strings lose their quotes."""
    found, place, text = [], 0, text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise invalid(f"filter: cannot read {text[place:]!r}")
        kind, value, place = match.lastgroup or "", match[match.lastgroup or 0], match.end()
        found.append((kind, re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "text" else value))
    return found


def value_at(message: Message, path: str) -> str:
    """A field as text, `labels.role` among them. Raises ApiError for a field that the resource lacks."""

    def step(node: object, name: str) -> object:
        if isinstance(node, Message) and name in node.DESCRIPTOR.fields_by_name:
            field = node.DESCRIPTOR.fields_by_name[name]
            value = getattr(node, name)
            return (
                dict(value)
                if is_map(field)
                else field.enum_type.values_by_number[value].name
                if field.enum_type
                else value
            )
        if isinstance(node, dict):
            return node.get(name, "")
        raise invalid(f"filter: {message.DESCRIPTOR.name} has no field {path!r}")

    return str(reduce(step, path.split("."), message))


def parse(text: str) -> Test:
    """`name="a" AND zone_id IN ("b", "c")` as a test of a resource. Raises ApiError where it cannot be read."""
    words = _tokens(text)
    tests: list[Test] = []

    def take(*wanted: str) -> str:
        if not words or (words[0][0] not in wanted and words[0][1].upper() not in wanted):
            raise invalid(
                f"filter: expected {' or '.join(wanted)} in {text!r}, got {words[0][1] if words else 'its end'!r}"
            )
        return words.pop(0)[1]

    while words:
        path = take("word")
        sign = take("=", "!=", "IN", "NOT").upper()
        if sign == "NOT":
            take("IN")
        if sign in ("=", "!="):
            values = [take("text", "word")]
        else:
            take("(")
            values = [take("text", "word")]
            while words and words[0][1] == ",":
                take(",")
                values.append(take("text", "word"))
            take(")")
        tests.append(_test(path, values, sign in ("=", "IN")))
        if words:
            take("AND")
    return lambda message: all(test(message) for test in tests)


def _test(path: str, values: list[str], wanted: bool) -> Test:
    return lambda message: (value_at(message, path) in values) is wanted


def after(token: str) -> int:
    """The sequence number that a page begins behind."""
    try:
        return int(base64.urlsafe_b64decode(token.encode()).removeprefix(b"after:")) if token else 0
    except (ValueError, binascii.Error):
        raise invalid("page_token: not a token that this method gave") from None


def page(found: Iterable[tuple[int, Message]], size: int, token: str) -> tuple[list[Message], str]:
    """One page of (sequence number, resource) pairs, and the token of the next page ('' on the last one).

    No more is taken of them than a page and one.
    """
    if not 0 <= size <= BIGGEST_PAGE:
        raise invalid(f"page_size: Value must be in 0-{BIGGEST_PAGE}")
    begin, most = after(token), size or PAGE
    part = list(itertools.islice((pair for pair in found if pair[0] > begin), most + 1))
    more = base64.urlsafe_b64encode(f"after:{part[most - 1][0]}".encode()).decode() if len(part) > most else ""
    return [message for _, message in part[:most]], more
