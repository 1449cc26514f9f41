"""Where things are: the project, its build, the cache for what is expensive to make, the run's temporary folder."""
import atexit
import importlib.machinery
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get('BULKHEAD_BINARY') or ROOT / 'build/release/bulkhead')


def program(name: str):
    """A program of this folder as a module."""
    loader = importlib.machinery.SourceFileLoader(f'program_{name}', str(Path(__file__).resolve().parent / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def cache_folder() -> Path:
    """Outside the source tree; readable by the user the servers run as (hence not under root's home)."""
    if os.environ.get('BULKHEAD_CACHE'):
        path = Path(os.environ['BULKHEAD_CACHE'])
    elif os.geteuid() == 0:
        path = Path('/var/cache/bulkhead')
    else:
        path = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'bulkhead'
    path.mkdir(parents=True, exist_ok=True)
    return path


_run_folder: Path | None = None


def run_folder() -> Path:
    """This process's own temporary folder, removed at exit unless BULKHEAD_KEEP is set."""
    global _run_folder
    if _run_folder is None:
        _run_folder = Path(tempfile.mkdtemp(prefix='bulkhead-it.'))
        _run_folder.chmod(0o755)
        atexit.register(_remove_run_folder, os.getpid())
    return _run_folder


def _remove_run_folder(owner: int) -> None:
    if os.getpid() != owner or _run_folder is None:
        return
    if os.environ.get('BULKHEAD_KEEP'):
        print(f'kept: {_run_folder}')
    else:
        shutil.rmtree(_run_folder, ignore_errors=True)
