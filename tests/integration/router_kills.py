"""The router killed while a change of primary is at a step, under load; and what the next process has made of it."""
import signal

from admin_place import Operator
from operators import Asked
from processes import wait_until
from sessions import Beside
from switching import Switching, stored_step, wait_step


def kill_router(s: Switching, asked: Asked) -> None:
    s.router.process.send(signal.SIGKILL)
    s.router.process.popen.wait()
    asked.forget()


def kill_at(s: Switching, asked: Asked, step: str, after: int = 0) -> None:
    """Right after this step was stored, of an operation that comes after this one."""
    try:
        wait_step(s.router, step, after=after)
    finally:
        kill_router(s, asked)


def cancel_at(s: Switching, step: str) -> Beside:
    """CANCEL OPERATION as soon as this step is stored, by an operator who is logged on already."""
    operator = Operator(s.router)
    number = wait_until(lambda: operator("SELECT id FROM operations WHERE state = 'running'"), 20, 'it runs', 0.01)
    wait_step(s.router, step)

    def cancel() -> None:
        operator.error(f'CANCEL OPERATION {number[0][0]}')
        operator.close()

    return Beside(cancel)


def start_again(s: Switching) -> dict:
    """The operation, once the next process has ended it; `at`: the step that was stored when the router died."""
    at = stored_step(s.router)
    s.router.start()
    wait_until(lambda: s.router.operations()[-1]['state'] != 'running', 60, 'it has ended one way or the other', 0.1)
    operation = s.router.operations()[-1]
    print(at, operation)
    return {**operation, 'at': at[1].split(' (')[0]}


def check_told(s: Switching, operation: dict) -> bool:
    """It says what became of it, and that this was after a restart. True: it was finished."""
    done = operation['state'] == 'done'
    assert '(after a restart of the router)' in operation['detail'], operation
    assert ('put back' in operation['detail']) != done, operation
    assert any(operation['detail'] in words for words in s.router.events()), operation
    return done
