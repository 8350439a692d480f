#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Who is asking, where the kernel can be misled or does not know: FAULTS rows 1 to 6.

Rows 4 and 39 are also in e2e_callers.py. What is a documented limit is shown as one.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess

import tap
import wire
from agent import ALICE, BOB, in_child, is_gone, prefix
from rooms import TOOLS
from tap import Skip, has, same, test, until

PATH, VALUE, DENIED = 'prod/db/password', b'hunter2', 77
HUNG_UP, NOT_YOURS = b'hung up', b'2 '  # of an item: MORTISE_DENIED
OLD_KERNEL = ['--kernel=6.1']
FIRST = '''[rule first]
allow = read list write delete rotate audit admin
secret = **
user = 0
socket = main
'''
RULE = '[rule %s]\nallow = read\nsecret = prod/**\nuser = %s\n'
ROUNDS = 10000
SLEEP = os.path.realpath('/usr/bin/sleep')


def uid_of(user):
    return pwd.getpwnam(user).pw_uid


def build(name):
    return os.path.join(os.environ['MORTISE_TEST_BUILD'], name)


def agent_of(place, *wrapping, sockets='', **settings):
    """An agent without hardware, whose mortised is run by wrapping; not started yet."""
    agent = place.wrapped(*wrapping, **settings)
    with open(agent.conf, 'a') as conf:
        conf.write(sockets)
    return agent


def served(place, policy, *wrapping, **settings):
    agent = agent_of(place, *wrapping, **settings)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('set', '--raw', PATH, input=VALUE)
    agent.do('policy', 'apply', '-', input=FIRST + policy)
    return agent


def ask(path, frame=None):
    """What comes of asking anew: a status and a value, or that the agent hung up."""
    try:
        return b'%d %s' % (lambda pair: (pair[0], pair[1] or b''))(
            wire.get(wire.connect(path), PATH))
    except (OSError, TypeError, wire.struct.error):
        return HUNG_UP


def needs_unshare(*options):
    """Skips where namespaces cannot be had, as in a chroot or an unprivileged container."""
    done = subprocess.run(['unshare', *options, 'true'], capture_output=True)
    if done.returncode:
        raise Skip('no such namespaces here: ' + done.stderr.decode().strip())


def needs_names_of_the_kernel():
    """Skips what an old kernel that is played to a whole suite has not."""
    if os.environ.get('MORTISE_TEST_KERNEL') == '6.1':
        raise Skip('SO_PEERPIDFD is what it is about')


def rows(agent):
    with open(agent.audit) as log:
        return [json.loads(line) for line in log]


# Row 1

def heirs(place, heir, *wrapping, rounds=ROUNDS):
    needs_unshare('--pid', '--fork', '--mount-proc')
    agent = agent_of(place, 'unshare', '--pid', '--fork', '--mount-proc', '--kill-child', *wrapping)
    agent.start()
    inner = until(lambda: next((pid for pid in agent.children()), None))
    place.callback(os.kill, inner, signal.SIGKILL)  # unshare waits for it, whatever it is sent
    inside = ['nsenter', '--target', str(inner), '--pid', '--mount']
    done = subprocess.run([*inside, build('pid_reuse'), agent.socket, str(rounds), str(heir)],
                          capture_output=True, timeout=400)
    same(done.returncode, 0, done.stderr)
    count = subprocess.run([*inside, prefix() + '/bin/mortise', '--socket=' + agent.socket,
                            'status'], capture_output=True)
    has(count.stdout.decode(), 'uninitialised')
    same(ask(agent.socket), HUNG_UP, 'from outside of the namespace: pid 0')
    return done.stdout.decode().strip()


@test(root=True)
def an_heir_of_a_callers_pid_is_never_answered(place):
    needs_names_of_the_kernel()
    same(heirs(place, 0), '%d heirs, 0 answered' % ROUNDS)


@test(root=True)
def on_an_old_kernel_an_heir_of_another_user_is_never_answered(place):
    same(heirs(place, uid_of(BOB), TOOLS + '/fail_call', *OLD_KERNEL, '--', rounds=2000),
         '2000 heirs, 0 answered')


