"""An OpenAI-compatible server in a thread: its verdicts come from a function, and its failures from a list."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARKS = r"<(data-[0-9a-f]{{16}}) {0}>\n(.*)\n</\1 {0}>"


def parts_of(question):
    """Prompt and both answers, read as a judge that trusts the marks reads them."""
    return [re.search(MARKS.format(name), question, re.DOTALL).group(2) for name in ("prompt", "answer A", "answer B")]


class Server:
    """The requests that came, and what is to be replied."""

    def __init__(self, verdict):
        self.verdict, self.failures, self.requests = verdict, [], []
        self.running = self.most_running = 0
        self.pause_s, self.drip = 0.0, False
        self.lock = threading.Lock()

    def questions(self):
        return [body["messages"][-1]["content"] for _, _, body in self.requests]


@contextmanager
def serving(verdict):
    """A server whose `url` gives `verdict(prompt, first, second)` as the reply; `failures` are used up first: a status,
    or (status, headers, body)."""
    state = Server(verdict)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.requests.append((self.path, dict(self.headers), body))
                state.running += 1
                state.most_running = max(state.most_running, state.running)
                failure = state.failures.pop(0) if state.failures else None
            time.sleep(state.pause_s)
            try:
                self.answer(body, failure)
            finally:
                with state.lock:
                    state.running -= 1

        def answer(self, body, failure):
            status, headers, content = failure if isinstance(failure, tuple) else (failure or 200, {}, None)
            if content is None and status == 200:
                reply = state.verdict(*parts_of(body["messages"][-1]["content"]))
                content = json.dumps({"choices": [{"message": {"role": "assistant", "content": reply}}]})
            data = (content or "overloaded").encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for byte in [data[i : i + 1] for i in range(len(data))] if state.drip else [data]:
                    self.wfile.write(byte)
                    self.wfile.flush()
                    time.sleep(0.05 if state.drip else 0)
            except OSError:
                pass  # the client gave up

        def log_message(self, *parts):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def longer(prompt, first, second):
    """Prefer the longer answer."""
    return "tie" if len(first) == len(second) else "A" if len(first) > len(second) else "B"
