"""Which local environment stands for an image: a small YAML table.

    docker.io/acme/train: {bin: .venv/bin, env: {HF_HUB_OFFLINE: "1"}, warm: [torch, transformers], serve: [steps.train]}
    docker.io/acme/*: {bin: .venv/bin}

An image that the table does not name runs with the PATH of this machine.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.local.faults import Refused

_KEYS = frozenset({"bin", "env", "warm", "serve"})


@dataclass(frozen=True)
class Environment:
    """bin: folder put first on PATH; env: variables set; warm: modules to load once, ahead of the steps that
    run one of `serve` with `python -m`."""

    bin: str = ""
    env: dict[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()


class Images:
    """The table."""

    def __init__(self, table: dict[str, Environment]) -> None:
        self.table = table

    def find(self, image: str) -> Environment:
        """The environment of an image, by its name without tag and digest, or the longest prefix that ends in `*`."""
        name = bare(image)
        if name in self.table:
            return self.table[name]
        prefixes = [p for p in self.table if p.endswith("*") and name.startswith(p[:-1])]
        return self.table[max(prefixes, key=len)] if prefixes else Environment()


def bare(image: str) -> str:
    """`registry:5000/a/b:tag@sha256:…` → `registry:5000/a/b`."""
    name = image.split("@", 1)[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.split(":", 1)[0]


def read(path: Path | None) -> Images:
    """The table in a file. Refused when it is not one."""
    if path is None:
        return Images({})
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise Refused(f"{path}: no table of images: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path}: holds a {type(found).__name__}; a map from image to {{bin, env, warm, serve}} is expected")
    return Images({bare(name) if not name.endswith("*") else name: _environment(path, name, entry) for name, entry in found.items()})


def _environment(path: Path, name: str, entry: Any) -> Environment:
    if not isinstance(entry, dict) or not set(entry) <= _KEYS:
        raise Refused(f"{path}: {name}: expected {{bin, env, warm, serve}}, found {entry!r}")
    folder = entry.get("bin", "")
    place = str((path.parent / Path(folder).expanduser()).absolute()) if folder else ""
    env = {k: str(v) for k, v in (entry.get("env") or {}).items()}
    return Environment(place, env, tuple(entry.get("warm") or ()), tuple(entry.get("serve") or ()))
