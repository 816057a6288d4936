"""`evaluate` measures what a model answers, once, and writes down no text."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steps import evaluation, harness, modeldir, store
from steps.contracts import EvaluateIn, EvaluateOut
from steps.evaluate import evaluate, template
from steps.faults import BadData, BadInput
from steps.team_test import Task, read_rows, read_task, score
from tests.steps.gate_cases import POLICY, item, plan

TASK = {
    "task": "team_test", "output_type": "generate_until", "prompt": "prompt", "target": "target", "metric": "exact_match",
    "max_new_tokens": 8, "items": "test.jsonl",
}  # fmt: skip
SECRET = "the quick brown fox"
Step = Callable[..., EvaluateOut]


@pytest.mark.parametrize(
    ("answer", "target", "strict", "normalized"),
    [
        ("queue returns, priority high", "queue returns, priority high", 1, 1),
        (" queue returns, priority high\n", "queue returns, priority high", 1, 1),
        ("Queue returns; priority: HIGH", "queue returns, priority high", 0, 1),
        ("queue returns", "queue returns, priority high", 0, 0),
        ("", "queue", 0, 0),
        ("Straße", "strasse", 0, 1),
    ],
)
def test_an_answer_is_scored_as_it_stands_and_normalized(answer: str, target: str, strict: int, normalized: int) -> None:
    assert score({"target": target}, [answer]) == {"exact_match": strict, "exact_match_normalized": normalized}


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (['{"id":"a","prompt":"p","target":"t"}', "{"], "line 2"),
        (['{"id":"a","prompt":"p"}'], "line 1"),
        (['{"id":"a","prompt":"p","target":""}'], "line 1"),
        (['{"id":7,"prompt":"p","target":"t"}'], "line 1"),
        (['["a"]'], "line 1"),
        (['{"id":"a","prompt":"p","target":"t"}'] * 2, "an id twice"),
        ([], "is empty"),
    ],
)
def test_a_test_item_that_cannot_be_sent_is_named_by_its_line(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(BadData, match=problem):
        read_rows(path, Task(**TASK))


@pytest.mark.parametrize(
    "content", [None, "{", '{"task": "team_test"}', json.dumps({**TASK, "metric": "bits_per_byte"}), json.dumps({**TASK, "x": 1})]
)
def test_a_task_that_prepare_did_not_write_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "task.json").write_text(content)
    with pytest.raises(BadData, match=r"task\.json of the prepared folder"):
        read_task(tmp_path)


def test_the_chat_template_is_read_where_transformers_reads_it(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="has no chat template"):
        template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    assert template(tmp_path) == "old"
    (tmp_path / "chat_template.jinja").write_text("new")
    assert template(tmp_path) == "new"


@pytest.mark.parametrize("changed", ["digest", "task_hash", "harness", "backend", "template_sha", "limit"])
def test_whatever_changes_the_numbers_changes_the_key(changed: str) -> None:
    known: dict[str, Any] = {"digest": "a", "task_hash": "b", "harness": "c", "backend": "d", "template_sha": "e", "limit": None}
    assert evaluation.key(**known) != evaluation.key(**{**known, changed: 7 if changed == "limit" else "x"})


def test_means_and_standard_errors_are_those_of_the_items() -> None:
    known = [item(number, value) for number, value in enumerate((1.0, 0.0, 0.0, 1.0))]
    found = evaluation.means(known)["team_test"]["exact_match"]
    assert (found.value, found.stderr) == (0.5, pytest.approx((1 / 3 / 4) ** 0.5))
    assert evaluation.means(known[:1])["team_test"]["exact_match"].stderr is None


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small random Llamas with one tokenizer, `base` and `tuned`."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("lm_eval")
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers import models as kinds
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models")
    words = Tokenizer(kinds.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<pad>", "<s>", "</s>"], initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(["one two three four five six seven"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant]"
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1, "num_key_value_heads": 1}
    for seed, name in enumerate(("base", "tuned")):
        torch.manual_seed(seed)
        config = LlamaConfig(vocab_size=300, **sizes, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2)
        config.initializer_range = 0.3
        LlamaForCausalLM(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture
def step(models: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """Runs `evaluate` on a store of its own, with 40 items; the tuned model's own answers are the targets of every second one."""
    root = f"file://{tmp_path}/store"
    monkeypatch.setenv("FLEECE_STORE", root)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("base", "tuned"):
        store.commit(models / name, f"{root}/bases/{name}")
    prepare(root, tmp_path, rows)

    def run(
        model: str, role: str = "candidate", gate: dict[str, Any] = POLICY, run: str = "r1", prepared: str = "first", **settings: Any
    ) -> EvaluateOut:
        store.create_json(f"{root}/runs/{run}/plan.json", plan(gate, **settings))
        uris = {"run": f"{root}/runs/{run}", "prepared": f"{root}/prepared/{prepared}", "model": f"{root}/bases/{model}"}
        return evaluate(EvaluateIn.model_validate({**uris, "role": role}))

    return run


