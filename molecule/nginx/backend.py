#!/usr/bin/python3
"""An HTTPS server on 127.0.0.1 that says its port and what it was asked: backend.py PORT CERTIFICATE"""

import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/slow"):
            time.sleep(1)
        status = 503 if self.path.startswith("/broken") and self.server.server_port == 8441 else 200
        said = {"port": self.server.server_port, "headers": dict(self.headers), "got": len(body)}
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if self.path.startswith("/page"):
            self.send_header("Content-Security-Policy", "script-src 'self'")
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer


port, certificate = int(sys.argv[1]), sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
server = ThreadingHTTPServer(("127.0.0.1", port), Backend)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
