# SPDX-License-Identifier: ISC
"""package: the Debian packages of this source, for tests that install them.

`packages()` has dist/build-deb build them, which it does once for any number of tests and runs,
until a file changes; it gives {'mortise': path, 'libmortise1': path, 'libmortise-dev': path}.
`packages_for(suite)` are those for another release of Debian, built by dist/build-deb in a tree of it.
`unpack(place)` has their files in a directory.
"""

import fcntl
import functools
import glob
import os
import re
import shutil
import subprocess

import boots
from tap import Skip

NAMES = ('mortise', 'libmortise1', 'libmortise-dev')
BUILD_S = 900


def by_name(done):
    """{name: path of the .deb}, of what dist/build-deb has said; skips where packages cannot be built."""
    said = done.stderr.decode(errors='replace')
    if done.returncode == 77:
        raise Skip(said.splitlines()[-1])
    assert done.returncode == 0, said[-3000:]
    found = {os.path.basename(path).split('_')[0]: path for path in done.stdout.decode().splitlines()}
    return {name: found[name] for name in NAMES}


@functools.lru_cache(None)
def packages():
    for program in ('dpkg-buildpackage', 'dh'):
        if not shutil.which(program):
            raise Skip(program + ' is not installed')
    return by_name(subprocess.run([os.environ['MORTISE_TEST_SOURCE'] + '/dist/build-deb'],
                                  capture_output=True, timeout=BUILD_S))


def own_release():
    with open('/etc/os-release') as file:
        found = re.search('^VERSION_CODENAME=(.*)$', file.read(), re.M)
    return found.group(1) if found else None


# What git knows of the source, as it is; what the last build left in build/ stays.
COPY = '''mkdir -p "$1" && cd "$1" && find . -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
cd "$2" && git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c '
for name; do [ ! -e "$name" ] || printf "%s\\0" "$name"; done' sh | tar --null -T - -cf - | tar -C "$1" -xf -'''


@functools.lru_cache(None)
def packages_for(suite):
    """packages() of Debian suite: this machine's own, or built in a tree of the other one."""
    if suite == own_release():
        return packages()
    source, tree = os.environ['MORTISE_TEST_SOURCE'], boots.tree(suite, 'build')
    copy = '%s/build/deb-%s' % (source, suite)
    os.makedirs(copy, exist_ok=True)
    with open(copy + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(['sh', '-euc', COPY, 'sh', copy, source], check=True)
        found = by_name(subprocess.run([boots.HERE + '/in_tree', tree, copy, 'dist/build-deb'],
                                       capture_output=True, timeout=BUILD_S))
    return {name: path.replace('/mnt', copy, 1) for name, path in found.items()}


def built(pattern, where=None):
    """Paths of build/deb, or of where, that pattern fits."""
    return glob.glob(os.path.join(where or os.environ['MORTISE_TEST_SOURCE'] + '/build/deb', pattern))


def unpack(place):
    """A directory with the files of all packages; not an installation."""
    for path in packages().values():
        subprocess.run(['dpkg-deb', '-x', path, place('root')], check=True)
    return place('root')
