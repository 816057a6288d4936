"""When cron schedules come, as robfig/cron v3.0.1 says (the tables are its answers), and whether a CronWorkflow then starts."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines import machine
from pipelines.cli import main
from pipelines.local import cron, cronworkflow, load
from pipelines.local.faults import Refused
from tests.local.play import manifest, play, write


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),  # in UTC
    [
        ("*/15 0-6,22-23 * JAN-MAR MON-FRI", "2026-03-31T23:50:00", ["2027-01-01T00:00:00", "2027-01-01T00:15:00"]),
        (
            "0 0 13 * fri",
            "2026-11-21T00:00:00",
            ["2026-11-27T00:00:00", "2026-12-04T00:00:00", "2026-12-11T00:00:00", "2026-12-13T00:00:00"],
        ),
        ("0 0 */2 * mon", "2026-11-21T00:00:00", ["2026-11-23T00:00:00", "2026-11-25T00:00:00", "2026-11-27T00:00:00"]),
        ("0 0 */1 * mon", "2026-11-21T00:00:00", ["2026-11-23T00:00:00", "2026-11-30T00:00:00", "2026-12-07T00:00:00"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 30 2 *", "2026-01-01T00:00:00", []),
        (", * * * *", "2026-01-01T00:00:00", []),
        ("5/20 12 1,15 */3 ?", "2026-01-01T00:00:00", ["2026-01-01T12:05:00", "2026-01-01T12:25:00", "2026-01-01T12:45:00"]),
        ("*-5 0 1 * *", "2026-11-21T00:00:00", ["2026-12-01T00:00:00", "2026-12-01T00:01:00"]),
        ("@weekly", "2026-11-21T00:00:00", ["2026-11-22T00:00:00", "2026-11-29T00:00:00"]),
        ("@yearly", "2026-11-21T00:00:00", ["2027-01-01T00:00:00", "2028-01-01T00:00:00"]),
        ("@every 1h30m", "2026-11-21T00:00:01", ["2026-11-21T01:30:01", "2026-11-21T03:00:01"]),
        ("@every 1.7s", "2026-11-21T00:00:00", ["2026-11-21T00:00:01", "2026-11-21T00:00:02"]),
        ("CRON_TZ=Asia/Kolkata 45 23 31 12 *", "2026-11-21T00:00:00", ["2026-12-31T18:15:00", "2027-12-31T18:15:00"]),
        # the clock skips the time, repeats it, skips midnight, is moved by half an hour
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T00:00:00", ["2026-03-28T01:30:00", "2026-03-30T00:30:00"]),
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T00:00:00", ["2026-10-24T00:30:00", "2026-10-25T00:30:00", "2026-10-25T01:30:00"]),
        ("CRON_TZ=America/New_York @hourly", "2026-11-01T04:30:00", ["2026-11-01T05:00:00", "2026-11-01T06:00:00", "2026-11-01T07:00:00"]),
        ("TZ=America/Sao_Paulo 0 0 * * *", "2018-11-02T12:00:00", ["2018-11-03T03:00:00", "2018-11-05T02:00:00"]),
        ("CRON_TZ=America/Havana 0 0 * * sun", "2026-03-06T00:00:00", ["2026-03-15T04:00:00", "2026-03-22T04:00:00"]),
        ("CRON_TZ=Australia/Lord_Howe 15 2 * * *", "2026-04-04T00:00:00", ["2026-04-05T15:45:00", "2026-04-06T15:45:00"]),
    ],
)
def test_a_schedule_comes_when_robfig_cron_says(schedule: str, after: str, expected: list[str]) -> None:
    at: int | None = seconds(after)
    found = []
    for _ in range(max(1, len(expected))):
        at = cron.parse(schedule).next(at) if at is not None else None
        found.append(at)
    assert [text(a) for a in found if a is not None] == expected


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "empty spec string"),
        ("0 5 * *", "expected exactly 5 fields, found 4: [0 5 * *]"),
        ("30 0 5 * * *", "expected exactly 5 fields, found 6: [30 0 5 * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("-1 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
        ("1/-5 * * * *", "negative number (-5) not allowed: -5"),
        ("@noon", "unrecognized descriptor: @noon"),
        ("@every x", 'failed to parse duration @every x: time: invalid duration "x"'),
        ("CRON_TZ=Europe/Atlantis 0 5 * * *", "provided bad location Europe/Atlantis: unknown time zone Europe/Atlantis"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused_in_go_s_words(schedule: str, message: str) -> None:
    with pytest.raises(cron.CronError) as wrong:
        cron.parse(schedule)
    assert str(wrong.value) == message


# --- CronWorkflows -------------------------------------------------------------------------------------------------------------


def weekly(**spec: Any) -> dict[str, Any]:
    inner = manifest({"name": "m", "suspend": {"duration": "0"}})["spec"]
    return manifest({"name": "m"}, name="nightly", kind="CronWorkflow") | {
        "spec": {"schedules": ["0 3 * * sun"], "workflowSpec": inner, **spec}
    }


def test_starts_of_several_schedules_come_in_order_and_one_that_both_ask_for_once() -> None:
    spec = weekly(schedules=["0 3 * * *", "0 3 * * sun", "@every 12h"], timezone="Europe/Berlin")["spec"]
    found = list(islice(cronworkflow.coming(spec, seconds("2026-11-21T00:00:00")), 4))
    assert [(c.shown(), c.schedule) for c in found] == [
        ("2026-11-21 03:00:00 +0100 CET", "0 3 * * *"),
        ("2026-11-21 13:00:00 +0100 CET", "@every 12h"),
        ("2026-11-22 01:00:00 +0100 CET", "@every 12h"),
        ("2026-11-22 03:00:00 +0100 CET", "0 3 * * *"),
    ]


def ran(phase: str, at: str, name: str = "nightly") -> dict[str, Any]:
    labels = {"workflows.argoproj.io/cron-workflow": name}
    return {"metadata": {"labels": labels, "creationTimestamp": at}, "status": {"phase": phase}}


HISTORY = [ran("Succeeded", "2026-11-20T03:00:00Z"), ran("Failed", "2026-11-21T03:00:00Z"), ran("Failed", "2026-11-21T04:00:00Z", "other")]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True),
        ("{{= cronworkflow.failed < 2 }}", True),
        ("{{= cronworkflow.name == 'nightly' && cronworkflow.succeeded == 1 }}", True),
        ("{{= (date('2026-11-21T04:00:00Z') - cronworkflow.lastScheduledTime).Seconds() > 3600 }}", False),
        ("{{= cronworkflow.lastScheduledTime == nil }}", False),
        ("'{{cronworkflow.name}}' == 'daily'", False),
    ],
)
def test_when_is_evaluated_over_the_runs_of_this_machine(condition: str, expected: bool) -> None:
    assert cronworkflow.may_start(condition, cronworkflow.facts(weekly(), HISTORY)) is expected


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{{cronworkflow.name}} == nightly", "No parameter 'nightly' found."),
        ('{{= cronworkflow.name == "nightly" }}', "failed to unmarshall JSON expression"),
        ("{{= 1 + }}", "unexpected token EOF"),
        ("1 + 1", "Expected boolean evaluation for '1 + 1'. Got 2"),
    ],
)
def test_a_when_that_cannot_be_evaluated_says_why(condition: str, message: str) -> None:
    with pytest.raises(cronworkflow.ConditionError) as wrong:
        cronworkflow.may_start(condition, cronworkflow.facts(weekly(), []))
    assert message in str(wrong.value)


def test_a_stop_strategy_counts_the_runs() -> None:
    known = cronworkflow.facts(weekly(), HISTORY)
    assert cronworkflow.has_stopped("cronworkflow.failed >= 1", known)
    assert not cronworkflow.has_stopped("cronworkflow.succeeded > 1", known)
    with pytest.raises(cronworkflow.ConditionError):
        cronworkflow.has_stopped("cronworkflow.failed", known)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"schedules": []}, "cron workflow must have at least one schedule"),
        ({"schedules": ["0 5 * *"]}, "cron schedule 0 5 * * is malformed: expected exactly 5 fields"),
        ({"timezone": "Europe/Atlantis"}, 'invalid timezone "Europe/Atlantis": unknown time zone Europe/Atlantis'),
        ({"concurrencyPolicy": "Queue"}, "'Queue' is not a valid concurrencyPolicy"),
        ({"startingDeadlineSeconds": -1}, "startingDeadlineSeconds must be positive"),
        ({"schedule": "* * * * *"}, "unknown field spec.schedule"),
    ],
)
def test_a_cron_workflow_that_argo_refuses_is_not_run(spec: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load.source(write(tmp_path, weekly(**spec)), tmp_path, 0.0)
    assert message in str(refused.value)


def test_a_run_by_hand_has_the_labels_of_the_cron_workflow_and_its_time(tmp_path: Path) -> None:
    document = weekly(workflowMetadata={"labels": {"a": "b"}}, suspend=True)
    document["spec"]["workflowSpec"]["templates"][0]["inputs"] = {"parameters": [{"name": "t", "value": "{{workflow.scheduledTime}}"}]}
    ended = play(tmp_path, document)
    labels, node = ended["metadata"]["labels"], ended["status"]["nodes"][ended["metadata"]["name"]]
    assert (labels["workflows.argoproj.io/cron-workflow"], labels["a"]) == ("nightly", "b")
    assert node["inputs"]["parameters"][0]["value"] == ended["metadata"]["annotations"]["workflows.argoproj.io/scheduled-time"]


def test_cron_next_shows_the_coming_times_and_what_else_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TEMPLATES", tmp_path)
    monkeypatch.setenv("FLEECE_HOME", str(tmp_path / "home"))
    write(tmp_path, weekly(timezone="Europe/Oslo", suspend=True, stopStrategy={"expression": "cronworkflow.failed > 2"}, when="no"))
    shown = CliRunner().invoke(main, ["cron", "next", "nightly", "--from", "2026-03-28", "--count", "2"])
    assert shown.output.splitlines() == [
        "2026-03-29 03:00:00 +0200 CEST             0 3 * * sun",
        "2026-04-05 03:00:00 +0200 CEST             0 3 * * sun",
        "suspended: nothing starts",
        "stops when cronworkflow.failed > 2: goes on (0 succeeded and 0 failed here)",
        "when no: nothing starts: No parameter 'no' found. (0 succeeded and 0 failed here)",
    ]


@pytest.mark.parametrize("words", [["nightly", "--from", "soon"], ["weekly"], ["nightly", "--count", "0"]])
def test_cron_next_refuses_what_it_cannot_answer(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TEMPLATES", tmp_path)
    write(tmp_path, weekly())
    refused = CliRunner().invoke(main, ["cron", "next", *words])
    assert (refused.exit_code, refused.output.count("\n")) == (64, 1)
