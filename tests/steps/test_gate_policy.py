"""The gate's policy is read strictly."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.faults import BadInput
from steps.gate_policy import parse_policy

RULE = {"id": "better", "task": "team_test", "metric": "exact_match", "test": "superiority", "min_gain": 0.1}
ABSOLUTE = {"id": "enough", "task": "team_test", "metric": "exact_match", "test": "absolute"}
RATIO = {"id": "short", "task": "team_test", "metric": "output_chars", "test": "ratio"}


def policy(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "gate/v1", "rules": list(rules) or [RULE], **fields}


def test_the_demo_policy_compares_with_the_base_model_and_with_production() -> None:
    content = yaml.safe_load((Path(__file__).parents[2] / "configs/demo/gate.yaml").read_text())
    parsed = parse_policy(content, "configs/demo/gate.yaml")
    assert {rule.test for rule in parsed.rules} == {"superiority", "absolute", "non_inferiority"}
    assert parsed.alpha == 0.05


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("text", "the file"),
        ({"rules": [RULE]}, "apiVersion"),
        (policy(apiVersion="gate/v2"), "apiVersion"),
        (policy(alhpa=0.1), "alhpa"),
        (policy(alpha=0.6), "alpha"),
        (policy(alpha="0.05"), "alpha"),
        (policy(alpha=float("nan")), "alpha"),
        (policy(compare_to=["champoin"]), "compare_to.0"),
        (policy(compare_to=[]), "compare_to"),
        (policy(validity={"min_n": 1}), "validity.min_n"),
        (policy(validity={"min_n": True}), "validity.min_n"),
        (policy(validity={"max_trunctaed": 0}), "validity.max_trunctaed"),
        ({"apiVersion": "gate/v1", "rules": []}, "rules"),
        (policy({**RULE, "test": "inferiority"}), "rules.0"),
        (policy({**RULE, "margin": 0.1}), "rules.0.superiority.margin"),
        (policy({**RULE, "min_gain": -0.1}), "rules.0.superiority.min_gain"),
        (policy({**RULE, "vs": "baseline"}), "rules.0.superiority.vs.0"),
        (policy({**RULE, "id": "No Spaces"}), "rules.0.superiority.id"),
        (policy({**RULE, "test": "non_inferiority"}), "rules.0.non_inferiority.margin"),
        (policy(RULE, RULE), "'better' is used twice"),
        (policy({**RULE, "cluster": "topic"}, {**RULE, "id": "b", "cluster": "language"}), "several clusters (language, topic)"),
        (policy({**ABSOLUTE, "bound": {"max": 0.9}}), "rules.0.absolute: a bound needs `min`"),
        (policy({**ABSOLUTE, "bound": {"min": 0.9, "max": 1.0}}), "rules.0.absolute"),
        (policy({**ABSOLUTE, "bound": {}}), "rules.0.absolute"),
        (policy({**ABSOLUTE, "bound": {"min": 0.9, "by": "hope"}}), "rules.0.absolute.bound.by"),
        (policy({**RATIO, "max": 1.1}), "rules.0.ratio: a ratio needs `max` with direction down"),
        (policy({**RATIO, "direction": "down"}), "rules.0.ratio"),
    ],
)
def test_a_wrong_key_is_named(content: Any, named: str) -> None:
    with pytest.raises(BadInput, match="is no gate policy") as fault:
        parse_policy(content, "gate.yaml")
    assert named in str(fault.value)
    assert "\n" not in str(fault.value)


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(BadInput) as fault:
        parse_policy(policy(alpha=7, power=1, validity={"n": 3}), "gate.yaml")
    assert all(name in str(fault.value) for name in ("alpha", "power", "validity.n"))


def test_a_rule_may_name_one_reference_or_several() -> None:
    parsed = parse_policy(policy({**RULE, "vs": "anchor"}, {**RULE, "id": "b", "vs": ["champion", "anchor"]}), "gate.yaml")
    assert [getattr(rule, "vs", None) for rule in parsed.rules] == [["anchor"], ["champion", "anchor"]]


def test_the_columns_that_group_items_are_known_by_task() -> None:
    rules = ({**RULE, "cluster": "topic"}, {**RULE, "id": "b", "task": "mmlu", "cluster": "task"}, {**ABSOLUTE, "bound": {"min": 0.5}})
    assert parse_policy(policy(*rules), "gate.yaml").clusters() == {"team_test": "topic", "mmlu": "task"}
