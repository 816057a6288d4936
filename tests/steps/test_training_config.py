"""The training YAML: what LLaMA-Factory would find out after minutes is said at once."""

from typing import Any

import pytest
import yaml

from steps import training_config
from steps.faults import BadInput
from steps.runfile import RunFile
from tests.steps.data_runs import PROJECT, merged


def runfile(**edits: Any) -> RunFile:
    return RunFile.model_validate(merged(yaml.safe_load((PROJECT / "configs/demo/run.yaml").read_text()), edits))


def demo(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load((PROJECT / "configs/demo/train.yaml").read_text()), **changes}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lerning_rate": 1e-4}, "lerning_rate is no key of LLaMA-Factory 0.9.5; did you mean learning_rate?"),
        ({"stage": "sftt"}, "stage is 'sftt'; it must be one of dpo, kto, ppo, pt, rm, sft (did you mean sft?)"),
        ({"lora_rank": "eight"}, "lora_rank is 'eight'; it must be int"),
        ({"lora_rank": 8.5}, "lora_rank is 8.5; it must be int"),
        ({"lora_rank": True}, "lora_rank is True; it must be int"),
        ({"lora_rank": 0}, "lora_rank is 0; it must be at least 1"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be float"),
        ({"learning_rate": -1}, "learning_rate is -1; it must be above 0"),
        ({"flash_attn": "fa9"}, "flash_attn is 'fa9'"),
        ({"finetuning_type": "qlora"}, "did you mean lora?"),
        ({"template": "nosuch"}, "121 names"),
        ({"bf16": "yes please"}, "bf16 is 'yes please'; it must be bool"),
        ({"stage": "ppo"}, "stage ppo does not run"),
        ({"stage": "dpo"}, "dataset.format alpaca is for sft"),
        ({"formatting": "openai"}, "formatting is no training key"),
        ({"hf_hub_token": "x"}, "hf_hub_token is a secret"),
        ({"streaming": True}, "streaming reads no local file"),
        ({"finetuning_type": "full", "quantization_bit": 4}, "quantization_bit goes with finetuning_type lora or oft only"),
    ],
)
def test_a_wrong_key_or_value_is_named(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput) as seen:
        training_config.check(demo(**changes), "train.yaml", runfile())
    assert text in str(seen.value)
    assert str(seen.value).startswith("train.yaml: ")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadInput, match=r"cutoff_len is -5.*lerning_rate"):
        training_config.check(demo(lerning_rate=1, cutoff_len=-5), "train.yaml", runfile())


@pytest.mark.parametrize(
    "changes", [{}, {"lora_target": ["q_proj", "v_proj"]}, {"learning_rate": 1}, {"output_dir": "saves/x"}, {"streaming": False}]
)
def test_a_right_configuration_passes(changes: dict[str, Any]) -> None:
    training_config.check(demo(**changes), "train.yaml", runfile())


def test_an_export_of_llamaboard_passes_and_the_pipelines_keys_are_replaced() -> None:
    exported = demo(
        output_dir="saves/x", dataset="mine", dataset_dir="data", model_name_or_path="/m", overwrite_output_dir=True, report_to="wandb",
        plot_loss=True, val_size=0.1, run_name="r", resume_from_checkpoint="saves/x/checkpoint-1", save_only_model=True, seed=1,
    )  # fmt: skip
    training_config.check(exported, "train.yaml", runfile())
    trained = training_config.complete(exported, runfile(), validation=True)
    assert trained["report_to"] == "none"
    assert trained["overwrite_output_dir"] is False
    assert trained["save_only_model"] is False
    assert trained["dataset"] == "train"
    assert trained["eval_dataset"] == "validation"
    assert trained["seed"] == 42
    assert trained["lora_rank"] == 64
    assert not {"output_dir", "dataset_dir", "model_name_or_path", "val_size", "run_name", "resume_from_checkpoint"} & set(trained)
    assert "report_to" in training_config.replaced(exported)
    assert "lora_rank" not in training_config.replaced(exported)


def test_without_a_validation_split_nothing_is_evaluated_while_training() -> None:
    assert training_config.complete(demo(), runfile(), validation=False)["eval_strategy"] == "no"
    with pytest.raises(BadInput, match="validation in the run file is 0"):
        training_config.check(demo(eval_strategy="steps"), "t.yaml", runfile(dataset={"split": {"validation": 0}}))


def test_every_key_the_pipeline_sets_or_takes_out_is_one_of_llamafactorys() -> None:
    fields = training_config.known()["fields"]
    assert set(training_config.OWNED) | set(training_config.SET_LATER) | set(training_config.TAKEN_OUT) <= set(fields)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_committed_list_of_fields_is_the_installed_packages() -> None:
    pytest.importorskip("llamafactory")
    from steps.llamafactory_fields import fields

    assert fields() == training_config.known()
