"""Steps whose /tmp and declared paths are their own, as in a container."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.local import isolation, run
from pipelines.local.clock import Clock
from pipelines.local.faults import Refused
from pipelines.local.namespace import Mount
from pipelines.local.paths import Paths
from tests.local.gangs import jobset, pod_of
from tests.local.play import given, log, manifest, phases, play, sh

ROOT = Path(__file__).parents[2]
FORBIDDEN = subprocess.run(
    [sys.executable, "-c", "from pipelines.local import namespace; print(namespace.why_not())"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.strip()  # fmt: skip
isolated = pytest.mark.skipif(bool(FORBIDDEN), reason=f"no namespaces here: {FORBIDDEN}")


def output(path: str) -> dict[str, Any]:
    return {"parameters": [{"name": "o", "valueFrom": {"path": path}}]}


# --- the plan


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of this machine with two files, two folders and a link."""
    for name in ("here/a", "here/b", "here/deep/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "here/link").symlink_to("a")
    return tmp_path / "here"


def below(found: isolation.Layout, folder: Path) -> list[str]:
    """What is bound in below a folder of this machine, relative to it."""
    return sorted(mount.source[len(str(folder)) + 1 :] for mount in found.mounts if mount.source.startswith(f"{folder}/"))


def test_what_is_not_a_steps_own_is_bound_in_entry_by_entry(machine: Path, tmp_path: Path) -> None:
    found = isolation.layout(tmp_path / "root", [f"{machine}/deep/new"], {}, (), ())
    assert below(found, machine) == ["a", "b", "deep/c"]
    assert found.links[f"{tmp_path}/root{machine}/link"] == "a"
    assert {mount.source for mount in found.mounts} >= {"/dev", "/proc"}


def test_an_own_path_hides_what_this_machine_has_there(machine: Path, tmp_path: Path) -> None:
    assert below(isolation.layout(tmp_path / "root", [f"{machine}/deep"], {}, (), ()), machine) == ["a", "b"]


def test_what_stays_visible_below_an_own_path_is_bound_back_once(machine: Path, tmp_path: Path) -> None:
    visible = [f"{machine}/deep", str(machine), "/usr"]
    found = isolation.layout(tmp_path / "root", [str(tmp_path)], {}, (), visible)
    assert [m.source for m in found.mounts if m.source.startswith(str(tmp_path))] == [str(machine)]


def test_a_volume_lies_where_it_is_mounted_also_in_another_one(tmp_path: Path) -> None:
    volumes = {"/v": tmp_path / "v", "/v/in": tmp_path / "in"}
    found = isolation.layout(tmp_path / "root", [], volumes, ["/v/in"], ())
    assert found.mounts[-2:] == [
        Mount(f"{tmp_path}/in", f"{tmp_path}/v/in", True),
        Mount(f"{tmp_path}/v", f"{tmp_path}/root/v", False),
    ]


def test_nothing_of_the_plan_is_left_in_the_folder_afterwards(machine: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "own").mkdir(parents=True)
    found = isolation.layout(root, [f"{machine}/deep/new", "/own"], {}, (), ())
    isolation.make(found)
    assert (root / str(machine)[1:] / "deep/c").is_file()
    isolation.clear(found)
    assert list(root.iterdir()) == [root / "own"]


def test_settings_name_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some/file").touch()
    texts = [f"sqlite:///{tmp_path}/some/file", f"x={tmp_path}/none", f"file://{tmp_path}/some", "http://host/some"]
    assert isolation.named(texts, [str(tmp_path)]) == [f"{tmp_path}/some"]


@pytest.mark.parametrize(("text", "path"), [("/out/link", "out/real"), ("/out/up", "other"), ("/d/x", "out/x"), ("/out/loop", "out/loop")])
def test_links_of_a_step_lead_to_places_below_its_own_root(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "root/out").mkdir(parents=True)
    for name, target in {"out/link": "/out/real", "out/up": "../other", "d": "/out", "out/loop": "loop"}.items():
        (tmp_path / "root" / name).symlink_to(target)
    assert Paths(tmp_path, {}, ["/out", "/other"], "/", visible=[]).local(text) == tmp_path / "root" / path


# --- without it


@pytest.mark.parametrize("text", ["echo x > /tmp/none-such", "cat file:///tmp/none-such/deep", "ls /tmp/none-such/"])
def test_without_isolation_a_path_that_cannot_be_moved_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match=r"template 'main': /tmp/none-such.*\(--isolation none\); declare it"):
        play(tmp_path, manifest(sh("main", text)), isolated=False)
    assert not (tmp_path / "home/runs").exists()


