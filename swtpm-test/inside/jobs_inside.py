#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""jobs_inside: what e2e_jobs.py has done in a container: jobs of cron and of timers, and what mails
they cause. Jobs are of the kind @reboot, which cron runs at once when it finds no mark of a run."""

import json
import os
import pathlib
import re
import shlex
import subprocess

from inside import MORTISE, journal, must, perform, results, run, show, until, write

POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = root
socket = main
[rule job]
allow = read
secret = prod/job/*
user = alice
[rule nightly]
allow = read
secret = prod/nightly/*
user = alice
unit = nightly.service
[rule rotate-by-timer]
allow = list rotate
secret = prod/rotated/*
user = mortise-rotate
unit = mortise-rotate.service
'''
SENDMAIL = '''#!/bin/sh
umask 022
new=$(mktemp /var/caught/.XXXXXX) && cat >"$new" && chmod 644 "$new" && mv "$new" "/var/caught/$(id -un).${new##*.}"
'''
SIGNS = 'a\'b"c&d<e$f%g\\h i=ä'
CRONTAB = pathlib.Path('/etc/cron.d/jobs')
CAUGHT = pathlib.Path('/var/caught')
HOOK = '''#!/bin/sh
[ "$1" != test ] || [ "$2" != prod/rotated/bad ] || [ -e /var/lib/hook/mended ] || exit 3
[ "$1" != set ] || echo "$2 by $(id -un)" >>/var/lib/hook/log
'''
EXEC = 'mortise exec --wait=300 -e PASSWORD=prod/job/password -- '


def install():
    must('systemd-sysusers')
    must('systemd-tmpfiles', '--create', 'mortise.conf')
    must('systemctl', 'daemon-reload')
    must('systemctl', 'enable', '--now', '--quiet', 'mortised.socket', 'mortised.service')
    for user in ('alice', 'bob'):
        must('useradd', '--create-home', user)
    must(MORTISE, 'init', '--recovery-file=/root/recovery')
    for name in ('job/password', 'nightly/password', 'rotated/due', 'rotated/not-due',
                 'rotated/bad'):
        must(MORTISE, 'set', '--raw', 'prod/' + name, input=b'correct horse')
    must(MORTISE, 'policy', 'apply', '--yes', '-', input=POLICY.encode())
    write('/usr/sbin/sendmail', SENDMAIL, 0o755)
    CAUGHT.mkdir()
    CAUGHT.chmod(0o1777)


def mail(user):
    """The one mail that a job of his caused since the last call, once it is there."""
    path = until(lambda: list(CAUGHT.glob(user + '.*')))[0]
    text = path.read_text()
    path.unlink()
    return text.split('\n\n', 1)[1]  # the subject has the command


def cron(*lines, path='/opt/mortise/bin:/usr/bin:/bin', mailto='root'):
    """A table for the daemon, which runs its jobs of the kind @reboot now."""
    CRONTAB.write_text('PATH=%s\nMAILTO=%s\n%s\n' % (path, mailto, '\n'.join(
        '@reboot ' + line for line in lines)))
    pathlib.Path('/run/crond.reboot').unlink(missing_ok=True)
    must('systemctl', 'reset-failed', 'cron.service')  # or it were too often
    must('systemctl', 'restart', 'cron.service')


def cron_jobs():
    cron('alice ' + EXEC + 'sh -c \'echo "it is $PASSWORD"; [ "$PASSWORD" = "correct horse" ]; '
         'echo "exit $?"\'')
    results['job'] = mail('alice')
    cron('alice mortise whoami')
    results['whoami'] = mail('alice')
    cron('bob mortise get prod/job/password || echo "exit $?"')
    results['denied'] = mail('bob')
    results['denied log'] = until(lambda: [
        line for line in journal('mortised.service').splitlines() if 'denied: get' in line])
    results['bob'] = must('id', '-u', 'bob')
    cron('alice mortise get prod/job/password', path='/usr/bin:/bin')
    results['path'] = mail('alice')
    cron('alice ' + EXEC + 'sh -c \'date "+\\%Y-\\%m" && cat\'%fed by cron', mailto='alice')
    results['percent'] = mail('alice')
    cron('alice echo a%b', 'bob ' + EXEC + 'true >/home/bob/said 2>&1; echo $? >/home/bob/exit')
    results['cut at a percent'] = mail('alice')
    until(pathlib.Path('/home/bob/exit').exists)
    results['redirected'] = [int(pathlib.Path('/home/bob/exit').read_text()),
                             pathlib.Path('/home/bob/said').read_text()]
    cron_logs_failures()


def cron_logs_failures():
    """EXTRA_OPTS=-L of Debian's cron: a status that nobody prints is in the journal, too."""
    write('/etc/default/cron', 'EXTRA_OPTS="-L 5"\n')
    cron('bob mortise get prod/job/password 2>/dev/null', mailto='""')
    results['status in the log'] = until(lambda: [
        line for line in journal('cron.service').splitlines() if 'failed' in line])


def a_job_that_waits():
    """Cron starts it while the agent is sealed."""
    must(MORTISE, 'seal', '--yes')
    cron('alice ' + EXEC + 'sh -c \'[ "$PASSWORD" = "correct horse" ]; echo "exit $?"\'',
         'bob mortise get prod/job/password || echo "exit $?"')
    results['sealed'] = mail('bob')
    results['before the unseal'] = [str(path) for path in CAUGHT.glob('alice.*')]
    must(MORTISE, 'unseal')
    results['waited'] = mail('alice')


