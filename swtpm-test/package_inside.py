#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""package_inside: what e2e_package.py has an operator do with the packages in a booted Debian.

/out/now has them, /out/next those of a later version. Writes {case: result} to /out/results.json.
"""

import contextlib
import glob
import grp
import json
import os
import pathlib
import pwd
import stat
import subprocess
import threading
import time
import traceback

CONF = pathlib.Path('/etc/mortise/mortised.conf')
CLIENTS, WAIT_S = 4, 60
PACKAGES = ('mortise', 'libmortise1', 'libmortise-dev')
SOCKETS = ('/run/mortise/mortise.sock', '/run/mortise/credentials.sock')
UNITS = ('mortised.socket', 'mortised.service', 'mortise-credentials.socket')
GET = ('mortise', '--wait=%d' % WAIT_S, 'get', 'prod/db/password')
results = {}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90,
                          env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}, **options)
    return [done.returncode, done.stdout.decode(errors='replace').strip()]


def must(*command, **options):
    result = run(*command, **options)
    if result[0] != 0:
        raise AssertionError('%s: %r' % (' '.join(command), result))
    return result[1]


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('waited %d s in vain' % seconds)
        time.sleep(0.02)


def apt(verb, *what):
    return run('apt-get', '-qq', '-y', '-o', 'Dpkg::Use-Pty=0', verb, *what, stdin=subprocess.DEVNULL)


def install(which):
    return apt('install', *glob.glob('/out/%s/*.deb' % which))


def show(unit, name):
    return run('systemctl', 'show', '--value', '-p', name, unit)[1]


def states():
    """{unit: [enabled or not, active or not]}"""
    return {unit: [run('systemctl', verb, unit)[1].splitlines()[-1]
                   for verb in ('is-enabled', 'is-active')] for unit in UNITS}


def remains():
    """Of the host's files those that are called after mortise."""
    found = must('find', '/', '/run', '-xdev', '-path', '/run/systemd', '-prune', '-o',
                 '-name', '*mortise*', '-print')
    return sorted(found.splitlines())


def look(path):
    """Owner, group, mode and kind."""
    found = os.lstat(path)
    kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'link',
            stat.S_IFSOCK: 'socket'}.get(stat.S_IFMT(found.st_mode), 'odd')
    return '%s:%s %o %s' % (pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name,
                            stat.S_IMODE(found.st_mode), kind)


def of_packages():
    """{path: look} of whatever is not root's alone with the usual modes, and all programs."""
    odd, programs = {}, []
    usual = ('root:root 644 file', 'root:root 755 directory', 'root:root 777 link')
    for path in must('dpkg', '-L', *PACKAGES).split('\n'):
        if not path.startswith('/'):
            continue
        found = look(path)
        if found == 'root:root 755 file':
            programs.append(path)
        elif found not in usual:
            odd[path] = found
    return [odd, sorted(programs)]


def facts():
    results['of packages'] = of_packages()
    results['looks'] = {path: look(path) for path in (
        '/etc/mortise', str(CONF), '/etc/mortise/policy.d', '/run/mortise', SOCKETS[0],
        '/var/lib/mortise', '/var/log/mortise', '/var/log/mortise/audit.log')}
    results['verify'] = run('dpkg', '--verify', *PACKAGES)
    results['user'] = must('getent', 'passwd', 'mortise').split(':')[5:]
    results['groups'] = must('id', '-nG', 'mortise').split()
    results['states'] = states()
    results['text'] = show('mortised.service', 'StatusText')
    results['check'] = run('mortised', '--check')


def configure():
    text = CONF.read_text()
    CONF.write_text(text.replace('; tcti = device:/dev/tpmrm0', 'tcti = swtpm:path=/tpm/tpm.sock'))
    must('systemctl', 'restart', 'mortised.service')


def use():
    """Installation, and the first hour."""
    results['before'] = remains()
    results['install'] = install('now')
    facts()
    configure()
    must('mortise', 'init', '--recovery-file=/root/recovery')
    must('mortise', 'set', '--raw', 'prod/db/password', input=b'secret')
    pathlib.Path('/etc/mortise/policy.d/10-first.policy').write_text(must('mortise', 'policy', 'show'))
    pathlib.Path('/etc/mortise/token.pin').write_text('1234')
    must('systemctl', 'enable', '--quiet', 'mortise-credentials.socket')
    must('systemctl', 'stop', 'mortised.service')
    must('systemctl', 'start', 'mortise-credentials.socket', 'mortised.service')
    results['store'] = look('/var/lib/mortise/store.db')


class Clients:
    """Who ask all the time."""

    def __init__(self):
        self.going, self.done, self.failures = True, 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while self.going:
            came = run(*GET)
            with self.lock:
                self.done += 1
                if came != [0, 'secret']:
                    self.failures.append(came)

    def more(self, number=20):
        """Waits until so many more have been answered."""
        so_far = self.done
        until(lambda: self.done >= so_far + number)

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join()


def whose():
    return [show('mortised.service', 'MainPID'), [os.stat(path).st_ino for path in SOCKETS],
            [show(unit, 'ActiveEnterTimestampMonotonic') for unit in UNITS if 'socket' in unit]]


def upgrade():
    """To a later version, while clients ask."""
    conf, before, clients = CONF.read_text(), whose(), Clients()
    try:
        clients.more()
        began = clients.done
        results['upgrade'] = install('next')
        during = clients.done - began
        clients.more()
    finally:
        clients.end()
    results['clients'] = [clients.done, during, clients.failures]
    results['whose'] = [before, whose()]
    results['versions'] = must('dpkg-query', '-W', '-f', '${Version} ', 'mortise', 'libmortise1').split()
    results['conf'] = CONF.read_text() == conf
    results['states then'] = states()
    results['program'] = os.readlink('/proc/%s/exe' % show('mortised.service', 'MainPID'))


def processes():
    """Names of those of mortise that run."""
    found = []
    for path in glob.glob('/proc/[0-9]*/comm'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path) as file:
            found.append(file.read().strip())
    return [name for name in found if name.startswith('mortise')]


def remove():
    results['remove'] = apt('remove', 'mortise')
    results['processes'] = processes()
    results['removed'] = [os.path.exists(path) for path in (
        '/usr/sbin/mortised', str(CONF), '/var/lib/mortise/store.db', '/var/log/mortise/audit.log')]
    results['active'] = [run('systemctl', 'is-active', unit)[1] for unit in UNITS]
    results['reinstall'] = install('next')
    results['get'] = run(*GET)


def purge():
    results['purge'] = apt('purge', *PACKAGES)
    results['kept'] = remains()
    results['pin'] = os.path.exists('/etc/mortise/token.pin')
    results['install after purge'] = install('next')
    configure()
    results['get after purge'] = run(*GET)
    results['audit'] = run('mortise', 'audit', 'verify')


def main():
    try:
        for step in (use, upgrade, remove, purge):
            began = time.monotonic()
            step()
            results['seconds ' + step.__name__] = time.monotonic() - began
    except Exception as fault:  # whatever it was, the host is to hear of it
        results['failed'] = '%r in %s' % (fault, traceback.format_exc().splitlines()[-6:])
        results['log'] = run('journalctl', '--no-pager', '-o', 'cat', '-n', '40')[1]
    pathlib.Path('/out/results.json').write_text(json.dumps(results))


if __name__ == '__main__':
    main()
