"""How findings are shown: for people in a terminal, as JSON for programs, and all rules as a page."""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from pipelines.lint import rules
from pipelines.lint.findings import Severity
from pipelines.lint.linter import Placed, Report

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}


def text(report: Report, console: Console) -> None:
    """Findings by file and line; why and how to fix with the first of each rule; a sum."""
    told = set[str]()
    for placed in report.findings:
        console.print(_line(placed), soft_wrap=True)
        if placed.rule not in told:
            told.add(placed.rule)
            for word, said in (("why", placed.finding.rule.why), ("fix", placed.finding.rule.fix)):
                console.print(Text.assemble("    ", (word, "bold"), f"  {said}"), soft_wrap=True)
    console.print(summary(report), soft_wrap=True, style="dim" if report.findings else "green", highlight=False)


def _line(placed: Placed) -> Text:
    severity = placed.finding.rule.severity
    return Text.assemble((f"{placed.file}:{placed.line}", "bold"), ": ", (severity, _COLOURS[severity]), f" {placed.rule}: ", placed.what)


def summary(report: Report) -> str:
    """`2 errors and 1 warning in 3 objects; not looked at: ConfigMap`."""
    counts = [_counted(report.count(severity), severity) for severity in Severity]
    found = " and ".join(c for c in counts if not c.startswith("0")) or "nothing wrong"
    ignored = f"; not looked at: {', '.join(report.ignored)}" if report.ignored else ""
    return f"{found} in {_counted(report.checked, 'object')}{ignored}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_json(report: Report) -> str:
    """An object with `findings`, `checked` and `ignored`."""
    found = [
        {
            "file": placed.file,
            "line": placed.line,
            "object": placed.object,
            "rule": placed.rule,
            "severity": placed.finding.rule.severity,
            "what": placed.what,
            "why": placed.finding.rule.why,
            "fix": placed.finding.rule.fix,
        }
        for placed in report.findings
    ]
    return json.dumps({"findings": found, "checked": report.checked, "ignored": report.ignored}, indent=2, ensure_ascii=False)


def page() -> str:
    """docs/lint.md."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    groups = rules.by_module()
    count = sum(len(found) for _, found in groups)
    yield "# What `fleece lint` finds"
    yield ""
    yield f"{count} rules, written by `fleece lint --rules`. An error breaks the workflow or lets it do something else than is written;"
    yield "a warning is right only if it is meant. The exit code is 65 when there is an error, with `--strict` also for warnings."
    for title, found in groups:
        yield from ("", f"## {title}", "", "| Rule | | Why | What to do |", "|---|---|---|---|")
        for rule in found:
            yield f"| `{rule.id}` | {rule.severity} | {_cell(rule.why)} | {_cell(rule.fix)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
