#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Each signal by each sender, on a terminal or not, through `exec`, `watch` and `dev`: the command
gets what it would get alone, and its parent sees what it would see."""

import os
import signal
import subprocess
import time

import tap
from signals import PATH, QUIT, VALUE, Job, build, state_of
from tap import has, same, test, until

S = signal
# SIGCONT behind SIGTSTP: while one is on its way, it takes away what would stop (POSIX, 2.4.1).
HANDED = [S.SIGHUP, S.SIGINT, S.SIGQUIT, S.SIGTERM, S.SIGUSR1, S.SIGUSR2, S.SIGALRM, S.SIGPIPE,
          S.SIGTSTP, S.SIGCONT, S.SIGWINCH, S.SIGURG, S.SIGIO, S.SIGPWR, S.SIGXCPU, S.SIGXFSZ,
          S.SIGVTALRM, S.SIGPROF, S.SIGABRT, S.SIGCHLD, S.SIGSTKFLT, S.SIGRTMIN, S.SIGRTMIN + 5]
ENDING = [S.SIGHUP, S.SIGINT, S.SIGQUIT, S.SIGTERM, S.SIGUSR1, S.SIGUSR2, S.SIGALRM, S.SIGPIPE,
          S.SIGABRT, S.SIGKILL, S.SIGSEGV, S.SIGRTMIN]
MARK = S.SIGRTMIN + 10  # the kernel hands out lower ones first
TERMINALS = ['terminal', 'terminal, output to a file', 'terminal, input from a pipe']
KINDS = ['exec', 'watch', 'dev']


class Bench:
    """An agent, and jobs around it."""

    def __init__(self, place):
        self.place = place
        self.agent = place.ready()
        self.agent.set(PATH, VALUE)
        self.probe = build(place)

    def job(self, *words, **options):
        return Job(self.place, self.probe, self.agent, *words, **options)


def seen_by(bench, kind, where, sender, numbers):
    """What the command, its child and another of the group have got of numbers, in their order."""
    with bench.job(kind, where, 'handle', child=True) as job:
        for number in numbers:
            before = job.log().count('P %d' % number)
            job.send(sender, number)
            job.wait_count('P %d' % number, before + 1)
            if sender in ('group', 'key'):
                job.wait_count('C %d' % number, before + 1)
                job.wait_count('P %d' % number, before + 1, job.peer_path)
        # Whatever mortise had to hand on before this, it has handed on when this has come.
        job.send('alone', QUIT)
        how = job.ended()
        until(lambda: not job.left(), what=lambda: 'processes are left: %r' % job.left())
        log = job.log()
        return {'command': [line for line in log if line.startswith('P ')],
                'child': [line for line in log if line.startswith('C ')],
                'another': job.log(job.peer_path),
                'started': [line for line in log if line.startswith('Sig')],
                'how': how if kind != 'watch' else 'by what it was asked to end by'}


def compare(bench, where, sender, numbers, kinds=KINDS):
    alone = seen_by(bench, 'alone', where, sender, numbers)
    for kind in kinds:
        found = seen_by(bench, kind, where, sender, numbers)
        if kind == 'watch':
            found['how'] = alone['how']
        for what, expected in alone.items():
            same(found[what], expected, '%s, %s, %s: %s' % (kind, where, sender, what))


# --- One that has handlers

@test
def without_a_terminal_each_signal_comes_once_whoever_sends_it(place):
    bench = Bench(place)
    for sender in ('alone', 'group', 'command'):
        compare(bench, 'pipes', sender, HANDED)


@test
def on_a_terminal_each_signal_comes_once_whoever_sends_it(place):
    bench = Bench(place)
    for where in TERMINALS:
        for sender in ('alone', 'group', 'command'):
            compare(bench, where, sender, HANDED)


@test
def a_key_comes_once_and_to_all_of_the_job(place):
    bench = Bench(place)
    for where in TERMINALS:
        compare(bench, where, 'key', [S.SIGINT, S.SIGQUIT, S.SIGTSTP, S.SIGINT])


@test
def another_size_of_the_terminal_is_told_once(place):
    bench = Bench(place)
    for where in TERMINALS:
        found = {}
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'handle', child=True) as job:
                job.terminal.resize(30, 100)
                job.wait_for('P %d' % S.SIGWINCH, 'C %d' % S.SIGWINCH)
                job.send('alone', QUIT)
                job.ended()
                found[kind] = sorted(job.log())
        for kind in KINDS:
            if kind == 'exec' and where == 'terminal, output to a file':
                continue  # its errors have a terminal of their own, whose size it hears of, too
            same(found[kind], found['alone'], '%s, %s' % (kind, where))


# --- One that has none

def ends(bench, kind, where, sender, number):
    with bench.job(kind, where, 'default') as job:
        job.send(sender, number)
        how = job.ended()
        until(lambda: not job.left(), what='%s, %s: it is left after %d' % (kind, where, number))
        return how


@test
def who_is_ended_by_a_signal_ends_mortise_by_it(place):
    bench = Bench(place)
    for where in ('pipes', 'terminal'):
        for number in ENDING:
            for kind in ('alone', *KINDS):
                for sender in ('alone', 'group') if number in (S.SIGTERM, S.SIGINT) else ('alone',):
                    sender = 'command' if number in (S.SIGKILL, S.SIGSEGV) else sender
                    same(ends(bench, kind, where, sender, number), -number,
                         '%s, %s, %s' % (kind, where, sender))


@test
def who_is_ended_by_a_key_ends_mortise_by_it(place):
    bench = Bench(place)
    for where in TERMINALS:
        for number in (S.SIGINT, S.SIGQUIT):
            for kind in ('alone', *KINDS):
                same(ends(bench, kind, where, 'key', number), -number, '%s, %s' % (kind, where))


@test
def nothing_is_left_of_exec_when_mortise_is_killed(place):
    """SIGKILL cannot be handed on: the kernel and the session's leader see to it."""
    bench = Bench(place)
    for where in ('pipes', *TERMINALS, 'leader'):
        for kind in ('alone', 'exec'):
            for sender in ('alone', 'group'):
                same(ends(bench, kind, where, sender, S.SIGKILL), -S.SIGKILL)


