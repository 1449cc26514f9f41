"""A disk that takes its time, or hangs, for one process: LD_PRELOAD of a library in which fdatasync waits before it is
done.

The router stores each step of a change of primary before it is sent. With this, a step stays the last stored one for
long enough that another process can see it and act on it.
"""
import subprocess
from pathlib import Path

import paths

SOURCE = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  usleep(%d);
  return real(fd);
}
'''


def environment(milliseconds: int = 80) -> dict[str, str]:
    library = paths.run_folder() / f'slow_disk_{milliseconds}.so'
    if not library.exists():
        source = library.with_suffix('.c')
        source.write_text(SOURCE % (milliseconds * 1000))
        subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-o', str(library), str(source), '-ldl'], check=True)
    return {'LD_PRELOAD': str(library)}


FROZEN_SOURCE = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  while (access(getenv("FROZEN_DISK"), F_OK) == 0) usleep(20000);
  return real(fd);
}
'''


def freezable(flag: Path) -> dict[str, str]:
    """Hangs as long as this file is there."""
    library = paths.run_folder() / 'frozen_disk.so'
    if not library.exists():
        source = library.with_suffix('.c')
        source.write_text(FROZEN_SOURCE)
        subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-o', str(library), str(source), '-ldl'], check=True)
    return {'LD_PRELOAD': str(library), 'FROZEN_DISK': str(flag)}
