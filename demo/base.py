"""The demonstration's base model, made from code: a tokenizer trained on the spot and a Llama of two layers, 0.4 million parameters.

It is pre-trained for some seconds on `demo.tickets.unlabelled`, so it writes fluent replies and triages nothing: what a base
model is. The same seed gives the same bytes on the same kind of processor.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo import tickets

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

VOCABULARY = 768
STEPS = 150
ROWS, LENGTH = 8, 128  # 1,024 tokens a step
PEAK_LEARNING_RATE = 3e-3
WARMUP = 10
PAD, BEGIN, END = "<pad>", "<s>", "</s>"

# LLaMA-Factory's template "default" as it writes it into a tokenizer (tests compare the two), so base and tuned model are asked alike.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% endif %}"
    "{% if system_message is defined %}{{ 'System: ' + system_message + '</s>' + '\n' }}{% endif %}"
    "{% for message in loop_messages %}{% set content = message['content'] %}"
    "{% if message['role'] == 'user' %}{{ 'Human: ' + content + '</s>' + '\nAssistant:' }}"
    "{% elif message['role'] == 'assistant' %}{{ content + '</s>' + '\n' }}{% endif %}{% endfor %}"
)


def make(folder: Path, seed: int = 0) -> None:
    """Write the model folder: config, weights (safetensors, float32), tokenizer, chat template. About 10 seconds on one core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            tokenizer = _tokenizer(seed)
            model = _llama()
            _pretrain(model, _batches(tokenizer, seed))
    finally:
        torch.set_num_threads(threads)
    _save(folder, tokenizer, model)


def _tokenizer(seed: int) -> "Tokenizer":
    """Byte-level BPE; digits stand alone, so that an order number is no word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(_texts(seed), 2000), trainer)
    return tokenizer


def _texts(seed: int) -> Iterator[str]:
    """Turns are marked as the chat template marks them. A note comes once more from its word `queue` on.

    An answer begins with that word, without a blank before it, and an adapter cannot teach a token that the base has never seen.
    """
    for text in tickets.unlabelled(seed):
        if "\nAssistant: " in text:
            yield text.replace("\nAssistant: ", f"{END}\nAssistant:") + f"{END}\n"
        else:
            yield f"{text}{END}\n{text[text.index('queue') :]}{END}\n"


def _llama() -> "LlamaForCausalLM":
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,  # head_dim 64, the smallest that vLLM's kernels take
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32",
    )
    return LlamaForCausalLM(config)


def _batches(tokenizer: "Tokenizer", seed: int) -> Iterator[Any]:
    """Endless batches of packed text."""
    import torch

    size, buffer = ROWS * LENGTH, list[int]()
    for text in _texts(seed + 1):
        buffer += tokenizer.encode(text).ids
        if len(buffer) >= size:
            yield torch.tensor(buffer[:size]).view(ROWS, LENGTH)
            del buffer[:size]


def _pretrain(model: "LlamaForCausalLM", batches: Iterator[Any]) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, STEPS, pct_start=WARMUP / STEPS)
    model.train()
    for batch in islice(batches, STEPS):
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _save(folder: Path, tokenizer: "Tokenizer", model: "LlamaForCausalLM") -> None:
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, bos_token=BEGIN, eos_token=END, model_max_length=512)
    whole.chat_template = CHAT_TEMPLATE
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    whole.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes 0600, and the server has another user
