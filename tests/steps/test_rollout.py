"""`rollout`: live, taken back, superseded, or left to others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps import gitops, local_reconciler, serving, store
from steps.contracts import RolloutIn
from steps.faults import BadData, BadInput, NotAllowed, Unavailable
from steps.rollout import rollout
from steps.serving import NotServing, Prompt
from tests.steps.releasing import LOCAL, MODEL_ID, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    local_reconciler.stop_all(world.serving, 0)


def test_a_release_goes_live_and_a_second_rollout_finds_it_so(world: World) -> None:
    made = world.model()
    deployed, live = world.live(made)
    assert live.state == "live"
    assert live.endpoint == world.route().endpoint
    assert world.rollout(made, deployed) == live


@pytest.mark.parametrize(("behaviour", "said"), [({"ends": "70B"}, "no room for 70B weights"), ({"mute": True}, "answered with nothing")])
def test_a_release_that_does_not_serve_is_taken_out_of_git_again(behaviour: dict[str, Any], said: str, world: World) -> None:
    first, _ = world.live(world.model(1))
    made = world.model(2, **behaviour)
    deployed = world.deploy(made)
    with pytest.raises(NotServing) as seen:
        world.rollout(made, deployed)
    line = str(seen.value)
    assert "\n" not in line
    assert said in line
    assert "git was put back to the release before it" in line
    assert f"{MODEL_ID}:1 serves" in line
    assert world.in_git().release_id == first.release_id == world.route().release_id
    assert world.commits() == 3


def test_bytes_that_are_not_the_signed_ones_are_taken_out_of_git_again(world: World) -> None:
    world.live(world.model(1))
    made = world.model(2)
    deployed = world.deploy(made)
    (store.local_path(world.in_git().model) / "model.safetensors").write_bytes(bytes(9))
    with pytest.raises(NotAllowed, match="not loaded; git was put back"):
        world.rollout(made, deployed)
    assert world.in_git().version == 1


def test_a_first_release_that_does_not_serve_stays_in_git(world: World) -> None:
    made = world.model(1, ends="70B")
    deployed = world.deploy(made)
    with pytest.raises(NotServing, match="is the model's first release there"):
        world.rollout(made, deployed)
    assert world.in_git().release_id == deployed.release_id
    assert world.servers() == []


def test_a_superseded_release_ends_by_saying_so_and_reverts_nothing(world: World) -> None:
    old = world.model(1)
    superseded = world.deploy(old)
    newer = world.deploy(world.model(2))
    with pytest.raises(BadInput, match="superseded"):
        world.rollout(old, superseded)
    assert world.in_git().release_id == newer.release_id == world.route().release_id


def test_a_repository_that_is_down_reverts_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.live(world.model(1))
    made = world.model(2)
    deployed = world.deploy(made)
    monkeypatch.setenv("FLEECE_GITOPS", f"file://{world.home}/elsewhere.git")
    with pytest.raises(Unavailable):
        world.rollout(made, deployed)
    assert world.in_git().release_id == deployed.release_id


def test_a_commit_that_others_apply_is_skipped_and_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.environment("cluster", "apiVersion: fleece/v1", "name: cluster", "reconciler: none", "serving: {image: vllm/vllm-openai}")
    gitops.make_bare(world.git, "main")
    made = world.model()
    deployed = world.deploy(made, "cluster")
    done = world.rollout(made, deployed)
    assert (done.state, done.endpoint) == ("committed", "none")
    assert "skipped: cluster has reconciler none" in capsys.readouterr().err


def test_what_is_no_release_is_told_in_one_line(world: World) -> None:
    made = world.model()
    uri = f"{made.run}/releases/x/release.json"
    store.create_json(uri, {"release_id": "x"})
    with pytest.raises(BadData, match="is no Release: ") as seen:
        rollout(RolloutIn(run=made.run, release=uri, commit="0" * 40))
    assert "\n" not in str(seen.value)


@pytest.mark.slow
def test_llamafactorys_server_answers_with_the_model(world: World) -> None:
    """A tiny random Llama, through the server that `rollout` takes when the environment names none."""
    world.environment("local", *[line for line in LOCAL if "seconds" not in line], "serving: {dtype: float32}")
    _tiny_llama(world.home / "tiny")
    made = world.model(folder=world.home / "tiny")
    _, live = world.live(made)
    name = f"{MODEL_ID}@{made.digest.removeprefix('sha256:')[:12]}"
    assert serving.names(live.endpoint) == [name]
    secret = "a prompt that is in no log"
    asked = Prompt(secret, "", 8)
    assert serving.ask(live.endpoint, name, asked) == serving.ask(live.endpoint, name, asked)
    [log] = world.serving.glob(f"local/{MODEL_ID}/servers/*.log")
    assert secret not in log.read_text()
    assert "Where is my parcel" not in log.read_text()


def _tiny_llama(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    words.train_from_iterator(["where is my parcel"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 256}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_the_program_says_one_line_and_the_code_of_the_fault(world: World) -> None:
    made = world.model(1, ends="70B")
    deployed = world.deploy(made)
    assert world.program("rollout", made, deployed).wait() == 65
