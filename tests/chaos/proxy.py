# SPDX-License-Identifier: Apache-2.0
"""A TCP relay between the program and a server on this machine, which does to its links what
networks do: close, reset, fall silent, lose one side, get slow, answer nobody. Per direction where
that makes a difference: "up" is what the program sends, "down" what the server answers."""
import contextlib
import random
import select
import socket
import struct
import threading
import time

UP, DOWN = "up", "down"
BOTH = (UP, DOWN)


def _reset(s):
    """Closes with RST instead of FIN; what was not read yet is lost to the peer."""
    with contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class Link:
    """One connection: two sockets, a thread for each direction; the last one out closes both."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.closing = None  # "cut" or "reset"
        self.keep_server = False
        self.running = 2
        for way in BOTH:
            threading.Thread(target=self._run, args=(way,), daemon=True).start()

    def _run(self, way):
        a, b = (self.client, self.server) if way == UP else (self.server, self.client)
        try:
            self._pump(way, a, b)
        except OSError:
            self.end("cut")
        with self.proxy.lock:
            self.running -= 1
            last = self.running == 0
            if last and self in self.proxy.links:
                self.proxy.links.remove(self)
        if last:
            self._close()

    def _pump(self, way, a, b):
        p = self.proxy
        while self.closing is None:
            if way in p.stalled or not select.select([a], [], [], 0.05)[0]:
                if way in p.stalled:
                    time.sleep(0.01)
                continue
            data = a.recv(65536)
            if self.closing is not None:
                return
            if not data:  # the other direction may have more to say
                b.shutdown(socket.SHUT_WR)
                return
            if p.delay > 0:
                time.sleep(p.delay + p.random.random() * p.jitter)
            while way in p.stalled and self.closing is None:
                time.sleep(0.01)
            if p.passes(self, way, data):
                self.send(b, data)

    def send(self, to, data):
        """Until all is sent or the link is ended, also to somebody who does not read."""
        while data and self.closing is None:
            if select.select([], [to], [], 0.05)[1]:
                data = data[to.send(data, socket.MSG_DONTWAIT):]

    def end(self, how):
        if self.closing is None:
            self.closing = how
        for s in (self.client, self.server):
            if self.closing == "cut" and not (self.keep_server and s is self.server):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)  # wakes a blocked send, too

    def _close(self):
        if self.closing == "reset":
            _reset(self.client)
            _reset(self.server)
            return
        self.client.close()
        if self.keep_server:
            with self.proxy.lock:
                self.proxy.orphans.append(self.server)
        else:
            self.server.close()


class Proxy:
    def __init__(self, port, seed=0):
        self.target = port
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.links, self.orphans = [], []
        self.refusing = False
        self.stalled = set()  # directions in which nothing passes, though nothing is closed
        self.delay = self.jitter = 0.0
        self.limit = None     # (direction, bytes left, "cut" or "reset")
        self.swallowing = self.only = self.armed_by = None
        self.swallowed = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
                server.settimeout(None)
            except OSError:
                _reset(client)
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links.append(Link(self, client, server))

    def passes(self, link, way, data):
        """Whether the link carries this; may end it (or, with a limit, every link) on the way."""
        with self.lock:
            if self.armed_by is not None and way == UP and self.armed_by[0] in data:
                self.swallowing, self.only, self.armed_by = self.armed_by[1], link, None
            if self.swallowing is not None and way == UP and self.swallowing in data \
                    and self.only in (None, link):
                self.swallowing = self.only = None
                link.server.sendall(data)  # the server has it; nobody will hear the answer
                time.sleep(0.3)
                link.end("cut")
                self.swallowed += 1
                return False
            if self.limit is None or self.limit[0] != way:
                return True
            left = self.limit[1] - len(data)
            if left > 0:
                self.limit = (way, left, self.limit[2])
                return True
            part, how = data[:self.limit[1]], self.limit[2]
            self.limit = None
        to = link.server if way == UP else link.client
        link.send(to, part)
        self._end(how)
        return False

    def _end(self, how):
        with self.lock:
            links = list(self.links)
        for link in links:
            link.end(how)

    def cut(self):
        """Closes every link, in both directions."""
        self._end("cut")

    def reset(self):
        self._end("reset")

    def half_close(self, way):
        """The end of that direction's bytes; the other one goes on."""
        with self.lock:
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                (link.server if way == UP else link.client).shutdown(socket.SHUT_WR)

    def orphan(self):
        """The program sees its links closed, the server sees them silent (until heal)."""
        with self.lock:
            for link in self.links:
                link.keep_server = True
        self._end("cut")

    def cut_after(self, way, count, how="cut"):
        """All links end when so many more bytes have gone that way, the last ones in part."""
        with self.lock:
            self.limit = (way, count, how)

    def swallow(self, text, after=None):
        """The answer to the next message that holds these bytes is lost; after: to the next one on
        the link that sends these first."""
        if after is None:
            self.swallowing = text
        else:
            self.armed_by = (after, text)

    def heal(self):
        """New links are good ones; those that are there go on as well as they can."""
        self.stalled = set()
        self.refusing, self.delay, self.jitter = False, 0.0, 0.0
        with self.lock:
            self.limit = self.swallowing = None
            orphans, self.orphans = self.orphans, []
        for s in orphans:
            s.close()

    def close(self):
        self.heal()
        self.listener.close()
        self.cut()
        self.heal()
