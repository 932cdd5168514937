"""An object store for tests: moto's S3 on a loopback port, which tells of every request and can answer otherwise."""

import contextlib
import logging
import os
import secrets
import socket
import threading
from unittest import mock

import pytest

SECRET = "s3cr3t-of-the-test-7Qx"


class S3Server:
    """`requests` holds `(method, path)` of all that came; `before` and `after` are called with every request.

    `before` may return a status line, which is then the answer; where it raises a ConnectionError, the line is cut.
    """

    def __init__(self, application):
        self.application = application
        self.requests = []
        self.before = self.after = lambda method, path: None

    def __call__(self, environ, start_response):
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append(request)
        try:
            refusal = self.before(*request)
        except ConnectionError:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise
        if refusal:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(refusal, [("Content-Length", "0")])
            return [b""]
        answer = list(self.application(environ, start_response))
        self.after(*request)
        return answer

    def bucket(self):
        """The URL of a new empty bucket."""
        import s3fs

        name = f"loam-{secrets.token_hex(6)}"
        s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
        return f"s3://{name}"


@contextlib.contextmanager
def s3_server():
    """A server that the environment names with its credentials, as a user's environment would."""
    werkzeug = pytest.importorskip("werkzeug.serving", reason="moto's server needs the extra 'peers'")
    moto = pytest.importorskip("moto.server", reason="moto's server needs the extra 'peers'")
    pytest.importorskip("s3fs", reason="S3 needs the extra 's3'")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    application = S3Server(moto.DomainDispatcherApplication(moto.create_backend_app))
    server = werkzeug.make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_MAX_ATTEMPTS": "1",
    }
    try:
        with mock.patch.dict(os.environ, environment):
            yield application
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
