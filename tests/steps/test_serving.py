"""Which server is started, how it is told what to serve, and what its answers mean."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps import serving
from steps.environments import Environment
from steps.faults import BadInput, Fault, Unavailable
from steps.release import Serving
from steps.serving import NotServing, Prompt
from tests.steps.test_rendering import a_release

HERE = Environment(apiVersion="fleece/v1", name="local", reconciler="local", drain_seconds=7)
RELEASE = a_release(reconciler="local", serving=Serving(dtype="float32", template="default"))
NAME = "team-x.triage.v1@0123456789ab"


def test_an_environments_own_server_is_told_folder_port_and_name(tmp_path: Path) -> None:
    environment = HERE.model_copy(update={"server": ("serve", "--model={folder}", "{port}", "{name}")})
    assert serving.command(RELEASE, environment, tmp_path, tmp_path, 8123).argv == ["serve", f"--model={tmp_path}", "8123", NAME]


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Only these packages can be found."""
    for package in packages:
        (tmp_path / "site" / package).mkdir(parents=True)
        (tmp_path / "site" / package / "__init__.py").touch()
    monkeypatch.setattr("sys.path", [str(tmp_path / "site")])
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


def test_vllm_is_taken_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "vllm", "llamafactory")
    command = serving.command(RELEASE, HERE, tmp_path / "model", tmp_path, 8123)
    assert command.argv[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", "--config"]
    config = yaml.safe_load(Path(command.argv[5]).read_text())
    assert (config["host"], config["port"], config["shutdown-timeout"]) == ("127.0.0.1", 8123, 7)
    assert config["model"] == str(tmp_path / "model")
    assert NAME in config["served-model-name"]


def test_else_llamafactorys_server_with_the_template_of_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "llamafactory")
    monkeypatch.setenv("API_KEY", "somebody else's")
    monkeypatch.setenv("FLEECE_SIGNING_KEY", "/keys/key.pem")
    command = serving.command(RELEASE, HERE, tmp_path / "model", tmp_path, 8123)
    assert command.argv[1:4] == ["-m", "llamafactory.cli", "api"]
    config = yaml.safe_load(Path(command.argv[4]).read_text())
    assert (config["template"], config["infer_dtype"], config["trust_remote_code"]) == ("default", "float32", False)
    named = {name: command.environment[name] for name in ("API_HOST", "API_PORT", "API_MODEL_NAME")}
    assert named == {"API_HOST": "127.0.0.1", "API_PORT": "8123", "API_MODEL_NAME": NAME}
    assert not {"API_KEY", "FLEECE_SIGNING_KEY"} & set(command.environment)


def test_a_server_of_another_environment_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    script = tmp_path / "path" / "llamafactory-cli"
    script.parent.mkdir()
    script.touch(mode=0o755)
    assert serving.command(RELEASE, HERE, tmp_path, tmp_path, 8123).argv[:2] == [str(script), "api"]


def test_a_machine_without_a_server_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    with pytest.raises(Fault, match="install vllm or llamafactory") as seen:
        serving.command(RELEASE, HERE, tmp_path, tmp_path, 8123)
    assert seen.value.code == 78


@pytest.fixture
def odd() -> Iterator[Any]:
    """A server that gives one status and body to every request."""

    class Handler(BaseHTTPRequestHandler):
        status, body = 200, b"{}"

        def do_POST(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def answering(status: int, body: bytes) -> str:
        Handler.status, Handler.body = status, body
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield answering
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (500, b"", Unavailable),
        (503, b"{}", Unavailable),
        (404, b"{}", NotServing),
        (401, b"{}", NotServing),
        (200, b"<html>", NotServing),
        (200, b"[]", NotServing),
        (200, b"{}", NotServing),
        (200, b'{"choices": []}', NotServing),
        (200, b'{"choices": [{"message": {"content": null}}]}', NotServing),
        (200, b'{"choices": [{"message": {"content": " "}}]}', NotServing),
    ],
)
def test_what_is_no_answer_is_one_line_without_the_prompt(status: int, body: bytes, fault: type[Fault], odd: Any) -> None:
    with pytest.raises(fault) as seen:
        serving.ask(odd(status, body), NAME, Prompt("a secret prompt", "", 8))
    assert "secret" not in str(seen.value)
    assert "\n" not in str(seen.value)


def test_a_proxy_of_the_environment_is_not_asked(odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert serving.names(odd(200, b'{"data": [{"id": "m"}]}')) == ["m"]


@pytest.mark.parametrize("endpoint", ["file:///etc", "none", ""])
def test_what_is_no_endpoint_is_not_opened(endpoint: str) -> None:
    with pytest.raises(BadInput, match="is no endpoint"):
        serving.names(endpoint)
