"""The kubeconfig, and what is sent by it: against a server that answers as a Kubernetes API does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.cluster import api, faults
from pipelines.cluster.runs import Cluster
from pipelines.local.faults import Refused
from pipelines.local.history import Filter

RUNS = "/apis/argoproj.io/v1alpha1/namespaces/team-a/workflows"


class Server(ThreadingHTTPServer):
    """Answers from a table of (method, path); what it was asked is kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {"verb": self.command, "path": url.path, "query": parse_qs(url.query), "body": json.loads(body) if body else None}
        kept = {name: self.headers.get(name) for name in ("Authorization", "Content-Type")}
        self.server.asked.append(asked | kept)
        known = self.server.answers.get((self.command, self.path)) or self.server.answers.get((self.command, url.path))
        status, content = known or (404, {"message": "not found"})
        text = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two contexts: one with a namespace and a token, one that nobody listens at."""
    url = f"http://127.0.0.1:{server.server_port}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "one", "cluster": {"server": url}}, {"name": "gone", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "alice", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "alice", "namespace": "team-a"}},
            {"name": "bare", "context": {"cluster": "one", "user": "alice"}},
            {"name": "gone", "context": {"cluster": "gone", "user": "alice"}},
        ],
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(content))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return path


def fleece(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize(
    ("context", "namespace", "meant"), [("", "", "team-a"), ("bare", "", "default"), ("", "team-b", "team-b"), ("bare", "team-b", "team-b")]
)
def test_the_namespace_is_the_one_named_or_else_the_contexts(context: str, namespace: str, meant: str) -> None:
    assert api.connect(context, namespace).namespace == meant


def test_the_token_goes_with_every_question_and_the_server_says_who_that_is(server: Server, kubeconfig: Path) -> None:
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    server.answers["POST", review] = 201, {"status": {"userInfo": {"username": "alice@acme.com"}}}
    found = api.connect()
    assert (found.user, found.user) == ("alice@acme.com", "alice@acme.com")
    assert [(one["path"], one["Authorization"]) for one in server.asked] == [(review, "Bearer secret")]


@pytest.mark.parametrize(("kind", "verb"), [(api.MERGE, "PATCH"), (api.APPLY, "PATCH"), ("", "POST")])
def test_a_patch_says_of_what_kind_it_is(server: Server, kubeconfig: Path, kind: str, verb: str) -> None:
    server.answers[verb, "/x"] = 200, {}
    api.connect().call(verb, "/x", {"spec": {"suspend": None}}, {"force": "true"}, kind)
    assert server.asked[0]["Content-Type"] == (kind or "application/json")
    assert (server.asked[0]["body"], server.asked[0]["query"]) == ({"spec": {"suspend": None}}, {"force": ["true"]})


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert api.path("v1", "pods", "a/../b", "../../c?d") == "/api/v1/namespaces/a%2F..%2Fb/pods/..%2F..%2Fc%3Fd"


@pytest.mark.parametrize(
    ("file", "context", "said"),
    [
        ("nothing", "", "no cluster: there is no "),
        ("config", "nowhere", "no context 'nowhere' in the kubeconfig; there are: here, bare, gone"),
        ("broken", "", "Invalid kube-config file"),
        ("garbage", "", "garbage: while parsing a flow node"),
        ("text", "", "text: "),
    ],
)
def test_a_kubeconfig_that_names_no_cluster_is_told(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, file: str, context: str, said: str
) -> None:
    (kubeconfig.parent / "broken").write_text('{"apiVersion": "v1", "contexts": [], "clusters": [], "users": []}')
    (kubeconfig.parent / "garbage").write_text("a: [")
    (kubeconfig.parent / "text").write_text("hello")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig.parent / file))
    with pytest.raises(Refused, match=said) as refused:
        api.connect(context)
    assert refused.value.code == 64


@pytest.mark.parametrize(("program", "token"), [("exit 3", ""), ("echo nothing", ""), ("echo '{}'", "fresh")])
def test_a_program_that_gives_the_credentials_is_asked_and_its_failure_is_told(
    server: Server, kubeconfig: Path, program: str, token: str
) -> None:
    plugin = kubeconfig.parent / "plugin"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin.write_text(f"#!/bin/sh\n{program.format(json.dumps(answer))}\n")
    plugin.chmod(0o755)
    content = json.loads(kubeconfig.read_text())
    run = {"apiVersion": answer["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}
    content["users"][0]["user"] = {"exec": run}
    kubeconfig.write_text(json.dumps(content))
    server.answers["GET", RUNS] = 200, {"items": [], "metadata": {}}
    done = fleece("list", "--cluster")
    if token:
        assert server.asked[0]["Authorization"] == f"Bearer {token}"
    else:
        assert (done.exit_code, done.stderr.count("\n")) == (77, 1)
        assert "no credentials: exec: " in done.stderr


@pytest.mark.usefixtures("kubeconfig")
def test_a_cluster_that_is_away_is_69_in_one_line() -> None:
    done = fleece("get", "w", "--cluster", "--context", "gone")
    assert done.exit_code == 69
    assert done.stderr == (
        "fleece: http://127.0.0.1:9 does not answer ([Errno 111] Connection refused); is the cluster up, and --context the right one?\n"
    )


@pytest.mark.parametrize(("status", "code"), [(401, 77), (403, 77), (429, 75), (500, 69), (503, 69)])
def test_what_the_api_refuses_is_one_line_with_its_exit_code(server: Server, kubeconfig: Path, status: int, code: int) -> None:
    server.answers["GET", RUNS] = status, {"message": "because"}
    done = fleece("list", "--cluster")
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (code, 1, "")


def test_an_answer_that_is_no_api_is_refused(server: Server, kubeconfig: Path) -> None:
    server.answers["GET", f"{RUNS}/w"] = 404, "404 page not found"
    with pytest.raises(faults.Unreachable):
        Cluster(api.connect()).find("w")


def test_a_long_list_is_read_page_by_page(server: Server, kubeconfig: Path) -> None:
    made = [{"metadata": {"name": name, "creationTimestamp": "2026-11-21T17:00:00Z"}, "spec": {}} for name in ("a", "b")]
    server.answers["GET", f"{RUNS}?limit=200&labelSelector=team%3Da"] = 200, {"items": made[:1], "metadata": {"continue": "next"}}
    server.answers["GET", f"{RUNS}?limit=200&labelSelector=team%3Da&continue=next"] = 200, {"items": made[1:], "metadata": {}}
    made[0]["metadata"]["labels"] = made[1]["metadata"]["labels"] = {"team": "a"}
    assert [run["metadata"]["name"] for run in Cluster(api.connect()).chosen(Filter(labels="team=a"))] == ["a", "b"]


def test_an_unknown_name_is_told_with_what_is_there(server: Server, kubeconfig: Path) -> None:
    server.answers["GET", RUNS] = 200, {"items": [{"metadata": {"name": "finetune-abcde"}}], "metadata": {}}
    assert fleece("get", "finetune-abcdf", "--cluster").stderr == (
        "fleece: no run 'finetune-abcdf' in namespace team-a; did you mean 'finetune-abcde'?\n"
    )
    server.answers["GET", f"{RUNS.removesuffix('s')}templates"] = 200, {"items": [{"metadata": {"name": "finetune"}}], "metadata": {}}
    assert fleece("submit", "x").stderr == "fleece: no workflow template 'x' in namespace team-a; there are: finetune\n"


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["retry", "w", "--cluster"], "`fleece resubmit RUN --cluster` goes on where the run ended"),
        (["node", "set", "w", "--cluster"], "lets its controller alone write what became of a step"),
        (["get", "w", "-n", "team-a"], "-n and --context name a place on a cluster; add --cluster"),
        (["list", "--context", "here"], "-n and --context name a place on a cluster; add --cluster"),
    ],
)
def test_what_has_no_place_is_refused_in_one_line(words: list[str], said: str) -> None:
    done = fleece(*words)
    assert said in done.stderr
    assert (done.exit_code, done.stderr.count("\n")) == (64, 1)


def test_a_setting_makes_the_cluster_the_place(server: Server, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEECE_CLUSTER", "1")
    server.answers["GET", RUNS] = 200, {"items": [], "metadata": {}}
    assert fleece("list").output == "No workflows found\n"
    assert server.asked[0]["path"] == RUNS
