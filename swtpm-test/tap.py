# SPDX-License-Identifier: ISC
"""tap: runs the tests of one file and says what came of each, as TAP.

A test is a function with @test; its name, with blanks for underscores, is the sentence that it
proves. It gets a Place of its own. Nothing here sleeps for a time: until() waits for a condition.
"""

import inspect
import os
import signal
import sys
import time
import traceback

from agent import Place, Skip  # noqa: F401: tests raise it

_tests = []


def test(function=None, *, root=False):
    """Registers a test; with root=True it is skipped, by name, unless root runs it."""
    def register(function):
        _tests.append((function, root))
        return function
    return register(function) if function else register


def until(condition, seconds=60, what=None):
    """The first true result of condition(); an AssertionError when the time is over, with what(), or what."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError((what() if callable(what) else what) or 'waited %d s for: %s' % (
                seconds, inspect.getsource(condition).strip()))
        time.sleep(0.01)


def same(found, expected, about=''):
    """Fails with both unless they are equal; long ones are cut."""
    if found != expected:
        raise AssertionError('%s: found %.400r, expected %.400r' % (
            about or 'differs', found, expected))


def has(text, *parts):
    """Fails unless each of parts is in text."""
    for part in parts:
        if part not in text:
            raise AssertionError('%r is not in %.800r' % (part, text))


def has_not(text, *parts):
    """Fails if one of parts is in text."""
    for part in parts:
        if part in text:
            raise AssertionError('%r is in %.800r' % (part, text))


def _explain(place):
    for line in traceback.format_exc().splitlines():
        print('# ' + line)
    for line in place.describe():
        print('# ' + line)


def _run(function, root):
    if root and os.geteuid() != 0:
        return 'skip', 'needs root'
    with Place() as place:
        try:
            function(place)
        except Skip as reason:
            return 'skip', str(reason)
        except Exception:
            _explain(place)
            return 'failed', ''
    return 'ok', ''


def main():
    """Runs all tests, or those whose sentence has one of the arguments in it."""
    for name in ('MORTISE_TEST_PREFIX', 'MORTISE_TEST_BUILD'):
        if name not in os.environ:
            print('Bail out! %s is not set' % name)
            sys.exit(1)
    chosen = [(function, root, function.__name__.replace('_', ' '))
              for function, root in _tests]
    wanted = [(function, root, sentence) for function, root, sentence in chosen
              if not sys.argv[1:] or any(part in sentence for part in sys.argv[1:])]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # fixtures end on the way
    failed = 0
    print('1..%d' % len(wanted), flush=True)
    for number, (function, root, sentence) in enumerate(wanted, 1):
        began = time.monotonic()
        result, reason = _run(function, root)
        failed += result == 'failed'
        print('%sok %d - %s%s' % ('not ' if result == 'failed' else '', number, sentence,
                                  ' # SKIP ' + reason if result == 'skip' else ''))
        if 'MORTISE_TEST_TIMES' in os.environ:
            print('# %.2f s' % (time.monotonic() - began))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
