#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""watch and libmortise's mortise_watch(): told of changes, over restarts, seals and lost rights."""

import json
import os
import select
import signal
import subprocess
import time

import tap
from agent import ALICE, prefix
from tap import has, same, test, until

PATH = 'prod/db/password'

PROGRAM = r'''
#include <mortise.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	struct mortise_watched watched[2] = {{argv[1], 0, 0}, {argv[2], 0, 0}};
	struct mortise *agent;
	size_t changed;
	enum mortise_status status = mortise_open(NULL, &agent);

	setvbuf(stdout, NULL, _IONBF, 0);
	for (int round = 0; status == MORTISE_OK && round < argc - 3; round++) {
		status = mortise_watch(agent, watched, 2, round == 0 ? 0 : -1, &changed);
		for (int i = 0; i < 2 && status == MORTISE_OK; i++)
			printf("%s %d%s\n", watched[i].path, (int)watched[i].version,
				watched[i].has_changed ? " changed" : "");
	}
	if (status != MORTISE_OK)
		printf("%d %s\n", status, mortise_message(agent));
	mortise_close(agent);
	return status;
}
'''


class Lines:
    """Lines of a process's output as they come."""

    def __init__(self, process):
        self.process, self.rest = process, b''

    def next(self, seconds=20):
        end = time.monotonic() + seconds
        while b'\n' not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, end - time.monotonic()))
            assert ready, 'no line came; there is %r' % self.rest
            got = os.read(self.process.stdout.fileno(), 4096)
            assert got, 'it ended: %r %r' % (self.rest, self.process.stderr.read())
            self.rest += got
        line, _, self.rest = self.rest.partition(b'\n')
        return line.decode()


