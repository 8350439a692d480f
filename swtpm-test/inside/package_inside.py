#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""package_inside: what e2e_package.py has an operator do with the packages in a booted Debian.

/debs/now has them, /debs/next those of a later version.
"""

import contextlib
import glob
import grp
import os
import pathlib
import pwd
import stat
import threading

from inside import has_booted, must, perform, results, run, show, until, write

CONF = pathlib.Path('/etc/mortise/mortised.conf')
CLIENTS, WAIT_S = 4, 60
PACKAGES = ('mortise', 'libmortise1', 'libmortise-dev')
SOCKETS = ('/run/mortise/mortise.sock', '/run/mortise/credentials.sock')
UNITS = ('mortised.socket', 'mortised.service', 'mortise-ask-pin.path', 'mortise-credentials.socket',
         'mortise-rotate.timer')
GET = ('mortise', '--wait=%d' % WAIT_S, 'get', 'prod/db/password')


def apt(verb, *what):
    return run('apt-get', '-qq', '-y', '-o', 'Dpkg::Use-Pty=0', verb, *what, timeout=100,
               env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'})


def install(which):
    return apt('install', *glob.glob('/debs/%s/*.deb' % which))


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


def initialise():
    """The first hour, and what the package does not enable by itself."""
    configure()
    must('mortise', 'init', '--recovery-file=/root/recovery')
    must('mortise', 'set', '--raw', 'prod/db/password', input=b'secret')
    write('/etc/mortise/policy.d/10-first.policy', must('mortise', 'policy', 'show'))
    write('/etc/mortise/token.pin', '1234', 0o600)
    must('systemctl', 'enable', '--quiet', '--now', 'mortise-rotate.timer')
    results['enable'] = run('systemctl', 'enable', '--now', 'mortise-credentials.socket')
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
        until(lambda: self.done >= so_far + number, WAIT_S)

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
        results['whose'] = [before, whose()]
        results['conf'] = CONF.read_text() == conf
        clients.more()
    finally:
        clients.end()
        results['clients'] = [clients.done, clients.failures]
    results['during'] = during
    results['versions'] = must('dpkg-query', '-W', '-f', '${Version} ', 'mortise', 'libmortise1').split()
    results['states then'] = states()
    results['program'] = os.readlink('/proc/%s/exe' % show('mortised.service', 'MainPID'))


def first():
    results['before'] = remains()
    results['install'] = install('now')
    facts()
    initialise()
    upgrade()


def processes():
    """Names of those of mortise that run."""
    found = []
    for path in glob.glob('/proc/[0-9]*/comm'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path) as file:
            found.append(file.read().strip())
    return [name for name in found if name.startswith('mortise')]


def removed():
    """After the plug was pulled: up again, and then removed, and installed once more."""
    has_booted()
    results['booted'] = run(*GET)
    results['remove'] = apt('remove', 'mortise')
    results['processes'] = processes()
    results['still'] = [os.path.exists(path) for path in (
        '/usr/sbin/mortised', str(CONF), '/var/lib/mortise/store.db', '/var/log/mortise/audit.log')]
    results['active'] = [run('systemctl', 'is-active', unit)[1] for unit in UNITS]
    results['reinstall'] = install('next')
    results['again'] = states()
    results['get'] = run(*GET)


def purged():
    results['purge'] = apt('purge', *PACKAGES)
    results['kept'] = remains()
    results['pin'] = os.path.exists('/etc/mortise/token.pin')
    results['policies'] = os.path.exists('/etc/mortise/policy.d')
    results['install'] = install('next')
    configure()
    results['get'] = run(*GET)
    results['audit'] = run('mortise', 'audit', 'verify')


if __name__ == '__main__':
    perform(first, removed, purged)
