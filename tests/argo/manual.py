"""The parts of docs/local-runner.md that are made of what the runner is checked by; `python -m tests.argo.manual` writes them into it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pipelines.cli import ROOMS, main
from pipelines.local.supported import ABOUT, IGNORED, NO, YES
from tests.argo.differences import DIFFERENT, REFUSED

PAGE = Path(__file__).parents[2] / "docs/local-runner.md"


def filled(page: str) -> str:
    """The page with every part between `<!-- name -->` and `<!-- end -->` made anew."""
    for name, part in (("commands", commands), ("fields", fields), ("refused", refused), ("different", different)):
        whole = f"<!-- {name} -->\n" + "".join(f"{line}\n" for line in part()) + "<!-- end -->"
        page, count = re.subn(f"<!-- {name} -->.*?<!-- end -->", whole.replace("\\", r"\\"), page, count=1, flags=re.DOTALL)
        if not count:
            raise ValueError(f"the page has no place <!-- {name} --> … <!-- end -->")
    return page


def commands() -> Iterator[str]:
    yield "| command | what it does |\n|---|---|"
    context = click.Context(main)
    for name in ("run", *(name for names in ROOMS.values() for name in names)):
        command = main.get_command(context, name)
        if command is not None:
            yield f"| `fleece {name}` | {command.get_short_help_str(limit=200)} |"


def fields() -> Iterator[str]:
    for name, (rule, words) in ABOUT.items():
        yield f"\n### {name}\n\n{words}\n"
        known = sorted(flat(rule, ()))
        for title, verdict in (("Acted upon", YES), ("Accepted, no meaning here", IGNORED), ("Refused", NO)):
            if found := [f"`{field}`" for field, said in known if said == verdict]:
                yield f"- {title}: {', '.join(found)}"


def flat(rule: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every field below a rule by its dotted name, with its verdict; a group that is described by itself stands for what is in it."""
    if path and isinstance(rule, str):
        yield ".".join(path), rule
    elif path and any(rule is own for own, _ in ABOUT.values()):
        yield ".".join(path), YES
    elif isinstance(rule, list):
        yield from flat(rule[0], path)
    else:
        for key, inner in rule.items():
            yield from flat(inner, (*path, "<any>" if key == "*" else key))


def refused() -> Iterator[str]:
    yield "| recorded workflow | why it is refused |\n|---|---|"
    yield from (f"| `{name}` | {why} |" for name, why in REFUSED.items())


def different() -> Iterator[str]:
    yield "| recorded workflow | what differs, and why |\n|---|---|"
    yield from (f"| `{name}` | {why} |" for name, why in DIFFERENT.items())


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