def found(*files, input=None):
    """The encodings in which scan finds the value with signs."""
    done = subprocess.run([MORTISE, 'scan', '--json', '--only=prod/spelled', *files], input=input,
                          stdout=subprocess.PIPE, timeout=60)
    return [item['encoding'] for item in json.loads(done.stdout)['findings']]


def spelled():
    """Files that cron and systemd read, and that systemd writes, with a value in them."""
    must(MORTISE, 'set', '--raw', 'prod/spelled/value', input=SIGNS.encode())
    out = pathlib.Path('/run/spelled')
    out.mkdir()
    out.chmod(0o777)
    quoted = shlex.quote(SIGNS).replace('%', '\\%')
    cron("alice V=%s; printf \\%%s \"$V\" >/run/spelled/cron" % quoted)
    until((out / 'cron').exists)
    until(lambda: (out / 'cron').read_text())
    results['crontab'] = [(out / 'cron').read_text(), found(str(CRONTAB))]
    unit = re.sub(r'(["\\\\])', r'\\\1', SIGNS).replace('%', '%%')
    write('/etc/systemd/system/spelled.service',
          '[Service]\nType=oneshot\nEnvironment="V=%s"\n'
          'ExecStart=/bin/sh -c \'printf %%%%s "$$V" >/run/spelled/unit\'\n'
          'ExecStart=/bin/sh -c \'printf %%%%s "$$1" >/run/spelled/argument\' sh "%s"\n' % (
              unit, unit.replace('$', '$$')))
    must('systemctl', 'daemon-reload')
    must('systemctl', 'start', 'spelled.service')
    results['unit'] = [(out / 'unit').read_text(), (out / 'argument').read_text(),
                       found('/etc/systemd/system/spelled.service')]
    must('systemd-run', '--quiet', '--unit=passing', '--setenv=V=' + SIGNS, '--remain-after-exit',
         'true', SIGNS)
    text = pathlib.Path('/run/systemd/transient/passing.service').read_text()
    results['transient'] = {
        kind: found('-', input='\n'.join(line for line in text.splitlines()
                                         if line.startswith(kind)).encode())
        for kind in ('Environment', 'ExecStart')}
    results['systemctl'] = {
        words[0]: found('-', input=must('systemctl', '--no-pager', *words, 'passing').encode())
        for words in (['cat'], ['show', '-p', 'Environment'])}
    results['signs'] = SIGNS


def a_timer():
    write('/etc/systemd/system/nightly.service',
          '[Service]\nType=oneshot\nUser=alice\nExecStart=/opt/mortise/bin/mortise exec --wait=300 '
          '-e PASSWORD=prod/nightly/password -- sh -c \'test "$PASSWORD" = "correct horse"\'\n')
    write('/etc/systemd/system/other.service', pathlib.Path(
        '/etc/systemd/system/nightly.service').read_text())
    for name in ('nightly', 'other'):
        write('/etc/systemd/system/%s.timer' % name,
              '[Timer]\nOnActiveSec=0\nAccuracySec=1ms\nUnit=%s.service\n' % name)
    must('systemctl', 'daemon-reload')
    for name in ('nightly', 'other'):
        must('systemctl', 'start', name + '.timer')
        until(lambda: show(name + '.service', 'ExecMainExitTimestampMonotonic') != '0')
        results[name] = [show(name + '.service', 'Result'), show(name + '.service', 'ExecMainStatus')]


def versions():
    return {name: run(MORTISE, 'show', '--json', 'prod/rotated/' + name)[1]
            for name in ('due', 'not-due', 'bad')}


def rotate():
    write('/usr/local/libexec/hook', HOOK, 0o755)
    hooks = pathlib.Path('/var/lib/hook')
    hooks.mkdir()
    os.chmod(hooks, 0o777)
    for name, age in (('due', '1s'), ('not-due', '90d'), ('bad', '1s')):
        must(MORTISE, 'meta', '--hook=/usr/local/libexec/hook', '--max-age=' + age,
             'prod/rotated/' + name)
    write('/etc/systemd/system/mortise-rotate.timer.d/now.conf',
          '[Timer]\nOnCalendar=\nOnActiveSec=0\nRandomizedDelaySec=0\nAccuracySec=1ms\n')
    must('systemctl', 'daemon-reload')
    until(lambda: len(run(MORTISE, 'list', '--due')[1].splitlines()) >= 2)
    results['timer'] = [show('mortise-rotate.timer', 'Persistent'),
                        run('systemctl', 'is-enabled', 'mortise-rotate.timer')[1]]
    must('systemctl', 'start', 'mortise-rotate.timer')
    until(lambda: show('mortise-rotate.service', 'ActiveState') == 'failed')
    results['failed units'] = must('systemctl', '--failed', '--no-legend', '--plain')
    results['rotate log'] = journal('mortise-rotate.service')
    results['versions'] = versions()
    results['hook ran'] = (hooks / 'log').read_text()
    (hooks / 'mended').touch()
    results['again'] = run('systemctl', 'start', 'mortise-rotate.service')
    results['failed then'] = must('systemctl', '--failed', '--no-legend', '--plain')
    results['versions then'] = versions()
    results['rotate exposure'] = must(
        'systemd-analyze', 'security', '--no-pager', '--offline=true',
        '/usr/lib/systemd/system/mortise-rotate.service').splitlines()[-1]


def jobs():
    install()
    cron_jobs()
    spelled()
    a_job_that_waits()
    a_timer()
    rotate()


if __name__ == '__main__':
    perform(jobs)
