"""Steps of the differential test: what is sent, and how its raw answer is made comparable."""
import re
import struct
from dataclasses import dataclass, field
from typing import Callable

import rawclient as rc
from rawclient import Parameter, lenenc

Packets = list[tuple[int, bytes]]


@dataclass
class Step:
    """`run` sends one or more commands and returns the packets of the answer."""

    label: str
    run: Callable[[rc.RawConnection, dict], Packets]
    only: str | None = None  # server kind
    mask: list[re.Pattern] = field(default_factory=list)  # what may differ in payloads
    needs: int = 0  # capabilities without which the step is left out


def q(sql: str | bytes, only=None, mask=(), local_data: bytes = b'', needs=0) -> Step:
    """A text statement."""
    label = sql if isinstance(sql, str) else sql.decode('latin1')
    return Step(label[:100], lambda c, _: c.query(sql, local_data).packets, only, [re.compile(m) for m in mask], needs)


def many(*statements: str, only=None) -> list[Step]:
    return [q(s, only) for s in statements]


def command(label: str, code: int, body: bytes = b'', reply='result', only=None, mask=()) -> Step:
    def run(c, _):
        response = c.command(code, body, reply)
        return response.packets if response else []

    return Step(label, run, only, [re.compile(m, re.S) for m in mask])


def without_id(packets: Packets) -> Packets:
    """A prepare's answer without the statement id, which is the router's own."""
    if packets and packets[0][1][:1] == b'\0':
        sequence, first = packets[0]
        return [(sequence, first[:1] + b'ID__' + first[5:]), *packets[1:]]
    return packets


def prepare(name: str, sql: str | bytes, only=None) -> Step:
    def run(c, memory):
        response, memory[name] = c.prepare(sql)
        memory[name + ' failed'] = response.error is not None
        return without_id(response.packets)

    return Step(f'prepare {name}: {sql if isinstance(sql, str) else sql!r}'[:120], run, only)


def execute(name: str, *parameters: Parameter, cursor=0, send_types=True, only=None) -> Step:
    def run(c, memory):
        if memory.get(name + ' failed'):
            return []
        return c.execute(memory[name], list(parameters), cursor, send_types).packets

    return Step(f'execute {name} {[p.type for p in parameters]} cursor={cursor}', run, only)


def fetch(name: str, rows: int, only=None) -> Step:
    return Step(
        f'fetch {name} {rows}',
        lambda c, m: [] if m.get(name + ' failed') else c.fetch(m[name], rows).packets,
        only,
        [re.compile(rb'statement \(\d+\)')],
    )  # the message names the statement's id


def long_data(name: str, index: int, data: bytes) -> Step:
    return Step(f'long data {name}[{index}] {len(data)}', lambda c, m: c.send_long_data(m[name], index, data) or [])


def reset_statement(name: str) -> Step:
    return Step(f'reset {name}', lambda c, m: c.command(rc.COM_STMT_RESET, struct.pack('<I', m[name]), 'ok').packets)


def close_statement(name: str) -> Step:
    return Step(f'close {name}', lambda c, m: c.close_statement(m[name]) or [])


def prepared(sql: str, *parameters: Parameter, only=None) -> list[Step]:
    """Prepare, execute once, close."""
    name = f'ps {sql}'
    close = Step(
        f'close {name}', lambda c, m: [] if m.get(name + ' failed') else c.close_statement(m[name]) or [], only
    )
    return [prepare(name, sql, only), execute(name, *parameters, only=only), close]


# Parameters by type (values as the binary protocol has them).
TYPES = {
    'tiny': 1,
    'short': 2,
    'long': 3,
    'float': 4,
    'double': 5,
    'null': 6,
    'timestamp': 7,
    'longlong': 8,
    'int24': 9,
    'date': 10,
    'time': 11,
    'datetime': 12,
    'year': 13,
    'bit': 16,
    'json': 245,
    'decimal': 246,
    'enum': 247,
    'set': 248,
    'tiny_blob': 249,
    'medium_blob': 250,
    'long_blob': 251,
    'blob': 252,
    'var_string': 253,
    'string': 254,
    'geometry': 255,
}
_FORMATS = {
    'tiny': 'b',
    'short': 'h',
    'long': 'i',
    'int24': 'i',
    'longlong': 'q',
    'float': 'f',
    'double': 'd',
    'year': 'h',
}


def p(kind: str, value=None, unsigned=False) -> Parameter:
    """A parameter of a type; bytes are sent length-prefixed, tuples are dates and times."""
    flags = 0x80 if unsigned else 0
    if value is None:
        return Parameter(TYPES[kind], None, flags)
    if kind in _FORMATS:
        code = _FORMATS[kind].upper() if unsigned else _FORMATS[kind]
        return Parameter(TYPES[kind], struct.pack('<' + code, value), flags)
    if kind in ('date', 'datetime', 'timestamp'):
        return Parameter(TYPES[kind], _datetime(*value), flags)
    if kind == 'time':
        return Parameter(TYPES[kind], _time(*value), flags)
    return Parameter(TYPES[kind], lenenc(value if isinstance(value, bytes) else value.encode()), flags)


def long_parameter(kind='blob') -> Parameter:
    """Its value was sent with COM_STMT_SEND_LONG_DATA."""
    return Parameter(TYPES[kind], b'', 0, long_data=True)


def _datetime(*parts) -> bytes:
    if not parts:
        return b'\0'
    body = struct.pack('<HBB', *parts[:3])
    if len(parts) > 3:
        body += struct.pack('<BBB', *parts[3:6])
    if len(parts) > 6:
        body += struct.pack('<I', parts[6])
    return bytes([len(body)]) + body


def _time(negative=0, days=0, hours=0, minutes=0, seconds=0, micros=None) -> bytes:
    body = struct.pack('<BIBBB', negative, days, hours, minutes, seconds)
    if micros is not None:
        body += struct.pack('<I', micros)
    return bytes([len(body)]) + body


def normal(step: Step, packets: Packets, compressed: bool) -> list:
    out = []
    for sequence, payload in packets:
        for pattern in step.mask:
            payload = (
                pattern.sub(b'MASKED', payload)
                if isinstance(pattern.pattern, bytes)
                else pattern.sub('MASKED', payload.decode('latin1')).encode('latin1')
            )
        if len(payload) > 2000:
            payload = payload[:40] + f'...{len(payload)} bytes, digest {rc.digest(payload)}'.encode()
        out.append((None if compressed else sequence, payload))
    return out


def run(connection: rc.RawConnection, steps: list[Step], kind: str) -> list[tuple[str, object]]:
    """Every step's label and normalised answer; an exception is an answer too."""
    memory: dict = {}
    results = []
    for step in steps:
        if (step.only and step.only != kind) or step.needs & ~connection.capabilities:
            continue
        try:
            answer = normal(step, step.run(connection, memory), connection.compression is not None)
        except (rc.Closed, OSError, AssertionError, rc.ServerError) as error:
            # Where the connection ends is part of the comparison; the words of the operating system are not.
            answer = [type(error).__name__ if not isinstance(error, AssertionError) else f'assert {error}']
            results.append((step.label, answer))
            if not isinstance(error, rc.ServerError):
                break
            continue
        results.append((step.label, answer))
    return results
