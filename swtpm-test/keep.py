# SPDX-License-Identifier: ISC
"""keep: what is left of each agent, for the search after all suites (tests/last/leaks).

With MORTISE_TEST_KEEP=DIR: DIR/SUITE.PID.N/ has the log, audit log and store of the Nth agent of
that suite as its place was removed, and DIR/values/SUITE.PID the values that were set or read, one
a line in base64. Bounded: FILE_MAX bytes of a file, PROCESS_MAX of a suite; DIR/left-out says what
is missing. Without it nothing happens.
"""

import base64
import contextlib
import os
import sys

FILE_MAX, PROCESS_MAX = 8 << 20, 24 << 20
_kept = {'agents': 0, 'bytes': 0}


def _directory():
    return os.environ.get('MORTISE_TEST_KEEP')


def _name():
    return '%s.%d' % (os.path.basename(sys.argv[0]).removesuffix('.py'), os.getpid())


def _leave_out(path):
    with open(_directory() + '/left-out', 'a') as list_:
        list_.write('%s: %s\n' % (_name(), path))


def _copy(path, to):
    with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
        content = file.read(FILE_MAX + 1)
        if len(content) > FILE_MAX or _kept['bytes'] + len(content) > PROCESS_MAX:
            _leave_out(path)
            content = content[:max(0, min(FILE_MAX, PROCESS_MAX - _kept['bytes']))]
        _kept['bytes'] += len(content)
        os.makedirs(to, exist_ok=True)
        with open(os.path.join(to, os.path.basename(path)), 'wb') as copy:
            copy.write(content)


def _files_of(directory):
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if entry.is_file(follow_symlinks=False):
                yield entry.path


def agent(one):
    """Copies what a stopped agent has left."""
    if not _directory():
        return
    to = '%s/%s.%d' % (_directory(), _name(), _kept['agents'])
    _kept['agents'] += 1
    _copy(one.path + '/stderr', to)
    for part in ('store', 'log'):
        directory = one.store if part == 'store' else os.path.dirname(one.audit)
        for path in _files_of(directory):
            _copy(path, to + '/' + part)


def value(content):
    """Notes a value that a test has set or read."""
    if _directory() and content:
        os.makedirs(_directory() + '/values', exist_ok=True)
        with open('%s/values/%s' % (_directory(), _name()), 'a') as list_:
            list_.write(base64.b64encode(content).decode() + '\n')
