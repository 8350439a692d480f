#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""boot_inside: what e2e_boot.py has done in a container that boots the installed units.

It does what a new operator would, as root; then the host pulls the plug. `client N` is one of the
eight that ask all the time.
"""

import ctypes
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

from inside import (MORTISE, MORTISED, in_unit, must, perform, results, run, show, until, want)

CONF = pathlib.Path('/etc/mortise/mortised.conf')
DROP_IN = pathlib.Path('/run/systemd/system/mortised.service.d/exe.conf')
CLIENTS, REQUESTS, MARK = 8, 1250, 50
OVER = '/run/load-over'
PATHS = ('unit', 'group', 'exe', 'early', 'load', 'root')
POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = root
socket = main
[rule by-unit]
allow = read
secret = prod/unit/*
user = alice
unit = backup.service
[rule by-group]
allow = read
secret = prod/group/*
group = dumpers
[rule by-exe]
allow = read
secret = prod/exe/*
user = alice
exe = /opt/mortise/bin/mortise
[rule early]
allow = read
secret = prod/early/* prod/load/*
user = alice
'''


def get(name, wait=0):
    return MORTISE, '--wait=%d' % wait, 'get', 'prod/%s/password' % name


def processes():
    """Of monitor and children: uid, effective and permitted capabilities, and two locks."""
    main, seen = show('mortised.service', 'MainPID'), []
    for status in pathlib.Path('/proc').glob('[0-9]*/status'):
        try:
            lines = dict(line.split(':\t', 1) for line in status.read_text().splitlines()
                         if ':\t' in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if main in (lines['Pid'], lines['PPid']):
            seen.append([lines['Uid'].split()[0], lines['CapEff'], lines['CapPrm'],
                         lines['NoNewPrivs'], lines['Seccomp']])
    return seen


def facts():
    """Who the agent's processes are, and what the directories look like."""
    results['processes'] = processes()
    results['uid'] = must('id', '-u', 'mortise')
    results['modes'] = {path: must('stat', '-c', '%U:%G %a', path) for path in (
        '/run/mortise', '/run/mortise/mortise.sock', '/var/lib/mortise', '/var/lib/mortise/store.db',
        '/var/log/mortise', '/var/log/mortise/audit.log')}


def install():
    """docs/operations.md, line by line."""
    must('systemd-sysusers')
    must('systemd-tmpfiles', '--create', 'mortise.conf')
    must('systemctl', 'daemon-reload')
    results['check'] = run('runuser', '-u', 'mortise', '--', MORTISED, '--check')
    must('systemctl', 'enable', '--now', '--quiet', 'mortised.socket', 'mortised.service')
    results['before init'] = show('mortised.service', 'StatusText')
    must('groupadd', 'dumpers')
    must('useradd', '--create-home', '--groups=dumpers', 'alice')
    must(MORTISE, 'init', '--recovery-file=/root/recovery')
    results['first policy'] = must(MORTISE, 'policy', 'show')
    for name in PATHS:
        must(MORTISE, 'set', '--raw', 'prod/%s/password' % name, input=name.encode())
    must(MORTISE, 'policy', 'apply', '--yes', '-', input=POLICY.encode())
    must('systemctl', 'enable', '--quiet', 'early.service')
    os.mkdir('/var/lib/early')
    must('chown', 'alice', '/var/lib/early')


def attributes():
    results['unit'] = in_unit('backup.service', *get('unit'))
    results['other unit'] = in_unit('other.service', *get('unit'))
    results['group'] = run('runuser', '-u', 'alice', '--', *get('group'))
    results['other group'] = run('runuser', '-u', 'games', '--', *get('group'))
    results['whoami'] = in_unit('backup.service', MORTISE, 'whoami', '--json')
    results['exe without'] = run('runuser', '-u', 'alice', '--', *get('exe'))
    results['exposure'] = must('systemd-analyze', 'security', '--no-pager', '--offline=true',
                               '/usr/lib/systemd/system/mortised.service').splitlines()[-1]
    facts()


def client(number):
    """Asks REQUESTS times through libmortise, as so many jobs would, and on until OVER is there; prints
    what failed and why.
    """
    library = ctypes.CDLL(str(next(pathlib.Path('/opt/mortise').rglob('libmortise.so.1'))))
    agent, size = ctypes.c_void_p(), ctypes.c_size_t()
    value, failures = ctypes.create_string_buffer(64), []
    library.mortise_message.restype = ctypes.c_char_p
    for i in itertools.count():
        if i >= REQUESTS and os.path.exists(OVER):
            break
        if i % 4 == 0:
            library.mortise_close(agent)
            status = library.mortise_open(None, ctypes.byref(agent))
            library.mortise_set_deadline(agent, 10000, 40000)
        status = library.mortise_get(agent, b'prod/load/password', value, ctypes.c_size_t(64),
                                     ctypes.byref(size))
        if status != 0 or value.raw[:size.value] != b'load':
            failures.append([status, library.mortise_message(agent).decode()])
        if i % MARK == 0:
            with open('/run/load.%s' % number, 'a') as progress:
                progress.write('.')
    print(json.dumps(failures))