@pytest.fixture(scope="module")
def rows(models: Path) -> list[dict[str, str]]:
    """40 items; every second target is what the tuned model answers by transformers alone, one prompt at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parts = AutoTokenizer.from_pretrained(models / "tuned"), AutoModelForCausalLM.from_pretrained(models / "tuned")
    prompts = [f"{SECRET} number {number} of {'many ' * (number % 5)}" for number in range(40)]
    targets = [greedy(*parts, prompt).strip() if number % 2 == 0 else "never said" for number, prompt in enumerate(prompts)]
    assert all(targets)
    return [
        {"id": f"{number:03}", "prompt": prompt, "target": target}
        for number, (prompt, target) in enumerate(zip(prompts, targets, strict=True))
    ]


def greedy(tokenizer: Any, model: Any, prompt: str) -> str:
    text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True)
    asked = tokenizer(text, return_tensors="pt")
    told = model.generate(**asked, max_new_tokens=8, do_sample=False)[0, asked["input_ids"].shape[1] :]
    return str(tokenizer.decode(told, skip_special_tokens=True))


def prepare(root: str, folder: Path, rows: list[dict[str, str]], name: str = "first", task: dict[str, Any] = TASK) -> None:
    prepared = folder / name
    prepared.mkdir()
    (prepared / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (prepared / "task.json").write_text(json.dumps(task))
    store.commit(prepared, f"{root}/prepared/{name}")


@pytest.mark.slow
def test_scores_are_those_of_greedy_answers_one_at_a_time(step: Step, tmp_path: Path) -> None:
    out = step("tuned")
    found = evaluation.read(out.evaluation, tmp_path)
    assert out.score == found.record.metrics["team_test"]["exact_match"].value == 0.5
    assert [one.metrics["exact_match"] for one in found.items] == [1.0, 0.0] * 20
    assert found.record.batch_size > 1
    assert found.record.digest == modeldir.digest(tmp_path / "store/bases/tuned")


@pytest.mark.slow
def test_the_records_and_the_log_hold_no_prompt_and_no_answer(step: Step, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = step("tuned")
    targets = [json.loads(line)["target"] for line in (tmp_path / "first/test.jsonl").read_text().splitlines()]
    written = "".join(path.read_text() for path in store.local_path(out.evaluation).iterdir()) + "".join(capfd.readouterr())
    assert not [text for text in (SECRET, *targets) if len(text) > 3 and text in written]


@pytest.mark.slow
def test_the_fingerprints_of_two_models_differ_and_of_one_agree(step: Step, rows: list[dict[str, str]], tmp_path: Path) -> None:
    probes = [evaluation.read(step(model, run=run).evaluation, tmp_path).record.probe for model, run in (("base", "a"), ("tuned", "b"))]
    assert max(abs(one - other) for one, other in zip(*probes, strict=True)) > 0.01
    again = harness.measure(tmp_path / "store/bases/base", harness.device(), Task(**TASK), rows, [], {}, 12)
    assert len(again.items) == 12
    assert again.probe == probes[0]


@pytest.mark.slow
def test_a_system_prompt_and_other_items_are_seen_at_once(step: Step, rows: list[dict[str, str]], tmp_path: Path) -> None:
    """No cache stands between: neither Hugging Face's, which knows a file by path and time, nor lm-eval's."""
    first = step("tuned")
    prepare(f"file://{tmp_path}/store", tmp_path, [{**row, "system": "answer in riddles"} for row in rows], "second")
    second = step("tuned", prepared="second", run="r2")
    ours, theirs = (evaluation.read(out.evaluation, tmp_path).items for out in (first, second))
    assert all(a.prompt_hash != b.prompt_hash for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_texts_are_read_and_measured_in_bits_per_byte(step: Step, rows: list[dict[str, str]], models: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = {"task": "team_test", "output_type": "loglikelihood_rolling", "prompt": "prompt", "target": "target", "metric": "bits_per_byte"}
    texts = [{"id": row["id"], "prompt": "", "target": row["prompt"]} for row in rows]
    prepare(f"file://{tmp_path}/store", tmp_path, texts, "texts", {**task, "items": "test.jsonl"})
    found = evaluation.read(step("tuned", prepared="texts").evaluation, tmp_path).items[7]
    tokenizer, model = AutoTokenizer.from_pretrained(models / "tuned"), AutoModelForCausalLM.from_pretrained(models / "tuned")
    tokens = torch.tensor([[tokenizer.bos_token_id, *tokenizer(texts[7]["target"], add_special_tokens=False)["input_ids"]]])
    nats = torch.nn.functional.cross_entropy(model(tokens).logits[0, :-1].float(), tokens[0, 1:], reduction="sum").item()
    assert found.metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(texts[7]["target"].encode()), abs=1e-4)
    assert not found.truncated


@pytest.mark.slow
def test_the_same_model_is_measured_once_and_then_without_torch(step: Step, tmp_path: Path) -> None:
    out = step("base", "baseline")
    flags = [f"--run=file://{tmp_path}/store/runs/r1", f"--prepared=file://{tmp_path}/store/prepared/first", "--role=champion"]
    again = "from steps.evaluate import evaluate; from steps.runtime import parse; import sys; " \
        "print(evaluate(parse('evaluate', sys.argv[1:])[0]).evaluation, 'torch' in sys.modules)"  # fmt: skip
    model = f"--model=file://{tmp_path}/store/bases/base"
    told = subprocess.run([sys.executable, "-c", again, *flags, model], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert told.stdout.split() == [out.evaluation, "False"]


@pytest.mark.slow
def test_a_limit_takes_the_first_items_and_is_recorded(step: Step, tmp_path: Path) -> None:
    found = evaluation.read(step("base", limit=5).evaluation, tmp_path)
    assert (found.record.limit, [one.id for one in found.items]) == (5, ["000", "001", "002", "003", "004"])


@pytest.mark.slow
@pytest.mark.parametrize(("task", "problem"), [("no_such_task", "does not know"), ("arc_easy", "cannot be loaded here")])
def test_a_public_task_that_cannot_be_loaded_is_named(
    step: Step, task: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "empty")
    rule = {"id": "public", "task": task, "metric": "acc", "test": "non_inferiority", "margin": 0.02}
    with pytest.raises(BadInput, match=problem) as fault:
        step("base", gate={**POLICY, "rules": [*POLICY["rules"], rule]})
    assert task in str(fault.value)
    assert not store.exists(f"file://{tmp_path}/store/evaluations")


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_bad_data(step: Step, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(hashlib.sha256(b"noise").digest())
    (broken / "config.json").write_text('{"model_type": "llama"}')
    (broken / "chat_template.jinja").write_text("x")
    store.commit(broken, f"file://{tmp_path}/store/bases/broken")
    with pytest.raises(BadData, match="cannot be loaded as a causal language model"):
        step("broken")


@pytest.mark.slow
def test_a_model_that_lacks_weights_is_not_filled_up_with_noise(step: Step, models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(models / "tuned", tmp_path / "partial")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    store.commit(folder, f"file://{tmp_path}/store/bases/partial")
    with pytest.raises(BadData, match=r"lacks 1 weights, model\.layers\.1\.mlp\.up_proj\.weight among them"):
        step("partial")


@pytest.mark.slow
def test_a_public_task_gives_an_item_a_document(step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """arc_easy, by a local folder in place of its data set on the hub, which `datasets` prefers."""
    import datasets

    folder = tmp_path / "work/allenai/ai2_arc"
    folder.mkdir(parents=True)
    splits = ("train", "validation", "test")
    listed = [{"config_name": "ARC-Easy", "data_files": [{"split": split, "path": f"{split}.jsonl"} for split in splits]}]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(listed)}\n---\n")
    for split in splits:
        choices = {"text": ["few", "many"], "label": ["A", "B"]}
        documents = [{"id": "same", "question": f"What is {n}?", "choices": choices, "answerKey": "AB"[n % 2]} for n in range(6)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rule = {"id": "public", "task": "arc_easy", "metric": "acc", "test": "non_inferiority", "margin": 0.02, "cluster": "task"}
    found = evaluation.read(step("base", gate={**POLICY, "rules": [*POLICY["rules"], rule]}).evaluation, tmp_path)
    public = [one for one in found.items if one.task == "arc_easy"]
    assert [(one.id, one.cluster, one.output_chars) for one in public] == [(str(number), "arc_easy", None) for number in range(6)]
    assert all(one.metrics.keys() == {"acc", "acc_norm"} for one in public)
    assert found.record.metrics["arc_easy"]["acc"].value == pytest.approx(sum(one.metrics["acc"] for one in public) / 6)
    assert found.record.n == 46
