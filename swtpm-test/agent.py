# SPDX-License-Identifier: ISC
"""agent: fixtures for end-to-end tests: a private place, an installed mortised.

Place   a private directory; all that was made in it ends and goes with it
Agent   a mortised with a socket, store, audit log and configuration of its own

As root the agent runs as AGENT_USER, and a test speaks as any other user; else all is one user.
MORTISE_TEST_PREFIX is the installation under test. With MORTISE_TEST_KERNEL=6.1 (or 6.12) each
mortised runs as on such a kernel (fail_call), so that any suite can be had for old ones.
"""

import contextlib
import grp
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import time

import keep
from tpm import AGENT_USER, DEADLINE_S, HERE, IS_ROOT, Tap, Tpm, end_process

# On every Debian, as is AGENT_USER. nobody is the kernel's overflow uid, which is always denied.
ALICE, BOB, CAROL = 'backup', 'games', 'news'
OPERATORS = 'operator'


def prefix():
    return os.environ['MORTISE_TEST_PREFIX']


def as_on_kernel():
    """What a mortised is run by, to find an older kernel than there is."""
    kernel = os.environ.get('MORTISE_TEST_KERNEL')
    return [HERE + '/fail_call', '--kernel=' + kernel, '--'] if kernel else []


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Result:
    """What a command came to: exit status, bytes of stdout, text of stderr."""

    def __init__(self, completed):
        self.status = completed.returncode
        self.out = completed.stdout or b''
        self.err = completed.stderr.decode()
        self.text = self.out.decode(errors='replace')

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return 'status %d, out %.300r, err %.600r' % (self.status, self.out, self.err)


def fill(path):
    """A file that takes all the room there is on its disk."""
    with open(path, 'ab', buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def in_child(user, work):
    """What work(), run by a child process as user, returns: bytes."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user:
                entry = pwd.getpwnam(user)
                os.setgroups([])
                os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
                os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            os.write(theirs, work())
        except BaseException as failure:  # nothing of the test may go on in the child
            os.write(theirs, b'raised ' + repr(failure).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, 'rb') as result:
        said = result.read()
    os.waitpid(child, 0)
    return said


class Place(contextlib.ExitStack):
    """A directory below which every user may look up names, and nobody else may write."""

    def __init__(self):
        super().__init__()
        self.path = tempfile.mkdtemp(prefix='mortise-e2e.')
        os.chmod(self.path, 0o755)
        self.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.agents = []
        self.callback(self._keep)  # before that, and after the agents have ended

    def _keep(self):
        for agent in self.agents:
            keep.agent(agent)

    def __call__(self, name):
        return os.path.join(self.path, name)

    def directory(self, name, mode=0o755):
        os.mkdir(self(name))
        os.chmod(self(name), mode)
        return self(name)

    def file(self, name, content, mode=0o644):
        with open(self(name), 'wb') as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(self(name), mode)
        return self(name)

    def disk(self, name, size, mode='0755', user=None):
        """A directory that is a small file system of its own, user's; skips where none can be."""
        path = self.directory(name)
        owner = ',uid=%d,gid=%d' % pwd.getpwnam(user)[2:4] if user else ''
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%s,mode=%s%s' % (
            size, mode, owner), 'mortise-e2e', path], capture_output=True, check=False)
        if done.returncode != 0:
            raise Skip('no tmpfs can be mounted here')
        self.callback(subprocess.run, ['umount', '-l', path], check=False)
        return path

    def tpm(self, name='tpm'):
        return self.enter_context(Tpm(self(name)))

    def tap(self, tpm):
        return self.enter_context(Tap(self('tap'), tpm))

    def agent(self, tpm=None, name='agent', **settings):
        tpm = tpm or self.tpm(name + '-tpm')
        agent = self.enter_context(Agent(self(name), tpm.tcti, **settings))
        self.agents.append(agent)
        return agent

    def wrapped(self, *wrapping, **settings):
        """An agent without hardware, whose mortised is run by wrapping; not started yet."""
        front = self.directory('front')
        os.mkdir(front + '/sbin')
        os.symlink(prefix() + '/bin', front + '/bin')
        self.file('front/sbin/mortised', '#!/bin/sh\nexec %s%s/sbin/mortised "$@"\n' % (
            ' '.join(wrapping) + ' ' if wrapping else '', prefix()), 0o755)
        agent = self.enter_context(Agent(self('agent'), 'swtpm:path=/nowhere',
                                         prefix_path=front, **settings))
        self.agents.append(agent)
        return agent

    def ready(self, **settings):
        """An agent that is initialised and unsealed."""
        agent = self.agent(**settings)
        agent.start()
        agent.init()
        return agent

    def describe(self):
        for agent in self.agents:
            yield 'log of %s:' % agent.path
            yield from agent.log().splitlines()[-12:]


