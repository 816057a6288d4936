"""`python -m tests.services.mlflow`: MLflow's server on a PostgreSQL of its own, both below one folder."""

import argparse
import os
import subprocess
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.services.mlflow")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a pod is reached by its own address
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--root", type=Path, default=Path("/tmp/services/mlflow"))
    flags = parser.parse_args()
    uri = database(flags.root)
    os.execvp("mlflow", server(uri, flags.host, flags.port, flags.root))  # noqa: S606


def database(root: Path) -> str:
    """Make and start PostgreSQL, reached by a socket below the folder. Gives its SQLAlchemy URL."""
    programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    data, log = root / "postgresql", root / "postgresql.log"
    root.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "mlflow",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
    options = f"-c listen_addresses='' -c unix_socket_directories={root} -c fsync=off"
    subprocess.run([programs / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"], check=True, stdout=subprocess.DEVNULL)
    return f"postgresql+psycopg2://mlflow@/postgres?host={root}"


def server(uri: str, host: str, port: int, root: Path) -> list[str]:
    """The command of the server. Job execution is off: it would start four more processes that nothing here uses."""
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    artifacts = ["--serve-artifacts", "--artifacts-destination", str(root / "artifacts")]
    open_to_all = ["--allowed-hosts", "*", "--host", host, "--port", str(port), "--workers", "1"]
    return ["mlflow", "server", "--backend-store-uri", uri, *artifacts, *open_to_all]


if __name__ == "__main__":
    main()
