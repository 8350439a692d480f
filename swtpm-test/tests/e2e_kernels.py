#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Kernels older than the one that runs the tests: whatever can wait waits there, too.

Debian 12's 6.1 names no connector (no SO_PEERPIDFD), so that each connection begins with GREET and
HELLO; Debian 13's 6.12 does, but tells neither ids nor cgroup by pidfd. fail_call plays both. Whole
suites can be had on them: MORTISE_TEST_KERNEL=6.1; tests/run has some of that.
"""

import glob
import os
import re
import subprocess
import sys

import tap
from agent import prefix
from tap import same, test, until

EVIDENCE = {None: 'pidfd', '6.1': 'hello', '6.12': 'pidfd'}
PATH, VALUE = 'prod/db/password', b'hunter2'
ENDINGS = {'doctor': (1,), 'hygiene': (0, 1)}  # they find something; hygiene unless scan was faster
ENDING_S = 30  # that whatever waited may take

# What each command is run with while the agent is sealed; they go on side by side. {} is a directory.
SEALED = {
    'doctor': [], 'whoami': [], 'clock show': [],
    'get': ['w/get'], 'exec': ['-e', 'A=w/get', '--', 'true'], 'render': ['{}/template'],
    'set': ['--from-file={}/template', 'w/set'], 'import': ['{}/app.env', 'w/env/'], 'list': ['-r'], 'show': ['w/get'],
    'meta': ['w/meta', '--note=x'], 'move': ['w/move', 'w/moved'],
    'rollback': ['w/rollback', '--to=1'], 'delete': ['--yes', 'w/delete'],
    'undelete': ['w/undelete'], 'destroy': ['--yes', '--all', 'w/destroy'],
    'policy show': [], 'policy check': ['--user=root', 'read', 'w/get'],
    'policy who': ['w/get'], 'policy may': ['--user=root'],
    'audit show': [], 'audit verify': [], 'audit public-key': [], 'verify': [], 'hygiene': [],
    'clock accept': ['--note=x'], 'audit acknowledge': ['--note=x'],
    'scan': ['{}/app.env'], 'watch': ['--once', 'w/watch'],
    'rotate': ['--generate=hex:16', '--yes', 'w/rotate'],
    'slot list': [], 'backup create': ['{}/backup'],
}
# Those that would get in each other's way, one after the other.
ALONE = {
    'policy apply': ['--yes', '{}/policy.d/'], 'policy edit': ['--yes'],
    'policy rollback': ['--yes'], 'rekey': ['--yes'],
    'slot add': ['--recovery', '--recovery-file={}/second'], 'slot test': ['--recovery-file={}/second', '3'],
    'slot reseal': ['--yes', '1'], 'slot suspend': ['--yes', '4'], 'slot remove': ['--yes', '3'],
}
# Those that are for an agent in another state wait for one that is not there.
ABSENT = {'init', 'status', 'unseal', 'seal', 'recover', 'policy reset', 'backup verify',
          'backup restore'}
ELSEWHERE = {'dev', 'policy test', 'slot escrow-key',  # ask no agent, or bring one along
             'slot change-pin'}                        # is typed


def on(kernel):
    """All mortised of this test from now on."""
    os.environ.pop('MORTISE_TEST_KERNEL', None)
    if kernel:
        os.environ['MORTISE_TEST_KERNEL'] = kernel


def is_pausing(process):
    """Does a client pause before it tries again? It then polls nothing: poll(NULL, 0, ms)."""
    with open('/proc/%d/syscall' % process.pid) as call:
        words = call.read().split()
    return words[0] in ('7', '73') and words[1:3] == ['0x0', '0x0']


def begin(agent, place, commands):
    """{command: process} that wait."""
    return {command: agent.popen('--wait=60', *command.split(), *[
        argument.replace('{}', place.path) for argument in arguments],
        env={'VISUAL': 'true'}) for command, arguments in commands.items()}


def await_pauses(waiting, at_once=()):
    for command, process in waiting.items():
        if command not in at_once:
            until(lambda: process.poll() is not None or is_pausing(process), what=command)


def finish(waiting):
    for command, process in waiting.items():
        out, err = process.communicate(timeout=ENDING_S)
        assert process.returncode in ENDINGS.get(command, (0,)), (command, out, err)


def prepare(place, kernel):
    on(kernel)
    agent = place.agent()
    waiting = begin(agent, place, {'init': ['--pcrs=16', '--recovery-file=' + agent.recovery]})
    await_pauses(waiting)
    agent.start()
    finish(waiting)
    for name in ('get', 'meta', 'move', 'rollback', 'delete', 'undelete', 'destroy', 'rotate',
                 'watch'):
        agent.set('w/' + name, b'value of ' + name.encode())
    agent.set('w/rollback', b'another')
    agent.do('meta', '--hook=/bin/true', 'w/rotate')
    agent.do('delete', '--yes', 'w/undelete')
    agent.do('delete', '--yes', 'w/destroy')
    place.file('template', '{{ secret "w/get" }}\n')
    place.file('app.env', 'ONE=1\n')
    place.directory('policy.d')
    place.file('policy.d/10.policy', agent.do('policy', 'show').out)
    same(agent.status()['evidence'], EVIDENCE[kernel])
    return agent


def every_command(agent):
    overview = agent.do('--help').text.split('options everywhere')[0]
    return set(re.findall(r'^  ([a-z-]+(?: [a-z-]+)?)  ', overview, re.M))


def commands_wait(place, kernel):
    agent = prepare(place, kernel)
    same(sorted(every_command(agent)), sorted({*SEALED, *ALONE, *ABSENT, *ELSEWHERE}))
    agent.do('seal')
    waiting = begin(agent, place, SEALED)
    await_pauses(waiting, at_once=('doctor', 'whoami', 'clock show'))
    agent.do('unseal')
    watch = waiting.pop('watch')
    finish(waiting)
    agent.set('w/watch', b'again')
    finish({'watch': watch})
    for command, arguments in ALONE.items():
        agent.do('seal')
        waiting = begin(agent, place, {command: arguments})
        await_pauses(waiting)
        agent.do('unseal')
        finish(waiting)
    agent.stop()
    waiting = begin(agent, place, {command: SEALED[command] for command in (
        'get', 'list', 'slot list', 'audit verify')})
    await_pauses(waiting)
    agent.start()
    finish(waiting)


@test(root=True)
def every_command_waits_for_an_agent_that_is_sealed_or_not_there(place):
    commands_wait(place, None)


@test(root=True)
def on_linux_6_1_every_command_waits_as_well(place):
    commands_wait(place, '6.1')


@test(root=True)
def on_linux_6_12_every_command_waits_as_well(place):
    commands_wait(place, '6.12')


PROGRAM = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
agent, size, version = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_uint64()
value = ctypes.create_string_buffer(64)
assert library.mortise_open(sys.argv[2].encode(), ctypes.byref(agent)) == 0
library.mortise_set_deadline(agent, 1000, 60000)
for _ in sys.stdin:
    got = library.mortise_get(agent, b'w/get', value, 64, ctypes.byref(size))
    put = library.mortise_set(agent, b'w/set', value, size, ctypes.byref(version))
    print(got, put, value.raw[:size.value].decode(), flush=True)
"""


def program_waits(place, kernel):
    agent = prepare(place, kernel)
    library, = glob.glob(prefix() + '/lib/**/libmortise.so.1', recursive=True)
    with subprocess.Popen([sys.executable, '-c', PROGRAM, library, agent.socket], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        def ask():
            program.stdin.write('ask\n')
            program.stdin.flush()

        def hear():
            same(program.stdout.readline(), '0 0 value of get\n')
        ask()
        hear()
        for begin_outage, end_it in ((lambda: agent.do('seal'), lambda: agent.do('unseal')),
                                     (agent.stop, agent.start)):
            begin_outage()
            ask()
            until(lambda: is_pausing(program))
            end_it()
            hear()
        program.stdin.close()


@test(root=True)
def a_program_with_libmortise_waits_on_one_connection_and_over_several(place):
    program_waits(place, None)


@test(root=True)
def on_linux_6_1_a_program_with_libmortise_waits_as_well(place):
    program_waits(place, '6.1')


if __name__ == '__main__':
    tap.main()
