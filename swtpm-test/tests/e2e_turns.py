#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every command that asks an agent, in each of the wrong turns a person takes: no such secret, denied,
sealed, no agent, an agent that goes while it is asked, one that answers with what is no answer, and
output that cannot be written. The list of commands is that of `mortise --help`: none can be forgotten.
"""

import contextlib
import os
import signal
import socket
import threading

import tap
import wire
from agent import ALICE, fill
from commands import NEW, NONE, PATH, WORDS, lay_out, names, turns
from tap import has, same, test, until

# Those that name a secret which has to be there already.
OF_A_SECRET = ('get', 'exec', 'render', 'show', 'meta', 'move', 'rollback', 'delete', 'undelete', 'destroy')
# Those that an operator may run while the agent is sealed, as the state itself asks for them.
SEALED_TOO = ('seal', 'slot list', 'slot test', 'clock show')
# Those whose result is what they print.
OF_OUTPUT = ('get', 'exec', 'render', 'list', 'show', 'policy show', 'policy check', 'policy who', 'policy may',
             'audit show', 'audit verify', 'audit public-key', 'verify', 'watch', 'slot list')
# What changes the store; each can be done once, in this order.
WRITES = ('set --from-file=large ' + PATH, 'import --yes large.env prod/app', 'meta --note=x ' + PATH,
          'rollback --to=1 ' + PATH, 'move --yes %s prod/moved' % NEW, 'undelete prod/gone',
          'slot add --recovery --recovery-file=new-key', 'rekey --yes')
# These have the reserve.
FREES = ('delete --yes ' + PATH, 'destroy --yes --version=1 prod/old',
         'destroy --yes --all prod/gone', 'policy apply --yes rules.policy',
         'policy rollback --yes', 'seal')

def refused(agent, place, status, words, is_silent=True, **options):
    """The one line that a refused command says; is_silent: and nothing had come out before."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place('new-key'))
    result = agent.run(*words, cwd=place.path, env={'EDITOR': 'true'}, input='a-new-value',
                       **options)
    same(result.status, status, (words, result))
    assert not (is_silent and result.out), (words, result)
    lines = [line for line in result.err.splitlines()
             if 'waiting' not in line and 'searched' not in line]
    same(len(lines), 1, (words, lines))
    assert lines[0].startswith('mortise: ') and lines[0].isprintable(), result
    assert not os.path.exists(place('new-key')) and not os.path.exists(place('backup')), words
    return lines[0]


def each(commands, check):
    """check(name, words) for each, and one failure for all that fail."""
    faults = []
    for name, words in commands:
        try:
            check(name, words)
        except AssertionError as fault:
            faults.append('%s: %s' % (name, fault))
    assert not faults, '\n'.join(faults)


