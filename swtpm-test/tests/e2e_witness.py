#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Who says which program a caller runs: what that process can do, and whom it can keep waiting.

FAULTS rows 49 and 60. The file system that never answers is a real one (fuse_caller.c).
"""

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess

import wire
from agent import ALICE, BOB, prefix
from fuse import FuseCaller, needs_names_of_the_kernel, uid_of
from rooms import TOOLS
import tap
from tap import Skip, has, has_not, same, test, until

PATH, VALUE, TRY_AGAIN, BUSY = 'prod/db/password', b'hunter2', 75, 6
PTRACE, COUNT = 1 << 19, 2  # COUNT: of witnesses, processes.h
RULE = '[rule %s]\nallow = read\nsecret = prod/**\nuser = %s\nexe = %s\n'


def cli():
    return os.path.realpath(prefix() + '/bin/mortise')


def agent_of(place, **settings):
    """An agent without hardware whose callers' programs are asked for; not started yet."""
    return place.wrapped(lines=['exe-evidence = yes'], **settings)


def served(place, policy):
    agent = agent_of(place)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('set', '--raw', PATH, input=VALUE)
    agent.apply(policy)
    return agent


def witnesses_of(agent, before=()):
    """The pids of both witnesses, once none is one of before."""
    def find():
        found = {pid for pid in agent.children() if facts_of(pid).get('Name') == 'witness'}
        return len(found) >= COUNT and not found & set(before) and found
    return until(find)


def facts_of(pid):
    with contextlib.suppress(OSError), open('/proc/%d/status' % pid) as status:
        return {name: value.strip() for name, value in
                (line.split(':', 1) for line in status.read().splitlines())}
    return {}


def links_of(pid):
    room = '/proc/%d/fd' % pid
    return {int(name): os.readlink(room + '/' + name) for name in os.listdir(room)}


# Row 60

def check_process(agent, witness, capabilities=0):
    until(lambda: set(links_of(witness)) == {3, 4})
    facts, links = facts_of(witness), links_of(witness)
    has(links[3], 'socket:')
    has(links[4], '/mountinfo')
    same(facts['Uid'].split(), [str(uid_of(agent.user or 'root'))] * 4)
    same({int(facts[name], 16) for name in ('CapPrm', 'CapEff')}, {capabilities})
    same({int(facts[name], 16) for name in ('CapInh', 'CapAmb')}, {0})
    same(int(facts['CapBnd'], 16) & ~capabilities, 0)
    same((facts['Seccomp'], facts['NoNewPrivs'], facts['Threads']), ('2', '1', '1'))
    with open('/proc/%d/cmdline' % witness, 'rb') as line:
        same(line.read().split(b'\0')[:2], [b'mortised: witness', b'--witness'])
    with open('/proc/%d/environ' % witness, 'rb') as environment:
        has_not(environment.read().decode(), 'MORTISE')
    same(os.readlink('/proc/%d/exe' % witness), os.readlink('/proc/%d/exe' % agent.process.pid))


@test(root=True)
def a_witness_is_executed_anew_with_two_descriptors_no_capability_and_a_filter(place):
    agent = place.wrapped()
    agent.start()
    for witness in witnesses_of(agent):
        check_process(agent, witness)


@test(root=True)
def with_exe_evidence_it_has_one_capability_and_no_more(place):
    agent = agent_of(place)
    agent.start()
    for witness in witnesses_of(agent):
        check_process(agent, witness, PTRACE)


@test(root=True)
def so_it_is_where_the_agent_runs_as_root(place):
    agent = agent_of(place, user=None)
    agent.start()
    for witness in witnesses_of(agent):
        check_process(agent, witness, PTRACE)


# Row 49

def check_fuse(place, merged):
    agent = served(place, RULE % ('alice', ALICE, cli()))
    caller, witnesses = FuseCaller(place, agent, merged), witnesses_of(agent)
    for _ in range(3):
        caller.begin()
        reply = caller.finish()
        same(wire.unpack(reply)[0], 0, reply)
        has(reply, b'evidence')
        has_not(reply, b'exe')
        same(agent.get(PATH, user=ALICE), VALUE, 'by exe, meanwhile')
    same(witnesses_of(agent), witnesses, 'nothing was asked of that file system')
    same(agent.status()['evidence_exe'], 'witness')
    has_not(agent.status(), 'witness_replaced')


@test(root=True)
def a_program_on_a_file_system_that_never_answers_keeps_nobody_waiting(place):
    needs_names_of_the_kernel()
    check_fuse(place, place.directory('merged', 0o755))


@test(root=True)
def nor_one_there_that_has_the_path_of_a_program_of_this_host(place):
    needs_names_of_the_kernel()
    merged = place.directory('merged', 0o755)
    shutil.copy(cli(), merged + '/program')
    check_fuse(place, merged)


def ask_as(agent, uid):
    """A GET that a process of uid's has sent: its connection, and its pid."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(agent.socket)
        connection.send(wire.get_frame(PATH))
        socket.send_fds(theirs, [b'x'], [connection.fileno()])
        while True:
            signal.pause()
    theirs.close()
    _, passed, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    connection = socket.socket(fileno=passed[0])
    connection.settimeout(60)
    return connection, child


def is_second_answered_first(agent, first_uid, second_uid):
    """Has the second uid its value while the first one's answer is still to come?"""
    first, first_child = ask_as(agent, first_uid)
    second, second_child = ask_as(agent, second_uid)
    try:
        has(second.recv(131072), VALUE)
        is_first = not select.select([first], [], [], 0)[0]
        has(first.recv(131072), VALUE)
        return is_first
    finally:
        for child in (first_child, second_child):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        first.close()
        second.close()