def ended(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out.decode(), err.decode()


def watching(agent, count=1):
    """Waits until so many lines of the log say that a watch began."""
    def has_begun():
        with open(agent.audit) as log:
            return sum('"op":"watch"' in line for line in log) >= count
    until(has_begun)


@test
def a_line_comes_for_each_change(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    process = agent.popen('watch', '--initial', PATH, 'prod/new')
    lines = Lines(process)
    same(lines.next(), PATH + ': version 1')
    agent.set(PATH, b'two')
    same(lines.next(), PATH + ': version 2')
    agent.set('prod/new', b'x')
    same(lines.next(), 'prod/new: version 1')
    agent.do('delete', '--yes', PATH)
    same(lines.next(), PATH + ': no longer there')
    agent.do('undelete', PATH)
    same(lines.next(), PATH + ': version 2')
    process.send_signal(signal.SIGTERM)
    same(ended(process)[0], -signal.SIGTERM)


@test
def json_is_an_object_a_line_and_once_ends_it(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    process = agent.popen('watch', '--json', '--once', PATH)
    watching(agent, 2)
    agent.set(PATH, b'two')
    status, out, err = ended(process)
    same((status, json.loads(out), err), (0, {'path': PATH, 'version': 2}, ''))


@test
def a_command_runs_at_each_change_and_reads_the_new_value(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    agent.set('prod/b', b'b')
    out = place('out')
    script = 'echo "$MORTISE_CHANGED=$(mortise get prod/db/password)" >>%s' % out
    env = {'PATH': agent.prefix + '/bin:/usr/bin:/bin'}
    process = agent.popen('watch', PATH, 'prod/b', '--', 'sh', '-c', script, env=env)

    def said(text):
        return os.path.exists(out) and open(out).read() == text
    watching(agent, 4)
    same(os.path.exists(out), False)
    agent.set(PATH, b'two')
    until(lambda: said(PATH + '=two\n'))
    agent.set('prod/b', b'c')
    until(lambda: said(PATH + '=two\nprod/b=two\n'))
    process.terminate()
    ended(process)


@test
def changes_while_the_command_runs_are_not_lost(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    gate, passed = place('gate'), place.file('passed', '')
    os.mkfifo(gate)
    process = agent.popen('watch', '--initial', PATH, '--', 'sh', '-c', 'read line <%s; echo >>%s' % (gate, passed))

    def open_gate(count):
        with open(gate, 'w') as file:  # waits for the command to read
            file.write('go\n')
        until(lambda: os.path.getsize(passed) == count)  # and has closed it
    watching(agent)
    agent.set(PATH, b'two')
    agent.set(PATH, b'three')
    open_gate(1)
    open_gate(2)  # it ran again, once for both
    agent.set(PATH, b'four')
    open_gate(3)
    process.terminate()
    ended(process)


@test
def the_commands_exit_status_counts_with_once_and_is_told_without(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    same(agent.run('watch', '--once', '--initial', PATH, '--', 'sh', '-c', 'exit 7').status, 7)
    result = agent.run('watch', '--once', '--initial', PATH, '--', '/nowhere/cmd')
    same(result.status, 127)
    has(result.err, '/nowhere/cmd: no such command')
    same(agent.run('watch', '--once', '--initial', PATH, '--', '/etc/passwd').status, 126)
    process = agent.popen('watch', '--initial', PATH, '--', 'sh', '-c', 'exit 7')
    has(process.stderr.readline().decode(), 'exit status 7', 'still watching')
    process.terminate()
    ended(process)


@test
def a_signal_reaches_the_command_and_ends_the_watch_with_it(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    process = agent.popen('watch', '--initial', PATH, '--', 'sh', '-c',
                          'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done')
    lines = Lines(process)
    same(lines.next(), 'up')
    process.terminate()
    same(ended(process)[:2], (-signal.SIGTERM, 'bye\n'))


@test
def a_restart_a_kill_and_a_seal_of_the_agent_are_survived(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    process = agent.popen('watch', PATH)
    lines = Lines(process)
    watching(agent, 2)
    agent.restart()
    agent.do('status', '--wait=60')
    agent.set(PATH, b'two')
    same(lines.next(), PATH + ': version 2')
    agent.kill()
    agent.start()
    agent.do('set', '--wait=60', '--raw', PATH, input=b'three')
    same(lines.next(), PATH + ': version 3')
    os.kill(agent.keeper(), signal.SIGKILL)
    agent.do('set', '--wait=60', '--raw', PATH, input=b'four')
    same(lines.next(), PATH + ': version 4')
    agent.do('seal', '--yes')
    agent.do('unseal')
    agent.set(PATH, b'five')
    same(lines.next(), PATH + ': version 5')
    process.terminate()
    ended(process)


@test(root=True)
def a_right_that_is_taken_away_ends_it_as_denied(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    agent.apply('[rule alice]\nallow = read\nsecret = prod/**\nuser = %s\n' % ALICE)
    process = agent.popen('watch', PATH, user=ALICE)
    watching(agent, 2)
    agent.apply('[rule alice]\nallow = read\nsecret = dev/**\nuser = %s\n' % ALICE)
    status, out, err = ended(process)
    same((status, out), (77, ''))
    has(err, PATH + ': denied, or no such secret for you', 'policy check')
    absent = agent.run('watch', 'prod/absent', user=ALICE)
    same(absent.status, 77)
    same(absent.err.replace('prod/absent', PATH), err)


@test
def wrong_turns(place):
    agent = place.ready()
    same(agent.run('watch').status, 64)
    same(agent.run('watch', PATH, '--').status, 64)
    same(agent.run('watch', '--', 'true').status, 64)
    same(agent.run('watch', 'Prod/X').status, 64)
    same(agent.run('watch', *['prod/x'] * 65).status, 64)
    agent.do('seal', '--yes')
    same(agent.run('watch', PATH).status, 75)
    agent.stop()
    same(agent.run('watch', PATH).status, 69)


@test
def a_program_is_told_by_the_library(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    source = place.file('watcher.c', PROGRAM)
    libraries = subprocess.run(
        ['find', prefix() + '/lib', '-name', 'libmortise.so'], capture_output=True, text=True)
    directory = os.path.dirname(libraries.stdout.split()[0])
    built = subprocess.run(
        ['cc', '-I' + prefix() + '/include', source, '-L' + directory, '-lmortise',
         '-Wl,-rpath,' + directory, '-o', place('watcher')], capture_output=True, text=True)
    if 'asan' in built.stderr:
        raise tap.Skip('the library has sanitizers')
    same((built.returncode, built.stderr), (0, ''))
    process = subprocess.Popen([place('watcher'), PATH, 'prod/b', '1', '2', '3'],
                               env={'MORTISE_SOCKET': agent.socket}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    lines = Lines(process)
    same([lines.next(), lines.next()], [PATH + ' 1 changed', 'prod/b 0'])
    agent.set('prod/b', b'x')
    same([lines.next(), lines.next()], [PATH + ' 1', 'prod/b 1 changed'])
    agent.restart()
    agent.do('set', '--wait=60', '--raw', PATH, input=b'two')
    same([lines.next(), lines.next()], [PATH + ' 2 changed', 'prod/b 1'])
    same(ended(process)[0], 0)


if __name__ == '__main__':
    tap.main()
