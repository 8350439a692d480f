#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What others bear while somebody does his worst: how long they wait for a secret (FAULTS rows 49 and 53 to 57), and by
how much the log grows (51 and 52).

A user and an operator ask on and on, by a new connection each time, as jobs do: first alone, then beside it. Who
attacks has what they leave of the processors (cpu.weight=1). Each line that is printed is a row of
tests/long/RESULTS.md, which `tests/long/waits` makes: longer, with a store of 1 GiB and the bound itself.
"""

import contextlib
import json
import os
import pwd
import resource
import select
import signal
import socket
import time

import tap
import wire
from agent import ALICE, BOB, prefix
from fuse import FuseCaller, needs_names_of_the_kernel
from tap import Skip, test, until
from tpm import AGENT_USER

IS_LONG = 'MORTISE_TEST_LONG' in os.environ
SECONDS = 20 if IS_LONG else 3
STORE_MIB = 1024 if IS_LONG else 96
TIMES, PLUS_MS = (5, 5) if IS_LONG else (10, 50)  # of what it is alone, of 99 in 100
LOG_S = 60 if IS_LONG else 4
LOG_MAX = 10 << 20  # of bytes, in a minute
READER_MS = 50 if IS_LONG else 500  # the longest of all, beside a destroy
PATH, VALUE_MAX, DESTROY, VERSION = 'prod/db/password', 65536, 25, 5
MOB = [BOB, 'news', 'proxy', 'lp']
POLICY = ''.join('[rule %s]\nallow = %s\nsecret = %s\n%s\n' % rule for rule in [
    ('victim', 'read', 'prod/**', 'user = ' + ALICE),
    *((user, 'read write delete', 'mob/%s/**' % user, 'user = ' + user) for user in MOB),
    ('by-group', 'read', 'prod/**', 'group = video'),
    ('by-program', 'read', 'prod/**', 'user = %s\nexe = %s/bin/mortise' % (BOB, prefix()))])


class Child:
    """work() in a process of user's, by name or uid; what it returns is taken by result()."""

    def __init__(self, place, user, work, groups=()):
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(writing)
            place.callback(self.end)
            return
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            if user:
                uid, gid = (user, user) if isinstance(user, int) else pwd.getpwnam(user)[2:4]
                os.setgroups(groups)
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
            os.write(writing, json.dumps(work()).encode())
        except BaseException as failure:
            os.write(writing, json.dumps(repr(failure)).encode())
        os._exit(0)

    def result(self):
        with os.fdopen(os.dup(self.reading), 'rb') as said:
            return json.loads(said.read())

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.reading)
            self.pid = 0


class LastInLine:
    """A group of processes that has what all others leave of the processors."""

    def __init__(self, place):
        self.taken = []
        for parent, name, share in (('/sys/fs/cgroup/cpu', 'cpu.shares', '2'), ('/sys/fs/cgroup', 'cpu.weight', '1')):
            self.path = '%s/mortise-waits-%d' % (parent, os.getpid())
            with contextlib.suppress(OSError):
                os.mkdir(self.path)
                place.callback(self.remove)
                with open(self.path + '/' + name, 'w') as file:
                    file.write(share)
                return
        raise Skip('processes cannot be given less of the processors here')

    def remove(self):
        for _ in range(100):  # until what was killed is gone
            with contextlib.suppress(OSError):
                return os.rmdir(self.path)
            time.sleep(0.05)

    def take(self, pid):
        with open(self.path + '/cgroup.procs', 'w') as file:
            file.write(str(pid))
        self.taken.append(pid)

    def let_go(self):
        for pid in self.taken:
            with open(os.path.dirname(self.path) + '/cgroup.procs', 'w') as file:
                file.write(str(pid))


