"""The demo's base model: the same bytes for the same seed, asked as LLaMA-Factory asks, and no triage."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

MAKE = """
import json, sys
from pathlib import Path
from demo import base
base.make(Path(sys.argv[1]))
"""

ASK = """
import json, sys
from llamafactory.data.template import TEMPLATES
from transformers import AutoModelForCausalLM, AutoTokenizer
from demo import tickets
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
tokenizer.padding_side = "left"
width = lambda batch: batch["input_ids"].shape[1]
rows = tickets.rows()[:40]
asked = [[{"role": "user", "content": f"{row['instruction']}\\n{row['input']}"}] for row in rows]
batch = tokenizer.apply_chat_template(asked, return_tensors="pt", padding=True, return_dict=True)
made = model.generate(**batch, max_new_tokens=24, do_sample=False)[:, width(batch):]
answers = tokenizer.batch_decode(made, skip_special_tokens=True)
print(json.dumps({
    "template": TEMPLATES["default"]._get_jinja_template(tokenizer),
    "right": sum(answer.strip() == row["output"] for answer, row in zip(answers, rows)),
    "fluent": sum(answer.strip() in tickets.REPLIES for answer in answers),
    "head_dim": model.config.hidden_size // model.config.num_attention_heads,
}))
"""


def python(program: str, *arguments: str) -> str:
    """In a process of its own: torch is not imported into the tests."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True, cwd=PROJECT)
    return done.stdout


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_a_model_that_cannot_triage(tmp_path: Path) -> None:
    for name in ("one", "two"):
        python(MAKE, str(tmp_path / name))
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "one").iterdir()} == {0o644}

    seen = json.loads(python(ASK, str(tmp_path / "one")).splitlines()[-1])
    assert (tmp_path / "one" / "chat_template.jinja").read_text() == seen["template"]
    assert seen["right"] == 0
    assert seen["fluent"] == 40
    assert seen["head_dim"] == 64