@test(root=True)
def a_limit_on_an_old_kernel_an_heir_of_the_same_user_is_taken_for_who_never_spoke(place):
    # In each other round the connector has spoken, and its heir is never answered.
    same(heirs(place, 0, TOOLS + '/fail_call', *OLD_KERNEL, '--', rounds=200),
         '200 heirs, 100 answered')


# Row 2

@contextlib.contextmanager
def injected(agent, *calls):
    """Every one of calls fails in the keeper meanwhile."""
    if not shutil.which('strace'):
        raise Skip('strace is not installed')
    names = ','.join(calls)
    strace = subprocess.Popen(
        ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + names, '-e',
         'inject=%s:error=EIO' % names, '-p', str(agent.keeper())],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: 'TracerPid:\t%d\n' % strace.pid in
              open('/proc/%d/status' % agent.keeper()).read())
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()


@test(root=True)
def a_look_up_that_fails_denies(place):
    needs_names_of_the_kernel()
    agent = served(place, RULE % ('alice', ALICE))
    alice = lambda: in_child(ALICE, lambda: ask(agent.socket))
    same(alice(), b'0 ' + VALUE)
    with injected(agent, 'getsockopt'):
        same(alice(), HUNG_UP)
    with injected(agent, 'ioctl', 'openat2'):
        same(alice(), HUNG_UP)
    with injected(agent, 'poll'):
        same(alice(), HUNG_UP)
    same(alice(), b'0 ' + VALUE)


@test(root=True)
def a_unit_that_cannot_be_looked_up_matches_every_deny(place):
    agent = served(place, RULE % ('alice', ALICE) +
                   '[rule not-cron]\ndeny = read\nsecret = **\nunit = cron.service\n'
                   'user = %s\n' % ALICE)
    # Here no systemd has put anybody into a unit: it cannot be had, without any fault.
    same(in_child(ALICE, lambda: ask(agent.socket))[:2], NOT_YOURS)


# Row 3

@test(root=True)
def a_caller_from_outside_of_the_agents_user_namespace_is_denied(place):
    needs_unshare('--user', '--map-root-user')
    agent = agent_of(place, 'unshare', '--user', '--map-root-user', user=None)
    agent.start()
    same(in_child(BOB, lambda: ask(agent.socket)), HUNG_UP)
    has(subprocess.run(['nsenter', '--user', '--preserve-credentials', '--target',
                        str(agent.process.pid), prefix() + '/bin/mortise',
                        '--socket=' + agent.socket, 'status'], capture_output=True).stdout.decode(),
        'uninitialised')


# An old kernel

@test(root=True)
def on_an_old_kernel_a_hello_proves_who_asks(place):
    agent = served(place, RULE % ('alice', ALICE), TOOLS + '/fail_call', *OLD_KERNEL, '--')
    same(in_child(ALICE, lambda: ask(agent.socket)), b'0 ' + VALUE)
    same(in_child(BOB, lambda: ask(agent.socket))[:2], NOT_YOURS)
    same(agent.status()['evidence'], 'hello')
    same(agent.status()['evidence_unit'], 'cgroup in /proc')


@test(root=True)
def require_pidfd_denies_everybody_on_an_old_kernel(place):
    agent = agent_of(place, TOOLS + '/fail_call', *OLD_KERNEL, '--', lines=['require-pidfd = yes'])
    agent.start()
    same(agent.run('status').status, DENIED)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(agent.socket)
    for frame in (wire.pack(wire.STATUS, {}), wire.pack(wire.HELLO, {wire.CHALLENGE: bytes(16)})):
        code, fields = wire.ask(connection, frame)
        same(code, 2)
    has(agent.log(), 'require-pidfd = yes', 'everybody is denied')


@test(root=True)
def require_pidfd_changes_nothing_on_a_new_kernel(place):
    needs_names_of_the_kernel()
    agent = served(place, RULE % ('alice', ALICE), lines=['require-pidfd = yes'])
    same(in_child(ALICE, lambda: ask(agent.socket)), b'0 ' + VALUE)
    same(agent.status()['evidence'], 'pidfd')


# Rows 5 and 6

EXE = 'exe = %s\n'
WITNESS = {'lines': ['exe-evidence = yes']}


