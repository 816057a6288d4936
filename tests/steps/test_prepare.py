"""prepare: splits that stay, and the files that training and evaluation read."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps import store
from steps.contracts import PrepareIn, PrepareOut, ValidateIn
from steps.faults import BadData
from steps.prepare import prepare
from steps.runfile import Split
from steps.splits import place
from steps.validate import validate
from tests.steps.data_runs import a_run

pytestmark = pytest.mark.slow  # validate loads pandas and pandera


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def prepared(tmp_path: Path, rows: list[dict[str, Any]], **dataset: Any) -> tuple[PrepareOut, Path]:
    tmp_path.mkdir(exist_ok=True)
    wanted = {"split": {"group": None, "test": 0.2, "validation": 0.1}, **dataset}
    run = a_run(tmp_path, rows, runfile={"dataset": wanted}, training={"cutoff_len": 4096})
    out = prepare(PrepareIn(run=run, dataset=validate(ValidateIn(run=run)).dataset))
    return out, store.fetch(out.prepared, tmp_path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def split_file(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}-*.jsonl"))


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"instruction": f"q {number}", "input": "", "output": f"a {number}"} for number in range(start, start + count)]


def test_every_row_is_in_one_split_and_every_file_is_named_by_its_content(tmp_path: Path) -> None:
    out, folder = prepared(tmp_path, rows(200))
    assert out.train_rows + out.val_rows + out.test_rows == 200
    assert 20 < out.test_rows < 60
    counted = {name: lines(split_file(folder, name)) for name in ("train", "val", "test")}
    assert len({row["id"] for split in counted.values() for row in split}) == 200
    for name in counted:
        path = split_file(folder, name)
        assert path.stem == f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def test_test_items_are_ready_to_send(tmp_path: Path) -> None:
    _, folder = prepared(tmp_path, [{**row, "system": "Be brief."} for row in rows(60)])
    task = json.loads((folder / "task.json").read_text())
    items = lines(folder / task["items"])
    assert set(items[0]) == {"id", "prompt", "target", "system"}
    assert items[0]["prompt"].replace("q", "a") == items[0]["target"]
    assert (task["output_type"], task["metric"], task["max_new_tokens"]) == ("generate_until", "exact_match", 16)


def test_added_rows_never_move_an_old_one(tmp_path: Path) -> None:
    _, before = prepared(tmp_path / "before", rows(100))
    _, after = prepared(tmp_path / "after", rows(200)[::-1])
    for name in ("train", "val", "test"):
        old, new = ({row["id"] for row in lines(split_file(folder, name))} for folder in (before, after))
        assert old <= new


def test_what_shares_a_group_shares_a_split(tmp_path: Path) -> None:
    grouped = [{**row, "pair": f"p{number % 40}"} for number, row in enumerate(rows(200))]
    _, folder = prepared(tmp_path, grouped, split={"group": "pair", "test": 0.2, "validation": 0.1})
    held_out = {row["prompt"] for row in lines(split_file(folder, "test"))}
    pairs = {row["pair"] for row in grouped if row["instruction"] in held_out}
    assert pairs.isdisjoint(row["group"] for row in lines(split_file(folder, "train")) + lines(split_file(folder, "val")))


def test_a_prompt_in_two_splits_is_refused(tmp_path: Path) -> None:
    doubled = [{**row, "pair": f"{side}{number}"} for side in "ab" for number, row in enumerate(rows(100))]
    with pytest.raises(BadData, match=r"prompts are in more than one split.*'pair'"):
        prepared(tmp_path, doubled, split={"group": "pair", "test": 0.2, "validation": 0.1})


def test_an_empty_split_is_refused_with_counts_and_the_fractions_to_change(tmp_path: Path) -> None:
    with pytest.raises(BadData) as seen:
        prepared(tmp_path, rows(12), split={"group": None, "test": 0.001, "validation": 0})
    assert "split test is empty: train 12, test 0" in str(seen.value)
    assert "dataset.split.test (now 0.001)" in str(seen.value)
    assert not list((tmp_path / "store/runs/ab12").glob("prepared/*"))


def test_without_validation_there_is_no_such_file_and_no_evaluation_while_training(tmp_path: Path) -> None:
    out, folder = prepared(tmp_path, rows(60), split={"group": None, "test": 0.2, "validation": 0})
    assert out.val_rows == 0
    assert set(json.loads((folder / "dataset_info.json").read_text())) == {"train"}
    trained = yaml.safe_load((folder / "train.yaml").read_text())
    assert trained["eval_strategy"] == "no"
    assert "eval_dataset" not in trained


def test_the_training_file_is_the_users_with_what_the_pipeline_owns(tmp_path: Path) -> None:
    _, folder = prepared(tmp_path, rows(60))
    trained = yaml.safe_load((folder / "train.yaml").read_text())
    assert trained["lora_rank"] == 64
    assert (trained["dataset"], trained["eval_dataset"], trained["report_to"], trained["seed"]) == ("train", "validation", "none", 42)


CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
FORMATS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (CHAT, {"formatting": "sharegpt"}),
    "sharegpt": ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, {"formatting": "sharegpt"}),
    "preference": ({"instruction": "q", "input": "", "chosen": "a", "rejected": "b"}, {"formatting": "sharegpt", "ranking": True}),
    "kto": ({**CHAT, "label": True}, {"formatting": "sharegpt"}),
    "pretraining": ({"text": "q a"}, {}),
}


def numbered(row: Any, number: int) -> Any:
    if isinstance(row, dict):
        return {key: numbered(value, number) for key, value in row.items()}
    if isinstance(row, list):
        return [numbered(value, number) for value in row]
    return f"{row} {number}" if row in ("q", "a", "b", "q a") else row


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_described_to_llamafactory_without_its_openai_formatting(tmp_path: Path, format: str) -> None:
    row, expected = FORMATS[format]
    out, folder = prepared(tmp_path, [numbered(row, number) for number in range(80)], format=format)
    train = json.loads((folder / "dataset_info.json").read_text())["train"]
    assert out.train_rows > 0 < out.test_rows
    assert {key: train[key] for key in train if key in ("formatting", "ranking")} == expected
    assert set(train["columns"].values()) <= set(lines(split_file(folder, "train"))[0])


def test_rows_that_are_no_single_exchange_make_no_item(tmp_path: Path) -> None:
    chats = [numbered({**CHAT, "label": number % 2 == 0}, number) for number in range(80)]
    out, folder = prepared(tmp_path, chats, format="kto")
    wanted = [row for row in lines(split_file(folder, "test")) if int(row["prompt"].split()[1]) % 2 == 0]
    assert len(wanted) == out.test_rows > 0


def test_shares_come_out_about_right_and_the_salt_draws_anew() -> None:
    keys = [str(number) for number in range(20_000)]
    drawn = [place(key, Split(test=0.1, validation=0.05)) for key in keys]
    assert abs(drawn.count("test") / 20_000 - 0.1) < 0.01
    assert abs(drawn.count("validation") / 20_000 - 0.05) < 0.01
    assert drawn != [place(key, Split(test=0.1, validation=0.05, salt="other")) for key in keys]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["alpaca", *FORMATS])
def test_llamafactory_reads_the_rows_as_they_were_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    pytest.importorskip("llamafactory")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from datasets import load_dataset
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import get_dataset_list

    row = FORMATS[format][0] if format != "alpaca" else {"instruction": "q", "input": "", "output": "a"}
    out, folder = prepared(tmp_path, [numbered(row, number) for number in range(80)], format=format)
    attributes = get_dataset_list(["train"], str(folder))[0]
    loaded = load_dataset("json", data_files=str(folder / attributes.dataset_name), split="train", cache_dir=str(tmp_path / "cache"))
    convert = get_dataset_converter(attributes.formatting, attributes, data_args=None)
    read = [convert(example) for example in loaded]
    assert len(read) == out.train_rows
    number = (read[0]["_prompt"][0]["content"]).split()[-1]
    asked, answers = ("q a", []) if format == "pretraining" else ("q", [f"a {number}"])
    answers += {"preference": [f"b {number}"], "kto": [""]}.get(format, [])
    assert read[0]["_prompt"] == [{"role": "user", "content": f"{asked} {number}"}]
    assert [turn["content"] for turn in read[0]["_response"]] == answers
    assert not read[0]["_system"]
    assert not read[0]["_tools"]
