"""The team's own test: the held-out items that `prepare` wrote, as an lm-eval task that lives in memory.

`load_dataset` recognises a local file by path and time only and serves the old content of a changed one, so no file is handed to it.
"""

import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steps.faults import BadData


class Task(BaseModel):
    """`task.json` of the prepared folder: the team's own test. `items` is a JSON Lines file beside it; `prompt` and `target` its columns.

    `generate_until` asks for answers and compares them; `loglikelihood_rolling` measures how well the model foresees whole texts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: str = Field(pattern=r"^[A-Za-z0-9][-\w.]*$", max_length=100)
    output_type: Literal["generate_until", "loglikelihood_rolling"]
    prompt: str
    target: str
    metric: Literal["exact_match", "bits_per_byte"]
    max_new_tokens: int = Field(1, ge=1)
    items: str

    @model_validator(mode="after")
    def _metric_of_its_type(self) -> "Task":
        if (self.output_type == "generate_until") != (self.metric == "exact_match"):
            raise ValueError(f"{self.output_type} does not give {self.metric}")
        return self

    @property
    def asks(self) -> bool:
        """Whether the model is asked, through its chat template, or only reads."""
        return self.output_type == "generate_until"


def read_task(prepared: Path) -> Task:
    """Raises BadData when task.json is missing or not what `prepare` writes."""
    try:
        return Task.model_validate_json((prepared / "task.json").read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        seen = "is missing" if isinstance(error, FileNotFoundError) else f"has {error.error_count()} wrong fields"
        raise BadData(f"task.json of the prepared folder {seen}; run `prepare` again") from None


def read_rows(path: Path, task: Task) -> list[dict[str, str]]:
    """The test items. Raises BadData, with the line's number and without its text, for one that cannot be sent."""
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        wanted = ("id", task.prompt, task.target) if task.asks else ("id", task.target)
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) and row[name] for name in wanted):
            raise BadData(f"line {number} of {path.name} has no {', '.join(wanted)} in text; run `prepare` again")
        rows.append(row)
    if len({row["id"] for row in rows}) < len(rows):
        raise BadData(f"{path.name} holds an id twice; run `prepare` again")
    if not rows:
        raise BadData(f"{path.name} is empty; hold out more rows (dataset.split.test of the run file)")
    return rows


def lm_eval_task(task: Task, rows: list[dict[str, str]], tokenizer: Any) -> dict[str, Any]:
    """lm-eval's task object, by name. Its prompts are in the tokenizer's chat template already."""
    from datasets import Dataset
    from lm_eval.tasks import TaskManager

    prompts = [_asked(row[task.prompt], row, tokenizer) if task.asks else "" for row in rows]
    docs = [{"id": row["id"], "prompt": prompt, "target": row[task.target]} for row, prompt in zip(rows, prompts, strict=True)]
    metrics = ("exact_match", "exact_match_normalized") if task.asks else ("bits_per_byte",)
    config: dict[str, Any] = {
        "task": task.task,
        "custom_dataset": lambda **_: {"test": Dataset.from_list(docs)},
        "test_split": "test",
        "output_type": task.output_type,
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "process_results": score if task.asks else surprise,
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": task.asks} for name in metrics],
        "num_fewshot": 0,
    }
    if task.asks:
        config["generation_kwargs"] = {"until": [], "max_gen_toks": task.max_new_tokens, "do_sample": False}
    loaded: dict[str, Any] = TaskManager(include_defaults=False).load([config])["tasks"]
    return loaded


def score(doc: dict[str, str], answers: list[str]) -> dict[str, float]:
    """`exact_match`: the answer is the target but for white space around it; `exact_match_normalized`: but for case, punctuation and
    runs of white space (SQuAD's normalisation without its articles, https://arxiv.org/abs/1606.05250).
    """
    answer, target = answers[0], doc["target"]
    return {
        "exact_match": float(answer.strip() == target.strip()),
        "exact_match_normalized": float(_normalized(answer) == _normalized(target)),
    }


def surprise(doc: dict[str, str], results: list[float]) -> dict[str, float]:
    """`bits_per_byte` of a text: what a perfect compressor would need with this model. https://arxiv.org/abs/2101.00027, section 3.1"""
    return {"bits_per_byte": -results[0] / math.log(2) / len(doc["target"].encode())}


def _normalized(text: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.casefold()).split())


def _asked(prompt: str, row: dict[str, str], tokenizer: Any) -> str:
    """The prompt as a server would render it, with the row's own system prompt and tools, which lm-eval cannot pass on."""
    from jinja2 import TemplateError

    messages = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    messages.append({"role": "user", "content": prompt})
    tools = json.loads(row["tools"]) if row.get("tools") else None
    try:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True))
    except TemplateError:
        raise BadData(f"the chat template refuses test item {row['id']}; is there a system prompt or a tool it does not know?") from None
