# SPDX-License-Identifier: ISC
"""package: the Debian packages of this source, for tests that install them.

`packages()` has dist/build-deb build them, which it does once for any number of tests and runs,
until a file changes; it gives {'mortise': path, 'libmortise1': path, 'libmortise-dev': path}.
`unpack(place)` has their files in a directory.
"""

import functools
import glob
import os
import shutil
import subprocess

from tap import Skip

NAMES = ('mortise', 'libmortise1', 'libmortise-dev')
BUILD_S = 540


@functools.lru_cache(None)
def packages():
    """{name: path of the .deb}; skips where packages cannot be built."""
    for program in ('dpkg-buildpackage', 'dh'):
        if not shutil.which(program):
            raise Skip(program + ' is not installed')
    done = subprocess.run([os.environ['MORTISE_TEST_SOURCE'] + '/dist/build-deb'],
                          capture_output=True, timeout=BUILD_S)
    said = done.stderr.decode(errors='replace')
    if done.returncode == 77:
        raise Skip(said.splitlines()[-1])
    assert done.returncode == 0, said[-3000:]
    built = {os.path.basename(path).split('_')[0]: path
             for path in done.stdout.decode().splitlines()}
    return {name: built[name] for name in NAMES}


def built(pattern, where=None):
    """Paths of build/deb, or of where, that pattern fits."""
    return glob.glob(os.path.join(where or os.environ['MORTISE_TEST_SOURCE'] + '/build/deb', pattern))


def unpack(place):
    """A directory with the files of all packages; not an installation."""
    for path in packages().values():
        subprocess.run(['dpkg-deb', '-x', path, place('root')], check=True)
    return place('root')
