"""plan: from a run file to a run, or one clear line and nothing written."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from steps import store
from steps.config_repo import checkout
from steps.contracts import PlanIn
from steps.faults import BadData, BadInput, Fault, NotAllowed, Unavailable
from steps.plan import plan
from steps.runfile import read_plan
from tests.steps.data_runs import a_base, a_config_repo, edit

ROW = b'{"instruction": "a", "input": "", "output": "b", "pair": "x"}\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    root = f"file://{tmp_path}/store"
    monkeypatch.setenv("FLEECE_STORE", root)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    a_base(root, tmp_path / "base")
    store.backend(root).create(f"{root}/uploads/tickets.jsonl", ROW * 20)
    return root


def written(root: str) -> list[str]:
    return [name for name in store.backend(root).names(root) if not name.startswith(("bases/", "uploads/"))]


def asked(repo: Path, **fields: Any) -> PlanIn:
    return PlanIn(config_repo=str(repo), **fields)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path) -> str:
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "configs")
    return git(folder, "rev-parse", "HEAD")


def test_a_run_file_becomes_a_run_with_everything_it_names(root: str, tmp_path: Path) -> None:
    out = plan(asked(a_config_repo(tmp_path / "repo")))
    planned = read_plan(out.run)
    assert out.run == f"{root}/runs/{out.run_id}"
    assert out.go == "yes"
    assert out.champion == "none"
    assert out.base == f"{root}/bases/demo-llama"
    assert store.read(planned.data) == ROW * 20
    assert planned.training["lora_rank"] == 64
    assert planned.model_card["contact"]
    assert planned.commit.commit == "none"


def test_the_same_run_has_the_same_id_from_another_folder_and_commit(root: str, tmp_path: Path) -> None:
    first = plan(asked(a_config_repo(tmp_path / "one"), promote="never", uid="a"))
    repo = a_config_repo(tmp_path / "two")
    committed(repo)
    second = plan(asked(repo, promote="auto", uid="b"))
    assert first.run_id == second.run_id
    assert [name for name in store.backend(first.run).names(first.run) if "submissions" in name] == [
        "submissions/a.json",
        "submissions/b.json",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"run.yaml": {"training": {"seed": 43}}},
        {"train.yaml": {"lora_rank": 32}},
        {"data-card.yaml": {"bias": "All of the tickets are polite and in plain English."}},
        {"model-card.yaml": {"misuse": "Sorting real tickets with it would be a misuse of a toy."}},
    ],
)
def test_any_change_of_config_gives_another_run(root: str, tmp_path: Path, change: dict[str, Any]) -> None:
    first = plan(asked(a_config_repo(tmp_path / "one")))
    repo = a_config_repo(tmp_path / "two")
    for name, edits in change.items():
        edit(repo / "configs/demo" / name, **edits)
    assert plan(asked(repo)).run_id != first.run_id


def test_other_data_or_machines_give_another_run(root: str, tmp_path: Path) -> None:
    repo = a_config_repo(tmp_path / "repo")
    first = plan(asked(repo))
    assert plan(asked(repo, preset="2x1-l4")).run_id != first.run_id
    store.backend(root).replace(f"{root}/uploads/tickets.jsonl", ROW * 21)
    assert plan(asked(repo)).run_id != first.run_id
    assert store.read(read_plan(first.run).data) == ROW * 20


@pytest.mark.parametrize(("unchanged", "go"), [("stop", "no"), ("reuse", "yes")])
def test_a_run_that_was_gated_before_stops_only_when_asked_to(root: str, tmp_path: Path, unchanged: Any, go: str) -> None:
    repo = a_config_repo(tmp_path / "repo")
    first = plan(asked(repo, unchanged=unchanged))
    assert first.go == "yes"
    store.create_json(f"{first.run}/gate/0123/result.json", {})
    again = plan(asked(repo, unchanged=unchanged))
    assert again.go == go
    assert "same data" in again.reason


@pytest.mark.slow
def test_a_branch_a_tag_and_a_commit_are_cloned_and_recorded(root: str, tmp_path: Path) -> None:
    repo = a_config_repo(tmp_path / "repo")
    first = committed(repo)
    git(repo, "tag", "v1")
    edit(repo / "configs/demo/run.yaml", training={"seed": 7})
    dirty = read_plan(plan(asked(repo)).run)
    assert (dirty.commit.commit, dirty.commit.dirty, dirty.runfile.training.seed) == (first, True, 7)
    git(repo, "commit", "--quiet", "-am", "seven")
    for ref, seed in [("v1", 42), ("main", 7), (first, 42), (first[:10], 42)]:
        planned = read_plan(plan(asked(repo, config_ref=ref)).run)
        assert planned.runfile.training.seed == seed
    cloned = checkout(str(repo), "v1", tmp_path)
    assert (cloned.commit, cloned.dirty, cloned.root == repo) == (first, False, False)
    assert read_plan(plan(PlanIn(config_repo=f"file://{repo}")).run).runfile.training.seed == 7


@pytest.mark.parametrize("repo", ["/", "/etc/fleece", ".", "file:///etc/fleece/git", ""])
def test_on_a_cluster_a_folder_of_the_pod_is_no_repository(repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(BadInput, match="is no git URL that a cluster can reach"):
        checkout(repo, "", tmp_path)


@pytest.mark.parametrize(
    ("fields", "fault", "text"),
    [
        ({"config": "configs/none.yaml"}, BadInput, "no file configs/none.yaml"),
        ({"config": "../run.yaml"}, BadInput, "without '..'"),
        ({"config": "/etc/passwd"}, BadInput, "inside the config repository"),
        ({"config": "configs/demo"}, BadInput, "is no file"),
        ({"config_ref": "nowhere"}, BadInput, "no branch, tag or commit 'nowhere'"),
        ({"config_ref": "--upload-pack=x"}, BadInput, "no branch, tag or commit"),
        ({"config_ref": "main..other"}, BadInput, "no branch, tag or commit"),
        ({"config_repo": "/nowhere/at/all"}, BadInput, "neither a folder"),
        ({"config_repo": "ext::sh -c id"}, BadInput, "neither a folder"),
        ({"config_repo": "https://me:secret@example.org/x.git"}, BadInput, "user or password"),
        ({"config_repo": "file:///nowhere/at/all.git"}, Unavailable, "cannot be cloned"),
        ({"tenant": "other"}, NotAllowed, "tenant 'default'"),
        ({"uid": "../../x"}, BadInput, "uid"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_written(
    root: str, tmp_path: Path, fields: dict[str, Any], fault: type[Fault], text: str
) -> None:
    repo = a_config_repo(tmp_path / "repo")
    committed(repo)
    with pytest.raises(fault) as seen:
        plan(PlanIn(**{"config_repo": str(repo), **fields}))
    assert text in str(seen.value)
    assert "secret" not in str(seen.value)
    assert "\n" not in str(seen.value)
    assert written(root) == []


@pytest.mark.parametrize(
    ("edits", "fault", "text"),
    [
        ({"tenant": None}, BadInput, "tenant: is missing"),
        ({"tennant": "default"}, BadInput, "tennant: is no key of a run file; did you mean tenant?"),
        ({"training": {"seed": "many"}}, BadInput, "training.seed"),
        ({"model": "other.use.v1"}, NotAllowed, "not of tenant"),
        ({"base": {"source": "store://bases/none"}}, BadInput, "no committed model folder"),
        ({"base": {"source": "store://../other/bases/x"}}, BadInput, "'..' segment"),
        ({"dataset": {"source": "store://uploads/none.jsonl"}}, BadInput, "there is no file"),
        ({"dataset": {"source": "store://uploads/../x.jsonl"}}, BadInput, "'..' segment"),
        ({"dataset": {"source": "configs/demo/run.yaml"}}, BadInput, "*.jsonl"),
        ({"dataset": {"columns": {"promt": "q"}}}, BadInput, "did you mean prompt?"),
        ({"dataset": {"card": "cards/none.yaml"}}, BadInput, "configs/demo/run.yaml: dataset.card: there is no file cards/none.yaml"),
        ({"risk": {"class": "PROHIBITED"}}, NotAllowed, "PROHIBITED"),
        ({"risk": {"class": "NONE"}}, BadInput, "risk.class"),
    ],
)
def test_a_wrong_run_file_is_refused_and_nothing_is_written(
    root: str, tmp_path: Path, edits: dict[str, Any], fault: type[Fault], text: str
) -> None:
    with pytest.raises(fault) as seen:
        plan(asked(a_config_repo(tmp_path / "repo", **edits)))
    assert text in str(seen.value)
    assert written(root) == []


def test_malformed_yaml_is_named_with_line_and_column(root: str, tmp_path: Path) -> None:
    repo = a_config_repo(tmp_path / "repo")
    (repo / "configs/demo/train.yaml").write_text("stage: sft\nlora_rank: [8\n")
    with pytest.raises(BadInput, match=r"configs/demo/train\.yaml, line 3, column 1"):
        plan(asked(repo))
    assert written(root) == []


def test_a_link_out_of_the_repository_is_not_followed(root: str, tmp_path: Path) -> None:
    repo = a_config_repo(tmp_path / "repo")
    outside = tmp_path / "outside.yaml"
    outside.write_text("stage: sft\n")
    (repo / "configs/demo/train.yaml").unlink()
    (repo / "configs/demo/train.yaml").symlink_to(outside)
    with pytest.raises(BadInput, match="symbolic link"):
        plan(asked(repo))


def test_an_empty_source_is_bad_data(root: str, tmp_path: Path) -> None:
    store.backend(root).replace(f"{root}/uploads/tickets.jsonl", b"")
    with pytest.raises(BadData, match="is empty"):
        plan(asked(a_config_repo(tmp_path / "repo")))
    assert written(root) == []
