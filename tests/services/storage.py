"""`python -m tests.services.storage`: the strict Cloud Storage emulator, in memory, until it is killed."""

import argparse
import signal
import sys

from gcp_storage_emulator import server

from tests.steps import strict_gcs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.services.storage")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a pod is reached by its own address
    parser.add_argument("--port", type=int, default=4443)
    parser.add_argument("--bucket", default="fleece")
    flags = parser.parse_args()
    # Several pods upload with threads; the default backlog of 5 makes the sixth connection wait a second.
    server.server.HTTPServer.request_queue_size = 256
    with strict_gcs.running(flags.host, flags.port, flags.bucket) as url:
        sys.stdout.write(f"storage: gs://{flags.bucket} at {url}\n")
        signal.pause()


if __name__ == "__main__":
    main()
