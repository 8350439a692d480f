#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""vm_inside: what e2e_vm_*.py has done on a Debian with its own kernel, boot by boot.

An operator installs the package, makes the store, and gives some jobs their secrets. Then the host is
rebooted, loses its TPM, gets another one, and loses its power. /out/debs has the packages.
"""

import contextlib
import datetime
import glob
import json
import os
import pathlib
import time

from inside import has_booted, journal, must, perform, results, run, show, until, write

JOBS = pathlib.Path('/var/lib/jobs')
WAIT_S = 600
POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = root
[rule early]
allow = read
secret = prod/early/*
user = alice
[rule cron]
allow = read
secret = prod/cron/*
user = alice
unit = cron.service
[rule nightly]
allow = read
secret = prod/nightly/*
user = alice
unit = nightly.service
[credential dbpass]
unit = backup.service
secret = prod/backup/password
'''
# Nothing says when the agent comes: --wait is what README tells people to write.
EARLY = '''[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
User=alice
ExecStart=mortise --wait=600 get --out=/var/lib/jobs/early prod/early/password
[Install]
WantedBy=sysinit.target
'''
CRON = '''PATH=/usr/local/bin:/usr/bin:/bin
@reboot alice mortise exec --wait=600 -e P=prod/cron/password -- sh -c 'echo "$P" >/var/lib/jobs/cron'
@reboot bob mortise --wait=600 get prod/cron/password >/home/bob/said 2>&1; echo "exit $?" >>/home/bob/said
'''
TIMER = '[Timer]\nOnBootSec=1\nAccuracySec=1ms\n[Install]\nWantedBy=timers.target\n'
TIMED = '''[Service]
Type=oneshot
User=alice
ExecStart=mortise exec --wait=600 -e P=prod/nightly/password -- sh -c 'echo "$P" >/var/lib/jobs/%s'
'''
LOADS = '''[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=dbpass:/run/mortise/credentials.sock
ExecStart=cp ${CREDENTIALS_DIRECTORY}/dbpass /var/lib/jobs/%s
[Install]
WantedBy=multi-user.target
'''
NAMES = ('early', 'cron', 'nightly', 'backup')
# Each version is one that the agent has said is stored; what stands in /out is on the host's disk.
WRITER = '''i=0
while i=$((i + 1)) && echo "value $i" | mortise set --yes prod/load/counter >/dev/null; do
	echo "$i" >/out/counted.new && mv /out/counted.new /out/counted
done'''


def tpm():
    """What the kernel has found: its driver, and whose the device is."""
    if not os.path.exists('/dev/tpmrm0'):
        return 'no TPM'
    driver = os.path.basename(os.readlink('/sys/class/tpm/tpm0/device/driver'))
    return '/dev/tpmrm0 (%s, %s)' % (driver, must('stat', '-c', '%U:%G %a', '/dev/tpmrm0'))


def opened(status):
    """When the store was opened, in seconds of this boot."""
    if status['state'] != 'unsealed':
        return status['state']
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return 'unsealed after %d s' % (datetime.datetime.fromisoformat(status['since']).timestamp() - began)


def look():
    results['seen'] = {
        'kernel': os.uname().release, 'systemd': must('systemctl', '--version').split()[1],
        'tpm': tpm(), 'evidence': json.loads(must('mortise', 'whoami', '--json'))['evidence'],
        'opened': opened(json.loads(run('mortise', 'status', '--json')[1]))}
    results['status'] = run('mortise', 'status')


def ask_for_jobs():
    """What an operator writes down; each waits for itself, and none is ordered behind the agent."""
    JOBS.mkdir()
    must('chown', 'alice', str(JOBS))
    write('/etc/systemd/system/early.service', EARLY)
    for name in ('nightly', 'other'):
        write('/etc/systemd/system/%s.timer' % name, TIMER)
        write('/etc/systemd/system/%s.service' % name, TIMED % name)
    for name in ('backup', 'thief'):
        write('/etc/systemd/system/%s.service' % name, LOADS % name)
    write('/etc/cron.d/job', CRON)
    must('systemctl', 'daemon-reload')
    must('systemctl', 'enable', '--quiet', 'early.service', 'nightly.timer', 'other.timer', 'backup.service',
         'thief.service')


def first():
    """The first hour."""
    results['boot'] = has_booted()
    results['install'] = run('apt-get', '-qq', '-y', '-o', 'Dpkg::Use-Pty=0', 'install',
                             *glob.glob('/out/debs/*.deb'), timeout=WAIT_S,
                             env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'})
    results['text'] = show('mortised.service', 'StatusText')
    results['init'] = run('mortise', 'init', '--recovery-file=/root/recovery-key', timeout=WAIT_S)
    for name in NAMES:
        must('mortise', 'set', 'prod/%s/password' % name, input=name.encode())
    for name in ('alice', 'bob'):
        must('useradd', '--create-home', name)
    write('/etc/mortise/policy.d/10-first.policy', POLICY, 0o640)
    must('mortise', 'policy', 'apply', '--yes')
    must('systemctl', 'restart', 'mortised.service')
    results['restarted'] = run('mortise', '--wait=%d' % WAIT_S, 'status', timeout=WAIT_S + 10)
    results['doctor'] = run('mortise', 'doctor', timeout=WAIT_S)
    ask_for_jobs()
    look()


def has_ended(unit):
    return show(unit, 'ExecMainExitTimestampMonotonic') != '0'


def wrote(name):
    """What a job has written; a shell makes the file before it does."""
    return (JOBS / name).exists() and (JOBS / name).read_text()


def collect():
    """What came of the jobs of this boot; the next one begins without it."""
    with contextlib.suppress(AssertionError):  # which of them is missing, its test says
        until(lambda: all(wrote(name) for name in NAMES), WAIT_S)
    results['jobs'] = {name: (JOBS / name).read_text() for name in NAMES if (JOBS / name).exists()}
    results['states'] = [show(unit, 'Result') for unit in ('early.service', 'nightly.service', 'backup.service')]
    for name in results['jobs']:
        (JOBS / name).unlink()


def collect_refusals():
    said = pathlib.Path('/home/bob/said')
    until(lambda: said.exists() and 'exit' in said.read_text(), WAIT_S)
    results['bob'] = said.read_text()
    said.unlink()
    until(lambda: has_ended('other.service'), WAIT_S)
    results['other'] = [show('other.service', 'Result'), show('other.service', 'ExecMainStatus')]
    until(lambda: show('thief.service', 'ActiveState') == 'failed', WAIT_S)
    results['thief'] = [show('thief.service', 'Result'), show('thief.service', 'ExecMainStatus')]
    results['stolen'] = [str(JOBS / name) for name in ('other', 'thief') if (JOBS / name).exists()]


def again():
    """After a reboot."""
    results['boot'] = has_booted()
    collect()
    collect_refusals()
    results['early began'] = int(show('early.service', 'ExecMainStartTimestampMonotonic'))
    results['agent ready'] = int(show('mortised.service', 'ActiveEnterTimestampMonotonic'))
    results['log'] = journal('mortised.service')
    look()


def why(word):
    """What the agent says of its state, when it has word in it: between two tries it says less."""
    def says():
        text = show('mortised.service', 'StatusText')
        return text if word in text else None
    try:
        return until(says, WAIT_S)
    except AssertionError:
        return show('mortised.service', 'StatusText')


def gone():
    """Without a TPM."""
    results['boot'] = has_booted()
    results['text'] = why('no TPM')
    results['get'] = run('mortise', 'get', 'prod/early/password')
    results['waiting'] = [show(unit, 'ActiveState') for unit in ('early.service', 'nightly.service')]
    results['wait'] = run('mortise', '--wait=10', 'get', 'prod/early/password')
    look()


def other():
    """With another TPM, and then in the middle of work, for the plug is pulled."""
    results['boot'] = has_booted()
    results['text'] = why('recover')
    results['waiting'] = show('early.service', 'ActiveState')
    results['recover'] = run('mortise', 'recover', '--yes', '--recovery-file=/root/recovery-key',
                             timeout=WAIT_S)
    # A unit that loads a credential waits for a minute: somebody may have typed faster, or not.
    must('systemctl', 'restart', 'backup.service')
    collect()
    look()
    write('/root/writer', WRITER)
    must('systemd-run', '--quiet', '--unit=writer.service', 'sh', '/root/writer')


def cut():
    """After the power cut."""
    results['boot'] = has_booted()
    collect()
    results['counted'] = int(pathlib.Path('/out/counted').read_text())
    results['counter'] = run('mortise', 'get', 'prod/load/counter')
    results['verify'] = run('mortise', 'verify', timeout=WAIT_S)
    results['audit'] = run('mortise', 'audit', 'verify', timeout=WAIT_S)
    look()


if __name__ == '__main__':
    perform(first, again, gone, other, cut)
