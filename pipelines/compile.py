"""Hera to committed YAML: one file a template, the same bytes every time, nothing stale and no orphans."""

import importlib
import re
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = ("finetune", "release", "approve", "evaluate", "deploy", "rollback", "retrain", "reap", "reaper")
FOLDER = Path(__file__).resolve().parent.parent / "workflow-templates"

# Text that some YAML reader takes for a number, a boolean or nothing: go-yaml reads an unquoted 2e-5 as a float, YAML 1.1 `n` as false.
_AMBIGUOUS = re.compile(
    r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^0[xob][0-9a-f]*$|^(y|n|yes|no|on|off|true|false|null|nan|inf|~|)$",
    re.IGNORECASE,
)


class Dumper(yaml.SafeDumper):
    """Block style, never folded, and every text that could be read as something else in double quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        raise ValueError(f"{text!r} has a control character; Argo refuses the whole template")
    if "\n" in text:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    quoted = _AMBIGUOUS.match(text.replace("_", "")) is not None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


Dumper.add_representer(str, _text)


def render(name: str) -> str:
    """The YAML of one template module."""
    template = importlib.import_module(f"pipelines.{name}").template
    body = yaml.dump(template.to_dict(), Dumper=Dumper, width=float("inf"), sort_keys=False, allow_unicode=True)
    return f"# Compiled from pipelines/{name}.py by `fleece compile`. Change that file, not this one.\n{body}"


def compile_all(folder: Path = FOLDER) -> list[Path]:
    """Write every template; returns the files that changed, orphans removed included."""
    folder.mkdir(exist_ok=True)
    wanted = {folder / f"{name}.yaml": render(name) for name in TEMPLATES}
    orphans = [path for path in folder.glob("*.yaml") if path not in wanted]
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    for path in changed:
        path.write_text(wanted[path])
    for path in orphans:
        path.unlink()
    return changed + orphans


def stale(folder: Path = FOLDER) -> list[Path]:
    """Files that differ from what the modules say, are missing, or belong to no module."""
    wanted = {folder / f"{name}.yaml": render(name) for name in TEMPLATES}
    orphans = [path for path in folder.glob("*.yaml") if path not in wanted]
    return [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text] + orphans
