"""Logs of a run that goes on."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.local import logs
from tests.local.play import manifest, sh, write

RUN = """
import sys
from pathlib import Path
from pipelines.local import run
run.run(sys.argv[1], {}, home=Path(sys.argv[2]), templates=Path("none"))
"""


@pytest.mark.slow
def test_a_run_is_followed_to_its_end_and_no_line_is_lost_or_cut(tmp_path: Path) -> None:
    main = {"name": "main", "steps": [[{"name": "a", "template": "say"}], [{"name": "b", "template": "say"}]]}
    file = write(tmp_path, manifest(main, sh("say", "for i in 1 2 3; do printf half; sleep 0.3; echo $i; done; printf end")))
    runner = subprocess.Popen([sys.executable, "-c", RUN, file, str(tmp_path / "home")], cwd=Path(__file__).parents[2])
    while not (tmp_path / "home/runs/w/workflow.json").exists():
        time.sleep(0.01)
    found = list(logs.followed(tmp_path / "home", "w"))
    assert runner.wait(20) == 0
    assert found == [(step, line) for step in "ab" for line in ("half1", "half2", "half3", "end")]
