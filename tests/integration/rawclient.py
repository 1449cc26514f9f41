"""A client of the MySQL protocol that hides nothing: any capability, any packet, every response packet byte for byte.

It knows just enough of the protocol to find the end of each response, and keeps all packets it read. Facts: MariaDB
documentation "Client/Server Protocol", MySQL source documentation "Client/Server Protocol" (page_protocol_*).
"""
import hashlib
import socket
import ssl
import struct
import zlib
from dataclasses import dataclass

import rawauth
from rawpackets import *  # noqa: F401,F403 (the tests say rawclient.COM_QUERY and the like)
from rawpackets import Greeting, Response, ServerError, lenenc, read_lenenc


class RawConnection:
    """connect() does the whole login; the pieces are there for tests that want to do it wrongly."""

    def __init__(self, host='127.0.0.1', port=3306, unix=None, timeout=30):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(unix)
        else:
            self.sock = socket.create_connection((host, port), timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence = 0
        self.capabilities = 0
        self.compression: str | None = None
        self.compressed_sequence = 0
        self._plain = bytearray()  # bytes after decompression
        self._net = bytearray()  # bytes as read
        self.greeting: Greeting | None = None
        self.greeting_packet = b''
        self.auth_ok = b''
        self.bytes_read = 0

    def close(self):
        self.sock.close()

    def quit(self):
        self.sequence = self.compressed_sequence = 0
        try:
            self.write_packet(b'\x01')
        except OSError:
            pass
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.quit()

    # --- bytes -------------------------------------------------------------------------------------------------

    def send_bytes(self, data: bytes):
        """As they are, compressed only when compression is on."""
        if self.compression:
            for start in range(0, len(data), MAX_PACKET):
                self.sock.sendall(self._compressed(data[start : start + MAX_PACKET]))
        else:
            self.sock.sendall(data)

    def _compressed(self, part: bytes) -> bytes:
        body, size = part, 0
        if len(part) >= 50:
            squeezed = zlib.compress(part, 1) if self.compression == 'zlib' else zstd().ZstdCompressor(3).compress(part)
            if len(squeezed) < len(part):
                body, size = squeezed, len(part)
        header = len(body).to_bytes(3, 'little') + bytes([self.compressed_sequence]) + size.to_bytes(3, 'little')
        self.compressed_sequence = (self.compressed_sequence + 1) & 255
        return header + body

    def _receive(self, size: int) -> bytes:
        """Exactly `size` bytes off the network."""
        while len(self._net) < size:
            try:
                data = self.sock.recv(max(65536, min(size - len(self._net), 1 << 20)))
            except ConnectionResetError:  # which of the two it is depends on what was still unread
                data = b''
            if not data:
                raise Closed(f'closed after {len(self._net)} of {size} bytes')
            self.bytes_read += len(data)
            self._net += data
        out = bytes(self._net[:size])
        del self._net[:size]
        return out

    def _take(self, size: int) -> bytes:
        if not self.compression:
            return self._receive(size)
        while len(self._plain) < size:
            header = self._receive(7)
            length, unpacked = int.from_bytes(header[:3], 'little'), int.from_bytes(header[4:], 'little')
            self.compressed_sequence = (header[3] + 1) & 255
            body = self._receive(length)
            if unpacked:
                body = (
                    zlib.decompress(body)
                    if self.compression == 'zlib'
                    else zstd().ZstdDecompressor().decompress(body, max_output_size=unpacked)
                )
                assert len(body) == unpacked, f'compressed header says {unpacked}, unpacked {len(body)}'
            self._plain += body
        out = bytes(self._plain[:size])
        del self._plain[:size]
        return out

    # --- packets -----------------------------------------------------------------------------------------------

    def write_packet(self, payload: bytes):
        out = bytearray()
        for start in range(0, len(payload) + 1, MAX_PACKET):
            part = payload[start : start + MAX_PACKET]
            out += len(part).to_bytes(3, 'little') + bytes([self.sequence]) + part
            self.sequence = (self.sequence + 1) & 255
        self.send_bytes(bytes(out))

    def read_packet(self) -> bytes:
        payload = b''
        while True:
            header = self._take(4)
            length = int.from_bytes(header[:3], 'little')
            # Under compression servers take the inner number from the outer one at each flush; clients ignore it.
            assert self.compression or header[3] == self.sequence, f'sequence id {header[3]}, expected {self.sequence}'
            self.sequence = (header[3] + 1) & 255
            payload = payload + self._take(length) if payload else self._take(length)
            if length < MAX_PACKET:
                return payload

    def at_end(self) -> bool:
        """True if the peer has closed; False if it sent something or nothing within the socket's timeout."""
        try:
            return not self._net and self.sock.recv(1) == b''
        except (ConnectionResetError, BrokenPipeError):
            return True
        except (TimeoutError, ssl.SSLWantReadError):
            return False

    # --- login -------------------------------------------------------------------------------------------------

    def read_greeting(self) -> Greeting:
        self.greeting_packet = self.read_packet()
        self.greeting = Greeting.parse(self.greeting_packet)
        return self.greeting

    def start_tls(self, capabilities: int, charset=45, ca=None):
        self.write_packet(
            struct.pack('<IIB', capabilities & 0xFFFFFFFF, 1 << 30, charset)
            + bytes(19)
            + struct.pack('<I', capabilities >> 32)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(ca)
        assert not self._net, 'bytes before TLS'
        self.sock = context.wrap_socket(self.sock, server_hostname='localhost')

    def login_packet(
        self, user: str, answer: bytes, db: str | None, plugin: str, attributes: dict, charset=45
    ) -> bytes:
        caps = self.capabilities
        out = struct.pack('<IIB', caps & 0xFFFFFFFF, 1 << 30, charset) + bytes(19) + struct.pack('<I', caps >> 32)
        out += user.encode() + b'\0'
        out += lenenc(answer) if caps & PLUGIN_AUTH_LENENC else bytes([len(answer)]) + answer
        if caps & CONNECT_WITH_DB:
            out += (db or '').encode() + b'\0'
        if caps & PLUGIN_AUTH:
            out += plugin.encode() + b'\0'
        if caps & CONNECT_ATTRS:
            out += lenenc(b''.join(lenenc(k.encode()) + lenenc(v.encode()) for k, v in attributes.items()))
        if caps & ZSTD:
            out += b'\x03'
        return out

    def login(
        self,
        user: str,
        password: str,
        db: str | None = None,
        capabilities: int = BASE | DEPRECATE_EOF,
        tls=False,
        compress: str | None = None,
        attributes: dict | None = None,
        charset=45,
        plugin=None,
        ca=None,
    ):
        greeting = self.read_greeting()
        wanted = capabilities | (CONNECT_WITH_DB if db is not None else 0) | (SSL if tls else 0)
        wanted |= {'zlib': COMPRESS, 'zstd': ZSTD, None: 0}[compress]
        if greeting.capabilities >> 32:
            wanted &= ~LONG_PASSWORD  # bit 0 off tells MariaDB that the extended capabilities are valid
        self.capabilities = wanted & (greeting.capabilities | CONNECT_ATTRS)
        for bit, name in ((SSL, 'TLS'), (COMPRESS, 'zlib'), (ZSTD, 'zstd')):
            assert not wanted & bit or self.capabilities & bit, f'the server offers no {name}'
        if tls:
            self.start_tls(self.capabilities, charset, ca)
        plugin = plugin or greeting.plugin or 'mysql_native_password'
        answer = rawauth.answer(plugin, password, greeting.scramble)
        self.write_packet(self.login_packet(user, answer, db, plugin, attributes or {}, charset))
        self.finish_authentication(password, greeting.scramble, plugin, tls)
        self.compression = compress
        self.sequence = self.compressed_sequence = 0
        return self

    def finish_authentication(self, password: str, scramble: bytes, plugin: str, secure: bool):
        while True:
            packet = self.read_packet()
            if packet[:1] == b'\0':
                self.auth_ok = packet
                return
            if packet[:1] == b'\xff':
                raise ServerError(packet)
            if packet[:1] == b'\xfe':
                name, _, data = packet[1:].partition(b'\0')
                plugin = name.decode()
                scramble = data[:-1] if len(data) in (21, 33) else data  # servers end it with a zero
                self.write_packet(rawauth.answer(plugin, password, scramble))
            elif packet == b'\x01\x04':  # caching_sha2_password: full authentication
                if secure:
                    self.write_packet(password.encode() + b'\0')
                else:
                    self.write_packet(b'\x02')
                    key = self.read_packet()
                    self.write_packet(rawauth.encrypt_with_rsa(password, scramble, key[1:]))
            elif packet == b'\x01\x03':
                continue
            else:
                raise AssertionError(f'unexpected packet in the login: {packet!r}')

    # --- commands ----------------------------------------------------------------------------------------------

    def command(self, code: int, body: bytes = b'', reply: str = 'result', local_data: bytes = b'') -> Response | None:
        """Sends a command and reads its whole response. reply: result, ok, prepare, fetch, fields, string, none."""
        self.sequence = self.compressed_sequence = 0
        self.write_packet(bytes([code]) + body)
        if reply == 'none':
            return None
        return self.read_response(reply, local_data)

    def query(self, sql: str | bytes, local_data: bytes = b'') -> Response:
        text = sql.encode() if isinstance(sql, str) else sql
        if self.capabilities & QUERY_ATTRIBUTES:
            text = b'\x00\x01' + text  # no parameters, one set
        return self.command(COM_QUERY, text, local_data=local_data)

    def ok(self, sql: str | bytes) -> Response:
        response = self.query(sql)
        if response.error:
            raise response.error
        return response

    def read_response(self, reply: str = 'result', local_data: bytes = b'') -> Response:
        response = Response()

        def take() -> bytes:
            packet = self.read_packet()
            response.packets.append((self.sequence, packet))
            return packet

        if reply in ('ok', 'string'):
            take()
        elif reply == 'prepare':
            self._read_prepare(take)
        elif reply == 'fields':
            while take()[:1] not in (b'\xfe', b'\xff'):
                pass
        elif reply == 'fetch':
            while not self._ends_rows(take()):
                pass
        else:
            while self._read_one_result(take, local_data):
                pass
        return response

    def _ends_rows(self, packet: bytes) -> bool:
        if packet[:1] == b'\xff':
            return True
        limit = MAX_PACKET if self.capabilities & DEPRECATE_EOF else 9
        return packet[:1] == b'\xfe' and len(packet) < limit

    def status_of(self, packet: bytes) -> int:
        """Of an OK or EOF packet in this connection's form."""
        if packet[:1] == b'\xfe' and not self.capabilities & DEPRECATE_EOF:
            return struct.unpack_from('<H', packet, 3)[0]
        _, at = read_lenenc(packet, 1)
        _, at = read_lenenc(packet, at)
        return struct.unpack_from('<H', packet, at)[0]

    def _read_one_result(self, take, local_data: bytes) -> bool:
        """True if another result follows."""
        first = take()
        if first[:1] == b'\xff':
            if len(first) > 9 and first[1:3] == b'\xff\xff':  # MariaDB's progress report
                return True
            return False
        if first[:1] == b'\0':
            return bool(self.status_of(first) & STATUS_MORE_RESULTS)
        if first[:1] == b'\xfb':
            for start in range(0, len(local_data), 1 << 20):
                self.write_packet(local_data[start : start + (1 << 20)])
            self.write_packet(b'')
            return self._read_one_result(take, b'')
        columns, at = read_lenenc(first, 0)
        has_metadata = True
        if self.capabilities & (OPTIONAL_METADATA | MARIADB_CACHE_METADATA) and at < len(first):
            has_metadata = first[at] == 1
        if has_metadata:
            for _ in range(columns):
                if take()[:1] == b'\xff':  # no column: their catalogue is called "def"
                    return False
        if not self.capabilities & DEPRECATE_EOF:
            # With more results to come it is the cursor of a procedure, and the rows follow.
            if self.status_of(take()) & (STATUS_CURSOR_EXISTS | STATUS_MORE_RESULTS) == STATUS_CURSOR_EXISTS:
                return False
        elif not has_metadata and False:
            take()
        while True:
            packet = take()
            if self._ends_rows(packet):
                return packet[:1] == b'\xfe' and bool(self.status_of(packet) & STATUS_MORE_RESULTS)

    def _read_prepare(self, take):
        first = take()
        if first[:1] == b'\xff':
            return
        columns, parameters = struct.unpack_from('<HH', first, 5)
        for count in (parameters, columns):
            for _ in range(count):
                take()
            if count and not self.capabilities & DEPRECATE_EOF:
                take()

    # --- prepared statements -----------------------------------------------------------------------------------

    def prepare(self, sql: str | bytes) -> tuple[Response, int]:
        response = self.command(COM_STMT_PREPARE, sql.encode() if isinstance(sql, str) else sql, 'prepare')
        if response.error:
            return response, 0
        return response, struct.unpack_from('<I', response.first, 1)[0]

    def execute(self, statement: int, parameters: list['Parameter'] = (), cursor=0, send_types=True) -> Response:
        return self.command(COM_STMT_EXECUTE, self.execute_body(statement, parameters, cursor, send_types))

    def execute_body(self, statement: int, parameters, cursor=0, send_types=True) -> bytes:
        body = struct.pack('<IBI', statement, cursor, 1)
        named = bool(self.capabilities & QUERY_ATTRIBUTES)  # each parameter has a name then, here an empty one
        if parameters:
            if named:
                body += lenenc(len(parameters))
            nulls = bytearray((len(parameters) + 7) // 8)
            for i, p in enumerate(parameters):
                if p.value is None:
                    nulls[i // 8] |= 1 << i % 8
            body += bytes(nulls) + bytes([1 if send_types else 0])
            if send_types:
                body += b''.join(struct.pack('<BB', p.type, p.flags) + (b'\0' if named else b'') for p in parameters)
            body += b''.join(p.value for p in parameters if p.value is not None and not p.long_data)
        return body

    def send_long_data(self, statement: int, index: int, data: bytes):
        self.command(COM_STMT_SEND_LONG_DATA, struct.pack('<IH', statement, index) + data, 'none')

    def fetch(self, statement: int, rows: int) -> Response:
        return self.command(COM_STMT_FETCH, struct.pack('<II', statement, rows), 'fetch')

    def close_statement(self, statement: int):
        self.command(COM_STMT_CLOSE, struct.pack('<I', statement), 'none')

    def change_user(
        self,
        user: str,
        password: str,
        db: str = '',
        charset=45,
        attributes: dict | None = None,
        plugin='mysql_native_password',
    ) -> bytes:
        """Returns the OK packet; raises ServerError."""
        self.sequence = self.compressed_sequence = 0
        answer = rawauth.answer(plugin, password, self.greeting.scramble)
        body = user.encode() + b'\0' + bytes([len(answer)]) + answer + db.encode() + b'\0' + struct.pack('<H', charset)
        if self.capabilities & PLUGIN_AUTH:
            body += plugin.encode() + b'\0'
        if self.capabilities & CONNECT_ATTRS:
            attributes = attributes or {}
            body += lenenc(b''.join(lenenc(k.encode()) + lenenc(v.encode()) for k, v in attributes.items()))
        self.write_packet(bytes([COM_CHANGE_USER]) + body)
        self.finish_authentication(password, self.greeting.scramble, plugin, isinstance(self.sock, ssl.SSLSocket))
        return self.auth_ok

    # --- reading results in comfort ----------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple]:
        """Text rows of the first result set, as str or None."""
        response = self.ok(sql)
        count, _ = read_lenenc(response.first, 0)
        skip = 1 + count + (0 if self.capabilities & DEPRECATE_EOF else 1)
        out = []
        for _, packet in response.packets[skip:]:
            if self._ends_rows(packet):
                break
            at, row = 0, []
            for _ in range(count):
                length, at = read_lenenc(packet, at)
                row.append(None if length is None else packet[at : at + length].decode('utf-8', 'replace'))
                at += length or 0
            out.append(tuple(row))
        return out

    def value(self, sql: str) -> str | None:
        return self.rows(sql)[0][0]


@dataclass
class Parameter:
    """A bound parameter: type byte, flags (0x80: unsigned), encoded value or None."""

    type: int
    value: bytes | None
    flags: int = 0
    long_data: bool = False


def connect(target, user: str, password: str, db: str | None = None, **options) -> RawConnection:
    """target: anything with host and port. Logs in; closes the socket if that fails."""
    timeout = options.pop('timeout', 30)
    connection = RawConnection(getattr(target, 'host', '127.0.0.1'), target.port, timeout=timeout)
    try:
        return connection.login(user, password, db, **options)
    except BaseException:
        connection.close()
        raise


def zstd():
    import zstandard

    return zstandard


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