class Agent:
    """lines are further lines of [agent], tpm2_lines of [tpm2]; user=None: whoever runs this."""

    def __init__(self, path, tcti, prefix_path=None, user=AGENT_USER if IS_ROOT else None,
                 lines=(), tpm2_lines=('deadline = 15',), audit=None):
        self.path, self.tcti, self.user = path, tcti, user
        self.prefix = prefix_path or prefix()
        self.store, self.conf = path + '/store', path + '/mortised.conf'
        self.audit = audit or path + '/log/audit.log'
        self.socket, self.recovery = path + '/run/mortise.sock', path + '/recovery'
        self.process = None
        os.mkdir(path)
        os.chmod(path, 0o755)
        self.configure(lines, tpm2_lines)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            end_process(self.process)

    def configure(self, lines=(), tpm2_lines=()):
        own = ['user = ' + self.user] if self.user else []
        with open(self.conf, 'w') as file:
            file.write('\n'.join(
                ['[agent]', 'socket = ' + self.socket, 'store = ' + self.store,
                 'audit-log = ' + self.audit, *own, *lines,
                 '[tpm2]', 'tcti = ' + self.tcti, *tpm2_lines, '']))
        os.chmod(self.conf, 0o644)

    def spawn(self, umask=-1, stderr=None, stdout=subprocess.DEVNULL, options=()):
        """Starts mortised; a descriptor that becomes readable when it answers, or has ended."""
        ready, told = os.pipe()
        with open(self.path + '/stderr', 'ab') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig=KILL', *as_on_kernel(),
                 self.prefix + '/sbin/mortised', '-c', self.conf,
                 '--ready-fd=%d' % told, *options], pass_fds=(told,), stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=stderr or log, umask=umask, cwd='/')
        os.close(told)
        return ready

    def start(self, umask=-1):
        """Starts mortised and returns when it answers."""
        ready = self.spawn(umask)
        try:
            readable, _, _ = select.select([ready], [], [], DEADLINE_S)
            if not readable or os.read(ready, 1) != b'\n':
                raise AssertionError('mortised does not start: ' + self.log())
        finally:
            os.close(ready)

    def refuse(self, options=()):
        """Starts a mortised that ought to end by itself: its Result."""
        self.process = None
        ready = self.spawn(stderr=subprocess.PIPE, stdout=subprocess.PIPE, options=options)
        process, self.process = self.process, None
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError('mortised runs, and should not') from None
        finally:
            os.close(ready)
        return Result(subprocess.CompletedProcess([], process.returncode, out, err))

    def stop(self):
        return end_process(self.process)

    def kill(self):
        """SIGKILL to the monitor, and then nothing is left of the agent."""
        children = self.children()
        end_process(self.process, signal.SIGKILL)
        end = time.monotonic() + DEADLINE_S
        while any(os.path.exists('/proc/%d/exe' % pid) for pid in children):
            assert time.monotonic() < end, 'a child outlives the monitor'
            time.sleep(0.01)

    def restart(self):
        self.stop()
        self.start()

    def log(self):
        try:
            with open(self.path + '/stderr') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def children(self):
        """{pid: name} of the monitor's children."""
        found = {}
        for entry in os.listdir('/proc'):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError, IndexError):
                with open('/proc/%s/stat' % entry) as stat:
                    parent = int(stat.read().rsplit(')', 1)[1].split()[1])
                if self.process and parent == self.process.pid:
                    with open('/proc/%s/cmdline' % entry) as line:
                        found[int(entry)] = line.read().split('\0')[0]
        return found

    def _child(self, name):
        return next((pid for pid, found in self.children().items() if name in found), None)

    def keeper(self):
        """The keeper's pid, or None."""
        return self._child('keeper')

    def sealer(self):
        return self._child('mortise-sealer')

    def popen(self, *arguments, user=None, groups=(), env=(), **options):
        """Starts `mortise ARGUMENTS` as user, in its group and in groups besides."""
        if user and IS_ROOT:
            entry = pwd.getpwnam(user)
            options.update(user=entry.pw_uid, group=entry.pw_gid,
                           extra_groups=[grp.getgrnam(name).gr_gid for name in groups])
        pipes = {name: subprocess.PIPE for name in ('stdin', 'stdout', 'stderr')}
        return subprocess.Popen(
            [self.prefix + '/bin/mortise', *arguments],
            env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': self.socket, **dict(env)},
            **{'cwd': '/', **pipes, **options})

    def run(self, *arguments, input=b'', timeout=90, **options):
        """Runs `mortise ARGUMENTS`: a Result."""
        process = self.popen(*arguments, **options)
        data = input.encode() if isinstance(input, str) else input
        if arguments[:1] == ('set',):
            keep.value(data if '--raw' in arguments else data.removesuffix(b'\n'))
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Result(subprocess.CompletedProcess(arguments, process.returncode, out, err))

    def do(self, *arguments, **options):
        """run(), and an AssertionError unless it succeeds."""
        result = self.run(*arguments, **options)
        if result.status != 0:
            raise AssertionError('mortise %s: %r' % (' '.join(arguments), result))
        return result

    def init(self):
        return self.do('init', '--tpm2', '--recovery-file=' + self.recovery)

    def set(self, path, value):
        return self.do('set', '--raw', '--allow-empty', '--json', path, input=value).json()

    def get(self, path, *options, **more):
        value = self.do('get', path, *options, **more).out
        if '#' not in path and not options:
            keep.value(value)
        return value

    def apply(self, text):
        """Makes text the policy, after a rule that lets root, or whoever runs this, do all."""
        own = ('[rule first]\nallow = read list write delete rotate audit admin\n'
               'secret = **\nuser = %d\n' % os.geteuid())
        return self.do('policy', 'apply', '-', input=own + text)

    def status(self):
        """Facts by name; the command's exit status says sealed or not, and is no error here."""
        return self.run('status', '--json').json()
