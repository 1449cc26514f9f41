"""The report of deploy/quickstart: every row against the ledger that the clients wrote, and the figures."""
from dataclasses import dataclass, field

import ledger
from quickstart_freeze import SINGLE, Incident, percentile, total
from quickstart_view import milliseconds, say, table

# What a client is told, and how many rows that leaves: all, none, or either.
MEANINGS = {
    'done': 'done',
    'not executed': 'not executed (9401, 9403)',
    'rolled back': 'rolled back (1213)',
    'unknown': 'outcome unknown (9410)',
    'error': 'another error',
    'closed': 'connection closed',
}


@dataclass
class Truth:
    """Of all tenants: what was told against what is there."""

    comparison: ledger.Comparison = field(default_factory=ledger.Comparison)
    there: dict[str, int] = field(default_factory=dict)  # by label: writes whose rows are there
    absent: dict[str, int] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)  # rows that nobody wrote
    others: list[str] = field(default_factory=list)  # errors of tenants whose server was well
    problems: list[str] = field(default_factory=list)


def examine(incident: Incident) -> Truth:
    """Asks the servers themselves, past the router."""
    truth = Truth()
    for writers in incident.writers:
        told, rows = writers.told, ledger.rows_of(writers.server, writers.tenant)
        truth.comparison.add(ledger.compare(told, rows))
        for unit in told:
            where = truth.there if unit.id in rows else truth.absent
            where[unit.label] = where.get(unit.label, 0) + 1
            if writers is not incident.victim and unit.label != 'done':
                truth.others.append(f'{unit.tenant} {unit.kind} {unit.id}: told {unit.label} {unit.code} {unit.text}')
            if not unit.ended:
                truth.problems.append(f'{unit.tenant} {unit.kind} {unit.id}: still no answer')
        known = {unit.id for unit in told}
        truth.strangers += [f'row {i} of {writers.tenant}, which nobody wrote' for i in rows if i not in known]
        truth.problems += [p for client in writers.clients for p in client.problems]
    return truth


def _held(incident: Incident, gate: dict[str, int]) -> str:
    """After the thaw everything passes the gate until the ramp has ended: that is told apart."""
    name, shard = 'bulkhead_gate_enqueued_total', incident.victim.shard
    frozen = int(total(incident.at_thaw, name, shard=shard) - total(incident.before, name, shard=shard))
    left = f', {gate["left"]} given up by their clients' if gate['left'] else ''
    return (
        f'{frozen} statements while it was frozen, {incident.most_held} at once, and {gate["held"] - frozen} in the '
        f'ramp after it: {gate["released"]} released, {gate["refused"]} refused{left}'
    )


def _gate(incident: Incident) -> dict[str, int]:
    """The frozen shard's held statements, by what became of them."""
    shard = incident.victim.shard
    names = {
        'held': 'bulkhead_gate_enqueued_total',
        'released': 'bulkhead_gate_released_total',
        'refused': 'bulkhead_gate_refused_total',
        'left': 'bulkhead_gate_cancelled_total',
        'waiting': 'bulkhead_held_statements',
    }
    return {
        key: int(total(incident.after, name, shard=shard) - total(incident.before, name, shard=shard))
        for key, name in names.items()
    }


def _seconds(value: float | None, promise: str) -> str:
    return f'{value:.2f} s  ({promise})' if value is not None else 'none: thawed before'


def _p99(incident: Incident) -> str:
    before = [s for w in incident.others for s in w.latencies(incident.began, incident.frozen)]
    during = [s for w in incident.others for s in w.latencies(incident.frozen, incident.thawed)]
    first, second = percentile(before, 0.99), percentile(during, 0.99)
    return (
        f'p99 {milliseconds(first)} before, {milliseconds(second)} during ({second / first:.2f} times; '
        f'{len(before)} and {len(during)} writes)'
    )


def _figures(incident: Incident, truth: Truth, gate: dict[str, int]) -> list[tuple[str, str]]:
    victim, labels = incident.victim, truth.comparison
    waits = [unit.ended - unit.started for unit in victim.told if unit.ended and unit.kind in SINGLE]
    served = f'{incident.served - incident.thawed:.2f} s after the thaw' if incident.served else 'NOT SERVED AGAIN'
    return [
        ('frozen', f'{victim.backend} for {incident.thawed - incident.frozen:.1f} s, under load'),
        ('time to hold', _seconds(incident.hold, 'aim: 1.0 s')),
        ('time to verdict', _seconds(incident.verdict, 'aim: 3.0 s')),
        ('served again', served),
        ('longest wait', f'{max(waits, default=0):.1f} s until a statement of {victim.tenant} had its answer'),
        ('held', _held(incident, gate)),
        ('lost', str(len(labels.lost))),
        ('doubled', str(len(labels.doubled) + len(truth.strangers))),
        ('wrongly labelled', str(len(labels.wrong))),
        ('other tenants', f'{len(truth.others)} errors, {_p99(incident)}'),
    ]


def report(incident: Incident) -> bool:
    """Prints it; True if all is as promised."""
    say('every row on the four servers against what the clients were told')
    truth, gate = examine(incident), _gate(incident)
    rows = []
    for label, meaning in MEANINGS.items():
        there, absent = truth.there.get(label, 0), truth.absent.get(label, 0)
        if there + absent:
            rows.append([meaning, there + absent, there, absent])
    table(['a client was told', 'writes', 'rows there', 'no rows'], rows)
    for name, text in _figures(incident, truth, gate):
        print(f'    {name:<18}{text}')
    print(flush=True)
    faults = truth.comparison.lies + truth.strangers + truth.others + truth.problems
    if not incident.served:
        faults.append(f'{incident.victim.tenant} was not served again')
    if incident.seconds >= 3 and incident.hold is None:
        faults.append(f'{incident.victim.backend} was never suspected')
    if gate['held'] != gate['released'] + gate['refused'] + gate['left'] + gate['waiting']:
        faults.append(f'the router counted {gate}, which does not add up')
    for fault in faults[:20]:
        print(f'    WRONG: {fault}')
    say('as promised: every answer was true' if not faults else f'NOT AS PROMISED: {len(faults)} faults')
    return not faults
