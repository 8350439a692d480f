#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""readme_inside: types what README.md and docs/first-hour.md show, in a container that boots. /out/typed.json has it:
sessions, [[prompt, command, lines that it shows], ...], and blocks of commands. What came of it is for the host to judge.
"""

import json
import os
import pathlib
import subprocess

from inside import must, perform, results, run, show, until, write

TYPED = json.loads(pathlib.Path('/out/typed.json').read_text())
CONF = pathlib.Path('/etc/mortise/mortised.conf')
CRONTAB = '/etc/cron.d/backup'
# Stubs for what a fresh tree has not: sudo, an editor, and the programs that README's user has.
STUBS = {
    'sudo': 'exec "$@"', 'editor': 'echo "; edited" >>"$1"',
    'pg_dump': 'echo "dump by $(id -un) with $PGPASSWORD"',
    'app': 'test -n "$APP_TOKEN$TOKEN" || test -s "${1#--key=}"'}
FILES = {
    '/root/app.env': 'APP_TOKEN=mortise:prod/app/token\n',
    '/root/app.conf.in': 'password = {{ secret "prod/db/password" }}\n',
}


def set_up():
    for name, text in STUBS.items():
        write('/usr/local/bin/' + name, '#!/bin/sh\n%s\n' % text, 0o755)
    for path, text in FILES.items():
        write(path, text)
    write('/root/bin/app', '#!/bin/sh\n%s\n' % STUBS['app'], 0o755)


def type_line(line):
    """As somebody who has logged in; where a value is asked for, he gives one."""
    type_line.number += 1
    scope = ['systemd-run', '--quiet', '--scope', '--unit=session-%d.scope' % type_line.number]
    done = subprocess.run([*scope, 'bash', '-c', line], input=b'a-value-that-is-typed\n', stdout=subprocess.PIPE,
                          cwd='/root', stderr=subprocess.PIPE, timeout=60, env={
                              'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
                              'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'})
    return [done.returncode, done.stdout.decode(), done.stderr.decode()]


type_line.number = 0


def type_session(steps):
    """Types its commands; a `cat` of a file that is not there shows what the reader has written."""
    came = []
    for _, command, expected in steps:
        path = command.removeprefix('cat ')
        if command.startswith('cat ') and expected and not os.path.exists(path):
            write(path, '\n'.join(expected) + '\n')
            came.append(None)
        else:
            came.append(type_line(command))
        if path == CRONTAB:
            run_crontab()
    return came


def run_crontab():
    """cron runs the job as it stands there, but for the time of day."""
    text = pathlib.Path(CRONTAB).read_text()
    write('/etc/cron.d/now', text.replace('30 2 * * *', '@reboot'))
    must('systemctl', 'stop', 'cron')
    pathlib.Path('/run/crond.reboot').unlink(missing_ok=True)
    must('systemctl', 'start', 'cron')
    dump = pathlib.Path('/srv/backup/shop.sql')
    results['dump'] = until(lambda: dump.exists() and dump.read_text(), 60)


def package():
    """The session and the first hour, with the package."""
    set_up()
    must('dpkg', '-i', *(str(path) for path in pathlib.Path('/out').glob('*.deb')))
    CONF.write_text(CONF.read_text().replace('; tcti = device:/dev/tpmrm0', 'tcti = swtpm:path=/tpm/tpm.sock'))
    must('systemctl', 'restart', 'mortised.service')
    results['session'] = type_session(TYPED['session'])
    for path in ('app/token', 'tls/key'):
        must('mortise', 'set', '--raw', 'prod/' + path, input=b'a-value-of-' + path.encode())
    for number in range(4):
        must('mortise', 'set', '--raw', 'prod/db/password', input=b'value-of-version-%d' % number)
    must('install', '-d', '/run/app')
    results['blocks'] = []
    for block in TYPED['package']:
        results['blocks'] += [[line, *type_line(line)] for line in block]
        write('/root/app.env', 'APP_TOKEN=a-new-token-of-the-app\n')  # to be imported


def by_hand():
    """The first two steps without it, where no configuration is yet."""
    set_up()
    for name in ('mortise', 'mortise-rotate'):  # what sysusers.d made at this boot, somebody makes by hand
        must('userdel', name)
    run('groupadd', '--system', 'tss')
    must('rm', '-r', '/var/lib/mortise', '/var/log/mortise', '/run/mortise', '/etc/mortise')
    results['check before'] = type_line('/opt/mortise/sbin/mortised --check')
    results['blocks'] = []
    for block in TYPED['by hand']:
        for line in block:
            if line.startswith('sudo systemctl'):  # of which TPM, the page cannot know
                CONF.write_text(CONF.read_text() + '[tpm2]\ntcti = swtpm:path=/tpm/tpm.sock\n')
                must('systemctl', 'daemon-reload')
            results['blocks'].append([line, *type_line(line.replace('mortised --', '/opt/mortise/sbin/mortised --'))])
    results['check of others'] = type_line(
        'mv %s /root/; /opt/mortise/sbin/mortised --check; mv /root/mortised.conf %s' % (
            CONF, CONF))
    results['init'] = type_line('/opt/mortise/bin/mortise init --recovery-file=/root/recovery-key')
    results['text'] = show('mortised.service', 'StatusText')
    results['status'] = run('/opt/mortise/bin/mortise', 'status')


if __name__ == '__main__':
    perform(package, by_hand)
