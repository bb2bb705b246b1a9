"""Render a tree of templates on the controller and apply it on the host in one round trip (the controller's half)."""

from __future__ import annotations

import base64
import fnmatch
import json
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible_collections.stagecraft.platform.plugins.plugin_utils.config_tree_lines import failing_line
from jinja2 import TemplateSyntaxError

PLACEHOLDER = re.compile(r"\{(\w+)\}")
WORD = re.compile(r"[^\s\"'`=:,;(){}\[\]<>]{4,}")  # what counts as one word of a secret file
RULE_KEYS = {"owner", "group", "mode", "secret", "when", "each"}
JINJA = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
EVERYBODY_READS = 0o004


class ActionModule(ActionBase):
    """Options and behaviour: `ansible-doc stagecraft.platform.config_tree`."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    _VALID_ARGS = frozenset(
        ("src", "name", "root", "owner", "group", "mode", "dir_mode", "files", "validate", "manifests")
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        args = self._task.args
        self.vars = task_vars or {}
        name = args.get("name") or (self._task._role.get_name(include_role_fqcn=False) if self._task._role else None)
        if not name:
            raise AnsibleActionFail("name: needed outside a role, because the manifest is kept under it")
        self.defaults = {
            "owner": args.get("owner", "root"),
            "group": args.get("group", "root"),
            "mode": args.get("mode", "0644"),
        }
        self.rules = _checked(args.get("files") or {})
        root = self._find_needle("templates", args.get("src", "tree"))
        self.templar = self._templar.copy_with_new_env(
            searchpath=[root, os.path.dirname(root), *self.vars.get("ansible_search_path", [])],
            available_variables=self.vars,
        )
        used: set[str] = set()
        items = [*self._folders(used), *self._files(root, used)]
        if unused := [path for path in self.rules if path not in used]:
            hint = "; Ansible does not render keys" if any("{{" in path for path in unused) else ""
            raise AnsibleActionFail(f"files: nothing in {root} matches {', '.join(unused)}{hint}")
        sent = {option: args[option] for option in ("root", "manifests") if option in args}
        return self._execute_module(
            "stagecraft.platform.config_tree",
            task_vars=task_vars,
            module_args={
                **sent,
                "name": name,
                "dir_mode": _mode(args.get("dir_mode", "0755"), "dir_mode"),
                "validate": _validators(args.get("validate")),
                "payload": base64.b64encode(zlib.compress(json.dumps(items).encode())).decode(),
            },
        )

    def _folders(self, used: set[str]) -> Iterator[dict[str, Any]]:
        """The folders that rules declare."""
        for path, given in self.rules.items():
            if not path.endswith("/"):
                continue
            used.add(path)
            rule = {**self.defaults, "mode": "0755", **given}
            for item in _items(rule):
                yield self._entry("dir", self._expand(path, item).rstrip("/"), rule)

    def _files(self, root: str, used: set[str]) -> Iterator[dict[str, Any]]:
        """The files and links of the tree, rendered."""
        for source in sorted(_walk(root)):
            target = "/" + os.path.relpath(source, root)
            template = target.endswith(".j2") and not os.path.islink(source)
            target = target.removesuffix(".j2") if template else target
            rule = dict(self.defaults)
            for pattern, given in self.rules.items():
                if not pattern.endswith("/") and (pattern == target or fnmatch.fnmatchcase(target, pattern)):
                    rule |= given
                    used.add(pattern)
            for item in _items(rule):
                path = self._expand(target, item)
                if os.path.islink(source):
                    yield self._entry("link", path, rule, link=os.readlink(source))
                    continue
                with open(source, "rb") as file:
                    content = written = file.read()
                if template:
                    content = self._render(source, written.decode(), path, item).encode()
                entry = self._entry("file", path, rule, content=base64.b64encode(content).decode())
                secret = entry.get("secret")
                if secret or (secret is None and not entry["mode"] & EVERYBODY_READS):
                    entry["masks"] = sorted(_words(content) - (_words(written) if template else set()))
                yield entry

    def _entry(self, kind: str, path: str, rule: dict[str, Any], **more: str) -> dict[str, Any]:
        entry = {"kind": kind, "path": path, "owner": str(rule["owner"]), "group": str(rule["group"]), **more}
        entry["mode"] = _mode(rule["mode"], path)
        if "secret" in rule:
            entry["secret"] = boolean(rule["secret"])
        return entry

    def _expand(self, pattern: str, item: Any) -> str:
        """The target path of one item: `{field}` is a field of it, `{item}` the item itself, else a variable."""

        def value(match: re.Match[str]) -> str:
            key = match.group(1)
            if isinstance(item, dict) and key in item:
                found = item[key]
            elif key == "item" and item is not None:
                found = item
            else:
                found = self.templar.template(trust_as_template("{{ %s }}" % key))
            text = str(found)
            if not text or "/" in text or text in (".", ".."):
                raise AnsibleActionFail(f"{pattern}: {key} is {text!r}, which cannot be part of a file name")
            return text

        return PLACEHOLDER.sub(value, pattern)

    def _render(self, source: str, text: str, path: str, item: Any) -> str:
        self.templar.available_variables = self.vars if item is None else {**self.vars, "item": item}

        def render(some: str) -> object:
            return self.templar.template(trust_as_template(some), escape_backslashes=False, overrides=JINJA)

        try:
            rendered = render(text)
        except Exception as error:
            line = _syntax_line(error) or failing_line(text, render)
            raise AnsibleActionFail(f"{source}, line {line} (for {path}): {_reason(error)}") from None
        return "" if rendered is None else str(rendered)


def _checked(rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    for path, rule in rules.items():
        if unknown := set(rule or ()) - RULE_KEYS:
            raise AnsibleActionFail(
                f"files: {path}: unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(RULE_KEYS))}"
            )
    return {str(path): dict(rule or {}) for path, rule in rules.items()}


def _validators(given: Any) -> list[dict[str, Any]]:
    many = [given] if isinstance(given, (str, dict)) else given or []
    return [dict(one) if isinstance(one, dict) else {"command": str(one)} for one in many]


def _items(rule: dict[str, Any]) -> list[Any]:
    """What to make a file of: each item, or one nothing; none when the rule says not to."""
    return list(rule.get("each", [None])) if boolean(rule.get("when", True)) else []


def _walk(root: str) -> Iterator[str]:
    """Files and links below root; a link to a folder is a link."""
    for folder, folders, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names)
        yield from (os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name)))


def _mode(mode: Any, path: str) -> int:
    """A mode from its quoted octal form: an unquoted 0644 has become a decimal number that means something else."""
    if not isinstance(mode, str) or not re.fullmatch(r"[0-7]{3,4}", mode):
        raise AnsibleActionFail(f"{path}: mode {mode!r} has to be a quoted octal string such as '0644'")
    return int(mode, 8)


def _words(content: bytes) -> set[str]:
    return set(WORD.findall(content.decode(errors="replace")))


def _syntax_line(error: BaseException | None) -> int | None:
    """The line of a syntax error, which Jinja knows."""
    while error is not None:
        if isinstance(error, TemplateSyntaxError):
            return error.lineno
        error = error.__cause__
    return None


def _reason(error: BaseException) -> str:
    """The innermost words: the outer ones only say that a template failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
