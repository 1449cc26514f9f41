"""A relay in front of a server: everything that one can do to a connection from outside, at the moment one wants."""
import socket
import struct
import threading

from processes import free_port


class Relay:
    """Listens on `port`. While `silent` is set no answer passes; cut() resets every connection, on both sides."""

    def __init__(self, server, host: str = '127.0.0.1'):
        self._target, self.host, self.port = (server.host, server.port), host, free_port(host)
        self.answers = bytearray()  # all that the server said
        self.silent = threading.Event()
        self._passes, self._pairs, self._lock = threading.Condition(), [], threading.Lock()
        self.cut_on: bytes | None = None  # when a client sends this, its connection is reset instead
        self._listener = socket.create_server((host, self.port), backlog=64)
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> 'Relay':
        return self

    def __exit__(self, *_):
        self.release()
        self._listener.close()
        self.cut()

    def hold(self) -> None:
        self.silent.set()

    def release(self) -> None:
        with self._passes:
            self.silent.clear()
            self._passes.notify_all()

    def cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._reset(pair)

    @staticmethod
    def _reset(pair) -> None:
        for end in pair:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink, sink is client), daemon=True).start()

    def _pump(self, source, sink, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers:
                    self.answers += data
                    with self._passes:
                        self._passes.wait_for(lambda: not self.silent.is_set())
                elif self.cut_on and self.cut_on in data:
                    self.cut_on = None
                    self._reset((source, sink))
                    return
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
