"""`make bench-run`: wall time of the demo, from data to a probed endpoint, over the sum of the raw tools run by hand.

By hand a person would run, on the same data and base model, one after the other: `llamafactory-cli train` on two processes,
`llamafactory-cli export`, `lm_eval` on the base and on the tuned model, and `llamafactory-cli api` until it answers once. Data checks,
gate, registry, card, signature and GitOps have no raw tool and count against us only. The target is a ratio of at most 1.0.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

BIN = Path(sys.executable).parent
PROMPT = {"messages": [{"role": "user", "content": "My parcel did not arrive."}], "max_tokens": 16}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--repeat", type=int, default=3, help="pairs of measurements; the median ratio counts (default 3)")
    pairs = [_pair() for _ in range(arguments.parse_args().repeat)]
    print(f"ratio {statistics.median(pair['ratio'] for pair in pairs):.2f} (median of {len(pairs)}; target <= 1.0)")


def _pair() -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="fleece-bench-"))
    try:
        ours = _ours(folder / "home")
        raw = _raw(folder)
    finally:
        subprocess.run([BIN / "fleece", "serve", "stop"], env=_environment(folder / "home"), check=False)
        shutil.rmtree(folder)
    total = sum(raw.values())
    found = {
        "fleece": round(ours, 1),
        "raw": {name: round(seconds, 1) for name, seconds in raw.items()},
        "sum": round(total, 1),
        "ratio": round(ours / total, 3),
    }
    print(json.dumps(found), flush=True)
    return found


def _ours(home: Path) -> float:
    environment = _environment(home)
    subprocess.run([BIN / "fleece", "demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return _timed([BIN / "fleece", "run", "finetune", "--json"], environment, home.parent / "fleece.log")


def _raw(folder: Path) -> dict[str, float]:
    """The same work by hand, with what Fleece prepared: data, task, training configuration."""
    home, work = folder / "home", folder / "raw"
    work.mkdir()
    prepared = next((home / "store" / "runs").glob("*/prepared"))
    base = home / "store" / "bases" / "demo-llama"
    environment = _environment(home) | {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": "2",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
    }
    adapter, merged = work / "adapter", work / "merged"
    train = yaml.safe_load((prepared / "train.yaml").read_text()) | {
        "model_name_or_path": str(base), "dataset_dir": str(prepared), "output_dir": str(adapter)}  # fmt: skip
    export = {
        "model_name_or_path": str(base),
        "adapter_name_or_path": str(adapter),
        "template": train["template"],
        "export_dir": str(merged),
    }
    api = {"model_name_or_path": str(merged), "template": train["template"], "infer_backend": "huggingface"}
    for name, content in (("train", train), ("export", export), ("api", api)):
        (work / f"{name}.yaml").write_text(yaml.safe_dump(content))
    _write_task(prepared, work)
    cli = BIN / "llamafactory-cli"
    return {
        "train": _timed([cli, "train", work / "train.yaml"], environment | {"ACCELERATE_TORCH_DEVICE": "cpu"}, work / "train.log"),
        "export": _timed([cli, "export", work / "export.yaml"], _environment(home), work / "export.log"),
        "evaluate base": _timed(_lm_eval(base, work), _environment(home), work / "base.log"),
        "evaluate tuned": _timed(_lm_eval(merged, work), _environment(home), work / "tuned.log"),
        "serve": _serve([cli, "api", work / "api.yaml"], _environment(home), work / "api.log"),
    }


def _write_task(prepared: Path, work: Path) -> None:
    task = json.loads((prepared / "task.json").read_text())
    content = {
        "task": "by_hand",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(prepared / task["items"])}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{target}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": task["max_new_tokens"], "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    (work / "tasks").mkdir()
    (work / "tasks" / "by_hand.yaml").write_text(yaml.safe_dump(content))


def _lm_eval(model: Path, work: Path) -> list[Any]:
    arguments = [
        "--model",
        "hf",
        "--model_args",
        f"pretrained={model},dtype=float32",
        "--tasks",
        "by_hand",
        "--include_path",
        work / "tasks",
    ]
    return [BIN / "lm_eval", *arguments, "--apply_chat_template", "--batch_size", "32", "--device", "cpu"]


def _serve(command: list[Any], environment: dict[str, str], log: Path) -> float:
    """Seconds until the model server gave its first answer."""
    port = _free_port()
    began = time.monotonic()
    with log.open("w") as output:
        server = subprocess.Popen(
            command,
            env=environment | {"API_PORT": str(port), "API_HOST": "127.0.0.1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            while not _answers(port):
                if server.poll() is not None or time.monotonic() - began > 300:
                    raise SystemExit(f"the model server did not answer: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            return time.monotonic() - began
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(port: int) -> bool:
    body = json.dumps({"model": "demo", **PROMPT}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - a loopback address
            return bool(json.load(answer)["choices"])
    except (urllib.error.URLError, ConnectionError):
        return False


def _timed(command: list[Any], environment: dict[str, str], log: Path) -> float:
    began = time.monotonic()
    with log.open("w") as output:
        ended = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        raise SystemExit(f"{Path(command[0]).name} ended with {ended.returncode}: {log.read_text()[-2000:]}")
    return time.monotonic() - began


def _environment(home: Path) -> dict[str, str]:
    path = f"{BIN}:{os.environ['PATH']}"  # llamafactory-cli looks for torchrun there
    return os.environ | {
        "PATH": path,
        "FLEECE_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(home / "huggingface"),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