# --- A terminal that goes

@test
def a_hang_up_ends_what_leads_the_session(place):
    """As in a window of tmux: mortise alone hears of it."""
    bench = Bench(place)
    for kind in ('alone', *KINDS):
        with bench.job(kind, 'leader', 'default') as job:
            job.terminal.hang_up()
            same(job.ended(), -S.SIGHUP, kind)
            until(lambda: not job.left(), what='%s: it is left' % kind)


@test
def a_hang_up_is_told_once_to_who_has_a_handler(place):
    bench = Bench(place)
    for kind in ('alone', *KINDS):
        with bench.job(kind, 'leader', 'handle') as job:
            job.terminal.hang_up()
            job.wait_for('P %d' % S.SIGHUP, 'P %d' % S.SIGCONT)
            job.send('alone', QUIT)
            job.ended()
            # The kernel sends both. It may tell the rest of the session more than once.
            same((set(job.log()[1:]), job.log().count('P %d' % S.SIGHUP) in (1, 2)),
                 ({'P ready', 'P %d' % S.SIGHUP, 'P %d' % S.SIGCONT, 'P %d' % QUIT}, True), kind)


@test
def a_hang_up_ends_the_job_of_a_shell_that_dies_of_it(place):
    bench = Bench(place)
    for where in TERMINALS:
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'default') as job:
                job.terminal.hang_up()  # the shell has no handler, and with it goes the session
                until(lambda: not job.left(), what='%s, %s: it is left' % (kind, where))


# --- Stopping, and going on

@test
def a_key_stops_the_job_and_fg_and_bg_let_it_go_on(place):
    bench = Bench(place)
    for where in TERMINALS:
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'go-on', child=True) as job:
                pressed = 0

                def press():
                    nonlocal pressed
                    pressed += 1
                    job.send('key', S.SIGTSTP)
                    return job.stops(5)
                for turn, order in enumerate(('fg', 'fg', 'bg')):
                    # A SIGCONT that is still on its way takes the key away; then it is pressed again.
                    until(press, 60, '%s, %s' % (kind, where))
                    same(job.stopped(), S.SIGTSTP, '%s, %s' % (kind, where))
                    job.wait_state('T')
                    job.order(order)
                    job.wait_count('P %d' % S.SIGCONT, turn + 1)
                    job.wait_count('C %d' % S.SIGCONT, turn + 1)
                    job.wait_state('S')
                job.send('command', S.SIGTERM)
                same(job.ended(), -S.SIGTERM)
                # A key that came late stops it once more, and it goes on once more.
                same(3 <= job.log().count('P %d' % S.SIGCONT) <= pressed, True, '%s, %s: %d keys, %s' % (
                    kind, where, pressed, job.log()))
                until(lambda: not job.left())


def witness_of(job):
    """What mortise asks whether a signal has come to the group."""
    def is_it(pid):
        with open('/proc/%d/comm' % pid) as name:
            return name.read() == 'mortise-group\n'
    return next(pid for pid in job.left() if is_it(pid))


