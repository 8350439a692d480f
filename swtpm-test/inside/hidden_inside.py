#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""hidden_inside: what e2e_hidden.py has done in a container that boots the installed units: settings of the
agent's unit, and of /proc, that hide callers from it; units that run as nobody; credentials without a secret.
"""

import json
import pathlib

from inside import MORTISE, MORTISED, in_unit, must, perform, results, run, show, until, write

DROP_IN = pathlib.Path('/run/systemd/system/mortised.service.d/test.conf')
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
[rule by-user]
allow = read
secret = prod/user/*
user = alice
'''
NOBODY = '''[rule by-nobody]
allow = read
secret = prod/unit/*
unit = nobody.service absent.service
[credential there]
unit = loading.service
secret = prod/unit/password
[credential gone]
unit = loading.service
secret = prod/gone/password
'''
UNIT = '[Service]\nType=oneshot\nUser=%s\n%sExecStart=%s\n'
GET = MORTISE + ' get prod/unit/password'


def set_up():
    must('systemd-sysusers')
    must('systemd-tmpfiles', '--create', 'mortise.conf')
    must('useradd', '--create-home', 'alice')
    must('systemctl', 'enable', '--now', '--quiet', 'mortised.service')
    must(MORTISE, 'init', '--recovery-file=/root/recovery')
    for name in ('unit', 'user'):
        must(MORTISE, 'set', '--raw', 'prod/%s/password' % name, input=name.encode())
    must(MORTISE, 'policy', 'apply', '--yes', '-', input=POLICY.encode())


def restart(lines=''):
    """With these lines more in its [Service]."""
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text('[Service]\n' + lines)
    must('systemctl', 'daemon-reload')
    must('systemctl', 'restart', 'mortised.service')
    until(lambda: run(MORTISE, 'status')[0] in (0, 77))


def by_hand():
    """As where there is no unit with mounts of its own: by another service manager, or by hand."""
    conf = pathlib.Path('/etc/mortise/mortised.conf').read_text()
    write('/etc/mortise/by-hand.conf', conf.replace('[agent]', '[agent]\nuser = mortise'))
    must('systemd-run', '--quiet', '--unit=by-hand.service', '--property=Type=notify', MORTISED, '-c',
         '/etc/mortise/by-hand.conf', '--sealer=/opt/mortise/libexec/mortise-sealer')
    until(lambda: run(MORTISE, 'status')[0] == 0)


def findings(check):
    status, said = run(MORTISE, 'doctor', '--quick', '--json')
    try:
        return [status, [found for found in json.loads(said)['findings'] if found['check'] == check]]
    except ValueError:
        return [status, said]


def look(case):
    """What jobs get, and what status and doctor say of it."""
    job = in_unit('backup.service', MORTISE, 'get', 'prod/unit/password')
    user = run('runuser', '-u', 'alice', '--', MORTISE, 'get', 'prod/user/password')
    status = run(MORTISE, 'status', '--json')
    facts = json.loads(status[1]) if status[0] == 0 else {}
    results[case] = {'job': job, 'user': user, 'unit': facts.get('evidence_unit'),
                     'users': facts.get('evidence_user'), 'doctor': findings('units'),
                     'mount': run('findmnt', '-n', '-o', 'OPTIONS', '/proc')[1]}


def hidden():
    set_up()
    restart()
    look('as installed')
    for setting in ('ProtectProc=invisible', 'ProtectProc=noaccess', 'ProtectProc=ptraceable', 'ProcSubset=pid',
                    'PrivateUsers=yes'):
        restart(setting + '\n')
        look(setting)
    restart()
    must('mount', '-o', 'remount,hidepid=2', '/proc')
    restart()
    look('the unit')
    must('systemctl', 'stop', 'mortised.service', 'mortised.socket')
    gid = must('getent', 'group', 'mortise').split(':')[2]
    for options in ('hidepid=1', 'hidepid=2', 'hidepid=4', 'hidepid=2,gid=' + gid, 'hidepid=0,gid=0'):
        must('mount', '-o', 'remount,' + options, '/proc')
        by_hand()
        look(options.replace(gid, 'N'))
        must('systemctl', 'stop', 'by-hand.service')
    must('systemctl', 'start', 'mortised.socket', 'mortised.service')
    until(lambda: run(MORTISE, 'status')[0] == 0)
    units()


def units():
    write('/etc/systemd/system/nobody.service', UNIT % ('nobody', '', GET))
    write('/etc/systemd/system/backup.service', UNIT % ('alice', '', GET))
    loads = ''.join('LoadCredential=%s:/run/mortise/credentials.sock\n' % name for name in ('there', 'gone'))
    write('/etc/systemd/system/loading.service', UNIT % ('alice', loads, '/bin/true'))
    must('systemctl', 'daemon-reload')
    results['apply'] = run(MORTISE, 'policy', 'apply', '--yes', '-', input=(POLICY + NOBODY).encode())
    results['nobody'] = run('systemctl', 'start', 'nobody.service')
    results['nobody said'] = run('journalctl', '--no-pager', '-o', 'cat', '-u', 'nobody.service')[1]
    results['units'] = findings('units')
    results['loading'] = [run('systemctl', 'start', 'loading.service')[0], show('loading.service', 'ExecMainStatus')]
    must(MORTISE, 'set', '--raw', 'prod/gone/password', input=b'here-by-now')
    results['units then'] = findings('units')
    results['enable'] = [run('systemctl', 'is-enabled', 'mortise-credentials.socket')[1],
                         run('systemctl', 'enable', '--now', 'mortise-credentials.socket')]
    results['loading then'] = run('systemctl', 'start', 'loading.service')


if __name__ == '__main__':
    perform(hidden)
