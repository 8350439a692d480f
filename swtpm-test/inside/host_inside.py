#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""host_inside: what e2e_host.py has done in a container that has the Debian package.

The first boot installs it and makes a store and all jobs; later ones only look at what came of them,
each time as a boot has them started. `write` sets values for ever, and says which were acknowledged.
"""

import pathlib
import subprocess
import sys

from inside import has_booted, must, perform, results, run, show, until, want, write

CONF = pathlib.Path('/etc/mortise/mortised.conf')
POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = root
socket = main
[rule job-of-cron]
allow = read
secret = prod/cron/*
user = alice
unit = cron.service
[rule job-of-a-timer]
allow = read
secret = prod/timer/*
user = alice
unit = nightly.service
[credential dbpass]
unit = loading.service
secret = prod/unit/password
'''
LOADING = '''[Service]
LoadCredential=dbpass:/run/mortise/credentials.sock
ExecStart=/bin/sh -c 'cp "$CREDENTIALS_DIRECTORY/dbpass" /run/%N.has; exec sleep infinity'
[Install]
WantedBy=multi-user.target
'''
NIGHTLY = '''[Service]
Type=oneshot
User=alice
ExecStart=mortise exec --wait=300 -e PASSWORD=prod/timer/password -- sh -c 'test "$PASSWORD" = timer'
'''
TIMER = '[Timer]\nOnBootSec=1ms\nAccuracySec=1ms\nUnit=%s.service\n[Install]\nWantedBy=timers.target\n'
CRONTAB = '''MAILTO=""
@reboot alice mortise exec --wait=300 -e PASSWORD=prod/cron/password -- \
sh -c 'test "$PASSWORD" = cron && touch /var/tmp/cron.had-it'
'''
MARK = pathlib.Path('/var/tmp/cron.had-it')
ACKNOWLEDGED = pathlib.Path('/var/lib/acknowledged')


def install():
    must('dpkg', '-i', *(str(path) for path in pathlib.Path('/out').glob('*.deb')))
    CONF.write_text(CONF.read_text().replace('; tcti = device:/dev/tpmrm0',
                                             'tcti = swtpm:path=/tpm/tpm.sock'))
    must('systemctl', 'restart', 'mortised.service')


def make_jobs():
    must('useradd', '--create-home', 'alice')
    for name in ('loading', 'other'):
        write('/etc/systemd/system/%s.service' % name, LOADING)
    for name in ('nightly', 'denied'):
        write('/etc/systemd/system/%s.service' % name, NIGHTLY)
        write('/etc/systemd/system/%s.timer' % name, TIMER % name)
    write('/etc/cron.d/job', CRONTAB)
    must('systemctl', 'daemon-reload')
    must('systemctl', 'enable', '--quiet', 'loading.service', 'other.service', 'nightly.timer',
         'denied.timer')


def before():
    """A store, and then the plug is pulled for the first time."""
    install()
    make_jobs()
    must('mortise', 'init', '--recovery-file=/root/recovery')
    for name in ('unit', 'cron', 'timer'):
        must('mortise', 'set', '--raw', 'prod/%s/password' % name, input=name.encode())
    must('mortise', 'policy', 'apply', '--yes', '-', input=POLICY.encode())
    results['service'] = must('systemctl', 'is-enabled', 'mortised.service', 'mortised.socket')


def service(name):
    return [show(name + '.service', 'Result'), show(name + '.service', 'ExecMainStatus')]


def credential():
    """What loading.service was handed."""
    path = pathlib.Path('/run/loading.has')
    return until(lambda: path.exists() and path.read_text(), 60)


def has_ended(name):
    return show(name + '.service', 'ExecMainExitTimestampMonotonic') != '0'


def log_with_the_denial():
    """Of this boot; the journal is a moment behind."""
    log = run('journalctl', '--no-pager', '-o', 'cat', '-b', '-u', 'mortised')[1]
    return log if 'denied: get' in log else None


def see_jobs():
    """What came of the jobs of this boot; the mark of the last one's is gone with it."""
    results['boot'] = has_booted()
    results['loading'] = credential()
    until(lambda: has_ended('other'))
    results['other'] = service('other') + [pathlib.Path('/run/other.has').exists()]
    for name in ('nightly', 'denied'):
        until(lambda: has_ended(name), 60)
        results[name] = service(name)
    until(MARK.exists, 60)
    MARK.unlink()
    results['log'] = until(log_with_the_denial)
    results['audit'] = run('mortise', 'audit', 'verify')
    results['verify'] = run('mortise', 'verify')


def again():
    """All jobs; and the plug is pulled while values are being set."""
    see_jobs()
    subprocess.Popen([sys.executable, __file__, 'write'], start_new_session=True)
    until(lambda: ACKNOWLEDGED.exists() and int(ACKNOWLEDGED.read_text()) > 3)


def write_for_ever():
    number = 0
    while True:
        number += 1
        must('mortise', '--wait=20', 'set', '--raw', 'prod/written', input=b'%d' % number)
        new = ACKNOWLEDGED.with_suffix('.new')
        new.write_text(str(number))
        new.rename(ACKNOWLEDGED)


def cut():
    see_jobs()
    results['written'] = [int(ACKNOWLEDGED.read_text()),
                          int(must('mortise', 'get', 'prod/written'))]


def missing():
    """Without the TPM all that asks waits, and the boot does not; then it comes."""
    results['boot'] = has_booted()
    until(lambda: 'no TPM answers' in show('mortised.service', 'StatusText'))
    results['get'] = run('mortise', 'get', 'prod/unit/password')
    results['waiting'] = [show('nightly.service', 'ActiveState'), MARK.exists()]
    want('tpm')
    until(lambda: has_ended('nightly'), 60)
    results['nightly'] = service('nightly')
    until(MARK.exists, 60)
    MARK.unlink()
    must('systemctl', 'restart', 'loading.service')
    results['loading'] = credential()


def cleared():
    """With the recovery key all is as before; and it opens by itself from then on."""
    results['boot'] = has_booted()
    until(lambda: 'cleared' in show('mortised.service', 'StatusText'))
    results['text'] = show('mortised.service', 'StatusText')
    results['get'] = run('mortise', 'get', 'prod/unit/password')
    results['recover'] = run('mortise', 'recover', '--recovery-file=/root/recovery')
    until(lambda: has_ended('nightly'), 60)
    results['nightly'] = service('nightly')
    until(MARK.exists, 60)
    must('systemctl', 'restart', 'mortised.service')
    results['by itself'] = run('mortise', '--wait=30', 'get', 'prod/unit/password')


if __name__ == '__main__':
    if sys.argv[1:] == ['write']:
        write_for_ever()
    else:
        perform(before, again, cut, missing, cleared)