@test(root=True)
def while_a_witness_does_not_answer_only_who_was_asked_about_waits(place):
    """The other witness may be asked about both; so each is stopped in turn, and each time others
    ask: who was once late is not asked about."""
    needs_names_of_the_kernel()
    agent = served(place, ''.join(
        '[rule r%d]\nallow = read\nsecret = prod/**\nuser = %d\n' % (uid, uid) for uid in range(70000, 70100)))
    uids, rounds = iter(range(70000, 70100)), itertools.count()

    def round_of():
        stopped = sorted(witnesses_of(agent))[next(rounds) % COUNT]
        os.kill(stopped, signal.SIGSTOP)
        try:
            return is_second_answered_first(agent, next(uids), next(uids))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
    until(round_of, 100, 'the first was always answered before the second')


@test(root=True)
def late_witnesses_are_killed_and_replaced_and_that_is_said(place):
    agent = served(place, RULE % ('alice', ALICE, cli()) + RULE % ('bob', BOB, cli()))
    same(agent.get(PATH, user=ALICE), VALUE)
    witnesses = witnesses_of(agent)
    for witness in witnesses:
        os.kill(witness, signal.SIGSTOP)
    result = agent.run('get', PATH, user=ALICE)
    same(result.status, TRY_AGAIN)
    has(result.err, 'who asks could not be found out: the witness')
    same(agent.get(PATH, '--wait=60', user=BOB), VALUE, 'another user')
    same(agent.get(PATH, '--wait=60', user=ALICE), VALUE, 'and when it is over')
    same(agent.status()['evidence_exe'], 'witness')
    has(agent.log(), 'the witness could not look at pid')
    has(agent.run('doctor', '--quick').out.decode(), 'the witness, who looks', 'was replaced')
    assert witnesses_of(agent) != witnesses


@test(root=True)
def a_witness_that_died_is_replaced(place):
    agent = served(place, RULE % ('alice', ALICE, cli()))
    for count in (2, 4):
        witnesses = witnesses_of(agent)
        for witness in witnesses:
            os.kill(witness, signal.SIGKILL)
        witnesses_of(agent, witnesses)
        same(agent.get(PATH, user=ALICE), VALUE)
        same(agent.status()['witness_replaced'], count)
    has(agent.log(), 'a witness was ended by signal 9')
    has(agent.run('doctor', '--quick').out.decode(), 'ended and was replaced (4)')


@test(root=True)
def witnesses_that_hang_end_with_their_keeper(place):
    agent = agent_of(place)
    agent.start()
    witnesses = witnesses_of(agent)
    for witness in witnesses:
        os.kill(witness, signal.SIGSTOP)
    os.kill(agent.keeper(), signal.SIGKILL)
    witnesses_of(agent, witnesses)
    for witness in witnesses:
        until(lambda: not os.path.exists('/proc/%d' % witness))


class Inside:
    """An agent in a pid namespace, and so with a /proc, of its own, and who asks it there."""

    def __init__(self, place, *wrapping):
        command = ['--pid', '--fork', '--mount-proc']
        done = subprocess.run(['unshare', *command, 'true'], capture_output=True)
        if done.returncode:
            raise Skip('no such namespaces here: ' + done.stderr.decode().strip())
        self.agent = place.wrapped('unshare', *command, '--kill-child', *wrapping)
        self.agent.start()
        inner = until(lambda: next((pid for pid in self.agent.children()), None))
        place.callback(os.kill, inner, signal.SIGKILL)  # unshare waits for it, whatever it is sent
        self.prefix = ['nsenter', '--target', str(inner), '--pid', '--mount']
        self.do('init', '--no-hardware', '--recovery-file=' + self.agent.recovery)
        self.do('set', '--raw', PATH, input=VALUE)
        self.do('policy', 'apply', '-', input=(
            '[rule first]\nallow = read write admin audit\nsecret = **\nuser = 0\n'
            '[rule bob]\nallow = read\nsecret = prod/**\nuser = %s\n' % BOB).encode())

    def do(self, *arguments, user='root', input=b''):
        done = subprocess.run(
            [*self.prefix, 'setpriv', '--reuid=' + user, '--regid=%d' % uid_of(user),
             '--clear-groups', prefix() + '/bin/mortise', '--socket=' + self.agent.socket,
             *arguments], input=input, capture_output=True, timeout=60)
        same(done.returncode, 0, done.stderr)
        return done.stdout


def check_held(place, *wrapping):
    inside = Inside(place, *wrapping)
    caller = FuseCaller(place, inside.agent, place.directory('merged', 0o755), *inside.prefix,
                        'setpriv', '--reuid=' + ALICE, '--regid=%d' % uid_of(ALICE),
                        '--clear-groups', how=['held'])
    for _ in range(3):
        caller.begin()
        same(inside.do('get', PATH), VALUE, 'root, meanwhile')
        same(inside.do('get', PATH, user=BOB), VALUE, 'another user')
        code, fields = wire.unpack(caller.finish())
    same(inside.do('get', PATH), VALUE, 'and afterwards')
    status = inside.do('status').decode()
    has(status, 'witness late', 'of uid %d' % uid_of(ALICE))
    return code, fields


@test(root=True)
def a_caller_whose_proc_directory_nobody_can_look_into_keeps_nobody_waiting(place):
    needs_names_of_the_kernel()
    same(check_held(place)[0], 0, 'it is told who it is, without what cannot be had')


@test(root=True)
def on_a_kernel_that_tells_no_ids_by_pidfd_it_is_told_to_try_again(place):
    needs_names_of_the_kernel()
    code, fields = check_held(place, TOOLS + '/fail_call', '--kernel=6.12', '--')
    same(code, BUSY)
    has(fields[wire.TEXT], b'who asks could not be found out')


if __name__ == '__main__':
    tap.main()
