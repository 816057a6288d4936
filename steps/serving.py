"""Model servers that speak the OpenAI API: how one is started, and how one is asked."""

import http.client
import importlib.util
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from steps import store
from steps.contracts import Text
from steps.environments import Environment
from steps.faults import BadData, BadInput, Unavailable, Unfit
from steps.release import Release
from steps.rendering import vllm_config
from steps.runfile import read_plan

# Not for the server: our own settings, and names by which llamafactory and vLLM would take another key, path or code path.
_KEPT_BACK = ("FLEECE_", "API_", "VLLM_API_KEY", "FASTAPI_ROOT_PATH", "USE_V1", "USE_MCA")


class NotServing(BadData):
    """A server does not serve the model: it ends, answers nothing, or answers as another model."""


class Command(NamedTuple):
    argv: list[str]
    environment: dict[str, str]


class Prompt(NamedTuple):
    """One question to a model. `longest` is the most tokens of the answer."""

    text: str
    system: str
    longest: int


def command(release: Release, environment: Environment, model: Path, home: Path, port: int) -> Command:
    """The model server on 127.0.0.1: the environment's own, else vLLM where it is installed, else LLaMA-Factory's.

    Writes the server's configuration below `home`. Raises Unfit when there is no server.
    """
    base = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    tokens = {"{folder}": str(model), "{port}": str(port), "{name}": release.served_name}
    if environment.server:
        return Command([_fill(argument, tokens) for argument in environment.server], base)
    if found := _program("vllm.entrypoints.cli.main", "vllm", "serve"):
        config = vllm_config(release, str(model)) | {"host": "127.0.0.1", "port": port, "shutdown-timeout": environment.drain_seconds}
        return Command([*found, "--config", _write(home / "vllm.yaml", config)], base | offline | {"VLLM_NO_USAGE_STATS": "1"})
    if found := _program("llamafactory.cli", "llamafactory-cli", "api"):
        # At its default level the server logs every request with its text.
        own = {"API_HOST": "127.0.0.1", "API_PORT": str(port), "API_MODEL_NAME": release.served_name, "LLAMAFACTORY_VERBOSITY": "WARNING"}
        return Command([*found, _write(home / "llamafactory.yaml", _llamafactory_config(release, model))], base | offline | own)
    raise Unfit("there is no model server here; install vllm or llamafactory, or give the environment a `server`")


def names(endpoint: str, seconds: float = 5) -> list[str]:
    """The models a server lists. Raises Unavailable while it does not answer, NotServing for an answer that is no list of models."""
    answer = _http("GET", f"{endpoint}/models", None, seconds)
    try:
        return [str(model["id"]) for model in answer["data"]]
    except (KeyError, TypeError):
        raise NotServing(f"{endpoint}/models is no list of models; is that an OpenAI-compatible server?") from None


def ask(endpoint: str, name: str, prompt: Prompt, seconds: float = 120) -> str:
    """The answer to one prompt, decoded greedily. Raises NotServing when it is empty or no answer, Unavailable when none came."""
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    request = {
        "model": name,
        "messages": [*system, {"role": "user", "content": prompt.text}],
        "max_tokens": prompt.longest,
        "temperature": 0,
    }
    answer = _http("POST", f"{endpoint}/chat/completions", request, seconds)
    try:
        text = str(answer["choices"][0]["message"]["content"] or "").strip()
    except (KeyError, IndexError, TypeError):
        raise NotServing(f"{endpoint}/chat/completions gave no choices; is that an OpenAI-compatible server?") from None
    if not text:
        raise NotServing(f"{name} answered with nothing to one prompt")
    return text


def first_prompt(run: str) -> Prompt:
    """The run file's own prompt, else the first test item. Raises Missing when the run has neither."""
    runfile = read_plan(run).runfile
    longest = runfile.evaluation.max_new_tokens
    if runfile.deployment.prompt:
        return Prompt(runfile.deployment.prompt, "", longest)
    prepared = store.join(run, "prepared")
    task = store.read_json(store.join(prepared, "task.json"))
    first = store.read(store.join(prepared, task["items"])).split(b"\n", 1)[0]
    if not first:
        raise BadData(f"{prepared} has no test items; give deployment.prompt in the run file")
    item = json.loads(first)
    return Prompt(item["prompt"], item.get("system", ""), longest)


def _llamafactory_config(release: Release, model: Path) -> dict[str, Any]:
    template = {"template": release.serving.template} if release.serving.template else {}
    return {
        "model_name_or_path": str(model),
        "infer_backend": "huggingface",
        "infer_dtype": release.serving.dtype,
        "trust_remote_code": False,
        **template,
    }


def _program(module: str, script: str, verb: str) -> list[str] | None:
    """The server in this environment, else its console script beside the interpreter or on PATH."""
    if importlib.util.find_spec(module.partition(".")[0]):
        return [sys.executable, "-m", module, verb]
    beside = Path(sys.executable).with_name(script)
    found = str(beside) if beside.is_file() else shutil.which(script)
    return [found, verb] if found else None


def _fill(argument: Text, tokens: dict[str, str]) -> str:
    for token, value in tokens.items():
        argument = argument.replace(token, value)
    return argument


def _write(path: Path, config: dict[str, Any]) -> str:
    import yaml

    path.write_text(yaml.safe_dump(config, sort_keys=True))
    return str(path)


def _http(method: str, url: str, body: dict[str, Any] | None, seconds: float) -> Any:
    """One request, through no proxy: none of the environment may see prompts, and none reaches 127.0.0.1."""
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{url[:80]!r} is no endpoint; it begins with http:// or https://")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - checked above
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=seconds) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:  # closes the connection
            kind = Unavailable if error.code >= 500 else NotServing
            raise kind(f"{url} answers {error.code}; see the server's log") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(f"{url} does not answer ({type(reason).__name__}); see the server's log") from None
    except ValueError:
        raise NotServing(f"{url} answers no JSON; is that an OpenAI-compatible server?") from None