@test
def what_comes_twice_to_the_group_is_not_handed_on_where_the_witness_is_slow(place):
    """It may have had both as one (POSIX, 2.4.1)."""
    bench = Bench(place)
    for kind in KINDS:
        with bench.job(kind, 'pipes', 'handle') as job:
            for turn, number in enumerate((S.SIGUSR1, S.SIGALRM, S.SIGRTMIN + 3)):
                witness = witness_of(job)
                os.kill(witness, S.SIGSTOP)
                until(lambda: state_of(witness) == 'T')
                for count in (1, 2):
                    job.send('group', number)
                    job.wait_count('P %d' % number, count)
                    time.sleep(0.1)  # for mortise, which asks
                os.kill(witness, S.SIGCONT)
                # Whatever mortise had to hand on before this, it has handed on when this has come.
                for count, more in ((2, 0), (3, 1)):
                    for _ in range(more):
                        job.send('alone', number)
                    job.send('alone', MARK)
                    job.wait_count('P %d' % MARK, 2 * turn + more + 1)
                    same(job.log().count('P %d' % number), count, '%s, %d: %s' % (kind, number, job.log()))
            job.send('alone', QUIT)
            job.ended()


@test
def the_last_word_to_the_group_holds_however_fast_it_follows(place):
    """A stop takes away a SIGCONT that waits, at each process by itself (POSIX, 2.4.1)."""
    bench = Bench(place)
    for kind in KINDS:
        with bench.job(kind, 'pipes', 'go-on') as job:
            for pause_s in [0, 0.0001, 0.0003, 0.001] * 100:
                for number, state in ((S.SIGCONT, None), (S.SIGTSTP, 'T'), (S.SIGCONT, 'S')):
                    job.send('group', number)
                    time.sleep(pause_s)
                    if state:
                        job.wait_state(state)
            job.send('command', S.SIGTERM)
            same(job.ended(), -S.SIGTERM)


@test
def who_asks_mortise_to_stop_stops_both_and_who_lets_it_go_on_does_so(place):
    bench = Bench(place)
    for where in ('pipes', 'terminal'):
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'go-on') as job:
                for turn in range(2):
                    job.send('alone', S.SIGTSTP)
                    if where == 'terminal':
                        same(job.stopped(), S.SIGTSTP, kind)
                    job.wait_state('T')
                    if where == 'terminal':
                        job.order('fg')
                    else:
                        job.send('alone', S.SIGCONT)
                    job.wait_count('P %d' % S.SIGCONT, turn + 1)
                    job.wait_state('S')
                job.send('command', S.SIGTERM)
                same(job.ended(), -S.SIGTERM)
                same(job.log().count('P %d' % S.SIGCONT), 2, '%s, %s' % (kind, where))


@test
def a_command_that_stops_itself_gives_the_shell_its_terminal_back(place):
    bench = Bench(place)
    for where in TERMINALS:
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'go-on') as job:
                job.send('command', S.SIGSTOP)
                same(job.stopped(), S.SIGSTOP, '%s, %s' % (kind, where))
                job.order('fg')
                job.wait_for('P %d' % S.SIGCONT)
                job.send('command', S.SIGTERM)
                same(job.ended(), -S.SIGTERM)


@test
def where_nobody_could_let_it_go_on_nothing_stays_stopped(place):
    """The leader of a session, as in a container or a window of its own."""
    bench = Bench(place)
    for kind in ('alone', *KINDS):
        for sender in ('key', 'alone'):
            with bench.job(kind, 'leader', 'default') as job:
                job.send(sender, S.SIGTSTP)
                job.send('alone', S.SIGTERM)
                same(job.ended(), -S.SIGTERM, '%s, %s' % (kind, sender))


@test
def who_lets_the_command_itself_go_on_does_so_on_a_terminal(place):
    bench = Bench(place)
    for kind in ('alone', 'exec'):
        with bench.job(kind, 'terminal', 'go-on') as job:
            job.send('key', S.SIGTSTP)
            same(job.stopped(), S.SIGTSTP)
            job.send('command', S.SIGCONT)
            job.wait_for('P %d' % S.SIGCONT)
            job.wait_state('S')
            job.send('command', S.SIGTERM)
            until(lambda: not job.left() or job.state() == 'Z')
            same(job.log().count('P %d' % S.SIGCONT), 1)


# --- How the command starts

@test
def what_was_ignored_or_blocked_is_so_for_the_command(place):
    bench = Bench(place)
    ignored = [S.SIGHUP, S.SIGINT, S.SIGCHLD, S.SIGPIPE, S.SIGTSTP, S.SIGUSR2, S.SIGWINCH]
    for where in ('pipes', 'terminal'):
        found = {}
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'default', ignored=ignored) as job:
                found[kind] = job.log()[0]
                has(found[kind], 'SigIgn')
                job.send('alone', S.SIGTERM)
                same(job.ended(), -S.SIGTERM)
        for kind in KINDS:
            same(found[kind], found['alone'], '%s, %s' % (kind, where))