def test_without_isolation_a_working_directory_that_is_not_here_is_refused(tmp_path: Path) -> None:
    container = {"image": "x", "command": ["true"], "workingDir": "/none/such"}
    with pytest.raises(Refused, match="/none/such is a step's own only in a mount namespace"):
        play(tmp_path, manifest({"name": "main", "container": container}), isolated=False)


@pytest.mark.slow
def test_without_isolation_declared_paths_are_moved_and_the_choice_is_kept(tmp_path: Path) -> None:
    first = sh("main", f"echo $TMPDIR > /out/o; test -e {tmp_path}/mended", outputs=output("/out/o"))
    workflow = play(tmp_path, manifest(first), isolated=False)
    assert workflow["status"]["nodes"]["w"]["outputs"]["parameters"][0]["value"].startswith(str(tmp_path))
    (tmp_path / "mended").touch()
    again = run.resume("w", home=tmp_path / "home", templates=tmp_path)
    assert again["status"]["nodes"]["w"]["outputs"]["parameters"][0]["value"].startswith(str(tmp_path))


# --- with it


@isolated
@pytest.mark.slow
def test_two_steps_at_once_have_each_their_own_tmp(tmp_path: Path) -> None:
    script = (
        "test ! -e /tmp/fleece-x; echo {{inputs.parameters.i}} > /tmp/fleece-x; touch met-{{inputs.parameters.i}}; "
        "until test -e met-1 && test -e met-2; do sleep 0.01; done; cat /tmp/fleece-x"
    )
    tasks = [{"name": f"t{i}", "template": "one", "arguments": given(i=str(i))} for i in (1, 2)]
    workflow = play(tmp_path, manifest({"name": "main", "dag": {"tasks": tasks}}, sh("one", script, "i", outputs=output("/tmp/fleece-x"))))
    assert (log(tmp_path, workflow, "t1"), log(tmp_path, workflow, "t2")) == ("1\n", "2\n")
    assert not Path("/tmp/fleece-x").exists()


@isolated
@pytest.mark.slow
def test_paths_need_no_folder_here_and_are_seen_by_their_names(tmp_path: Path) -> None:
    made = sh("made", "mkdir /fleece-o && echo made > /fleece-o/f; ln -s /fleece-o/f /tmp/l", outputs=output("/tmp/l"))
    made["outputs"]["artifacts"] = [{"name": "a", "path": "/fleece-o"}]
    read = sh("read", "cat /fleece-in/deep/f /etc/fleece.conf; ls -d /etc/passwd; echo > /etc/fleece.conf; pwd")
    read["inputs"] = {
        "artifacts": [{"name": "a", "path": "/fleece-in/deep"}, {"name": "c", "path": "/etc/fleece.conf", "raw": {"data": "c\n"}}]
    }
    read["container"] = read["container"] | {"workingDir": "/fleece/work"}
    artifact = {"artifacts": [{"name": "a", "from": "{{tasks.first.outputs.artifacts.a}}"}]}
    tasks = [{"name": "first", "template": "made"}, {"name": "r", "template": "read", "depends": "first", "arguments": artifact}]
    workflow = play(tmp_path, manifest({"name": "main", "dag": {"tasks": tasks}}, made, read))
    assert log(tmp_path, workflow, "r") == "made\nc\n/etc/passwd\n/fleece/work\n"
    assert not [path for path in ("/fleece-o", "/fleece-in", "/etc/fleece.conf", "/fleece") if Path(path).exists()]
    node = next(n for n in workflow["status"]["nodes"].values() if n["displayName"] == "first")
    assert node["outputs"]["parameters"][0]["value"] == "made"
    assert sorted(p.name for p in (tmp_path / "home/runs/w/nodes" / node["id"] / "root").iterdir()) == ["fleece-o", "tmp"]


