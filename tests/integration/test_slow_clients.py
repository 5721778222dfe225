# SPDX-License-Identifier: Apache-2.0
"""Clients that send their request drop by drop do not keep the others out."""
import socket
import threading

import pytest
from harness import SLOW, free_port, wait_for


class Droppers:
    """Connections whose request never ends: a byte every second, as long as each is open."""

    def __init__(self, port, n):
        self.sockets = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(n)]
        for s in self.sockets:
            s.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.drop, daemon=True)
        self.thread.start()

    def drop(self):
        while not self.over.wait(1):
            for s in self.sockets:
                try:
                    s.sendall(b"a")
                except OSError:
                    pass

    def stop(self):
        self.over.set()
        self.thread.join()
        for s in self.sockets:
            s.close()


@pytest.fixture
def droppers():
    made = []

    def make(*args):
        made.append(Droppers(*args))
        return made[-1]
    yield make
    for d in made:
        d.stop()


def livez(port, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", port), timeout=2, source_address=(source, 0)) as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return s.recv(100).startswith(b"HTTP/1.1 200")


def test_they_are_shut(penstock, droppers):
    p = penstock({"connectors": {}}).start()
    wait_for("it answers", lambda: livez(p.port))
    droppers(p.port, 130)
    with pytest.raises(TimeoutError):
        livez(p.port)
    wait_for("it answers again", lambda: livez(p.port), 60)
    assert p.stop() == 0


def test_one_address_does_not_have_all_places(penstock, droppers):
    port = free_port()
    p = penstock({"connectors": {}, "service": {"listen": f"0.0.0.0:{port}", "api.token": "x"}}).start()
    wait_for("it answers", lambda: livez(port))
    droppers(port, 128)
    wait_for("others have an answer", lambda: livez(port, "127.0.0.2"), 5 * SLOW)
    assert p.stop() == 0