@test
def what_mortise_ignores_may_mean_something_to_the_command(place):
    """nohup, and a daemon that reads its configuration again at SIGHUP."""
    bench = Bench(place)
    for where in ('pipes', 'terminal'):
        for kind in ('alone', *KINDS):
            with bench.job(kind, where, 'handle', ignored=[S.SIGHUP, S.SIGUSR1]) as job:
                job.send('alone', S.SIGHUP)
                job.send('alone', S.SIGUSR1)
                job.wait_for('P %d' % S.SIGHUP, 'P %d' % S.SIGUSR1)
                job.send('alone', QUIT)
                job.ended()


@test
def an_alarm_clock_that_was_set_before_rings_for_the_command(place):
    bench = Bench(place)
    process = subprocess.Popen(
        ['perl', '-e', 'alarm 1; exec @ARGV', bench.agent.prefix + '/bin/mortise', 'exec',
         '-e', 'PW=' + PATH, '--', 'sleep', '600'], env={'MORTISE_SOCKET': bench.agent.socket,
                                                       'PATH': '/usr/bin:/bin'})
    same(process.wait(30), -S.SIGALRM)


# --- Real parents

@test(root=True)
def as_the_first_process_of_a_container_it_hands_on_and_reaps(place):
    """There a signal of its own does not end it, and all orphans are its children."""
    bench = Bench(place)
    script = ('for i in 1 2 3; do (sleep 0.05 &); done; echo up; trap "echo term; exit 3" TERM; '
              'while [ "$(ps -e -o stat= | grep -c Z)" != 0 ] || [ ! -e %s ]; do sleep 0.05; done; '
              'echo reaped; while :; do sleep 0.05; done' % place('go'))
    for last, expected in (('trap', 3), ('kill', 128 + S.SIGKILL)):
        process = subprocess.Popen(
            ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child',
             bench.agent.prefix + '/bin/mortise', 'exec', '-e', 'PW=' + PATH, '--', 'sh', '-c', script],
            env={'MORTISE_SOCKET': bench.agent.socket, 'PATH': '/usr/bin:/bin'},
            stdout=subprocess.PIPE)
        same(process.stdout.readline(), b'up\n')
        place.file('go', '')
        same(process.stdout.readline(), b'reaped\n')
        first = int(subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True).stdout)
        command = int(subprocess.run(['pgrep', '-P', str(first), '-f', '^sh -c'],
                                     capture_output=True).stdout.split()[0])
        os.kill(first if last == 'trap' else command, S.SIGTERM if last == 'trap' else S.SIGKILL)
        process.stdout.read()
        same(process.wait(30), expected)
        os.unlink(place('go'))

@test
def an_interrupt_ends_a_loop_of_bash(place):
    """A script's loop goes on after a command that exits with 130, and not after one that died."""
    bench = Bench(place)
    mortise = bench.agent.prefix + '/bin/mortise'
    env = {'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': bench.agent.socket, 'TMPDIR': place.path}
    for words in ('', mortise + ' exec -e PW=%s -- ' % PATH, mortise + ' dev -- ',
                  mortise + ' watch --initial --once %s -- ' % PATH):
        script = place.file('loop', 'for i in 1 2 3; do %ssh -c "echo up $i; exec sleep 600"; '
                            'done; echo went on\n' % words)
        process = subprocess.Popen(['bash', script], env=env, stdout=subprocess.PIPE,
                                   process_group=0)
        same(process.stdout.readline(), b'up 1\n', words)
        os.killpg(process.pid, S.SIGINT)  # as a terminal's key
        same((process.communicate(timeout=30)[0], process.returncode), (b'', -S.SIGINT), words)


@test
def timeout_ends_a_command_and_says_so(place):
    bench = Bench(place)
    for options, expected in (([], 124), (['--preserve-status'], 128 + S.SIGTERM),
                              (['--signal=KILL'], -S.SIGKILL), (['--foreground'], 124)):
        process = subprocess.Popen(
            ['timeout', *options, '1', bench.agent.prefix + '/bin/mortise', 'exec', '-e',
             'PW=' + PATH, '--', bench.probe, place('timed'), 'default'],
            env={'MORTISE_SOCKET': bench.agent.socket, 'PATH': '/usr/bin:/bin'})
        same(process.wait(30), expected, options)
        until(lambda: not subprocess.run(['pgrep', '-f', place('timed')],
                                         stdout=subprocess.DEVNULL).returncode == 0)


tap.main()