@isolated
@pytest.mark.slow
def test_a_script_and_volumes_lie_where_a_pod_has_them(tmp_path: Path) -> None:
    script = {
        "image": "x",
        "command": ["sh"],
        "source": "echo $0 $TMPDIR; echo kept > /claim/f; echo x > /ro/f || cat /claim/f",
        "volumeMounts": [{"name": "c", "mountPath": "/claim"}, {"name": "c", "mountPath": "/ro", "readOnly": True}],
    }
    volumes = [{"name": "c", "persistentVolumeClaim": {"claimName": "mine"}}]
    workflow = play(tmp_path, manifest({"name": "main", "script": script}, volumes=volumes))
    lines = log(tmp_path, workflow, "w").splitlines()
    assert (lines[0], lines[-1]) == ("/argo/staging/script /tmp", "kept")
    assert (tmp_path / "home/volumes/default/mine/f").read_text() == "kept\n"


@isolated
@pytest.mark.slow
def test_a_program_that_only_the_step_has_is_found_in_its_root(tmp_path: Path) -> None:
    container = {"image": "x", "command": ["/fleece-in/run"]}
    artifact = {"name": "a", "path": "/fleece-in/run", "mode": 0o755, "raw": {"data": "#!/bin/sh\necho ran\n"}}
    template = {"name": "main", "container": container, "inputs": {"artifacts": [artifact]}}
    assert log(tmp_path, play(tmp_path, manifest(template)), "w") == "ran\n"
    gone = play(tmp_path, manifest(template | {"inputs": {}}, name="v"))
    assert gone["status"]["message"].endswith('exec: "/fleece-in/run": stat /fleece-in/run: no such file or directory')


@isolated
@pytest.mark.slow
def test_what_the_arguments_name_is_seen_below_tmp(tmp_path: Path) -> None:
    data = tmp_path.parent / f"{tmp_path.name}-data"
    data.mkdir()
    (data / "rows").write_text("rows\n")
    workflow = manifest(sh("main", "cat {{workflow.parameters.d}}"), arguments=given(d=f"{data}/rows"))
    assert log(tmp_path, play(tmp_path, workflow), "w") == "rows\n"


