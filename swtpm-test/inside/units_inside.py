#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""units_inside: what e2e_units.py has done under the systemd of a container; says what came of it.

As root it makes an agent, asks in many units, and writes {case: [exit status, output]} to
/out/results.json. `fake` is what a user tries who would like to be another unit.
"""

import json
import os
import shlex
import subprocess
import sys
import time

import wire

MORTISE, CONF = '/opt/mortise/bin/mortise', '/out/mortised.conf'
GET, USER = 'prod/db/password', 'alice'
POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = 0
socket = main
[rule service]
allow = read
secret = prod/db/*
user = alice
unit = backup.service
[rule template]
allow = read
secret = prod/job/*
user = alice
unit = job@*.service
[rule scope]
allow = read
secret = prod/scope/*
user = alice
unit = load-1.scope
[rule slice]
allow = read
secret = prod/batch/*
user = alice
unit = batch.slice
[rule users-own]
allow = read
secret = prod/own/*
user = alice
unit = user:backup.service
'''
results = {}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30, **options)
    return [done.returncode, done.stdout.decode(errors='replace').strip()]


def must(*command, **options):
    result = run(*command, **options)
    if result[0] != 0:
        raise AssertionError('%s: %r' % (' '.join(command), result))
    return result[1]


def in_unit(name, *command, properties=(), user=USER):
    options = ['--property=' + text for text in properties]
    options += ['--uid=' + user] if user else []
    return run('systemd-run', '--quiet', '--wait', '--pipe', '--collect', '--unit=' + name,
               *options, *command)


def get(path=GET):
    return MORTISE, 'get', path


def set_up():
    must('useradd', '--create-home', '--uid=1000', USER)
    must('systemd-run', '--quiet', '--unit=mortised.service', '--property=Type=notify',
         '--property=TimeoutStartSec=5', '/opt/mortise/sbin/mortised', '-c', CONF)
    must(MORTISE, 'init', '--no-hardware', '--recovery-file=/root/recovery')
    for name in ('db', 'job', 'scope', 'batch', 'own'):
        must(MORTISE, 'set', '--raw', 'prod/%s/password' % name, input=name.encode())
    must(MORTISE, 'policy', 'apply', '-', input=POLICY.encode())


def services():
    results['service'] = in_unit('backup.service', *get())
    results['service again'] = in_unit('backup.service', *get())
    results['who'] = in_unit('backup.service', MORTISE, 'whoami', '--json')
    results['namespaces'] = in_unit('backup.service', 'unshare', '-U', '-C', sys.executable, __file__,
                                    'raw')
    results['outside'] = run('runuser', '-u', USER, '--', *get())
    results['other service'] = in_unit('backup-2.service', *get())
    results['other user'] = in_unit('backup.service', *get(), user='games')
    results['template'] = in_unit('job@7.service', *get('prod/job/password'))
    results['template name'] = in_unit('job.service', *get('prod/job/password'))
    results['slice'] = in_unit('any.service', *get('prod/batch/password'),
                               properties=['Slice=batch.slice'])
    results['child slice'] = in_unit('any2.service', *get('prod/batch/password'),
                                     properties=['Slice=batch-night.slice'])
    results['no slice'] = in_unit('any3.service', *get('prod/batch/password'))
    results['scope'] = run('systemd-run', '--quiet', '--scope', '--unit=load-1', '--uid=' + USER,
                           *get('prod/scope/password'))


def hints():
    """What a denial tells an admin to run, and what that comes to."""
    results['other slice'] = in_unit('other.service', *get(),
                                     properties=['Slice=batch-night.slice'])
    for case in ('other service', 'other slice', 'no slice'):
        hint = results[case][1].split('an admin can run: mortise ')[1]
        results['hint ' + case] = [hint, *run(MORTISE, *shlex.split(hint))]


def in_user_unit(name, *command, lines=()):
    """The same under the user's own manager, which is asked without a bus."""
    said, status = '/home/alice/said', '/home/alice/status'
    with open('/etc/systemd/user/' + name, 'w') as unit:
        unit.write('[Service]\nType=oneshot\n%s\nExecStart=/bin/sh -c "%s > %s 2>&1; echo $$? > %s"\n'
                   % ('\n'.join(lines), ' '.join(command), said, status))
    ask = ('runuser', '-u', USER, '--', 'env', 'XDG_RUNTIME_DIR=/run/user/1000', 'systemctl',
           '--user')
    must(*ask, 'daemon-reload')
    must(*ask, 'start', name)
    with open(said) as out, open(status) as code:
        return [int(code.read()), out.read().strip()]


