"""A CronWorkflow: when its runs come, and whether they then start. argo-workflows v4.1.2 `workflow/cron/operator.go`.

The history that `when` and stopStrategy ask for is that of this machine's runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from pipelines.local import clock, cron, expressions, gojson, golang, govaluate, tags, when
from pipelines.local.gotime import Moment
from pipelines.local.workflow import CRON_LABEL, SCHEDULED_ANNOTATION

Facts = dict[str, object]

LONGEST_NAME = 52  # a run's name has eleven characters more
_POLICIES = ("", "Allow", "Forbid", "Replace")


class ConditionError(Exception):
    """`when` or stopStrategy cannot be evaluated: then nothing starts."""


@dataclass(frozen=True)
class Coming:
    """A start, in seconds since 1970; the schedule that asks for it, and the zone in which that counts."""

    at: int
    schedule: str
    zone: tzinfo

    def shown(self) -> str:
        return datetime.fromtimestamp(self.at, self.zone).strftime("%Y-%m-%d %H:%M:%S %z %Z")


def problem(document: dict[str, Any]) -> str:
    """What Argo would refuse, in its words; empty when nothing."""
    name, spec = document["metadata"].get("name", ""), document["spec"]
    if len(name) > LONGEST_NAME:
        return f'cron workflow name "{name}" must not be more than {LONGEST_NAME} characters long (currently {len(name)})'
    if not spec.get("schedules"):
        return "cron workflow must have at least one schedule"
    for text in spec["schedules"]:
        try:
            cron.parse(text)
        except cron.CronError as error:
            return f"cron schedule {text} is malformed: {error}"
    try:
        cron.zone(spec.get("timezone") or "")
    except cron.CronError as error:
        return f"invalid timezone {golang.quote(spec['timezone'])}: {error}"
    if (spec.get("concurrencyPolicy") or "") not in _POLICIES:
        return f"'{spec['concurrencyPolicy']}' is not a valid concurrencyPolicy"
    return "startingDeadlineSeconds must be positive" if (spec.get("startingDeadlineSeconds") or 0) < 0 else ""


def made(document: dict[str, Any], now: float) -> dict[str, Any]:
    """The Workflow that starts. argo-workflows v4.1.2 `workflow/common/convert.go`"""
    name, spec = document["metadata"]["name"], document["spec"]
    given = spec.get("workflowMetadata") or {}
    labels = {CRON_LABEL: name} | (given.get("labels") or {})
    annotations = {SCHEDULED_ANNOTATION: clock.rfc3339(now)} | (given.get("annotations") or {})
    meta = {"generateName": f"{name}-", "labels": labels, "annotations": annotations}
    return {"kind": "Workflow", "metadata": meta, "spec": spec.get("workflowSpec") or {}}


def coming(spec: dict[str, Any], after: float) -> Iterator[Coming]:
    """The starts after a time, those of all schedules in order. Without a timezone they count in UTC, as controllers do."""
    zone = cron.zone(spec.get("timezone") or "")
    found = [(text, cron.parse(text, zone)) for text in spec["schedules"]]
    due = {text: schedule.next(after) for text, schedule in found}
    while any(at is not None for at in due.values()):
        text, now = min(((t, at) for t, at in due.items() if at is not None), key=lambda one: one[1])
        yield Coming(now, text, getattr(dict(found)[text], "zone", zone))
        due = {t: s.next(now) if due[t] == now else due[t] for t, s in found}  # one run, however many schedules ask for it


# --- whether it starts ---------------------------------------------------------------------------------------------------------


def facts(document: dict[str, Any], runs: Iterable[dict[str, Any]]) -> Facts:
    """`cronworkflow.*`, with what the runs of this machine came to."""
    meta = document["metadata"]
    own = [r for r in runs if (r["metadata"].get("labels") or {}).get(CRON_LABEL) == meta["name"]]
    phases = [r["status"].get("phase") for r in own]
    times = [str((r["metadata"].get("annotations") or {}).get(SCHEDULED_ANNOTATION) or r["metadata"]["creationTimestamp"]) for r in own]
    last = max(map(clock.seconds, times), default=None)
    return {
        "cronworkflow.name": meta["name"],
        "cronworkflow.namespace": meta.get("namespace") or "default",
        **{
            f"cronworkflow.{kind}.{k}": v for kind in ("labels", "annotations") for k, v in (meta.get("labels") or {}).items()
        },  # both, in Argo
        **{f"cronworkflow.{kind}.json": gojson.dumps(meta.get(kind) or {}) for kind in ("labels", "annotations")},
        "cronworkflow.failed": sum(phase in ("Failed", "Error") for phase in phases),
        "cronworkflow.succeeded": phases.count("Succeeded"),
        "cronworkflow.lastScheduledTime": None if last is None else Moment(int(last) * 10**9, 0, "UTC"),
    }


def may_start(condition: str, known: Facts) -> bool:
    """`when`; an empty one holds. Raises ConditionError."""
    if not condition:
        return True
    try:
        for tag in tags.find(condition):
            if tag.startswith("=") and '"' in tag:  # the text is not JSON here, yet read as if it were
                raise ConditionError(f"failed to unmarshall JSON expression: {golang.quote(tag[1:])}; use ' for texts")
        text = tags.substitute(condition, known)
        bare = [token for token in govaluate.tokens(text) if token.kind == "VARIABLE"]
        if bare:
            raise ConditionError(f"No parameter '{bare[0].value}' found.")
        return when.holds(text)
    except (tags.TagError, when.WhenError, expressions.ExpressionError, govaluate.EvaluationError) as error:
        raise ConditionError(str(error)) from None


def has_stopped(expression: str, known: Facts) -> bool:
    """stopStrategy.expression. Raises ConditionError."""
    try:
        found = expressions.evaluate(expression, expressions.expand(known))
    except expressions.ExpressionError as error:
        raise ConditionError(f"failed to evaluate stop expression: {error}") from None
    if not isinstance(found, bool):
        raise ConditionError(f"failed to evaluate stop expression: unable to cast expression result '{golang.sprint(found)}' to bool")
    return found


def at(text: str, zone: tzinfo) -> float:
    """A time that a person gives: `2026-03-29`, `2026-03-29T02:30`, with an offset or in the zone. ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
