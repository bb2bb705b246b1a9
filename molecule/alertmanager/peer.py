"""Somebody who is told of alerts, and a target of Prometheus, over TLS: peer.py PORT. What is told is kept line by line."""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(__file__).parent


class Peer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(b"molecule_target 1\n")

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (FOLDER / "told.jsonl").open("a") as file:
            print(json.dumps({"authorization": self.headers["Authorization"], **told}), file=file)
        self.answer(b"")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Peer)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
