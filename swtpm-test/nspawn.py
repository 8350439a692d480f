# SPDX-License-Identifier: ISC
"""nspawn: what tests need that boot a container with systemd-nspawn.

tree()    a Debian to boot
inside()  boots it for one script, and gives what came of that
"""

import functools
import json
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


UNIT = '''[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /out/%s
'''


def inside(place, script, *options, files=(), unified=True, limit_s=90):
    """The results.json that script left in its directory, /out, when it was all that a container
    was booted for: {'skip': why not} where none boots, or {'failed': ..., 'log': ...}.

    files go to /out, too; options are further ones of systemd-nspawn.
    """
    root, out = tree(), place.directory('out')
    for name in (script, *files):
        shutil.copy(os.path.join(HERE, name), out)
    unit = place.file('out/probe.service', UNIT % script)
    done = subprocess.run(
        ['systemd-nspawn', '--quiet', '--directory=' + root, '--volatile=overlay',
         '--register=no', '--keep-unit', '--system-call-filter=' + SYSCALLS,
         '--rlimit=MEMLOCK=64M', '--machine=mortise-%d' % os.getpid(), '--bind=%s:/out' % out,
         '--bind-ro=%s:/etc/systemd/system/probe.service' % unit, *options,
         '--boot', 'systemd.unit=probe.service', 'systemd.wants=basic.target'],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s,
        env={**os.environ, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY': '1' if unified else '0'})
    said = (done.stdout + done.stderr).decode(errors='replace')
    if 'basic.target' not in said and 'Basic System' not in said:
        return {'skip': 'no container boots here: %r' % said[-200:]}
    try:
        with open(out + '/results.json') as file:
            return json.load(file)
    except FileNotFoundError:
        return {'failed': 'booted, and came to nothing', 'log': said[-1500:]}
