"""Lints files: every document of every path, each with all rules, references looked up among the files of the call."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pipelines.lint import documents, rules, schema, sources
from pipelines.lint.findings import Finding, Severity
from pipelines.lint.models import KINDS, of_kind
from pipelines.lint.subject import Key, Subject


@dataclass(frozen=True, order=True)
class Placed:
    """A finding, the file and the line it is about, and the object it is in, as `Workflow/name`."""

    file: str
    line: int
    rule: str
    what: str
    finding: Finding = field(compare=False)
    object: str = ""


@dataclass
class Report:
    """What came of linting: findings in the order of files and lines, and what was looked at."""

    findings: list[Placed] = field(default_factory=list)
    checked: int = 0
    """Objects."""
    ignored: list[str] = field(default_factory=list)
    """The kinds of the documents that are none of Argo's, each once."""

    def count(self, severity: Severity) -> int:
        return sum(placed.finding.rule.severity == severity for placed in self.findings)


def lint(paths: Iterable[FilePath]) -> Report:
    """Files, and all YAML files below folders. Never raises for what stands in them."""
    report, library = Report(), dict[Key, Subject]()
    found = list(_sources(paths, report))
    maps = documents.config_maps(source.value for source in found)
    subjects = [(source, subject) for source in found for subject in _subject(source, library, maps, report)]
    for source, subject in subjects:
        report.findings += _place(source, [finding for check in rules.CHECKS for finding in check(subject)], subject.kind)
    report.findings = sorted(set(report.findings))
    return report


def _sources(paths: Iterable[FilePath], report: Report) -> Iterator[sources.Source]:
    seen = set[FilePath]()
    for path in paths:
        for file in sorted(p for p in path.rglob("*.y*ml") if p.is_file()) if path.is_dir() else [path]:
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            for one in sources.read(file):
                if isinstance(one, sources.Source):
                    yield one
                else:
                    report.findings.append(Placed(one.file, one.line, one.finding.rule.id, one.finding.what, one.finding))


def _subject(source: sources.Source, library: dict[Key, Subject], maps: documents.ConfigMaps, report: Report) -> Iterator[Subject]:
    """The document of a kind that is linted; a template goes to the library."""
    found = list(documents.check(source.value))
    report.findings += _place(source, found, "")
    kind = source.value.get("kind") if isinstance(source.value, dict) else None
    if kind not in KINDS:
        report.ignored += [name for name in [documents.title(source.value)] if not found and name not in report.ignored]
        return
    report.checked += 1
    decoded = schema.Decoded(source.written)
    document = decoded.value(source.value, of_kind(str(kind)), ())
    report.findings += _place(source, decoded.findings, str(kind))
    at = ("spec", "workflowSpec") if kind == "CronWorkflow" else ("spec",)
    subject = Subject(document, at, library, source, maps)
    if str(kind).endswith("Template"):
        report.findings += _place(source, list(documents.shelve(subject, library)), str(kind))
    if not any(f.rule is schema.WRONG_TYPE and f.path in (("spec",), at, (*at, "templates")) for f in decoded.findings):
        yield subject


def _place(source: sources.Source, found: Iterable[Finding], kind: str) -> list[Placed]:
    metadata: Any = source.value.get("metadata") if isinstance(source.value, dict) else None
    name = (metadata.get("name") or metadata.get("generateName")) if isinstance(metadata, dict) else None
    what = f"{kind}/{name}" if kind and name else kind
    return [Placed(source.file, source.line(f.path), f.rule.id, f.what, f, what) for f in found]
