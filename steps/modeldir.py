"""What makes a folder a model, and its digest."""

import re
from pathlib import Path

from steps.faults import BadData
from steps.store import File, Manifest, scan

# Weights, tokenizer, configuration, chat template; not training_args, logs, README or trainer state (DESIGN §4).
_PARTS = re.compile(
    r"^(model|adapter_model)(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$"
    r"|^(config|generation_config|adapter_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$"
    r"|^(merges\.txt|tokenizer\.model|chat_template\.jinja)$"
)


def parts(folder: Path) -> list[File]:
    """The files that make the model. Raises BadData when there are no safetensors weights or no config."""
    files = [file for file in scan(folder) if _PARTS.match(file.path)]
    if not any(file.path.endswith(".safetensors") for file in files):
        raise BadData(f"{folder.name} holds no *.safetensors weights; save the model with safe serialization")
    if not any(file.path in ("config.json", "adapter_config.json") for file in files):
        raise BadData(f"{folder.name} holds no config.json; it is no model folder")
    return files


def digest(folder: Path) -> str:
    """`sha256:` of the sorted manifest of the model's own files."""
    return Manifest(files=parts(folder)).digest
