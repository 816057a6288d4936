"""The card says what the records prove, and people say the rest; a placeholder is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps import model_card, provenance, store
from steps.contracts import DocumentIn
from steps.document import document
from steps.faults import BadData
from steps.store import File, Manifest
from tests.steps.governed import HUMAN, TEXT, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_the_folder_holds_card_bill_of_materials_and_provenance(world: World) -> None:
    made = world.gated()
    card = made.document()
    assert [file.path for file in store.read_manifest(card).files] == ["README.md", "mlbom.cdx.json", "model_card.json", "provenance.json"]
    said = store.read_json(f"{card}/model_card.json")
    sections = ["identification", "purpose", "risk", "data", "method", "results", "limitations", "oversight", "logging", "contact"]
    assert sorted(said) == sorted(["apiVersion", *sections])
    assert said["identification"]["digest"] == made.digest
    assert said["identification"]["parameters"] == 100
    assert said["results"]["scores"]["candidate"]["team_test"]["exact_match"]["value"] == 0.95
    assert said["results"]["scores"]["baseline"]["team_test"]["exact_match"]["value"] == 0.05


def test_documenting_twice_commits_the_same_folder(world: World) -> None:
    made = world.gated()
    assert made.document() == made.document()


def test_the_page_has_ten_sections_and_a_head_that_hugging_face_reads(world: World) -> None:
    page = store.read(f"{world.gated().document()}/README.md").decode()
    _, head, body = page.split("---\n", 2)
    front = yaml.safe_load(head)
    assert (front["base_model"], front["license"], front["base_model_relation"], front["risk_class"]) == (
        "tiny", "apache-2.0", "finetune", "MINIMAL",
    )  # fmt: skip
    assert front["model-index"][0]["results"][0]["metrics"] == [{"type": "exact_match", "value": 0.95}]
    assert re.findall(r"^## (\d+)\.", body, re.MULTILINE) == [str(number) for number in range(1, 11)]


def test_no_text_becomes_html_or_breaks_a_table(world: World) -> None:
    human = HUMAN | {"purpose": "Answers whether 1 < 2 & more | and *every* [link](http://x) with care and attention."}
    page = store.read(f"{world.gated(human=human).document()}/README.md").decode()
    assert "1 &lt; 2 &amp; more \\| and \\*every\\* \\[link\\](http://x)" in page


@pytest.mark.parametrize(
    ("risk", "change", "named"),
    [
        ("MINIMAL", {"purpose": None}, ["purpose is missing"]),
        ("MINIMAL", {"purpose": "TODO: write this text before anybody reads it"}, ["purpose is a placeholder"]),
        ("MINIMAL", {"purpose": "[More Information Needed] about this model"}, ["purpose is a placeholder"]),
        ("MINIMAL", {"purpose": "short"}, ["purpose has fewer than 30"]),
        ("MINIMAL", {"out_of_scope": []}, ["out_of_scope is no text"]),
        ("MINIMAL", {"contact": "somebody will surely answer you"}, ["contact names no address"]),
        ("MINIMAL", {"porpose": "a text"}, ["porpose is no field"]),
        ("MINIMAL", {"misuse": "tbd"}, ["misuse is a placeholder"]),
        ("MINIMAL", {"purpose": None, "limitations": "n/a", "contact": "x"}, ["purpose", "limitations", "contact"]),
        ("GENERAL_PURPOSE", {"misuse": None}, ["misuse is missing"]),
        ("LIMITED", {"oversight": None}, ["oversight is missing"]),
        ("HIGH_RISK", {"interpretation": {"not_applicable": True}}, ["interpretation is neither"]),
    ],
)
def test_what_people_did_not_write_is_named_at_once(world: World, risk: str, change: dict[str, Any], named: list[str]) -> None:
    human = {name: text for name, text in (HUMAN | change).items() if text is not None}
    made = world.gated(risk=risk, human=human)
    with pytest.raises(BadData, match=r"card\.yaml: ") as fault:
        made.document()
    assert all(name in str(fault.value) for name in named)
    assert not store.backend(made.run).names(f"{made.run}/document")


def test_a_minimal_model_needs_less_and_may_say_why_something_does_not_apply(world: World) -> None:
    few = {name: HUMAN[name] for name in ("purpose", "out_of_scope", "contact", "data_origin")}
    human = few | {"limitations": {"not_applicable": True, "reason": f"{TEXT} why there are none."}}
    said = store.read_json(f"{world.gated(human=human).document()}/model_card.json")
    assert said["limitations"]["limitations"][0].startswith("Not applicable: ")


def test_another_model_is_not_documented(world: World) -> None:
    made, other = world.gated(), world.gated("r2", right=39)
    given = {"run": made.run, "dataset": made.dataset, "trained": made.trained, "model": made.model, "digest": made.digest}
    with pytest.raises(BadData, match="document the model that was gated"):
        document(DocumentIn(**given, decision=other.decision))
    with pytest.raises(BadData, match="document the model that was merged"):
        document(DocumentIn(**{**given, "digest": other.digest}, decision=made.decision))


def test_the_bill_of_materials_has_what_cyclonedx_asks_for(world: World) -> None:
    made = world.gated()
    bom = store.read_json(f"{made.document()}/mlbom.cdx.json")
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", bom["serialNumber"])
    model = bom["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": made.digest.removeprefix("sha256:")}]
    assert model["pedigree"]["ancestors"][0]["name"] == "tiny"
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] == "0.95"
    assert [part["type"] for part in bom["components"]] == ["data", "library"]
    references = [part["bom-ref"] for part in (model, *bom["components"])]
    assert len(set(references)) == len(references)
    named = {one for link in bom["dependencies"] for one in (link["ref"], *link["dependsOn"])}
    assert named <= set(references)


def test_the_provenance_names_every_input_by_digest(world: World) -> None:
    made = world.gated()
    said = store.read_json(f"{made.document()}/provenance.json")
    assert said["subject"][0]["digest"]["sha256"] == made.digest.removeprefix("sha256:")
    inputs = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [one["name"] for one in inputs] == ["run.yaml", "code:r1", "tiny", "tickets", "source data"]
    assert all(re.fullmatch("[0-9a-f]{64}", one["digest"]["sha256"]) for one in inputs)
    assert "losses" not in json.dumps(said)


@pytest.mark.parametrize(
    ("training", "tokens"),
    [
        ({"num_train_epochs": 2, "cutoff_len": 128}, 2 * 90 * 128),
        ({"cutoff_len": 10}, 3 * 90 * 10),
        ({"max_steps": 9, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "cutoff_len": 10}, 9 * 8 * 2 * 10),
    ],
)
def test_the_tokens_of_a_training_are_bounded_from_above(training: dict[str, Any], tokens: int) -> None:
    assert provenance.tokens(training, {"train_rows": 90, "steps": 9, "world_size": 2}) == tokens


@pytest.mark.parametrize(
    ("parameters", "tokens", "base_flop", "above"),
    [
        (8 * 10**9, 10**9, None, False),
        (8 * 10**9, 10**12, None, True),
        (10**6, 10**6, 1e13, True),
        (10**6, 10**6, 1.9e13, False),
    ],
)
def test_a_third_of_the_base_models_compute_makes_a_new_provider(
    parameters: int, tokens: int, base_flop: float | None, above: bool
) -> None:
    found = provenance.compute(parameters, tokens, base_flop)
    assert found.flop == 6.0 * parameters * tokens
    assert found.above_one_third is above
    assert ("above one third" in found.words, "not above" in found.words) == (True, not above)


@pytest.mark.parametrize(("config", "count"), [({}, 100), ({"torch_dtype": "bfloat16"}, 200), ({"dtype": "float16"}, 200)])
def test_parameters_follow_from_the_weights_and_their_type(config: dict[str, Any], count: int) -> None:
    weights = [File(path=f"model-0000{part}-of-00002.safetensors", size=200, sha256="0" * 64) for part in (1, 2)]
    other = File(path="tokenizer.json", size=999, sha256="0" * 64)
    assert provenance.parameters(Manifest(files=[*weights, other]), config) == count


def test_a_type_of_unknown_size_is_refused() -> None:
    with pytest.raises(BadData, match="int3"):
        provenance.parameters(Manifest(files=[]), {"dtype": "int3"})


def test_the_demonstrations_card_is_complete() -> None:
    from steps.policy import read_policy

    demo = Path(__file__).parents[2] / "configs" / "demo"
    human = yaml.safe_load((demo / "model-card.yaml").read_text())
    risk = yaml.safe_load((demo / "run.yaml").read_text())["risk"]["class"]
    model_card.check(human, risk, read_policy(), "model-card.yaml")