@test(root=True)
def exe_is_had_with_a_witness_only(place):
    program = os.path.realpath(prefix() + '/bin/mortise')
    agent = served(place, RULE % ('alice', ALICE) + EXE % program, **WITNESS)
    same(agent.get(PATH, user=ALICE), VALUE)
    same(in_child(ALICE, lambda: ask(agent.socket))[:2], NOT_YOURS)
    same(agent.status()['evidence_exe'], 'witness')
    agent.configure([])
    agent.restart()
    agent.run('unseal', '--recovery-file=' + agent.recovery)
    same(agent.run('get', PATH, user=ALICE).status, DENIED)
    same(agent.do('policy', 'apply', '-', input=FIRST).err, '')
    has(agent.do('policy', 'apply', '-', input=FIRST + RULE % ('alice', ALICE) + EXE % program).err,
        '1 rule names an exe', 'exe-evidence = yes')
    has(agent.status()['evidence_exe'], 'none', 'exe-evidence')


@test(root=True)
def a_witness_has_one_capability_and_ends_with_its_keeper(place):
    agent = agent_of(place, **WITNESS)
    agent.start()
    witness = until(lambda: next((pid for pid in agent.children() if 'witness' in open(
        '/proc/%d/comm' % pid).read()), None))
    with open('/proc/%d/status' % witness) as status:
        facts = dict(line.split(':', 1) for line in status.read().splitlines())
    same({facts[name].strip() for name in ('CapPrm', 'CapEff')}, {'%016x' % (1 << 19)})
    same(facts['Uid'].split()[0], str(uid_of('uucp')))
    same(facts['NoNewPrivs'].strip(), '1')
    os.kill(agent.keeper(), signal.SIGKILL)
    until(lambda: is_gone(witness) and agent.keeper())


def preload(place, agent, user, *command):
    """Runs command as user, with the library in $ASK that asks and prints the reply."""
    library = place('ask.so')
    shutil.copy(build('libpreload_ask.so'), library)
    os.chmod(library, 0o755)
    return subprocess.run(
        command, user=user, group=uid_of(user), extra_groups=[], capture_output=True, cwd='/',
        env={'PATH': os.environ['PATH'], 'ASK': library, 'ASK_SOCKET': agent.socket,
             'ASK_FRAME': wire.get_frame(PATH).hex()})


