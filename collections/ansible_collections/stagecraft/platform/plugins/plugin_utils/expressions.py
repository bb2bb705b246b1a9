"""Plain Jinja expressions as Python functions: for ten thousand hosts the templar is too slow."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any

import jinja2
from jinja2 import nodes

Function = Callable[[dict[str, Any]], Any]

MISSING = object()
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "gt": operator.gt,
    "lteq": operator.le,
    "gteq": operator.ge,
    "in": lambda a, b: a in b,
    "notin": lambda a, b: a not in b,
}
# In Jinja `x.items` is a method before it is a key: names that any plain value has are left to the templar.
METHODS = {name for kind in (dict, list, str, int, float, bool) for name in dir(kind)}


class Undefined(Exception):
    """The expression needs a variable that this host does not have."""


class NotPlain(Exception):
    """Only the templar can evaluate this expression."""


def compiled(text: Any, known: Collection[str]) -> Function | None:
    """A function of a host's variables that gives what Ansible's templar would give, or None where that is not sure.

    Understood are names in `known`, constants, `a.b`, `a['b']`, one comparison, `and`, `or`, `not`, `is defined` and
    `default()`. The function raises Undefined where the templar would complain about an undefined value.
    """
    if not isinstance(text, str):
        return None
    try:
        body = jinja2.Environment().parse("{{ " + text + " }}").body  # noqa: S701 (only parsed, nothing is rendered)
        if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
            return None
        function = _function(body[0].nodes[0], known)
    except (NotPlain, jinja2.TemplateSyntaxError):
        return None
    return lambda variables: _defined(function(variables))


def _defined(value: Any) -> Any:
    if value is MISSING:
        raise Undefined
    return value


def _item(value: Any, key: Any) -> Any:
    if value is MISSING:
        return MISSING  # as in Ansible: what is inside an undefined value is undefined, and default() catches it
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return MISSING


def _function(node: nodes.Node, known: Collection[str]) -> Function:
    rule = RULES.get(type(node))
    if rule is None:
        raise NotPlain
    return rule(node, known)


def _name(node: nodes.Name, known: Collection[str]) -> Function:
    name = node.name
    if name not in known:
        raise NotPlain
    return lambda variables: variables.get(name, MISSING)


def _const(node: nodes.Const, known: Collection[str]) -> Function:
    value = node.value
    return lambda variables: value


def _attribute(node: nodes.Getattr, known: Collection[str]) -> Function:
    inner, name = _function(node.node, known), node.attr
    if name in METHODS:
        raise NotPlain
    return lambda variables: _item(inner(variables), name)


def _subscript(node: nodes.Getitem, known: Collection[str]) -> Function:
    if not isinstance(node.arg, nodes.Const) or node.arg.value in METHODS:
        raise NotPlain
    inner, key = _function(node.node, known), node.arg.value
    return lambda variables: _item(inner(variables), key)


def _compare(node: nodes.Compare, known: Collection[str]) -> Function:
    if len(node.ops) != 1:
        raise NotPlain
    left, right = _function(node.expr, known), _function(node.ops[0].expr, known)
    compare = COMPARE[node.ops[0].op]
    return lambda variables: compare(_defined(left(variables)), _defined(right(variables)))


def _and(node: nodes.And, known: Collection[str]) -> Function:
    left, right = _function(node.left, known), _function(node.right, known)
    return lambda variables: _defined(left(variables)) and right(variables)


def _or(node: nodes.Or, known: Collection[str]) -> Function:
    left, right = _function(node.left, known), _function(node.right, known)
    return lambda variables: _defined(left(variables)) or right(variables)


def _not(node: nodes.Not, known: Collection[str]) -> Function:
    inner = _function(node.node, known)
    return lambda variables: not _defined(inner(variables))


def _test(node: nodes.Test, known: Collection[str]) -> Function:
    if node.name not in ("defined", "undefined") or node.args or node.kwargs:
        raise NotPlain
    inner, wanted = _function(node.node, known), node.name == "defined"
    return lambda variables: (inner(variables) is not MISSING) is wanted


def _default(node: nodes.Filter, known: Collection[str]) -> Function:
    if node.name not in ("default", "d") or node.kwargs or node.node is None or not 1 <= len(node.args) <= 2:
        raise NotPlain
    also_empty = False
    if len(node.args) == 2:
        if not isinstance(node.args[1], nodes.Const):
            raise NotPlain
        also_empty = bool(node.args[1].value)
    inner, other = _function(node.node, known), _function(node.args[0], known)

    def function(variables: dict[str, Any]) -> Any:
        value = inner(variables)
        return other(variables) if value is MISSING or (also_empty and not value) else value

    return function


RULES: dict[type, Callable[[Any, Collection[str]], Function]] = {
    nodes.Name: _name,
    nodes.Const: _const,
    nodes.Getattr: _attribute,
    nodes.Getitem: _subscript,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.Test: _test,
    nodes.Filter: _default,
}
