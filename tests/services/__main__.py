"""`python -m tests.services`: storage on 4443, MLflow on 5000, git on 8080; when one of them ends, all end."""

import os
import signal
import subprocess
import sys
from typing import NoReturn

SERVICES = ("storage", "mlflow", "git")


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    running = {subprocess.Popen([sys.executable, "-m", f"tests.services.{name}"]).pid: name for name in SERVICES}
    try:
        while (ended := os.wait())[0] not in running:  # PID 1 also reaps what the others leave behind
            pass
        sys.exit(f"{running.pop(ended[0])} ended with {os.waitstatus_to_exitcode(ended[1])}; see its lines above")
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