def become_another_program(agent):
    """Connects, asks, and at once is SLEEP; a relative reads the answer."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(agent.socket)
        socket.send_fds(theirs, [b'x'], [connection.fileno()])
        connection.send(wire.get_frame(PATH))
        os.execv(SLEEP, ['sleep', '20'])
    theirs.close()
    _, passed, _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=passed[0]) as connection, ours:
        connection.settimeout(wire.DEADLINE_S)
        reply = connection.recv(131072)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return VALUE in reply


@test(root=True)
def a_limit_who_becomes_an_allowed_program_gets_through_but_never_as_another_user(place):
    agent = served(place, RULE % ('alice', ALICE) + EXE % SLEEP, **WITNESS)
    count = lambda user: int(in_child(user, lambda: b'%d' % sum(
        become_another_program(agent) for _ in range(200))))
    print('# exec won the race %d of 200 times' % count(ALICE))
    same(count(BOB), 0)


@test(root=True)
def a_program_put_over_an_allowed_one_in_a_namespace_of_ones_own_is_not_it(place):
    needs_names_of_the_kernel()
    agent = served(place, RULE % ('alice', ALICE) + EXE % SLEEP, **WITNESS)
    true = os.path.realpath('/usr/bin/true')
    namespaces = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c']
    outcomes = {}
    for over in (SLEEP, true):
        done = preload(place, agent, ALICE, *namespaces,
                       'mount --bind %s %s && LD_PRELOAD=$ASK exec %s 0' % (over, SLEEP, SLEEP))
        if not done.stdout:
            raise Skip('no user namespaces for users: ' + done.stderr.decode().strip())
        outcomes[over] = VALUE in done.stdout
    same(outcomes, {SLEEP: True, true: False})


@test(root=True)
def a_limit_a_library_put_into_an_allowed_program_asks_as_that_program_and_user(place):
    needs_names_of_the_kernel()
    agent = served(place, RULE % ('alice', ALICE) + EXE % SLEEP, **WITNESS)
    script = 'LD_PRELOAD=$ASK exec %s 0' % SLEEP
    done = preload(place, agent, ALICE, 'sh', '-c', script)
    assert VALUE in done.stdout, 'no limit any more: say so in docs/callers.md'
    assert VALUE not in preload(place, agent, BOB, 'sh', '-c', script).stdout


# Listeners

def web_agent(place, policy, lines=''):
    agent = agent_of(place, sockets='[socket web]\npath = %s\nverbs = read list\n%s' % (
        place('agent/web/mortise.sock'), lines))
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('set', '--raw', PATH, input=VALUE)
    agent.do('policy', 'apply', '-', input=FIRST + policy)
    return agent, place('agent/web/mortise.sock')


def contained(agent, web, *command, hides_main=True):
    """As uid 0 of a child pid and mount namespace that has one of the two sockets."""
    needs_unshare('--pid', '--fork', '--mount', '--mount-proc')
    script = 'mount -t tmpfs none %s && ' % os.path.dirname(agent.socket) if hides_main else ''
    path = web if hides_main else agent.socket
    return subprocess.run(
        ['unshare', '--pid', '--fork', '--mount', '--mount-proc', 'sh', '-c',
         script + 'exec "$0" --socket=%s "$@"' % path, prefix() + '/bin/mortise', *command],
        capture_output=True, input=b'x')


@test(root=True)
def a_containers_root_is_root_at_the_main_socket(place):
    agent, web = web_agent(place, '')
    same(contained(agent, web, 'get', PATH, hides_main=False).stdout, VALUE)
    same(contained(agent, web, 'seal', hides_main=False).returncode, 0)


@test(root=True)
def a_containers_root_gets_at_its_own_socket_what_a_rule_for_that_says(place):
    agent, web = web_agent(place, '[rule web]\nallow = read write\nsecret = prod/web/*\n'
                           'socket = web\nuser = 0\n')
    agent.do('set', '--raw', 'prod/web/key', input=b'theirs')
    same(contained(agent, web, 'get', 'prod/web/key').stdout, b'theirs')
    same(contained(agent, web, 'get', PATH).returncode, DENIED)
    for command in (('set', 'prod/web/key'), ('seal',), ('policy', 'show'), ('audit', 'show')):
        result = contained(agent, web, *command)
        same(result.returncode, DENIED, '%s: %r' % (command, result))
    status = json.loads(contained(agent, web, 'status', '--json').stdout)
    same(sorted(status), ['since', 'state', 'version'])
    agent.do('seal')
    same(contained(agent, web, 'unseal').returncode, DENIED)


@test(root=True)
def a_sockets_group_and_mode_say_who_may_connect(place):
    agent, web = web_agent(place, '', 'group = operator\n')
    about = os.stat(web)
    same((oct(about.st_mode & 0o7777), about.st_gid), ('0o660', 37))
    same(in_child(BOB, lambda: ask(web)), HUNG_UP)
    same(json.loads(agent.do('whoami', '--json', groups=['operator'], user=BOB,
                             env={'MORTISE_SOCKET': web}).out)['socket'], 'web')


# The audit

@test(root=True)
def login_uid_and_session_are_in_every_line_of_a_caller(place):
    agent = served(place, RULE % ('alice', ALICE))

    def log_in_and_ask():
        with open('/proc/self/loginuid', 'w') as login:
            login.write('1234')
        entry = pwd.getpwnam(ALICE)
        os.setgroups([])
        os.setresgid(*[entry.pw_gid] * 3)
        os.setresuid(*[entry.pw_uid] * 3)
        return ask(agent.socket)
    said = in_child(None, log_in_and_ask)
    if said.startswith(b'raised'):
        raise Skip('this kernel keeps no login uid')
    same(said, b'0 ' + VALUE)
    last = rows(agent)[-1]
    same((last['op'], last['uid'], last['auid']), ('get', uid_of(ALICE), 1234))
    assert last['session'] > 0


if __name__ == '__main__':
    tap.main()
