#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Units under a real systemd: a container is booted, an agent runs in it, and units ask it.

Once with the unified hierarchy (cgroup v2) and once with v1's name=systemd. units_inside.py is
what runs in the container; each boot takes a second or two, and its results serve all tests.
"""

import json
import os
import shutil
import subprocess

import tap
from agent import prefix
from nspawn import SYSCALLS, tree
from rooms import FIXTURES, INSIDE
from tap import Skip, has, same, test

DENIED, BOOT_S = 77, 90
UNIT = '''[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /out/units_inside.py
'''
CONF = '''[agent]
socket = /run/mortise/mortise.sock
store = /var/lib/mortise
audit-log = /var/log/mortise/audit.log
user = uucp
'''


_booted = {}


def boot(place, unified):
    """Results of one boot; made once for all tests of a mode."""
    if unified not in _booted:
        _booted[unified] = boot_anew(place, unified)
    results = _booted[unified]
    if 'skip' in results:
        raise Skip(results['skip'])
    assert 'failed' not in results, '%s\n%s' % (results['failed'], results['log'])
    return results


def boot_anew(place, unified):
    root, out = tree(), place.directory('out')
    for path in (INSIDE + '/units_inside.py', FIXTURES + '/wire.py'):
        shutil.copy(path, out)
    place.file('out/probe.service', UNIT)
    place.file('out/mortised.conf', CONF)
    done = subprocess.run(
        ['systemd-nspawn', '--quiet', '--directory=' + root, '--volatile=overlay',
         '--register=no', '--keep-unit', '--system-call-filter=' + SYSCALLS,
         '--rlimit=MEMLOCK=64M', '--machine=mortise-%d' % os.getpid(),
         '--bind=%s:/out' % out, '--bind-ro=%s:/opt/mortise' % prefix(),
         '--bind-ro=%s/probe.service:/etc/systemd/system/probe.service' % out,
         '--boot', 'systemd.unit=probe.service', 'systemd.wants=basic.target'],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_S,
        env={**os.environ, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY': '1' if unified else '0'})
    said = (done.stdout + done.stderr).decode(errors='replace')
    if 'basic.target' not in said and 'Basic System' not in said:
        return {'skip': 'no container boots here: %r' % said[-200:]}
    try:
        with open(out + '/results.json') as file:
            return json.load(file)
    except FileNotFoundError:
        return {'failed': 'booted, and came to nothing', 'log': said[-1500:]}


def in_each_mode(check):
    """Registers a check of results for both kinds of cgroups, by its name."""
    for unified in (True, False):
        def run(place, unified=unified):
            check(boot(place, unified))
        run.__name__ = check.__name__ + ('_with_v2' if unified else '_with_v1')
        test(run, root=True)
    return check


def allowed(results, case, value):
    same(results[case], [0, value], case)


def denied(results, case):
    same(results[case][0], DENIED, '%s: %r' % (case, results[case]))


@in_each_mode
def a_service_is_allowed_by_its_unit(results):
    allowed(results, 'service', 'db')
    allowed(results, 'service again', 'db')
    allowed(results, 'namespaces', "0 b'db'")
    has(results['who'][1], '"unit": "backup.service system.slice"')


@in_each_mode
def the_same_user_outside_the_unit_is_denied(results):
    for case in ('outside', 'other service'):
        denied(results, case)


@in_each_mode
def a_denial_s_hint_names_the_unit_and_tells_an_admin_why(results):
    for case, option, why in (
            ('other service', " --unit=backup-2.service ",
             'unit is backup-2.service, not backup.service'),
            ('other slice', " --unit='other.service batch-night.slice batch.slice' ",
             'unit is other.service, not backup.service'),
            ('no slice', ' --unit=any3.service ', 'unit is any3.service, not batch.slice')):
        hint, status, text = results['hint ' + case]
        has(hint, option)
        same(status, 1, (case, text))
        has(text, why)


@in_each_mode
def another_user_in_the_unit_is_denied(results):
    denied(results, 'other user')


@in_each_mode
def templates_scopes_and_slices_have_their_names(results):
    allowed(results, 'template', 'job')
    denied(results, 'template name')
    allowed(results, 'scope', 'scope')
    allowed(results, 'slice', 'batch')
    allowed(results, 'child slice', 'batch')
    denied(results, 'no slice')


@in_each_mode
def a_unit_of_a_user_manager_is_not_the_systems_unit_of_that_name(results):
    denied(results, 'user manager prod/db/password')
    allowed(results, 'user manager prod/own/password', 'own')
    has(results['user manager whoami'][1], 'user:backup.service', 'user@1000.service')
    denied(results, 'user slice')


def check_fakes(result):
    """Wherever he got, he is denied; and where he got to is below what is his."""
    status, text = result
    same(status, 0, text)
    tries = json.loads(text)
    for place, came in tries.items():
        assert came[0] in (DENIED, 'not there'), (place, came)
    same(tries['as it is'][0], DENIED)
    return tries


@in_each_mode
def a_user_cannot_fake_a_unit_by_making_cgroups(results):
    for case in ('fake', 'user manager fake'):
        check_fakes(results[case])


@test(root=True)
def with_v2_the_cgroups_he_makes_are_there_and_still_do_not_help(place):
    for case in ('fake', 'user manager fake'):
        tries = check_fakes(boot(place, True)[case])
        own = [came for path, came in tries.items()
               if path.endswith('/backup.service') and came[0] == DENIED]
        assert len(own) >= 2, tries
        for came in own:
            has(came[2], 'mine.service/')


@in_each_mode
def status_says_where_units_come_from(results):
    has(results['status'][1], '"evidence_unit": "cgroup ')


if __name__ == '__main__':
    tap.main()
