"""The gate's report for a person: one HTML file that needs nothing else, and the same as Markdown. It holds no text of any item."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from steps.contracts import Verdict
from steps.decision import Check, Decision
from steps.evaluation import Measured, Score
from steps.forest import Plot, Row, balance, forest
from steps.gate_rules import NAMES, Finding, number

LEAD: dict[Verdict, str] = {
    "promote": "The candidate may be promoted.",
    "hold": "The candidate must not be promoted.",
    "undecided": "The evidence does not decide.",
}
TESTS = {"superiority": "better than", "non_inferiority": "not worse than", "ratio": "in proportion to", "absolute": "good enough"}
_RULES = ("Outcome", "Rule", "Asked", "Seen", "Between", "Items")
_GAINS = ("superiority", "non_inferiority")


@dataclass(frozen=True)
class Report:
    """What the report is made of."""

    model: str
    run_id: str
    decision: Decision
    candidate: Measured
    anchor: Measured
    champion: Measured | None


def html(report: Report) -> str:
    """The page. It follows the reader's light or dark setting and prints."""
    decision = report.decision
    title = f"{decision.verdict.capitalize()}: {report.model}"
    body = [
        f'<header><p class="verdict {decision.verdict}">{decision.verdict}</p><h1>{escape(report.model)}</h1>',
        f'<p class="lead">{escape(LEAD[decision.verdict])} {escape(summary(decision))}</p></header>',
        _section("Rules", _rules(decision.findings)),
        *(_section(plot.title, f"<p>{escape(plot.note)}</p>{forest(plot)}") for plot in plots(decision)),
        _section("Item by item", _balances(decision.findings)),
        _section("Scores", _table(*_scores(report))),
        _section("Is the comparison valid?", _checks(decision.checks)),
        _section("How to read this", "".join(f"<p>{escape(line)}</p>" for line in reading(decision))),
        _section("Evidence", _table(("", "Evaluation", "Its sha256", "Model"), _evidence(report))),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def markdown(report: Report) -> str:
    """The same without pictures, for a terminal, a merge request or a registry's description."""
    decision = report.decision
    rows = [(finding.outcome, *_cells(finding)) for finding in decision.findings]
    lines = [f"# {decision.verdict.capitalize()}: {report.model}", "", f"{LEAD[decision.verdict]} {summary(decision)}", ""]
    lines += ["## Rules", "", *_markdown_table(_RULES, rows), "", *(f"- {finding.words}" for finding in decision.findings), ""]
    lines += ["## Scores", "", *_markdown_table(*_scores(report)), ""]
    lines += ["## Is the comparison valid?", "", *(f"- {'ok' if check.ok else '**NO**'}: {check.words}" for check in decision.checks), ""]
    lines += ["## How to read this", "", *(f"{line}\n" for line in reading(decision))]
    lines += ["## Evidence", "", *_markdown_table(("", "Evaluation", "Its sha256", "Model"), _evidence(report)), ""]
    return "\n".join(lines)


def summary(decision: Decision) -> str:
    """The verdict in one or two sentences."""
    if broken := [check.words for check in decision.checks if not check.ok]:
        return f"The comparison is not valid: {'; '.join(broken)}."
    count = {outcome: [f for f in decision.findings if f.outcome == outcome] for outcome in ("fail", "invalid", "inconclusive")}
    if decision.verdict == "promote":
        return f"It passed {_many(len(decision.findings), 'comparison')} of {_many(len({f.rule for f in decision.findings}), 'rule')}."
    named = [f"{word}: {', '.join(dict.fromkeys(f.rule for f in found))}" for word, found in count.items() if found]
    return f"{'; '.join(named).capitalize()}."


def reading(decision: Decision) -> list[str]:
    error = f"{decision.alpha * 100:g} %"
    return [
        f"Each bar is what the candidate's true value may be: each end is wrong in at most {error} of all such comparisons. "
        "A rule passes when the whole bar lies on the right side of its line, fails when the point does not, and is inconclusive between.",
        "All rules must pass. So a candidate that in truth misses one of its lines is promoted in at most "
        f"{error} of the cases, however many rules there are.",
        "Both models answered the same items, and only items on which they differ count for or against. "
        "The base model stands in for a model in production where there is none.",
    ]


def plots(decision: Decision) -> list[Plot]:
    """One plot for each kind of number: gains, levels and ratios share no axis."""
    found = []
    for percent in (True, False):
        unit = " (points)" if percent else ""
        gains = [finding for finding in decision.findings if finding.test in _GAINS and finding.percent == percent]
        levels = [finding for finding in decision.findings if finding.test == "absolute" and finding.percent == percent]
        note = "Gain of the candidate. Right of zero it is better; dashed: the line that the whole bar must lie right of."
        found.append(Plot(f"Gains{unit}", note, percent, 0.0, _plot_rows(gains)))
        note = "The candidate by itself; dashed: its bound."
        found.append(Plot(f"Levels{' (%)' if percent else ''}", note, percent, None, _plot_rows(levels)))
    ratios = [finding for finding in decision.findings if finding.test == "ratio"]
    found.append(Plot("Ratios", "The candidate's mean over the reference's; at 1 they are equal.", False, 1.0, _plot_rows(ratios)))
    return [plot for plot in found if plot.rows]


def _plot_rows(findings: list[Finding]) -> list[Row]:
    return [
        Row(_label(f), f.low, f.estimate, f.high, f.line, f.outcome)
        for f in findings
        if f.low is not None and f.estimate is not None and f.high is not None and f.line is not None
    ]


def _label(finding: Finding) -> str:
    return f"{finding.rule}, against {NAMES[finding.against].removeprefix('the ')}" if finding.against else finding.rule


def _cells(finding: Finding) -> tuple[str, str, str, str, str]:
    """Rule, asked, seen, between, items."""
    against = f" {NAMES[finding.against]}" if finding.against else ""
    rule = f"{finding.rule}: {finding.metric} on {finding.task}, {TESTS[finding.test]}{against}"
    if finding.estimate is None or finding.low is None or finding.high is None or finding.line is None:
        return rule, "", finding.words.partition(": ")[2], "", ""
    sign, unit = finding.test in _GAINS, " points" if finding.percent and finding.test in _GAINS else " %" if finding.percent else ""
    line, seen, low, high = (
        number(value, finding.percent, sign=sign) for value in (finding.line, finding.estimate, finding.low, finding.high)
    )
    return rule, f"{line}{unit}", f"{seen}{unit}", f"{low} to {high}", f"{finding.n:,}"


def _scores(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    measured = {"Candidate": report.candidate, "Base model": report.anchor, "In production": report.champion}
    present = {name: of.record.metrics for name, of in measured.items() if of}
    rows = [
        (task, metric, *(_score(scores.get(task, {}).get(metric)) for scores in present.values()))
        for task, metrics in report.candidate.record.metrics.items()
        for metric in metrics
    ]
    return ("Task", "Metric", *present), rows


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{score.value:.4f}" + (f" ± {score.stderr:.4f}" if score.stderr is not None else "")


def _evidence(report: Report) -> list[tuple[str, ...]]:
    decision = report.decision
    of = {"Candidate": decision.candidate, "Base model": decision.anchor, "In production": decision.champion}
    rows = [(name, found.uri.rpartition("/")[2], found.sha256, found.digest) for name, found in of.items() if found]
    return [*rows, ("Policy", "", decision.policy_sha256, ""), ("Run", report.run_id, "", "")]


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _rules(findings: list[Finding]) -> str:
    rows = "".join(
        f'<tr><td><span class="outcome {f.outcome}">{f.outcome}</span></td>' + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(f))
        + ("</tr>" if f.needed is None else f"</tr><tr><td></td><td colspan=5>{f.needed:,} items would decide it.</td></tr>")
        for f in findings
    )  # fmt: skip
    return f"<table class=rules><thead><tr>{_heads(_RULES)}</tr></thead><tbody>{rows}</tbody></table>"


def _balances(findings: list[Finding]) -> str:
    shown: dict[tuple[str, str, str | None], Finding] = {}
    for finding in findings:
        if finding.wins is not None:
            shown.setdefault((finding.task, finding.metric, finding.against), finding)
    bars = [
        balance(f"{f.metric} on {f.task}, against {NAMES[f.against]}", f.wins or 0, f.ties or 0, f.losses or 0)
        + (f'<p class="small">As many wins as losses by chance: p = {f.mcnemar:.2g} (exact McNemar).</p>' if f.mcnemar is not None else "")
        for f in shown.values()
        if f.against
    ]
    return "".join(bars)


def _checks(checks: list[Check]) -> str:
    lines = (f'<li class="{"pass" if check.ok else "fail"}">{escape(check.words)}</li>' for check in checks)
    return f'<ul class="checks">{"".join(lines)}</ul>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{_heads(header)}</tr></thead><tbody>{body}</tbody></table>"


def _heads(names: Sequence[str]) -> str:
    return "".join(f"<th>{escape(name)}</th>" for name in names)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --page: #fff; --line: #d5dae0; --track: #e8ebef;
  --pass: #14733c; --fail: #b3261e; --inconclusive: #8a5a00; --invalid: #5b6570 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa5b1; --page: #14171b; --line: #343b43; --track: #262c33;
  --pass: #57c785; --fail: #ff8a80; --inconclusive: #f0b84a; --invalid: #9aa5b1 } }
@media print { :root { color-scheme: light } section { break-inside: avoid } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem }
h1 { margin: .2rem 0; font-size: 1.6rem }
h2 { margin: 2.2rem 0 .5rem; font-size: 1.1rem }
p { margin: .4rem 0 }
.lead { font-size: 1.1rem }
.small { font-size: .85rem }
section > p { color: var(--soft) }
.verdict { display: inline-block; margin: 0; padding: .1rem .8rem; border-radius: 1rem; color: var(--page); font-weight: 600 }
.promote { background: var(--pass) } .hold { background: var(--fail) } .undecided { background: var(--inconclusive) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 500 }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
.outcome { font-weight: 600; white-space: nowrap }
.rules th, .rules td:not(:nth-child(2)):not([colspan]) { overflow-wrap: normal } .rules td:nth-child(n+3) { white-space: nowrap }
.outcome.pass, .checks .pass::marker { color: var(--pass) }
.outcome.fail, .checks .fail { color: var(--fail) }
.outcome.inconclusive { color: var(--inconclusive) } .outcome.invalid { color: var(--invalid) }
.checks { padding-left: 1.4rem }
.checks .pass { list-style: "\\2713  " } .checks .fail { list-style: "\\2717  "; font-weight: 600 }
svg { display: block; width: 100%; height: auto; margin: .4rem 0 }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif } svg text.soft { fill: var(--soft) }
svg .grid { stroke: var(--line) } svg .zero { stroke: var(--soft) }
svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; stroke-width: 1.5 }
svg .pass { stroke: var(--pass); fill: var(--pass) } svg .fail { stroke: var(--fail); fill: var(--fail) }
svg .inconclusive { stroke: var(--inconclusive); fill: var(--inconclusive) }
svg .win { fill: var(--pass) } svg .loss { fill: var(--fail) } svg .tie { fill: var(--track) }
"""
