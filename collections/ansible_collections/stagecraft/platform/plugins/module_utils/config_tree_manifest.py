"""Which tree owns which path: one small JSON file a tree, that only root reads."""

from __future__ import annotations

import fcntl
import json
import os

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_apply import replace
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import TreeError, Walker

SUFFIX = ".json"


class Manifests:
    """The manifests in `folder`. They are read once, under a lock that is held until the process ends."""

    def __init__(self, folder: str, name: str, create: bool) -> None:
        spot = Walker().locate(f"{folder}/{name}{SUFFIX}", create)
        self.name, self._shown, self._folder = name, folder, spot.folder
        self.own: set[str] = set()
        self.owner_of: dict[str, str] = {}
        if self._folder is None:
            return
        reader = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
        fcntl.flock(reader, fcntl.LOCK_EX if create else fcntl.LOCK_SH)  # kept open: two plays on one host take turns
        for file in sorted(os.listdir(reader)):
            if file.endswith(SUFFIX):
                self._load(file)

    def check(self, path: str, shown: str) -> None:
        """Raises TreeError when another tree owns the path."""
        if path in self.owner_of:
            owner = self.owner_of[path]
            raise TreeError(f"{shown} belongs to the tree {owner} (its manifest: {self._shown}/{owner}{SUFFIX})")

    def save(self, paths: set[str]) -> None:
        """Remember what the tree owns from now on."""
        if paths != self.own and self._folder is not None:
            content = json.dumps({"files": sorted(paths)}, indent=1) + "\n"
            replace(self._folder, f"{self.name}{SUFFIX}", content.encode())
            self.own = paths

    def _load(self, file: str) -> None:
        assert self._folder is not None
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        with os.fdopen(opened) as manifest:
            try:
                paths = json.load(manifest)["files"]
            except (ValueError, KeyError) as error:
                raise TreeError(f"{self._shown}/{file} is damaged ({error}); repair it or delete it") from error
        if file == f"{self.name}{SUFFIX}":
            self.own = set(paths)
        else:
            self.owner_of.update(dict.fromkeys(paths, file.removesuffix(SUFFIX)))
