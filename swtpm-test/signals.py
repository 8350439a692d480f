# SPDX-License-Identifier: ISC
"""signals: a command as somebody's job, with or without mortise around it: on a terminal of a small
shell, as the leader of a session, or on pipes. What it gets, what its parent sees, what is left.

Job     a started signal_probe, alone or by `mortise exec`, `watch` or `dev`
"""

import contextlib
import fcntl
import json
import os
import pty
import pwd
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

from tap import until

PATH = 'prod/db/password'
VALUE = b'correct horse battery'

KEYS = {signal.SIGINT: b'\x03', signal.SIGQUIT: b'\x1c', signal.SIGTSTP: b'\x1a'}
QUIT = signal.SIGRTMAX


def build(place):
    """The path of signal_probe."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'signal_probe.c')
    subprocess.run(['cc', '-D_GNU_SOURCE', '-O', source, '-o', place('signal_probe')], check=True)
    return place('signal_probe')


def _shell(job, peer, files, orders, told):
    """
    Runs job, and peer beside it, as a job on its terminal, and says what becomes of it: a line each. An
    order is fg or bg. The others of its session are its own.
    """
    def say(**what):
        os.write(told, json.dumps(what).encode() + b'\n')
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    go, released = os.pipe()
    members = []
    for become in (job, peer):
        pid = os.fork()
        if pid == 0:
            os.close(released)
            os.read(go, 1)
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            if not members:
                for number, file in files.items():
                    os.dup2(file, number)
            become()
        members.append(pid)
        os.setpgid(pid, members[0])
    os.tcsetpgrp(0, members[0])
    say(pid=members[0], peer=members[1])
    os.close(released)
    while True:
        _, status = os.waitpid(members[0], os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpgrp())
            say(ended=os.waitstatus_to_exitcode(status))
            os.read(orders, 1)  # until it is closed
            os._exit(0)
        os.tcsetpgrp(0, os.getpgrp())
        say(stopped=os.WSTOPSIG(status))
        order = os.read(orders, 1)
        if order == b'f':
            os.tcsetpgrp(0, members[0])
        os.killpg(members[0], signal.SIGCONT)


class Terminal:
    """The other side of a terminal: keeps what is said there."""

    def __init__(self):
        self.fd, self.theirs = pty.openpty()
        self.said = b''
        self.closed = False
        self.resize(24, 80)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        with contextlib.suppress(OSError, ValueError):
            while not self.closed:
                if select.select([self.fd], [], [], 0.1)[0]:
                    self.said += os.read(self.fd, 65536)

    def type(self, keys):
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def hear(self, *wanted, seconds=30):
        for text in wanted:
            text = text.encode() if isinstance(text, str) else text
            until(lambda: text in self.said, seconds, what=lambda: 'waited for %r; there is %r' % (
                text, self.said[-600:]))

    def modes(self):
        return termios.tcgetattr(self.fd)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def hang_up(self):
        if not self.closed:
            self.closed = True
            self._thread.join()
            os.close(self.fd)


class Job:
    """
    kind: alone, exec, watch or dev. where: 'pipes', 'terminal', 'terminal, output to a file', 'terminal,
    input from a pipe', or 'leader', whose session it leads as `exec CMD` in a new window does.
    """

    def __init__(self, place, probe, agent, kind, where, mode, child=False, ignored=()):
        self.place, self.kind, self.where = place, kind, where
        self.log_path = place('log.%d' % len(os.listdir(place.path)))
        self.peer_path = self.log_path + '.peer'
        self.file = open(self.log_path + '.out', 'wb')
        self.terminal = None
        words = [probe, self.log_path, mode, *(['child'] if child else [])]
        mortise = [agent.prefix + '/bin/mortise']
        job = {'alone': words, 'exec': [*mortise, 'exec', '-e', 'PW=' + PATH, '--', *words],
               'watch': [*mortise, 'watch', '--initial', '--once', PATH, '--', *words],
               'dev': [*mortise, 'dev', '--', *words]}[kind]
        env = {'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket, 'TMPDIR': place.path}
        if kind == 'dev':
            del env['MORTISE_SOCKET']
        self._start(job, [probe, self.peer_path, 'handle'], env, ignored)
        self.wait_for('P ready', *(['C ready'] if child else []))
        if where != 'leader':
            self.wait_for('P ready', path=self.peer_path)
        self.pid = self.told.pop('pid')
        self.command = self._find([probe, self.log_path])

    def _start(self, job, peer, env, ignored):
        orders, self.orders = os.pipe()
        self.reports, told = os.pipe()
        self.told = {}
        if self.where != 'pipes':
            self.terminal = Terminal()
        files = {}
        if self.where.endswith('output to a file'):
            files[1] = self.file.fileno()
        if self.where.endswith('input from a pipe'):
            files[0], self.input = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                os.close(self.orders)
                os.close(self.reports)
                for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                os.chdir('/')

                def become(argv):
                    for number in ignored:
                        signal.signal(number, signal.SIG_IGN)
                    os.closerange(3, 256)
                    os.execve(argv[0], argv, env)
                self._become(lambda: become(job), lambda: become(peer), files, orders, told)
            except BaseException as failure:
                sys.stderr.write(repr(failure) + '\n')
            os._exit(99)
        os.close(orders)
        os.close(told)
        if self.terminal:
            os.close(self.terminal.theirs)
        if self.where in ('pipes', 'leader'):
            self.told['pid'] = self.process
        else:
            self._hear('pid')

    def _become(self, job, peer, files, orders, told):
        if self.where == 'pipes':
            os.setpgid(0, 0)
        else:
            os.setsid()
        if self.terminal:
            os.close(self.terminal.fd)
            fcntl.ioctl(self.terminal.theirs, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(self.terminal.theirs, number)
            if self.where == 'leader':
                job()
            _shell(job, peer, files, orders, told)
        null = os.open('/dev/null', os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(self.file.fileno(), 1)
        os.dup2(self.file.fileno(), 2)
        if os.fork() == 0:
            peer()
        job()

    def __str__(self):
        return '%s, %s' % (self.kind, self.where)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [*self.left(), *self._with(self.peer_path)]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        os.close(self.orders)
        if self.terminal:
            self.terminal.hang_up()
        with contextlib.suppress(OSError):
            os.kill(self.process, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.process, 0)
        os.close(self.reports)
        self.file.close()

    # What is seen

    def _hear(self, what, seconds=30):
        """What the shell says of the job."""
        end = time.monotonic() + seconds
        line = b''
        while what not in self.told:
            assert select.select([self.reports], [], [], max(0, end - time.monotonic()))[0], (
                '%s: the shell does not see that it has %s; %r' % (self, what, self.log()))
            byte = os.read(self.reports, 1)
            assert byte, 'the shell has ended'
            line += byte
            if byte == b'\n':
                self.told.update(json.loads(line))
                line = b''
        return self.told[what]

    def stops(self, seconds):
        """Does its parent see that within seconds?"""
        return 'stopped' in self.told or bool(
            select.select([self.reports], [], [], seconds)[0] and self._hear('stopped'))

    def stopped(self):
        """By which signal, as its parent sees it."""
        number = self._hear('stopped')
        del self.told['stopped']
        return number

    def ended(self):
        """How, as its parent sees it."""
        if self.where in ('pipes', 'leader'):
            found = until(lambda: (lambda found: found if found[0] else None)(
                os.waitpid(self.process, os.WNOHANG)), 30, what='%s: it does not end' % self)
            return os.waitstatus_to_exitcode(found[1])
        return self._hear('ended')

    def state(self):
        """Of the started process, as ps has it."""
        return state_of(self.pid)

    def log(self, path=None):
        try:
            with open(path or self.log_path) as log:
                return log.read().splitlines()
        except FileNotFoundError:
            return []

    def wait_for(self, *lines, path=None):
        until(lambda: not set(lines) - set(self.log(path)), 30,
              what=lambda: '%s: waited for %r; there is %r' % (self, lines, self.log(path)))

    def wait_count(self, line, count, path=None):
        until(lambda: self.log(path).count(line) >= count, 30,
              what=lambda: '%s: waited for %d of %r; there is %r' % (self, count, line, self.log(path)))

    def wait_state(self, state):
        """Of the started process and of the command."""
        until(lambda: state_of(self.command) == self.state() == state, what=lambda: '%s: not %s; %s, %s' % (
            self, state, self.state(), state_of(self.command)))

    def _find(self, words):
        start = '\0'.join([*words, '']).encode()
        return until(lambda: next((pid for pid, line in command_lines()
                                   if line.startswith(start)), None))

    def left(self):
        """Processes of the job that are there yet, but for the peer."""
        return self._with(self.log_path)

    @staticmethod
    def _with(path):
        return [pid for pid, line in command_lines() if path.encode() + b'\0' in line]

    # What is done

    def send(self, sender, number):
        if sender == 'alone':
            os.kill(self.pid, number)
        elif sender == 'group':
            os.killpg(self.pid, number)
        elif sender == 'command':
            os.kill(self.command, number)
        elif sender == 'key':
            self.terminal.type(KEYS[number])
        else:
            raise ValueError(sender)

    def order(self, what):
        """fg or bg"""
        os.write(self.orders, what[:1].encode())


def command_lines():
    for entry in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % entry, 'rb') as line:
                yield int(entry), line.read()
        except OSError:
            pass


def state_of(pid):
    with open('/proc/%d/stat' % pid) as stat:
        return stat.read().rsplit(')', 1)[1].split()[0]
