# SPDX-License-Identifier: ISC
"""nspawn: what tests need that boot a container with systemd-nspawn."""

import functools
import os
import shutil
import subprocess

from tap import Skip

HERE = os.path.dirname(os.path.abspath(__file__))
# What systemd-nspawn of 2022 keeps from its containers, and the agent cannot do without.
SYSCALLS = 'memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp'


@functools.lru_cache(None)
def tree():
    """The path of a Debian to boot; skips where there is none."""
    if not shutil.which('systemd-nspawn'):
        raise Skip('systemd-nspawn is not installed')
    done = subprocess.run([HERE + '/boot_tree'], capture_output=True, timeout=900)
    if done.returncode != 0:
        raise Skip(done.stderr.decode().strip() or 'no tree to boot')
    return done.stdout.decode().strip()
