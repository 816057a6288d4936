"""CronWorkflows: when they run, and with what."""

import re
from collections.abc import Iterator

from pipelines.lint.findings import Finding, Rule, Severity
from pipelines.lint.subject import Subject
from pipelines.lint.vocabulary import OUT_OF_RANGE, UNKNOWN_WORD
from pipelines.local import cron

SCHEDULE = Rule(
    "cron-schedule",
    Severity.ERROR,
    "Argo refuses a CronWorkflow without a schedule, or with one that it cannot read.",
    "Write five fields (minute hour day month weekday), or @daily and the like, or @every 90m.",
)
PATTERN = Rule(
    "cron-pattern",
    Severity.ERROR,
    "Argo's lint can read the schedule; the API server's schema refuses it.",
    "Leave CRON_TZ= out and set spec.timezone; use only letters, digits and * , / ? -.",
)
TIMEZONE = Rule(
    "cron-timezone",
    Severity.ERROR,
    "Argo refuses a time zone that is not in the IANA database.",
    "Use a name such as Europe/Berlin, or UTC.",
)

_PATTERN = re.compile(
    r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every\s+([0-9]+(ns|us|µs|ms|s|m|h))+|"
    r"([A-Za-z0-9*,/?-]+\s+){4}[A-Za-z0-9*,/?-]+"
)
_POLICIES = ("Allow", "Forbid", "Replace")


def check_cron(subject: Subject) -> Iterator[Finding]:
    if subject.kind != "CronWorkflow":
        return
    spec, at = subject.document.get("spec") or {}, ("spec",)
    schedules = spec.get("schedules") or []
    if not schedules:
        yield Finding(SCHEDULE, at, "cron workflow must have at least one schedule")
    for index, schedule in enumerate(schedules):
        try:
            cron.parse(schedule)
        except cron.CronError as error:
            yield Finding(SCHEDULE, (*at, "schedules", index), f"cron schedule {schedule} is malformed: {error}")
        else:
            if not _PATTERN.fullmatch(schedule):
                yield Finding(PATTERN, (*at, "schedules", index), f"the schedule {schedule!r} does not match the schema's pattern")
    if spec.get("timezone"):
        try:
            cron.zone(spec["timezone"])
        except cron.CronError as error:
            yield Finding(TIMEZONE, (*at, "timezone"), f'invalid timezone "{spec["timezone"]}": {error}')
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy not in _POLICIES:
        yield Finding(UNKNOWN_WORD, (*at, "concurrencyPolicy"), f"'{policy}' is not a valid concurrencyPolicy: {', '.join(_POLICIES)}")
    if (spec.get("startingDeadlineSeconds") or 0) < 0:
        yield Finding(OUT_OF_RANGE, (*at, "startingDeadlineSeconds"), "startingDeadlineSeconds must be positive")


CHECKS = (check_cron,)
