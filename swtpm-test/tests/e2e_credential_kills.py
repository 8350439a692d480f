#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""LoadCredential= and a keeper that is killed at any step: the whole value, or a refusal.

The test plays systemd: it binds addresses, connects from the unit's cgroup, and reads to the end.
"""

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import time

import tap
from agent import in_child, is_gone
from cgroup import Unit
from tap import Skip, same, test, until

UNIT = 'backup%d.service' % os.getpid()
VALUE, TOO_MUCH = b's3cret' * 1000, 1 << 20
POLICY = '''[credential dbpass]
unit = %s
secret = prod/db
''' % UNIT
KILLS, PEERS = 6, 8
# Where the keeper dies: before that system call is made for the so-manieth time. The first of
# sendto asks the monitor for connections, further ones hand over values and release.
STEPS = [('sendto', number) for number in range(1, 14)] + [
    ('recvmsg', 2), ('getsockopt', 1), ('getsockopt', 3), ('getpeername', 1), ('openat2', 1),
    ('read', 1), ('write', 1), ('write', 2), ('close', 1), ('close', 2), ('epoll_wait', 1),
    ('epoll_wait', 2)]
STEPS_OF_ONE_AGENT = 4  # a monitor waits ever longer before it starts another keeper


def connect(path, number, identity):
    """systemd's end of a connection."""
    peer = socket.socket(socket.AF_UNIX)
    peer.bind(b'\0%x/unit/%s/%s' % (number, UNIT.encode(), identity.encode()))
    peer.connect(path)
    return peer


def take(peer):
    """'value' or 'refused', as systemd would find; or what came that is neither."""
    taken = b''
    while len(taken) <= TOO_MUCH:
        more = peer.recv(1 << 17)
        if not more:
            break
        taken += more
    peer.close()
    if taken == VALUE:
        return 'value'
    return 'refused' if len(taken) > TOO_MUCH else '%d bytes: %.20r' % (len(taken), taken)


def served(place):
    agent = place.agent()
    credentials = agent.path + '/run/credentials.sock'
    agent.configure(tpm2_lines=('deadline = 15', '[credentials]', 'path = ' + credentials))
    agent.start()
    agent.init()
    agent.set('prod/db', VALUE)
    agent.apply(POLICY)
    return agent, credentials


def of_unit(work):
    """What work() returns, a list, when a process of the unit has done it."""
    def enter_and_work():
        Unit(UNIT).enter()
        return '\n'.join(work()).encode()
    return in_child(None, enter_and_work).decode().split('\n')


def is_traced_or_gone(pid, tracer):
    """A process that is killed at its next system call may be gone before anybody looks."""
    try:
        with open('/proc/%d/status' % pid) as status:
            return 'TracerPid:\t%d\n' % tracer in status.read()
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextlib.contextmanager
def killed_at(agent, call, number):
    """The keeper dies when it is about to make that call."""
    keeper = until(agent.keeper)
    strace = subprocess.Popen(
        ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e',
         'inject=%s:signal=KILL:when=%d' % (call, number), '-p', str(keeper)],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_traced_or_gone(keeper, strace.pid))
        yield
        until(lambda: agent.keeper() not in (None, keeper),
              what='%s %d: the keeper lives' % (call, number))
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()


def at_step(agent, path, call, number):
    """Four that have a value and two that are refused, at once."""
    def work():
        peers = [connect(path, 10 * number + index, 'dbpass' if index % 3 else 'unheard-of')
                 for index in range(6)]
        return [take(peer) for peer in peers]
    with killed_at(agent, call, number):
        return of_unit(work)


@test(root=True)
def killed_at_each_step_of_an_answer_it_leaves_no_empty_credential_and_no_part(place):
    if not shutil.which('strace'):
        raise Skip('strace is not installed')
    with Unit(UNIT):
        agent, path = served(place)
        bad = []
        for index, (call, number) in enumerate(STEPS):
            if index % STEPS_OF_ONE_AGENT == 0 and index:
                agent.restart()
            agent.do('status', '--wait=20')
            results = at_step(agent, path, call, number)
            bad += ['%s %d: %s' % (call, number, result) for result in results
                    if result not in ('value', 'refused')]
        print('# %d steps, %d credentials, %d of them wrong' % (len(STEPS), 6 * len(STEPS), len(bad)))
        same(bad, [])


@test(root=True)
def killed_while_a_refusal_is_half_read_it_is_finished(place):
    with Unit(UNIT):
        agent, path = served(place)
        for number in range(3):
            keeper = until(agent.keeper)
            peer = connect(path, number, 'unheard-of')
            select.select([peer], [], [], 15)
            os.kill(keeper, signal.SIGKILL)
            until(lambda: is_gone(keeper))
            same(take(peer), 'refused')


def ask_for_ever(path, number, stop):
    """Asks again and again; what came of it."""
    results = []
    while not select.select([stop], [], [], 0)[0]:
        asked = 1000000 * (number + 1) + len(results)
        results.append(take(connect(path, asked, 'dbpass' if asked % 8 else 'unheard-of')))
    return results


def start_asking(place, path, number, stop):
    """A process of the unit that asks until stop is readable; its results go to a file."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            Unit(UNIT).enter()
            place.file('results-%d' % number, '\n'.join(ask_for_ever(path, number, stop)))
        os._exit(0)
    return child


@test(root=True)
def killed_at_random_moments_while_hundreds_ask_none_has_an_empty_credential_or_a_part(place):
    seed = int(os.environ.get('MORTISE_TEST_SEED', random.randrange(1 << 30)))
    kills = int(os.environ.get('MORTISE_TEST_KILLS', KILLS))
    print('# seed %d' % seed)
    source = random.Random(seed)
    with Unit(UNIT):
        agent, path = served(place)
        stop, tell = os.pipe()
        children = [start_asking(place, path, number, stop) for number in range(PEERS)]
        for _ in range(kills):
            agent.do('status', '--wait=20')
            time.sleep(source.random() * 0.2)  # the moment is what varies
            os.kill(until(agent.keeper), signal.SIGKILL)
        agent.do('status', '--wait=20')
        os.write(tell, b'x')
        for child in children:
            os.waitpid(child, 0)
        results = [line for number in range(PEERS)
                   for line in open(place('results-%d' % number)).read().split('\n')]
    counts = {result: results.count(result) for result in sorted(set(results))}
    print('# %d kills, %d asked: %s' % (kills, len(results), counts))
    assert len(results) >= 200, counts
    same([result for result in results if result not in ('value', 'refused')], [])


if __name__ == '__main__':
    tap.main()
