"""What a guarded child is made to run in tests: a function whose document says how to misbehave."""

import os
import signal
import sys
import time


def factory(settings):
    """`settings["prefix"]` is put before every answer."""

    def act(document):
        word, _, rest = document.partition(b" ")
        if word == b"spin":
            while True:
                pass
        if word == b"sleep":
            time.sleep(float(rest))
        if word == b"signal":
            os.kill(os.getpid(), getattr(signal, rest.decode()))
        if word == b"exit":
            os._exit(int(rest))
        if word == b"raise":
            raise ValueError(rest.decode())
        if word == b"allocate":
            return str(len(bytearray(int(rest)))).encode()
        if word == b"print":
            print("on standard output")
            sys.stdout.flush()
        if word == b"pid":
            return str(os.getpid()).encode()
        return settings.get("prefix", "").encode() + document

    return act


def no_start(settings):
    """A factory that fails."""
    raise RuntimeError("no such model")
