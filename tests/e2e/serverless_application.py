"""The application in the containers of test_serverless_runtime.py: it does what a request's path says."""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

turns = 0


def count():
    """A hundred turns a second, for as long as this program gets time."""
    global turns
    while True:
        turns += 1
        time.sleep(0.01)


class Visitor(BaseHTTPRequestHandler):
    def do_GET(self):
        target = urlsplit(self.path)
        given, what = dict(parse_qsl(target.query)), target.path.strip("/").replace("/", "_")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = getattr(self, what, self.plain)(**given) if what in dir(Visitor) else self.plain(**given)
        said = {"host": os.uname().nodename, "revision": os.environ["REVISION"], "path": self.path, "size": len(body)}
        answer = json.dumps({**said, **done}).encode()
        self.send_response(int(given.get("status", 200)))
        for name, value in given.items():
            if name.startswith("x-") or name == "via":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def plain(self, **given):
        return {}

    def sleep(self, seconds):
        time.sleep(float(seconds))
        return {}

    def turns(self):
        return {"turns": turns}

    def environment(self):
        return {"environment": dict(os.environ)}

    def sent(self, **given):
        return {"headers": {name.lower(): value for name, value in self.headers.items()}}

    def eat(self, megabytes):
        return {"ate": len(b"x" * (int(megabytes) << 20))}

    def write(self, path, megabytes=1):
        try:
            with Path(path).open("wb") as file:
                for _ in range(int(megabytes)):
                    file.write(bytes(1 << 20))
        except OSError as error:
            return {"refused": error.strerror}
        return {"refused": ""}

    def die(self):
        print("the application gives up", flush=True)
        os._exit(7)

    def large(self, size):
        return {"large": "x" * int(size)}

    def resolve(self, name):
        with socket.create_connection((name, 80), timeout=3) as there:
            return {"from": there.getsockname()[0], "greeting": there.recv(99).decode()}

    def fetch(self, url, **headers):
        try:
            asked = urllib.request.Request(url, headers={k.partition("-")[2]: v for k, v in headers.items()})
            with urllib.request.urlopen(asked, timeout=3) as answer:
                return {"status": answer.status, "answer": answer.read().decode()}
        except OSError as error:
            return {"status": getattr(error, "code", 0), "answer": str(error)}


threading.Thread(target=count, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", int(os.environ["PORT"])), Visitor).serve_forever()