def user_manager():
    must('systemctl', 'start', 'user@1000.service')
    for path in (GET, 'prod/own/password'):
        results['user manager ' + path] = in_user_unit('backup.service', *get(path))
    results['user manager whoami'] = in_user_unit('backup.service', MORTISE, 'whoami', '--json')
    results['user manager fake'] = in_user_unit(
        'mine.service', sys.executable, __file__, 'fake', lines=['Delegate=yes'])
    results['user slice'] = in_user_unit(
        'any.service', *get('prod/batch/password'), lines=['Slice=batch.slice'])


def raw():
    """Asks without the client, which trusts no agent whose uid it cannot see. 77: denied."""
    status, value = wire.get(wire.connect('/run/mortise/mortise.sock'), GET)
    print(status, value)
    return 0 if value is not None or status == 0 else 77


def attempt(place, tries):
    """Asks from a cgroup of his own making, or says why that could not be had."""
    try:
        os.makedirs(place, exist_ok=True)
        with open(place + '/cgroup.procs', 'w') as procs:
            procs.write(str(os.getpid()))
    except OSError as fault:
        tries[place] = ['not there', fault.strerror]
        return
    with open('/proc/self/cgroup') as lines:
        where = [line.strip() for line in lines if place.rsplit('/', 1)[1] in line]
    tries[place] = run(*get()) + where


def fake():
    """Prints {cgroup: what came of asking from it}."""
    tries = {'as it is': run(*get()),
             'in namespaces': run('unshare', '-U', '-C', sys.executable, __file__, 'raw')}
    with open('/proc/self/cgroup') as lines:
        paths = {line.split(':', 2)[1]: line.strip().split(':', 2)[2] for line in lines}
    unified = os.path.exists('/sys/fs/cgroup/cgroup.controllers')
    root = '/sys/fs/cgroup' + ('' if unified else '/systemd')
    own = root + paths['' if unified else 'name=systemd']
    for place in (own + '/backup.service', own + '/system.slice/backup.service',
                  own + '/_backup.service', root + '/system.slice/backup.service',
                  root + '/backup.service', root + '/user.slice/backup.service'):
        attempt(place, tries)
    print(json.dumps(tries))


def wait_for(unit):
    end = time.monotonic() + 10
    while run('systemctl', 'is-active', unit)[0] != 0 and time.monotonic() < end:
        time.sleep(0.02)


def fakes():
    """While the true backup.service runs, so that its cgroup is there to be wanted."""
    must('systemd-run', '--quiet', '--unit=backup.service', '--uid=' + USER, 'sleep', '60')
    wait_for('backup.service')
    results['fake'] = in_unit('mine.service', sys.executable, __file__, 'fake',
                              properties=['Delegate=yes'])
    must('systemctl', 'stop', 'backup.service')


def main():
    if sys.argv[1:] == ['fake']:
        return fake()
    if sys.argv[1:] == ['raw']:
        return raw()
    try:
        set_up()
        services()
        hints()
        fakes()
        user_manager()
        results['status'] = run(MORTISE, 'status', '--json')
    except Exception as fault:  # whatever it was, the host is to hear of it
        results['failed'] = repr(fault)
        results['log'] = run('journalctl', '--no-pager', '-o', 'cat', '-n', '12')[1]
    with open('/out/results.new', 'w') as file:
        json.dump(results, file, indent=1)
    os.rename('/out/results.new', '/out/results.json')


if __name__ == '__main__':
    sys.exit(main())
