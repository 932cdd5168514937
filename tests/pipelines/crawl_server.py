"""A server on this machine, laid out like Common Crawl's, that fails as told."""

import hashlib
import http.server
import socket
import struct
import threading
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """What one request meets instead of its answer, or to its answer."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    cut_at: int | None = None
    """Close after that many bytes of the body."""
    reset: bool = False
    stall_s: float = 0.0
    ignore_range: bool = False
    ignore_if_range: bool = False
    then_replace: bytes | None = None
    """The file's content from the next request on."""


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict


class CrawlServer:
    """Serves `files` by path; the first of `faults` meets the next request, and so on."""

    def __init__(self, files):
        self.files = dict(files)
        self.faults = []
        self.requests = []
        handler = type("Handler", (_Handler,), {"crawl": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    crawl: CrawlServer

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.crawl.requests.append(Request(self.path, dict(self.headers)))
        fault = self.crawl.faults.pop(0) if self.crawl.faults else Fault()
        path = self.path.lstrip("/")
        content = self.crawl.files.get(path)
        status = fault.status or (404 if content is None else None)
        if status is not None:
            self.answer(status, b"refused", fault.headers)
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        start = self.wanted_start(fault, etag)
        headers = {"ETag": etag, **fault.headers}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault.then_replace is not None:
            self.crawl.files[path] = fault.then_replace
        self.answer(206 if start else 200, content[start:], headers, fault)

    def wanted_start(self, fault, etag):
        wanted = self.headers.get("Range")
        is_same = fault.ignore_if_range or self.headers.get("If-Range") == etag
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and is_same and not fault.ignore_range else 0

    def answer(self, status, body, headers, fault=None):
        fault = fault or Fault()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: fault.cut_at])
        self.wfile.flush()
        time.sleep(fault.stall_s)
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