def progress():
    """How many of all requests are done, in hundredths."""
    done = sum(path.stat().st_size for path in pathlib.Path('/run').glob('load.*'))
    return 100 * done * MARK // (CLIENTS * REQUESTS)


def load():
    """Eight clients, and an agent that is restarted and reloaded under them."""
    began = time.monotonic()
    clients = [subprocess.Popen(['runuser', '-u', 'alice', '--', sys.executable, __file__,
                                 'client', str(i)], stdout=subprocess.PIPE)
               for i in range(CLIENTS)]
    for i in range(CLIENTS):
        path = pathlib.Path('/run/load.%d' % i)
        path.touch(0o666)
        path.chmod(0o666)
    done, at = [], 0
    for verb in ('restart', 'reload', 'restart'):
        until(lambda: progress() > at, 60)
        at = progress()
        must('systemctl', verb, 'mortised.service')
        done.append([verb, at])
    pathlib.Path(OVER).touch()
    failures = [json.loads(one.communicate(timeout=60)[0]) for one in clients]
    results['load'] = [done, sum(failures, []), time.monotonic() - began]
    results['verify'] = run(MORTISE, 'audit', 'verify')


def change(old, new):
    CONF.write_text(CONF.read_text().replace(old, new))


def reload():
    """A new environment is there at once; a file that is wrong changes nothing and says so."""
    pid = show('mortised.service', 'MainPID')
    change('environment = prod', 'environment = test')
    must('systemctl', 'reload', 'mortised.service')
    until(lambda: run(MORTISE, 'get', '@/unit/password')[0] != 0)
    change('environment = test', 'envinronment = test')
    results['wrong file'] = run('systemctl', 'reload', 'mortised.service')
    results['wrong file then'] = run(*get('root'))
    change('envinronment = test', 'environment = prod')
    must('systemctl', 'reload', 'mortised.service')
    until(lambda: run(MORTISE, 'get', '@/unit/password') == [0, 'unit'])
    results['same agent'] = [pid, show('mortised.service', 'MainPID')]
    results['after reload'] = show('mortised.service', 'StatusText')


def evidence():
    """With the drop-in of docs/operations.md the witness has its one capability."""
    DROP_IN.parent.mkdir(parents=True)
    DROP_IN.write_text('[Service]\nCapabilityBoundingSet=CAP_SYS_PTRACE\n'
                       'AmbientCapabilities=CAP_SYS_PTRACE\n'
                       'SystemCallFilter=capset\n')
    change('environment', 'exe-evidence = yes\nenvironment')
    must('systemctl', 'daemon-reload')
    must('systemctl', 'restart', 'mortised.service')
    results['exe with'] = run('runuser', '-u', 'alice', '--', *get('exe', 20))
    results['exe processes'] = processes()
    change('exe-evidence = yes\n', '')
    DROP_IN.unlink()
    must('systemctl', 'daemon-reload')
    must('systemctl', 'restart', 'mortised.service')


def watchdog():
    def times():
        return [int(show('mortised.service', name)) for name in (
            'WatchdogTimestampMonotonic', 'ActiveEnterTimestampMonotonic')]
    until(lambda: times()[0] > times()[1] + 3000000)


def first():
    install()
    attributes()
    reload()
    load()
    evidence()
    watchdog()
    results['watchdog'] = True
    must(MORTISE, '--wait=20', 'status')


def again():
    """After the plug was pulled."""
    results['status'] = run(MORTISE, '--wait=20', 'status')
    until(lambda: show('early.service', 'ActiveState') in ('active', 'failed'))
    results['early'] = [pathlib.Path('/var/lib/early/said').read_text(),
                        show('early.service', 'Result')]
    results['early began'] = int(show('early.service', 'ExecMainStartTimestampMonotonic'))
    results['agent ready'] = int(show('mortised.service', 'ActiveEnterTimestampMonotonic'))
    results['unsealed'] = run('systemctl', 'start', 'mortise-unsealed.service')
    results['verify'] = run(MORTISE, 'verify')
    results['log'] = run(MORTISE, 'audit', 'verify')


def slow():
    """A TPM that does not answer, until it does."""
    booted()
    results['text'] = show('mortised.service', 'StatusText')
    results['get'] = run(*get('root'))
    want('tpm')
    results['late'] = run(*get('root', 50))


def booted():
    results['boot'] = run('systemctl', 'is-active', 'multi-user.target')
    results['agent'] = show('mortised.service', 'ActiveState')


def says_why(said):
    """Between one try and the next, that is; while it tries, it does not."""
    return said if 'no TPM answers' in ''.join(map(str, said)) else None


def missing():
    """Without a TPM, until it comes late."""
    booted()
    results['text'] = until(lambda: says_why(show('mortised.service', 'StatusText')))
    results['status'] = until(lambda: says_why(run(MORTISE, 'status')))
    results['get'] = run(*get('root'))
    results['waiting'] = run(*get('root', 5))
    results['unsealed'] = run(MORTISE, '--wait=5', 'status')
    want('tpm')
    results['late'] = run(*get('root', 50))


if __name__ == '__main__':
    if sys.argv[1:2] == ['client']:
        client(sys.argv[2])
    else:
        perform(first, again, slow, missing)
