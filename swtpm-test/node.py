# SPDX-License-Identifier: ISC
"""node: Node.js with the packages that tests/node/package-lock.json pins, in build/node."""

import fcntl
import filecmp
import os
import shutil
import subprocess

from agent import Skip

_HERE = os.path.dirname(os.path.abspath(__file__))
_WANTED = os.path.join(_HERE, '../tests/node')
_PLACE = os.path.join(_HERE, '../build/node')
_LOCK = 'package-lock.json'


def _is_there():
    ours, theirs = os.path.join(_WANTED, _LOCK), os.path.join(_PLACE, 'installed')
    return os.path.exists(theirs) and filecmp.cmp(ours, theirs, shallow=False)


def _install():
    """No script of a package runs; two at a time take turns."""
    os.makedirs(_PLACE, exist_ok=True)
    with open(_PLACE + '.lock', 'w') as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if _is_there():
            return
        for name in ('package.json', _LOCK):
            shutil.copy(os.path.join(_WANTED, name), _PLACE)
        done = subprocess.run(
            ['npm', 'ci', '--cache=' + os.path.join(_PLACE, 'cache'), '--ignore-scripts',
             '--no-audit', '--no-fund', '--no-update-notifier', '--fetch-retries=1'],
            cwd=_PLACE, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Skip('npm cannot install what %s pins: %s' % (
                os.path.relpath(_WANTED), (done.stderr.strip() or 'it failed').splitlines()[-1]))
        shutil.copy(os.path.join(_PLACE, _LOCK), os.path.join(_PLACE, 'installed'))


def run(script, input=b'', **options):
    """What a script, which may require() the packages, writes: bytes. Skips where it can't run."""
    for program in ('node', 'npm'):
        if shutil.which(program) is None:
            raise Skip('%s is not installed' % program)
    if not _is_there():
        _install()
    environment = {'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'HOME': '/nonexistent',
                   'NODE_PATH': os.path.join(_PLACE, 'node_modules')}
    return subprocess.run(['node', '-e', script], input=input, env=environment, check=True,
                          stdout=subprocess.PIPE, timeout=300, **options).stdout
