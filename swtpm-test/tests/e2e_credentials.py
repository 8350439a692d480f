#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""LoadCredential= under a real systemd: a container is booted twice, with one store and one TPM.

The TPM is outside, behind a tap that counts its commands. credentials_inside.py is what runs in
the container; its results of a boot serve all tests.
"""

import functools
import json
import os
import shutil
import subprocess

import tap
from agent import Place, prefix
from nspawn import SYSCALLS, tree
from rooms import CHECKOUT, INSIDE
from tap import Skip, has, same, test
from tpm import Tap

DIST = CHECKOUT + '/dist'
BOOT_S = 180
REFUSED, MANY = 243, 200  # systemd's EXIT_CREDENTIALS
SOCKET = '/run/mortise/credentials.sock'
CONF = '''[agent]
user = uucp
[credentials]
wait = 3
[tpm2]
tcti = swtpm:path=/out/tap.sock
'''
UNITS = {
    'mortised.service': '''[Service]
Type=notify
ExecStart=/opt/mortise/sbin/mortised --sealer=/opt/mortise/libexec/mortise-sealer -c /out/mortised.conf
Restart=on-failure
PrivateNetwork=yes
''',
    'many.target': '[Unit]\nWants=%s\nAfter=%s\n' % (2 * (' '.join(
        'many@%d.service' % number for number in range(MANY)),)),
    'many@.service': '''[Unit]
After=mortise-credentials.socket
Requires=mortise-credentials.socket
[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=many:%s
ExecStart=/bin/sh -c 'mkdir -p /run/many; cp "$CREDENTIALS_DIRECTORY/many" /run/many/%%i'
''' % SOCKET,
}
PROBE = '''[Unit]
SuccessAction=exit-force
FailureAction=exit-force
%s
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/bin/python3 /out/credentials_inside.py %s
'''


class Host:
    """What outlives a boot: the store, the log, the TPM."""

    def __init__(self, place):
        self.out, self.store, self.log = (place.directory(name) for name in ('out', 'lib', 'log'))
        for path in (self.store, self.log):
            os.chmod(path, 0o700 if path == self.store else 0o750)
            shutil.chown(path, 'uucp', 'uucp')
        shutil.copy(INSIDE + '/credentials_inside.py', self.out)
        place.file('out/mortised.conf', CONF)
        for name, text in UNITS.items():
            place.file('out/' + name, text)
        self.place = place
        self.tap = place.enter_context(Tap(self.out + '/tap', place.tpm()))

    def boot(self, which, wants=''):
        self.place.file('out/probe.service', PROBE % (wants, which))
        recording = self.place('tpm-' + which)
        self.tap.start(recording)
        try:
            said = self.run()
        finally:
            self.tap.stop()
        try:
            with open('%s/results-%s.json' % (self.out, which)) as file:
                results = json.load(file)
        except FileNotFoundError:
            if 'basic.target' not in said and 'Basic System' not in said:
                raise Skip('no container boots here: %r' % said[-200:]) from None
            raise AssertionError('booted, and came to nothing: ' + said[-1500:]) from None
        assert 'failed' not in results, '%s\n%s' % (results['failed'], results['log'])
        results['tpm'] = self.tap.commands(recording)
        return results

    def run(self):
        system = '/etc/systemd/system/'
        units = ['--bind-ro=%s/%s:%s' % (self.out, name, system + name)
                 for name in (*UNITS, 'probe.service')]
        units.append('--bind-ro=%s/mortise-credentials.socket:%smortise-credentials.socket'
                     % (DIST, system))
        done = subprocess.run(
            ['systemd-nspawn', '--quiet', '--directory=' + tree(), '--volatile=overlay',
             '--register=no', '--keep-unit', '--system-call-filter=' + SYSCALLS,
             '--rlimit=MEMLOCK=64M', '--machine=mortise-creds-%d' % os.getpid(),
             '--bind=%s:/out' % self.out, '--bind-ro=%s:/opt/mortise' % prefix(),
             '--bind=%s:/var/lib/mortise' % self.store, '--bind=%s:/var/log/mortise' % self.log,
             *units,
             '--boot', 'systemd.unit=probe.service', 'systemd.wants=basic.target'],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_S,
            env={**os.environ, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY': '1'})
        return (done.stdout + done.stderr).decode(errors='replace')


@functools.lru_cache(None)
def both():
    """What came of both boots, made once: [first, second], or what kept it from that."""
    try:
        with Place() as place:
            tree()
            host = Host(place)
            return [host.boot('first'), host.boot('second', 'Wants=many.target')]
    except (Skip, AssertionError) as fault:
        return fault


def boot(index):
    results = both()
    if isinstance(results, Exception):
        raise type(results)(*results.args)
    return results[index]


def on_first(check):
    def run(place):
        check(boot(0))
    run.__name__ = check.__name__
    test(run, root=True)
    return check


def has_it(results, case):
    same(results[case], [0, 'ran:s3cret'], case)


def refused(results, case):
    same(results[case], [REFUSED, ''], case)


@on_first
def a_service_has_its_credential(results):
    for case in ('service', 'template', 'slice'):
        has_it(results, case)


@on_first
def so_has_one_with_another_user_or_a_sandbox(results):
    for case in ('dynamic user', 'sandboxed'):
        has_it(results, case)


@on_first
def one_that_is_not_allowed_fails_and_never_starts(results):
    for case in ('other unit', 'other template', 'unmapped'):
        refused(results, case)


@on_first
def an_empty_value_is_a_refusal_too(results):
    refused(results, 'empty')


@on_first
def of_a_listener_that_only_closes_systemd_starts_the_unit_with_an_empty_credential(results):
    same(results['closed'], [0, 'ran:'])


@on_first
def log_and_audit_say_why(results):
    has(results['journal'][1], 'credential dbpass for other.service',
        'no [credential] section has it for this unit')
    has(results['audit'][1], 'unheard-of for backup.service: no [credential] section')
    assert 's3cret' not in results['audit'][1] + results['journal'][1]


@on_first
def what_a_unit_was_handed_counts_as_read(results):
    unread = [found['path'] for found in json.loads(results['hygiene'][1])['findings']
              if found['kind'] == 'never_read']
    same(sorted(unread), ['prod/empty', 'prod/own/password'])


@on_first
def root_that_forges_the_address_of_another_unit_is_refused(results):
    for case in ('forged outside', 'forged in a unit'):
        same(results[case][0], 0, results[case])
        assert int(results[case][1]) > 1 << 20, results[case]


@on_first
def a_limit_root_that_moves_itself_into_the_unit_has_its_credential(results):
    same(results['moved into the unit'], [0, 's3cret'])


@on_first
def a_user_s_own_manager_has_it_where_the_section_names_the_user(results):
    assert results['user kept out'][0] != 0, results['user kept out']
    same(results['user'][0], 0, results['user'])
    same(results['user has'], [0, 'own'])
    assert results['user other unit'][0] != 0, results['user other unit']


@on_first
def while_sealed_it_waits_and_then_fails(results):
    refused(results, 'sealed')
    assert 3 <= results['sealed for'] < 30, results['sealed for']


@on_first
def who_waits_has_it_after_the_unseal(results):
    has_it(results, 'unsealed in time')


@on_first
def who_waits_outlives_a_killed_keeper_and_a_restarted_agent(results):
    has_it(results, 'keeper killed')
    has_it(results, 'agent restarted')


@on_first
def units_that_start_while_keepers_are_killed_have_it_or_fail(results):
    came = results['storm']
    print('# %s' % came)
    assert came.pop('ran:s3cret ExecMainStatus=0 Result=success', 0) > 0, came
    came.pop('never ran ExecMainStatus=%d Result=exit-code' % REFUSED, None)
    same(came, {}, 'units that are neither')


@test(root=True)
def at_a_boot_200_credentials_cost_one_unseal(place):
    second = boot(1)
    same(second['came'], [MANY, ['s3cret']], second['failed units'])
    same(second['lines'][0], MANY, second['lines'])
    print('# %d credentials: %.2f s from the socket to the last unit, %d TPM commands: %s' % (
        MANY, second['seconds'], len(second['tpm']), ' '.join(second['tpm'])))
    assert len(second['tpm']) <= 8, second['tpm']


if __name__ == '__main__':
    tap.main()