@isolated
@pytest.mark.slow
@pytest.mark.parametrize("more", ["/tmp/in", "/fleece-v"])
def test_what_stays_visible_is_seen_in_a_volume_over_tmp_too(tmp_path: Path, more: str) -> None:
    mounts = [{"name": "a", "mountPath": "/tmp"}, {"name": "b", "mountPath": more}]
    container = {"image": "x", "command": ["sh", "-c", f"echo b > {more}/f; cp /tmp/in/f . || cp {more}/f ."], "volumeMounts": mounts}
    template = {"name": "main", "container": container, "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]}
    assert play(tmp_path, manifest(template))["status"]["phase"] == "Succeeded"
    assert (tmp_path / "f").read_text() == "b\n"  # the current folder, here below /tmp


@isolated
@pytest.mark.slow
def test_a_relative_path_counts_from_the_current_folder_and_the_top_is_the_steps_own(tmp_path: Path) -> None:
    workflow = play(tmp_path, manifest(sh("main", "echo here > o; mkdir /fleece-undeclared", outputs=output("o"))))
    assert workflow["status"]["nodes"]["w"]["outputs"]["parameters"][0]["value"] == "here"
    assert (tmp_path / "o").exists()
    assert not Path("/fleece-undeclared").exists()


@isolated
@pytest.mark.slow
def test_the_ranks_of_a_gang_have_each_their_own_tmp_and_share_a_claim(tmp_path: Path) -> None:
    program = (
        "assert not os.path.exists('/tmp/fleece-x')\n"
        "open('/tmp/fleece-x', 'w').write(str(rank))\nopen(f'/shared/{rank}', 'w')\nopen('/fleece-new', 'w')\n"
        "while len(os.listdir('/shared')) < 2: time.sleep(0.01)\nassert open('/tmp/fleece-x').read() == str(rank)"
    )
    gang = jobset("gang", program, volumeMounts=[{"name": "s", "mountPath": "/shared"}], workingDir="/fleece/work")
    pod_of(gang)["volumes"] = [{"name": "s", "persistentVolumeClaim": {"claimName": "both"}}]
    ended = "status.terminalState == Completed"
    apply = {"action": "apply", "manifest": json.dumps(gang).replace("}}", "} }").replace("}}", "} }"), "successCondition": ended}
    workflow = play(
        tmp_path, manifest({"name": "main", "resource": apply | {"failureCondition": "status.terminalState == Failed"}}), clock=Clock()
    )
    logs = [path.read_text() for path in (tmp_path / "home/gangs").glob("*/attempt-*.log")]
    assert phases(workflow) == {"w": "Succeeded"}, logs
    assert sorted(path.name for path in (tmp_path / "home/volumes/default/both").iterdir()) == ["0", "1"]
    assert not Path("/tmp/fleece-x").exists()


@isolated
@pytest.mark.slow
def test_a_forked_job_is_where_its_step_is(tmp_path: Path) -> None:
    """`python` of a warm environment asks a server that is in no namespace."""
    (tmp_path / "job.py").write_text(
        "import os; print(os.path.exists('/fleece-in/f'), os.getpid() != os.getppid(), 'decimal' in __import__('sys').modules)"
    )
    table = {"warm": {"bin": str(Path(sys.executable).parent), "warm": ["decimal"], "serve": ["job"]}}
    (tmp_path / "images.yaml").write_text(yaml.safe_dump(table))
    container = {"image": "warm", "command": ["python", "-m", "job"]}
    artifact = {"name": "a", "path": "/fleece-in/f", "raw": {"data": "x"}}
    template = {"name": "main", "container": container, "inputs": {"artifacts": [artifact]}}
    assert log(tmp_path, play(tmp_path, manifest(template), images=tmp_path / "images.yaml"), "w") == "True True True\n"


@isolated
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root can")
def test_no_privilege_is_needed_and_none_is_gained() -> None:
    """A user that owns nothing enters, keeps its number, and has no capability after the exec."""
    program = """
import ctypes, os, sys
from pathlib import Path
from pipelines.local import isolation, namespace
root = isolation.layout(Path(sys.argv[1]), ["/tmp"], {}, (), ())
isolation.make(root)
os.chmod(root.root / "tmp", 0o777)
os.setgroups([]), os.setgid(65534), os.setuid(65534), ctypes.CDLL(None).prctl(4, 1)
namespace.enter(sys.argv[1], root.mounts, "/tmp")
os.execv("/bin/sh", ["sh", "-c", "touch /tmp/mine; id -u; ls /tmp; grep CapEff /proc/self/status"])
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "tmp").mkdir()
        found = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.split() == ["65534", "mine", "CapEff:", "0" * 16], found.stderr


@isolated
def test_the_host_is_out_of_reach_of_the_mounts(tmp_path: Path) -> None:
    program = f"from pipelines.local import namespace\nnamespace.enter({str(tmp_path)!r}, (), '/')\nopen('/inside', 'w')"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert (tmp_path / "inside").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
