#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""inits_inside: what e2e_inits.py has done in a container without systemd: the agent is run by runit,
and then, with another store, by OpenRC, with the files that are in share/mortise.
"""

import os
import pathlib
import shutil
import signal
import subprocess

from inside import MORTISE, must, perform, results, run, until, write

CONF = pathlib.Path('/etc/mortise/mortised.conf')
SHARE = '/usr/share/mortise/mortised.'
SERVICE = '/srv/service/mortised'
GET = (MORTISE, '--wait=20', 'get', 'prod/db/password')


def processes(program):
    """Pids of what runs it, as its first word."""
    return sorted(int(path.parent.name) for path in pathlib.Path('/proc').glob('[0-9]*/cmdline')
                  if words(path)[:1] == [program])


def words(path):
    try:
        return path.read_text().split('\0')
    except OSError:
        return []


def owner(path):
    return '%s:%s' % (pathlib.Path(path).owner(), oct(os.stat(path).st_mode & 0o777))


def first_hour(init):
    """A store, a secret, and who runs the agent."""
    must(MORTISE, 'init', '--recovery-file=/root/recovery.' + init)
    must(MORTISE, 'set', '--raw', 'prod/db/password', input=b'value')
    return [run(*GET), owner('/run/mortise'), owner('/var/lib/mortise')]


def monitors():
    return [pid for pid in processes('/opt/mortise/sbin/mortised')]


def change(old, new):
    CONF.write_text(CONF.read_text().replace(old, new))


def reload(*command):
    """A new environment is there without a restart."""
    before = monitors()
    change('environment = prod', 'environment = test')
    must(*command)
    until(lambda: 'test' in run(MORTISE, 'status')[1])
    change('environment = test', 'environment = prod')
    must(*command)
    until(lambda: 'prod' in run(MORTISE, 'status')[1])
    return before == monitors()


def killed():
    """SIGKILL of the monitor: whoever watches over it starts another."""
    before = monitors()
    os.kill(before[0], signal.SIGKILL)
    until(lambda: monitors() and before[0] not in monitors())
    return run(*GET)


def runit():
    os.makedirs('/etc/sv/mortised')
    shutil.copy(SHARE + 'runit', '/etc/sv/mortised/run')
    os.makedirs('/srv/service')
    os.symlink('/etc/sv/mortised', SERVICE)
    with open('/out/log', 'wb') as log:
        runsvdir = subprocess.Popen(['runsvdir', '-P', '/srv/service'], stdout=log, stderr=log)
    until(lambda: run(MORTISE, 'status')[0] == 75)
    results['runit'] = first_hour('runit')
    results['runit status'] = must('sv', 'status', SERVICE)
    results['runit reload'] = reload('sv', 'hup', SERVICE)
    results['runit killed'] = killed()
    must('sv', 'restart', SERVICE)
    results['runit restart'] = run(*GET)
    must('sv', 'down', SERVICE)
    until(lambda: run('sv', 'status', SERVICE)[1].startswith('down:'))
    results['runit down'] = [monitors(), run(MORTISE, 'get', 'prod/db/password')[0]]
    must('sv', 'exit', SERVICE)
    runsvdir.terminate()
    runsvdir.wait()


def make_believe_that_openrc_booted():
    for name in ('starting', 'started', 'stopping', 'inactive', 'wasinactive', 'failed',
                 'hotplugged', 'daemons', 'options', 'exclusive', 'scheduled', 'tmp'):
        os.makedirs('/run/openrc/' + name)
    write('/run/openrc/softlevel', 'default')


def openrc():
    shutil.move('/var/lib/mortise', '/var/lib/mortise.runit')
    shutil.move('/var/log/mortise', '/var/log/mortise.runit')
    shutil.rmtree('/run/mortise')
    shutil.copy(SHARE + 'openrc', '/etc/init.d/mortised')
    write('/etc/conf.d/mortised',
          'command_args="--sealer=/opt/mortise/libexec/mortise-sealer"\n')
    make_believe_that_openrc_booted()
    results['openrc start'] = [0, must('rc-service', 'mortised', 'start')]
    until(lambda: run(MORTISE, 'status')[0] == 75)
    results['openrc'] = first_hour('openrc')
    results['openrc status'] = run('rc-service', 'mortised', 'status')
    results['openrc reload'] = reload('rc-service', 'mortised', 'reload')
    change('environment', 'envinronment')
    results['openrc wrong'] = run('rc-service', 'mortised', 'reload')
    change('envinronment', 'environment')
    results['openrc killed'] = killed()
    results['openrc restart'] = [run('rc-service', 'mortised', 'restart')[0], run(*GET)]
    results['openrc stop'] = run('rc-service', 'mortised', 'stop')
    until(lambda: not monitors())
    results['openrc stopped'] = run('rc-service', 'mortised', 'status')


def inits():
    must('systemd-sysusers')  # a program of its own, which needs no systemd
    change('[agent]', '[agent]\nuser = mortise')
    runit()
    openrc()


if __name__ == '__main__':
    perform(inits)
