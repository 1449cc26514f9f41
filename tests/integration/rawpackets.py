"""Constants and packets of the MySQL protocol, for rawclient."""
import struct
from dataclasses import dataclass, field

# Capability bits (the lower 32 are MySQL's; MariaDB's extended ones count from bit 32).
LONG_PASSWORD, FOUND_ROWS, LONG_FLAG, CONNECT_WITH_DB = 1, 2, 4, 8
COMPRESS, LOCAL_FILES, IGNORE_SPACE, PROTOCOL_41 = 32, 128, 256, 512
INTERACTIVE, SSL, TRANSACTIONS, SECURE_CONNECTION = 1024, 2048, 8192, 32768
MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS = 1 << 16, 1 << 17, 1 << 18
PLUGIN_AUTH, CONNECT_ATTRS, PLUGIN_AUTH_LENENC = 1 << 19, 1 << 20, 1 << 21
SESSION_TRACK, DEPRECATE_EOF, OPTIONAL_METADATA = 1 << 23, 1 << 24, 1 << 25
ZSTD, QUERY_ATTRIBUTES = 1 << 26, 1 << 27
MARIADB_PROGRESS, MARIADB_BULK, MARIADB_EXT_METADATA, MARIADB_CACHE_METADATA = 1 << 32, 1 << 34, 1 << 35, 1 << 36

BASE = (
    LONG_PASSWORD
    | LONG_FLAG
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
    | CONNECT_ATTRS
    | PLUGIN_AUTH_LENENC
    | LOCAL_FILES
)

(COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST) = (1, 2, 3, 4)
(COM_STATISTICS, COM_PROCESS_INFO, COM_PROCESS_KILL, COM_DEBUG, COM_PING) = (9, 10, 12, 13, 14)
(COM_CHANGE_USER, COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA) = (17, 22, 23, 24)
(COM_STMT_CLOSE, COM_STMT_RESET, COM_SET_OPTION, COM_STMT_FETCH, COM_RESET_CONNECTION) = (25, 26, 27, 28, 31)
COM_STMT_BULK_EXECUTE = 250

STATUS_IN_TRANS, STATUS_AUTOCOMMIT, STATUS_MORE_RESULTS = 1, 2, 8
STATUS_CURSOR_EXISTS, STATUS_LAST_ROW_SENT = 64, 128
MAX_PACKET = 0xFFFFFF


class ServerError(Exception):
    """An ERR packet where the caller wanted an OK."""

    def __init__(self, packet: bytes):
        self.packet = packet
        self.errno = struct.unpack_from('<H', packet, 1)[0]
        marked = packet[3:4] == b'#'
        self.sqlstate = packet[4:9].decode('latin1') if marked else ''
        self.message = packet[9 if marked else 3 :].decode('utf-8', 'replace')
        super().__init__(f'({self.errno}, {self.sqlstate}) {self.message}')


class Closed(Exception):
    """The peer closed the connection."""


def lenenc(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return lenenc(len(value)) + value
    if value < 251:
        return bytes([value])
    if value < 1 << 16:
        return b'\xfc' + struct.pack('<H', value)
    if value < 1 << 24:
        return b'\xfd' + struct.pack('<I', value)[:3]
    return b'\xfe' + struct.pack('<Q', value)


def read_lenenc(data: bytes, at: int) -> tuple[int | None, int]:
    first = data[at]
    if first < 251:
        return first, at + 1
    if first == 251:
        return None, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], 'little'), at + 1 + size


@dataclass
class Response:
    """One response, up to the packet that ends it. `packets` are (sequence id of the last frame, payload)."""

    packets: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def first(self) -> bytes:
        return self.packets[0][1]

    @property
    def last(self) -> bytes:
        return self.packets[-1][1]

    @property
    def error(self) -> ServerError | None:
        """The ERR packet that ended it, if one did."""
        return ServerError(self.last) if self.last[:1] == b'\xff' and len(self.last) < 4096 else None


@dataclass
class Greeting:
    protocol: int
    version: str
    thread_id: int
    scramble: bytes
    capabilities: int
    charset: int
    status: int
    plugin: str

    @staticmethod
    def parse(data: bytes) -> 'Greeting':
        if data[:1] == b'\xff':
            raise ServerError(data)
        end = data.index(0, 1)
        (thread_id,) = struct.unpack_from('<I', data, end + 1)
        at = end + 13
        scramble = data[end + 5 : end + 13]
        low, charset, status, high, length = struct.unpack_from('<HBHHB', data, at + 1)
        at += 9
        (extended,) = struct.unpack_from('<I', data, at + 6)
        at += 10
        rest = max(13, length - 8)
        scramble += data[at : at + rest].rstrip(b'\0')
        plugin = data[at + rest :].split(b'\0')[0].decode()
        capabilities = low | high << 16
        if not capabilities & LONG_PASSWORD:  # MariaDB says so: its extended capabilities are valid
            capabilities |= extended << 32
        return Greeting(data[0], data[1:end].decode(), thread_id, scramble, capabilities, charset, status, plugin)