class Stranger(threading.Thread):
    """Who listens at a socket, takes one frame a connection, answers with answer, and hangs up."""

    def __init__(self, path, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        self.socket.listen(64)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.close()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    if connection.recv(1 << 17) and self.answer:
                        connection.send(self.answer)


@test
def no_command_is_left_out(place):
    same(sorted(names(place.agent())), sorted(WORDS))


@test
def without_an_agent_each_is_69_and_says_whether_one_runs(place):
    agent = place.agent()
    lay_out(place)
    each(turns(), lambda name, words: has(refused(agent, place, 69, words),
                                          'is mortised running?', '--wait'))


@test
def of_an_agent_that_is_sealed_each_is_75_and_says_since_when(place):
    agent = place.ready()
    lay_out(place)
    agent.set(PATH, b'a-value-of-some-length')
    agent.do('seal', '--yes')
    each([turn for turn in turns() if turn[0] not in SEALED_TOO],
         lambda name, words: has(refused(agent, place, 75, words), 'sealed', 'mortise unseal'))
    agent.do('unseal')
    same(agent.get(PATH), b'a-value-of-some-length')


@test(root=True)
def who_has_no_rule_is_denied_each_of_them_and_learns_nothing(place):
    def check(name, words):
        said = refused(agent, place, 77, words, user=ALICE)
        has(said, 'denied')
        lay_out(place, NONE)
        other = [word.replace(PATH, NONE) for word in words]
        same(refused(agent, place, 77, other, user=ALICE), said.replace(PATH, NONE), name)
        lay_out(place)

    agent = place.ready()
    lay_out(place)
    os.chmod(place.path, 0o777)
    agent.set(PATH, b'a-value-of-some-length')
    each([turn for turn in turns() if turn[0] not in ('list', 'scan')], check)
    same(agent.do('list', '-r').text, PATH + '\n')


@test
def of_a_secret_that_is_not_there_each_is_66_and_names_it(place):
    agent = place.ready()
    lay_out(place, NONE)
    each([turn for turn in turns(NONE) if turn[0] in OF_A_SECRET],
         lambda name, words: has(refused(agent, place, 66, words), NONE, 'mortise '))
    same(agent.do('list', '-r').text, '')


@test
def an_agent_that_goes_while_it_is_asked_is_69_in_time(place):
    agent = place.agent()
    lay_out(place)
    os.mkdir(os.path.dirname(agent.socket))
    with Stranger(agent.socket, b''):
        each(turns(), lambda name, words: refused(agent, place, 69, words, timeout=30))


@test
def an_answer_that_is_none_is_an_error_and_no_value(place):
    def check(name, words):
        has(refused(agent, place, 74, words, timeout=30), "the agent's reply is malformed")

    agent = place.agent()
    lay_out(place)
    os.mkdir(os.path.dirname(agent.socket))
    with Stranger(agent.socket, b'\xff' * 64):
        each(turns(), check)


@test
def output_that_cannot_be_written_is_74(place):
    def check(name, words):
        with open('/dev/full', 'wb') as full:
            result = agent.run(*words, cwd=place.path, stdout=full)
        same(result.status, 74, (words, result))
        has(result.err, 'write')

    agent = place.ready()
    lay_out(place)
    agent.set(PATH, b'a-value-of-some-length')
    each([turn for turn in turns() if turn[0] in OF_OUTPUT], check)


@test(root=True)
def on_a_full_disk_each_that_writes_is_74_and_changes_nothing_while_reads_go_on(place):
    def check(_, words):
        before = seen()
        has(refused(agent, place, 74, words), 'is the disk full')
        same(seen(), before)

    def seen():
        return [agent.do(*words.split()).text for words in (
            'list -r --deleted', 'get ' + PATH, 'get prod/old --version=1', 'show --json ' + PATH,
            'policy show', 'slot list --json')]

    agent = place.agent()
    place.disk('agent/store', '700k', '0700', agent.user)
    lay_out(place)
    place.file('large', 'x' * 60000)
    place.file('large.env', ''.join('N%d=%s\n' % (i, 'v' * 900) for i in range(60)))
    agent.start()
    agent.init()
    agent.do('policy', 'apply', '--yes', place('rules.policy'))
    for path in (PATH, PATH, NEW, 'prod/old', 'prod/old', 'prod/gone'):
        agent.set(path, os.urandom(20).hex())
    agent.do('delete', '--yes', 'prod/gone')
    agent.stop()
    fill(agent.store + '/ballast')
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    writes = [(line, line.split()) for line in WRITES]
    each(writes, check)
    os.unlink(agent.store + '/ballast')
    for line, words in writes:
        until(lambda: agent.run(*words, cwd=place.path, input='v').status == 0, what=line)
    agent.do('verify')


def fill_up(disks):
    for disk in disks:
        fill(disk + '/ballast')


@test(root=True)
def on_a_full_disk_an_administrator_deletes_destroys_applies_and_seals(place):
    agent = place.agent()
    disks = [place.disk(name, '16m', '0700', agent.user) for name in ('agent/store', 'agent/log')]
    lay_out(place)
    agent.start()
    agent.init()
    for name in (PATH, 'prod/old', 'prod/old', 'prod/gone'):
        agent.set(name, os.urandom(20).hex())
    agent.do('delete', '--yes', 'prod/gone')
    agent.do('policy', 'apply', '--yes', place('rules.policy'))
    until(lambda: os.path.exists(agent.store + '/reserve'))
    fill_up(disks)
    connection = wire.connect(agent.socket)
    while wire.get(connection, PATH)[0] == 0:
        pass
    has(refused(agent, place, 75, ['get', PATH]), 'administrators')
    has(agent.status()['audit'], 'for administrators')
    for line in FREES:
        fill_up(disks)
        agent.do(*line.split(), cwd=place.path)
    agent.do('unseal')
    until(lambda: agent.status()['state'] == 'unsealed')
    for disk in disks:
        os.unlink(disk + '/ballast')
    agent.do('set', '--raw', '--wait=20', NEW, input='v')
    same(agent.get(NEW), b'v')
    agent.do('verify')
    agent.do('audit', 'verify')


@test
def with_the_agent_s_first_process_stopped_an_unseal_ends_with_words(place):
    agent = place.ready()
    agent.do('seal')
    os.kill(agent.process.pid, signal.SIGSTOP)
    try:
        same(agent.status()['state'], 'sealed')
        result = agent.run('unseal')
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)
    same(result.status, 74)
    has(result.err, "the agent's first process does not answer", 'kill -CONT')
    same(result.err.count('\n'), 1, result.err)
    agent.do('unseal', '--wait=60')
    until(lambda: agent.status()['state'] == 'unsealed')


if __name__ == '__main__':
    tap.main()
