"""A server on this machine, laid out like Common Crawl's, that fails as told.

It answers `/CRAWL-index?url=…&output=json` as the CDX index does: captures as JSON lines; pages of a pattern; 404 with
`No Captures found`; 400 for a page beyond the last.
"""

import fnmatch
import hashlib
import http.server
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


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
        self.captures = {}
        """Rows of the index by crawl."""
        self.captures_per_page = 2
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
        path, query = urlsplit(self.path).path.lstrip("/"), parse_qs(urlsplit(self.path).query)
        if path.removesuffix("-index") in self.crawl.captures and fault.status is None:
            self.answer_captures(self.crawl.captures[path.removesuffix("-index")], query, fault)
            return
        content = self.crawl.files.get(path)
        status = fault.status or (404 if content is None else None)
        if status is not None:
            self.answer(status, b"refused", fault.headers)
            return
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        wanted = self.wanted_range(fault, etag)
        headers = {"ETag": etag, **fault.headers}
        if wanted is not None:
            start, last = wanted[0], min(wanted[1], len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        if fault.then_replace is not None:
            self.crawl.files[path] = fault.then_replace
        if wanted is None:
            self.answer(200, content, headers, fault)
        elif start > last:
            self.answer(416, b"", fault.headers)
        else:
            self.answer(206, content[start : last + 1], headers, fault)

    def wanted_range(self, fault, etag):
        """First and last byte of the range that is asked for and served."""
        wanted = self.headers.get("Range")
        is_same = fault.ignore_if_range or self.headers.get("If-Range", etag) == etag
        if not wanted or not is_same or fault.ignore_range:
            return None
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        return int(first), int(last) if last else 2**62

    def answer_captures(self, rows, query, fault):
        wanted = query["url"][0]
        found = [row for row in rows if fnmatch.fnmatchcase(self.key(row["url"]), self.key(wanted))]
        pages = [
            found[i : i + self.crawl.captures_per_page] for i in range(0, len(found), self.crawl.captures_per_page)
        ]
        assert query["output"] == ["json"]
        if "showNumPages" in query:
            told = {"pages": len(pages), "pageSize": 5, "blocks": len(pages)}
            self.answer(200, json.dumps(told).encode() + b"\n", fault.headers, fault)
            return
        if "page" in query:
            number = int(query["page"][0])
            if number >= len(pages):
                self.answer(400, b'{"message": "Page %d invalid: First Page is 0"}' % number, fault.headers)
                return
            found = pages[number]
        if not found:
            self.answer(404, json.dumps({"message": f"No Captures found for: {wanted}"}).encode(), fault.headers)
            return
        self.answer(200, b"".join(json.dumps(row).encode() + b"\n" for row in found), fault.headers, fault)

    @staticmethod
    def key(url):
        """Scheme, `www.` and a slash at the end do not count."""
        return url.removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")

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
