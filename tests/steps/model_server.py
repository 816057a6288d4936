"""A model server with the manners of the real ones and no model: `python model_server.py FOLDER PORT NAME`.

It starts from the model's folder, whose config.json says how it behaves: `answer` (default "queue billing"), `seconds` an answer takes,
`ends` at once, `name` it lists instead of its own, `mute` for empty answers. On SIGTERM it finishes what it was asked.
"""

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

folder, port, name = sys.argv[1:]
behaviour: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.reply({"data": [{"id": behaviour.get("name", name)}]} if self.path == "/v1/models" else None)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(behaviour.get("seconds", 0))
        answer = "" if behaviour.get("mute") else behaviour.get("answer", "queue billing")
        known = self.path == "/v1/chat/completions" and asked["model"] == name
        self.reply({"choices": [{"message": {"role": "assistant", "content": answer}}]} if known else None)

    def reply(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if behaviour.get("ends"):
    sys.exit(f"no room for {behaviour['ends']} weights")
server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()  # waits for the answers that are under way