def ask_on(path, seconds):
    """How long each of the answers took, in ms."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection = wire.connect(path)
        status, _ = wire.get(connection, PATH)
        took.append((time.monotonic() - began) * 1000)
        connection.close()
        assert status == 0, status
        time.sleep(0.004 if IS_LONG else 0.001)  # fewer than the lines that a user may have in the log
    return took


def measured(place, agent, beside=lambda: None):
    """Of a user and of an operator: [those of 50 in 100, of 99 in 100, and the longest], in ms."""
    asking = [Child(place, user, lambda: ask_on(agent.socket, SECONDS)) for user in (ALICE, None)]
    while beside() and not select.select([asking[0].reading], [], [], 0)[0]:
        pass
    found = []
    for child in asking:
        took = child.result()
        assert isinstance(took, list) and took, took
        took.sort()
        found.append([took[len(took) // 2], took[len(took) * 99 // 100], took[-1]])
        child.end()
    return found


def connections_of(agent):
    return int(agent.status()['connections'])


def compare(row, alone, attacked):
    for who, (_, before, _), times in zip(('user', 'operator'), alone, attacked):
        print('# | %s | %s | %s | %s |' % (row, who, *(' / '.join('%.2f' % ms for ms in each)
                                                     for each in (alone[who != 'user'], times))))
        assert times[1] <= TIMES * before + PLUS_MS, (row, who, before, times)


def served(place, **settings):
    """An agent with a secret that the victim may read, and a value for each of the mob."""
    agent = place.wrapped(lines=['exe-evidence = yes'], **settings)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('set', '--raw', PATH, input=b'hunter2')
    agent.apply(POLICY)
    return agent


def attack(place, agent, *works, groups=(), connections=0, is_last=True):
    """Each (user, work) in a process, until they have so many connections; is_last: then they have what others leave
    of the processors, until the group that is returned lets them go."""
    group = LastInLine(place) if is_last else None
    children = [Child(place, user, work, groups) for user, work in works]
    until(lambda: connections_of(agent) >= connections)
    for child in children:
        if group:
            group.take(child.pid)
    time.sleep(0.5)
    for child in children:
        assert not select.select([child.reading], [], [], 0)[0], child.result()
    return group


def open_many(path, count):
    """As many connections as there may be, up to count."""
    connections = []
    for _ in range(count):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            break
        connections.append(connection)
    return connections


def flood(path, count, frames):
    """Each connection sends the next of the frames as soon as it has an answer; who is shut out comes again."""
    poll, turn = select.epoll(), {}
    while True:
        for connection in open_many(path, count - len(turn)):
            turn[connection.fileno()] = [connection, 0]
            poll.register(connection, select.EPOLLIN)
            with contextlib.suppress(OSError):
                connection.send(frames[0])
        for number, _ in poll.poll(0.1):
            connection, at = turn[number]
            try:
                assert connection.recv(1 << 20)
                turn[number][1] = (at + 1) % len(frames)
                connection.send(frames[turn[number][1]])
            except BlockingIOError:
                pass
            except (OSError, AssertionError):
                poll.unregister(connection)
                connection.close()
                del turn[number]


def set_frame(path, size):
    return wire.pack(wire.SET, {wire.PATH: path.encode(), wire.VALUE: os.urandom(size), wire.TOKEN: os.urandom(16)})


@test(root=True)
def row_49_a_program_on_a_file_system_that_never_answers(place):
    needs_names_of_the_kernel()
    agent = served(place)
    alone = measured(place, agent)
    group = LastInLine(place)
    caller = FuseCaller(place, agent, place.directory('merged', 0o755))
    group.take(caller.process.pid)

    def ask():
        caller.begin()
        return caller.finish()
    compare('49', alone, measured(place, agent, ask))


@test(root=True)
def row_53_one_user_with_900_connections_that_set_and_get(place):
    agent = served(place)
    alone = measured(place, agent)
    paths = b''.join(wire.item(b'mob/%s/%d' % (BOB.encode(), i)) for i in range(64))
    frames = [set_frame('mob/%s/1' % BOB, 60000), wire.pack(wire.GET, {wire.PATHS: paths})]
    attack(place, agent, (BOB, lambda: flood(agent.socket, 900, frames)), connections=900)
    compare('53', alone, measured(place, agent))


def hold(path, count):
    """Connections that say nothing; in the place of one that was closed another comes."""
    held = []
    while True:
        for connection in held[:]:
            with contextlib.suppress(BlockingIOError):
                connection.recv(1)
                connection.close()
                held.remove(connection)
        held += open_many(path, count - len(held))
        time.sleep(0.05)


@test(root=True)
def row_54_four_users_with_1020_idle_connections_each(place):
    agent = served(place)
    alone = measured(place, agent)
    attack(place, agent, *((user, lambda: hold(agent.socket, 1020)) for user in MOB), connections=4000)
    compare('54', alone, measured(place, agent))


@test(root=True)
def row_55_four_users_in_65536_groups_with_1023_connections_each(place):
    agent = served(place)
    alone = measured(place, agent)
    frames = [wire.get_frame(PATH)]
    attack(place, agent, *((user, lambda: flood(agent.socket, 1023, frames)) for user in MOB),
           groups=range(100000, 165536), connections=4000)
    compare('55', alone, measured(place, agent))


def fill_store(path, user):
    """Sets other values on and on, past its quota and past what the disk has."""
    connection, i = wire.connect(path), 0
    while True:
        wire.ask(connection, set_frame('mob/%s/%d' % (user, i % 20000), 60000)) or (connection := wire.connect(path))
        i += 1


@test(root=True)
def row_56_two_users_who_fill_the_disk(place):
    place.disk('small', '96m', user=AGENT_USER)
    agent = served(place)
    agent.stop()
    agent.store = place('small') + '/store'
    agent.configure(['exe-evidence = yes'])
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery + '.2')
    agent.do('set', '--raw', PATH, input=b'hunter2')
    agent.apply(POLICY)
    alone = measured(place, agent)
    group = attack(place, agent, *((user, lambda user=user: fill_store(agent.socket, user)) for user in MOB[:2]))
    compare('56', alone, measured(place, agent))

    def is_full():
        disk = os.statvfs(agent.store)
        return disk.f_bavail * disk.f_frsize < 12 << 20
    group.let_go()  # where others left them nothing of the processors
    until(is_full, what='it was not filled')


def make_large(agent):
    """A store of STORE_MIB, by root."""
    connection, value = wire.connect(agent.socket), os.urandom(VALUE_MAX - 1)
    for i in range(STORE_MIB * (1 << 20) // VALUE_MAX):
        assert wire.set(connection, 'large/%d' % i, value) == 0
    return connection


@test(root=True)
def row_57_a_destroy_in_a_large_store(place):
    agent = served(place)
    alone = measured(place, agent)
    connection, value, i, took = make_large(agent), os.urandom(VALUE_MAX - 1), 0, []

    def destroy():
        nonlocal i
        path = 'large/%d' % i
        assert wire.set(connection, path, value) == 0
        began = time.monotonic()
        same = wire.ask(connection, wire.pack(DESTROY, {wire.PATH: path.encode(), VERSION: (1).to_bytes(8, 'little')}))
        took.append((time.monotonic() - began) * 1000)
        assert same[0] == 0, same
        i += 1
        time.sleep(0.02)
        return True
    destroyed = measured(place, agent, destroy)
    print('# %d MiB, %d destroyed; the longest took %.1f ms' % (STORE_MIB, len(took), max(took)))
    compare('57', alone, destroyed)
    assert len(took) > 5 and max(who[2] for who in destroyed) <= READER_MS, destroyed


@test(root=True)
def rows_51_and_52_refusals_of_66_users_and_one_who_names_a_path_64_times(place):
    agent = served(place)
    agent.do('set', '--raw', 'mob/%s/1' % BOB, input=b'x')
    refused = [wire.get_frame(PATH)]
    again = [wire.pack(wire.GET, {wire.PATHS: wire.item(b'mob/%s/1' % BOB.encode()) * 64})]
    before = os.path.getsize(agent.audit)
    attack(place, agent, (BOB, lambda: flood(agent.socket, 20, again)), is_last=False)
    time.sleep(LOG_S / 2)  # he has all of the agent first
    attack(place, agent, *((uid, lambda: flood(agent.socket, 2, refused)) for uid in range(200000, 200066)),
           is_last=False)
    time.sleep(LOG_S / 2)
    grown = os.path.getsize(agent.audit) - before
    print('# the log grew by %.2f MB in %d s' % (grown / 1e6, LOG_S))
    assert 100000 < grown <= LOG_MAX, grown


if __name__ == '__main__':
    tap.main()
