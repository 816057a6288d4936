"""The gate promotes a model that was shown to be good enough, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps import store
from steps.contracts import GateIn, GateOut
from steps.decision import Decision, decide, policy_digest
from steps.evaluation import Measured, Score
from steps.faults import BadData, BadInput
from steps.gate import gate
from steps.gate_policy import parse_policy
from tests.steps.gate_cases import POLICY, answers, committed, digest, item, measured, plan

BASE = measured("base", answers(2))
GOOD = measured("candidate", answers(38))
CHAMPION = measured("champion", answers(37))


def judged(candidate: Measured, champion: Measured | None = None, base: Measured = BASE, policy: dict[str, Any] = POLICY) -> Decision:
    return decide(parse_policy(policy, "gate.yaml"), policy_digest(policy), digest("candidate"), candidate, base, champion)


def with_rule(**fields: Any) -> dict[str, Any]:
    rule = {"id": "rule", "task": "team_test", "metric": "exact_match", "test": "superiority", "vs": "anchor", **fields}
    return {**POLICY, "rules": [rule]}


@pytest.mark.parametrize(
    ("right", "of_champion", "verdict"),
    [
        (40, None, "promote"),
        (38, None, "promote"),
        (38, 37, "promote"),
        (38, 40, "undecided"),  # 5 points behind, and 40 items cannot tell it from 10
        (30, 40, "hold"),  # 25 points behind
        (27, None, "undecided"),  # 0.675 is above 0.6, but not surely
        (20, None, "hold"),  # 0.5 is below 0.6
        (2, None, "hold"),
        (0, 0, "hold"),
    ],
)
def test_the_verdict_follows_from_the_answers(right: int, of_champion: int | None, verdict: str) -> None:
    champion = None if of_champion is None else measured("champion", answers(of_champion))
    assert judged(measured("candidate", answers(right)), champion).verdict == verdict


def test_without_a_model_in_production_the_base_model_stands_in_once() -> None:
    policy = {**POLICY, "rules": [{**POLICY["rules"][2], "vs": ["champion", "anchor"]}]}
    assert [finding.against for finding in judged(GOOD, policy=policy).findings] == ["anchor"]
    assert [finding.against for finding in judged(GOOD, CHAMPION, policy=policy).findings] == ["champion", "anchor"]


def test_the_model_in_production_passes_against_itself_so_a_second_run_ends_well() -> None:
    decision = judged(GOOD, GOOD)
    assert decision.verdict == "promote"
    assert "this very model is in production already" in decision.reason


def test_the_model_in_production_is_still_held_to_its_other_rules() -> None:
    poor = measured("candidate", answers(20))
    assert judged(poor, poor).verdict == "hold"


INVALID: dict[str, tuple[Callable[[], Decision], str]] = {
    "another model": (lambda: judged(measured("other", answers(40))), "the model that was trained is sha256:"),
    "the base model": (lambda: judged(GOOD, base=measured("candidate", answers(2))), "you evaluated the base model"),
    "the base model's weights under another name": (
        lambda: judged(measured("candidate", answers(38), probe=BASE.record.probe)),
        "you evaluated the base model",
    ),
    "no fingerprint": (lambda: judged(measured("candidate", answers(38), probe=[])), "no comparable fingerprints"),
    "another task": (lambda: judged(measured("candidate", answers(38), task_hash="x")), "another task"),
    "another harness": (lambda: judged(measured("candidate", answers(38), harness="lm-eval 0.5")), "another harness"),
    "another backend": (lambda: judged(measured("candidate", answers(38), backend="vllm")), "another backend"),
    "another template": (lambda: judged(measured("candidate", answers(38), template_sha="x")), "another chat template"),
    "the champion's other backend": (lambda: judged(GOOD, measured("champion", answers(37), backend="vllm")), "in production was measured"),
    "other items": (
        lambda: judged(measured("candidate", [item(number, 1.0, prompt_hash="x") for number in range(40)])),
        "saw 40 different items",
    ),
    "fewer items": (lambda: judged(measured("candidate", answers(38, 39))), "saw 1 different items"),
    "an item twice": (lambda: judged(measured("candidate", [item(1, 1.0)] * 40)), "holds item 0001 of team_test twice"),
    "scores that were made up": (
        lambda: judged(measured("candidate", answers(2), metrics={"team_test": {"exact_match": Score(value=1.0, stderr=0.0)}})),
        "do not follow from its items",
    ),
    "a part of the items": (lambda: judged(measured("candidate", answers(38), limit=40)), "forbids a limit"),
    "prompts cut short": (
        lambda: judged(measured("candidate", [item(number, 1.0, truncated=number == 3) for number in range(40)])),
        "1 of 40 prompts were cut",
    ),
    "no such task": (lambda: judged(GOOD, policy=with_rule(task="mmlu")), "has no exact_match on mmlu"),
    "no such metric": (lambda: judged(GOOD, policy=with_rule(metric="acc")), "has no acc on team_test; it has exact_match"),
    "no such filter": (lambda: judged(GOOD, policy=with_rule(filter="strict-match")), "has no exact_match,strict-match"),
    "too few items": (lambda: judged(GOOD, policy={**POLICY, "validity": {"min_n": 41}}), "40 items; the policy asks for 41"),
    "an item without a score": (
        lambda: judged(measured("candidate", [item(number, 1.0, **({"metrics": {}} if number == 5 else {})) for number in range(40)])),
        "2.5% of the items of team_test have no exact_match",
    ),
    "no groups": (lambda: judged(GOOD, policy=with_rule(cluster="conversation")), "no two values of conversation"),
    "a ratio to nothing": (
        lambda: judged(GOOD, base=measured("base", answers(0)), policy=with_rule(test="ratio", min=2.0)),
        "a ratio needs means above zero",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_what_cannot_be_judged_holds_the_model_and_says_why(case: str) -> None:
    made, why = INVALID[case]
    decision = made()
    assert decision.verdict == "hold"
    assert why in decision.reason
    assert "invalid" in {finding.outcome for finding in decision.findings}


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"min_gain": 0.5}, "pass"),
        ({"min_gain": 0.89}, "inconclusive"),
        ({"min_gain": 0.95}, "fail"),
        ({"test": "non_inferiority", "margin": 0.01}, "pass"),
        ({"test": "superiority", "direction": "down", "min_gain": 0.0}, "fail"),
        ({"test": "absolute", "vs": None, "bound": {"min": 0.9}}, "inconclusive"),
        ({"test": "absolute", "vs": None, "bound": {"min": 0.85, "by": "point"}}, "pass"),
        ({"test": "absolute", "vs": None, "bound": {"min": 0.96, "by": "point"}}, "fail"),
        ({"test": "absolute", "vs": None, "bound": {"max": 0.99}, "direction": "down"}, "inconclusive"),
        ({"test": "absolute", "vs": None, "bound": {"min": 15.0}, "metric": "output_chars"}, "pass"),
        ({"test": "ratio", "max": 1.1, "direction": "down", "metric": "output_chars"}, "pass"),
        ({"test": "ratio", "max": 0.9, "direction": "down", "metric": "output_chars"}, "fail"),
        ({"test": "ratio", "min": 2.0}, "invalid"),  # the base model has 2 of 40 right: as good as none
        ({"test": "non_inferiority", "margin": 2.0, "metric": "output_chars"}, "pass"),
    ],
)
def test_a_rule_passes_only_when_its_whole_interval_does(rule: dict[str, Any], outcome: str) -> None:
    fields = {name: value for name, value in with_rule(**rule)["rules"][0].items() if value is not None}
    (finding,) = judged(GOOD, policy={**POLICY, "rules": [fields]}).findings
    assert finding.outcome == outcome
    assert (finding.needed is not None and finding.needed > 40) == (outcome == "inconclusive")


@pytest.mark.parametrize(("groups", "outcome"), [(20, "pass"), (19, "inconclusive")])
def test_items_in_groups_need_twenty_groups(groups: int, outcome: str) -> None:
    models = [
        measured(name, [item(number, value, cluster=str(number % groups)) for number, value in enumerate(answers(right))])
        for name, right in (("candidate", 38), ("base", 2))
    ]
    (finding,) = judged(models[0], base=models[1], policy=with_rule(min_gain=0.3, cluster="conversation")).findings
    assert finding.outcome == outcome


ORDER = {"hold": 0, "undecided": 1, "promote": 2}
SCORES = st.lists(st.booleans(), min_size=30, max_size=30)


@pytest.mark.slow
@settings(deadline=None)
@given(ours=SCORES, base=SCORES, champion=SCORES, fixed=st.sets(st.integers(0, 29)))
def test_more_right_answers_never_make_the_verdict_worse(ours: list[bool], base: list[bool], champion: list[bool], fixed: set[int]) -> None:
    better = [answer or place in fixed for place, answer in enumerate(ours)]
    references = measured("champion", list(map(float, champion))), measured("base", list(map(float, base)))
    before, after = (judged(measured("candidate", list(map(float, marks))), *references) for marks in (ours, better))
    assert ORDER[after.verdict] >= ORDER[before.verdict]
    assert "invalid" not in {finding.outcome for finding in before.findings}


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(ours=SCORES, base=SCORES, order=st.permutations(range(30)))
def test_the_order_of_the_items_changes_nothing(ours: list[bool], base: list[bool], order: list[int]) -> None:
    short = with_rule(id="short", test="ratio", direction="down", max=1.2, metric="output_chars")["rules"]
    policy = {**POLICY, "rules": POLICY["rules"] + short}
    items = [item(number, float(value)) for number, value in enumerate(ours)]
    reference = measured("base", list(map(float, base)))
    shuffled = [items[place] for place in order]
    one, other = (judged(measured("candidate", found), base=reference, policy=policy) for found in (items, shuffled))
    assert one == other


@pytest.fixture
def root(tmp_path: Path) -> str:
    uri = f"file://{tmp_path}/store"
    store.create_json(f"{uri}/runs/r1/plan.json", plan(POLICY))
    return uri


def decided(root: str, folder: Path, candidate: Measured, champion: str = "none") -> GateOut:
    found = {"candidate": committed(folder, root, candidate), "baseline": committed(folder, root, BASE)}
    return gate(GateIn(run=f"{root}/runs/r1", model="file:///models/candidate", digest=digest("candidate"), champion=champion, **found))


def test_the_step_leaves_the_decision_and_its_report(root: str, tmp_path: Path) -> None:
    out = decided(root, tmp_path, GOOD)
    assert out.verdict == "promote"
    assert set(store.backend(root).names(out.decision)) == {"gate.json", "report.html", "report.md"}
    recorded = Decision.model_validate(store.read_json(f"{out.decision}/gate.json"))
    assert (recorded.verdict, recorded.reason) == (out.verdict, out.reason)
    assert recorded.policy_sha256 == policy_digest(POLICY)
    assert recorded.candidate.sha256 == store.read_manifest(recorded.candidate.uri).digest
    assert recorded.anchor.sha256 == store.read_manifest(recorded.anchor.uri).digest


def test_an_evaluation_that_was_changed_after_its_commit_is_refused(root: str, tmp_path: Path) -> None:
    uri = committed(tmp_path, root, CHAMPION)
    path = store.local_path(uri) / "items.jsonl"
    path.write_text(path.read_text().replace('"exact_match": 0.0', '"exact_match": 1.0'))
    with pytest.raises(BadData, match="not what its manifest says"):
        decided(root, tmp_path, GOOD, champion=uri)


def test_an_evaluation_with_a_score_that_is_no_number_is_refused(root: str, tmp_path: Path) -> None:
    folder = tmp_path / "nan"
    folder.mkdir()
    lines = [json.dumps({**one.model_dump(), "metrics": {"exact_match": float("nan")}}) for one in CHAMPION.items]
    (folder / "items.jsonl").write_text("\n".join(lines))
    (folder / "evaluation.json").write_text(CHAMPION.record.model_dump_json())
    store.commit(folder, f"{root}/evaluations/nan")
    with pytest.raises(BadData, match="is no evaluation"):
        decided(root, tmp_path, GOOD, champion=f"{root}/evaluations/nan")


def test_an_evaluation_that_is_not_there_is_named(root: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"evaluations/none-such is not committed"):
        decided(root, tmp_path, GOOD, champion=f"{root}/evaluations/none-such")
