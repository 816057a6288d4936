"""`python -m tests.services.git`: git's smart http protocol; whoever pushes says user and password, readers only with --private.

git's own CGI program does the work: https://git-scm.com/docs/git-http-backend
"""

import argparse
import base64
import hmac
import os
import subprocess
import sys
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

USER = "fleece"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root = Path()
    credentials = ""  # user:password; empty: nobody may push
    private = False

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        known = self._knows_the_password()
        if not known and (self.private or "git-receive-pack" in self.path):
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"', "Content-Type": "text/plain"}, b"a password is needed\n")
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            **({"REMOTE_USER": USER} if known else {}),
        }
        said = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        headers = BytesHeaderParser().parsebytes(head)
        status = int(headers.get("Status", "200 OK" if head else "500 git failed").split()[0])
        self._answer(status, {name: value for name, value in headers.items() if name != "Status"}, content)

    def _knows_the_password(self) -> bool:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        wanted = base64.b64encode(self.credentials.encode()).decode()
        return bool(self.credentials) and scheme.lower() == "basic" and hmac.compare_digest(value.strip(), wanted)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.services.git", description=f"push as {USER} with $GIT_PASSWORD")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a pod is reached by its own address
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--root", type=Path, default=Path("/tmp/services/git"))
    parser.add_argument("--repos", default="config,releases", help="bare repositories to make, by name")
    parser.add_argument("--private", action="store_true", help="readers need the password as well")
    flags = parser.parse_args()
    for name in flags.repos.split(","):
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", flags.root / f"{name}.git"], check=True)
    password = os.environ.get("GIT_PASSWORD", "")
    Handler.root, Handler.private, Handler.credentials = flags.root, flags.private, f"{USER}:{password}" if password else ""
    served = ThreadingHTTPServer((flags.host, flags.port), Handler)
    sys.stdout.write(f"git: {flags.repos} at http://{flags.host}:{flags.port}\n")
    served.serve_forever()


if __name__ == "__main__":
    main()
