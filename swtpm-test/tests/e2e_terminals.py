#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Real programs on a terminal, typed into, with `mortise exec` around them: pagers and what pages,
editors, shells with jobs, prompts for passwords; and around mortise bash, tmux and screen."""

import os
import shutil
import signal
import subprocess
import termios
import time

import tap
from agent import Skip
from signals import PATH, VALUE, Terminal, command_lines, state_of
from tap import has, has_not, same, test, until
from tpm import end_process

MARK = '[mortise:prod/db/password]'
COOKED = termios.ICANON | termios.ECHO | termios.ISIG


class Desk:
    """An agent, and a terminal with a real shell at it."""

    def __init__(self, place, shell=('bash', '--norc', '--noprofile', '-i'), **env):
        self.place = place
        self.agent = place.ready()
        self.agent.set(PATH, VALUE)
        place.file('inputrc', 'set enable-bracketed-paste off\nset bell-style none\n')
        place.file('text', ''.join('line %d of the text\n' % i for i in range(1, 1001)))
        self.env = {'PATH': self.agent.prefix + '/bin:/usr/bin:/bin', 'TERM': 'xterm', 'HOME': place.path,
                    'MORTISE_SOCKET': self.agent.socket, 'LC_ALL': 'C.UTF-8', 'PS1': '$ ',
                    'LESSHISTFILE': '-', 'INPUTRC': place('inputrc'), **env}
        self.screen = Terminal()
        self.shell = subprocess.Popen(
            shell, stdin=self.screen.theirs, stdout=self.screen.theirs, stderr=self.screen.theirs,
            cwd=place.path, env=self.env, start_new_session=True,
            preexec_fn=lambda: __import__('fcntl').ioctl(0, termios.TIOCSCTTY, 0))
        os.close(self.screen.theirs)
        self.screen.hear('$ ')
        place.callback(self._end)

    def _end(self):
        self.shell.kill()
        self.shell.wait()
        self.screen.hang_up()

    def type(self, line):
        """A line, and then only what comes after it is looked at."""
        self.screen.said = b''
        self.screen.type(line + '\n')

    def exec(self, words, **options):
        self.type('mortise exec -e PW=%s -- %s' % (PATH, words))

    def hear(self, *wanted):
        self.screen.hear(*wanted)

    def keys(self, keys, *wanted):
        """Keys, and what they make appear."""
        self.screen.said = b''
        self.screen.type(keys)
        self.screen.hear(*wanted)

    def back(self):
        """The shell's prompt is there. What one types before that, the command's terminal has."""
        until(lambda: self.screen.said.endswith(b'$ '), 30,
              what=lambda: 'no prompt: %r' % self.screen.said[-600:])

    def pager(self):
        """less, once it waits for a key: a signal that comes to it just before that has to wait for the key, too."""
        def resting():
            try:
                found = next(pid for pid, line in command_lines() if line.startswith(b'less\0') and
                             os.readlink('/proc/%d/cwd' % pid) == self.place.path)
                return state_of(found) == 'S' and found
            except (OSError, StopIteration):
                return None
        self.hear('line 23')
        return until(resting)

    def ask_until(self, text):
        """A shell says what has become of its jobs when it asks for the next command: what it said before is no answer."""
        def asked():
            self.keys('\n', '$ ')
            self.back()
            return text.encode() in self.screen.said
        until(asked, 30, what=lambda: 'no %r in %r' % (text, self.screen.said[-600:]))

    def modes(self):
        """How the shell's commands find the terminal."""
        self.back()
        self.screen.said = b''
        self.screen.type('stty -a\n')
        self.hear(' iexten')
        self.back()
        return set(self.screen.said.decode().split())

    def prompt(self):
        """The shell is back, with its terminal as it was: the status of what ran."""
        self.back()
        self.screen.said = b''
        self.screen.type('echo sta""tus $?\n')
        self.hear('status ')
        self.back()
        status = int(self.screen.said.split(b'status ', 1)[1].split()[0])
        has(self.modes(), 'icanon', 'isig', 'opost', 'onlcr', 'icrnl', 'echo')
        return status


def turns_of(pid):
    """How often it has waited or stopped."""
    with open('/proc/%d/status' % pid) as status:
        return int(next(line for line in status if line.startswith('voluntary_ctxt')).split()[1])


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip('no ' + program)


# --- Pagers, and what pages

def page(desk, words, first, second, search=None, quit='q'):
    """A program that shows a screen, another one at a key, and ends at another."""
    desk.exec(words)
    desk.hear(first)
    desk.keys(' ', second)
    if search:
        desk.keys('/%s\n' % search, search)
    desk.screen.type(quit)
    same(desk.prompt(), 0, words)


@test
def less_reads_its_keys(place):
    need('less')
    desk = Desk(place)
    page(desk, 'less text', 'line 1 of the text', 'line 30 of the text', 'line 700 of the text')
    page(desk, 'less <text', 'line 1 of the text', 'line 30 of the text', 'line 700 of the text')
    desk.type('cat text | mortise exec -e PW=%s -- less' % PATH)
    desk.hear('line 1 of the text')
    desk.keys(' ', 'line 30 of the text')
    desk.screen.type('q')
    desk.prompt()
    desk.type('mortise exec -e PW=%s -- cat text | less' % PATH)
    desk.hear('line 1 of the text')
    desk.keys(' ', 'line 30 of the text')
    desk.screen.type('q')
    desk.prompt()


@test
def more_reads_its_keys(place):
    need('more')
    desk = Desk(place)
    page(desk, 'more text', 'line 1 of the text', 'line 30 of the text')
    desk.type('cat text | mortise exec -e PW=%s -- more' % PATH)
    desk.hear('line 1 of the text')
    desk.keys(' ', 'line 30 of the text')
    desk.screen.type('q')
    desk.prompt()


@test
def git_pages_and_masks(place):
    need('git', 'less')
    desk = Desk(place, GIT_CONFIG_GLOBAL='/dev/null', GIT_CONFIG_SYSTEM='/dev/null')
    run = ['git', '-c', 'user.name=x', '-c', 'user.email=x@x', '-C', place.path]
    subprocess.run(['git', 'init', '-q', place.path], check=True)
    for i in range(40):
        subprocess.run([*run, 'commit', '-q', '--allow-empty', '-m',
                        'commit %d of %s' % (i, VALUE.decode())], check=True)
    page(desk, 'git log --format=%s', 'commit 39 of ' + MARK, 'commit 5 of ' + MARK)


@test
def man_pages(place):
    need('man', 'less')
    place.file('page.1', '.TH PAGE 1\n.SH NAME\npage \\- it\n.SH TEXT\n' + ''.join(
        'word%d\n.br\n' % i for i in range(1, 201)))
    desk = Desk(place)
    page(desk, 'man ./page.1', 'word1', 'word40')


@test
def systemctl_pages(place):
    need('systemctl', 'less')
    desk = Desk(place)
    listed = subprocess.run(['systemctl', '--root=/', 'list-unit-files', '--no-pager'],
                            capture_output=True, text=True).stdout.splitlines()
    if len(listed) < 60:
        raise Skip('too few units')
    names = [line.split()[0] for line in listed if line.split()]
    page(desk, 'systemctl --root=/ list-unit-files', names[1], names[30])


# --- Editors

@test
def vim_edits_stops_and_saves(place):
    need('vim')
    desk = Desk(place)
    place.file('note', 'one\n')
    desk.exec('vim -u NONE -N note')
    desk.hear('one')
    desk.keys('otwo \x1b', 'two')
    desk.screen.type(':wq\r')
    same(desk.prompt(), 0)
    with open(place('note')) as note:
        same(note.read(), 'one\ntwo \n')
    desk.exec('vim -u NONE -N note')
    desk.hear('one')
    desk.keys('\x1a', 'Stopped')
    desk.prompt()
    desk.type('fg')
    desk.hear('one')
    desk.keys('Gothree\x1b', 'three')
    desk.screen.type(':wq\r')
    same(desk.prompt(), 0)
    with open(place('note')) as note:
        same(note.read(), 'one\ntwo \nthree\n')


@test
def vim_has_the_size_of_the_window(place):
    need('vim')
    desk = Desk(place)
    desk.exec('vim -u NONE -N text')
    desk.hear('line 23')
    desk.screen.resize(40, 120)
    desk.hear('line 39')
    desk.keys(":echo 'it is ' . &lines . ' by ' . &columns\r", 'it is 40 by 120')
    desk.screen.type(':q\r')
    same(desk.prompt(), 0)


# --- Shells in it

@test
def an_interactive_shell_in_it_has_jobs(place):
    desk = Desk(place)
    desk.exec('bash --norc --noprofile -i')
    desk.hear('$ ')
    has_not(desk.screen.said.decode(), 'no job control')
    nap = 'sleep 60%d' % os.getpid()
    desk.type(nap)
    until(lambda: any(line == nap.replace(' ', '\0').encode() + b'\0'
                      for _, line in command_lines()))
    desk.keys('\x1a', 'Stopped', '$ ')
    desk.keys('jobs\n', nap)
    desk.keys('fg\n', nap)
    time_is_up(desk, '\x03')
    desk.keys('echo "it is $PW"\n', 'it is ' + MARK)
    desk.keys('exit 5\n', '$ ')
    same(desk.prompt(), 5)


def time_is_up(desk, keys):
    """Keys that end what runs in front, as the next prompt shows."""
    desk.screen.said = b''
    desk.screen.type(keys)
    desk.hear('$ ')


@test
def what_a_program_sets_on_its_terminal_stays_set(place):
    desk = Desk(place)
    desk.exec('stty -echoctl')
    desk.back()
    until(lambda: not desk.screen.modes()[3] & termios.ECHOCTL)
    desk.exec('stty echoctl')
    desk.back()
    until(lambda: desk.screen.modes()[3] & termios.ECHOCTL)
    # And a program that makes no lines of its output has that.
    desk.exec("sh -c 'stty -opost; printf \"a\\nb\"; stty opost; echo'")
    desk.hear('a\nb')
    same(desk.prompt(), 0)


@test
def what_is_typed_shows_as_it_does_without_mortise(place):
    desk = Desk(place)
    found = []
    for words in ('', 'mortise exec -e PW=%s -- ' % PATH):
        place.file('lines', 'printf "%s" "name? "; read x; printf "[%s]\\n" "$x"\n')
        desk.type(words + 'sh lines')
        desk.hear('name? ')
        desk.screen.said = b''
        desk.screen.type('zoe\x7f\x7fack\n')
        desk.hear('[zack]\r\n')
        until(lambda: desk.screen.said.endswith(b'$ '))
        found.append(desk.screen.said)
    same(found[1], found[0])


@test
def output_is_the_same_byte_for_byte_in_front_behind_and_in_a_pipeline(place):
    desk = Desk(place)
    place.file('bytes', b'a\nb\r\nc\r\rd\r\n\r\ne\tf\x1b[1mg\r')
    found = {}
    for how in ('%scat bytes; echo', '%scat bytes </dev/null; echo', '%scat bytes & wait; echo',
                ':|%scat bytes; echo'):
        for words in ('', 'mortise exec -e PW=%s -- ' % PATH):
            desk.type(how % words + ' e""nd')
            desk.hear('end\r\n')
            until(lambda: desk.screen.said.endswith(b'$ '))
            said = desk.screen.said.split(b'nd\r\n', 1)[1]  # behind what was typed
            found[how, words] = said[said.index(b'a'):said.index(b'g\r') + 2]
        same(found[how, words], found[how, ''], how)


@test
def what_is_left_in_the_background_still_shows_masked(place):
    desk = Desk(place)
    os.mkfifo(place('go'))
    desk.exec("sh -c '(read x <go; echo late $PW; echo end) & echo ear\"\"ly'")
    desk.hear('early\r\n')
    desk.prompt()
    desk.screen.said = b''
    with open(place('go'), 'w') as go:
        go.write('go\n')
    desk.hear('late %s\r\nend\r\n' % MARK)
    desk.keys('\n', '$ ')
    same(desk.prompt(), 0)


@test
def gpg_is_told_of_the_terminal_whose_keys_arrive(place):
    desk = Desk(place)
    place.file('tell', 'echo "<$GPG_TTY> <$(tty)>"\n')
    desk.type('export GPG_TTY=$(tty); sh tell')
    desk.hear('> <')
    desk.back()
    outer = desk.screen.said.split(b'<')[-1].split(b'>')[0]
    desk.exec('sh tell')
    desk.hear('> <')
    desk.back()
    first, second = [part.split(b'>')[0] for part in desk.screen.said.split(b'<')[1:]]
    same((first, first != outer), (second, True))


# --- Prompts

@test
def a_password_is_asked_for_without_echo(place):
    need('ssh-keygen')
    desk = Desk(place)
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', 'open sesame', '-f', place('key')],
                   check=True)
    for words in ('mortise exec -e PW=%s -- ssh-keygen -y -f key', 'true | mortise exec -e PW=%s -- '
                  'ssh-keygen -y -f key', 'mortise exec -e PW=%s -- ssh-keygen -y -f key | cat'):
        desk.type(words % PATH)
        desk.hear('passphrase')
        until(lambda: not desk.screen.modes()[3] & termios.ECHO)
        desk.keys('open sesame\n', 'ssh-ed25519 AAAA')
        has_not(desk.screen.said.decode(), 'open sesame')
        same(desk.prompt(), 0)


@test
def what_reads_the_terminal_in_a_pipeline_gets_the_keys(place):
    desk = Desk(place)
    desk.type('echo word | mortise exec -e PW=%s -- xargs -p echo it is' % PATH)
    desk.hear('?...')
    desk.keys('y\n', 'it is word\r\n')
    same(desk.prompt(), 0)
    desk.type("true | mortise exec -e PW=%s -- sh -c 'printf \"%%s\" \"so? \"; read x </dev/tty; "
              "echo \"<$x>\"'" % PATH)
    desk.hear('so? ')
    desk.keys('yes\n', '<yes>')
    same(desk.prompt(), 0)


@test
def keys_are_for_the_others_of_a_pipeline_until_it_wants_them(place):
    desk = Desk(place)
    desk.type("(read x </dev/tty; echo \"first got $x\") | "
              "mortise exec -e PW=%s -- sh -c 'cat; printf \"%%s\" \"and? \"; read y </dev/tty; "
              "echo \"then $y\"'" % PATH)
    until(lambda: any(b'cat;' in line for _, line in command_lines() if line.startswith(b'sh\x00')))
    desk.keys('one\n', 'first got one', 'and? ')
    desk.keys('two\n', 'then two')
    same(desk.prompt(), 0)


@test
def a_script_that_reads_beside_it_gets_its_lines(place):
    """The server in the background of a script has the terminal for its output alone."""
    desk = Desk(place)
    place.file('script', "mortise exec -e PW=%s -- sh -c 'echo up; exec sleep 600' & "
               "read x; echo \"read $x\"; kill $!; wait $!; echo was $?\n" % PATH)
    desk.type('sh script')
    desk.hear('up\r\n')
    desk.keys('a line\n', 'read a line', 'was 143')
    same(desk.prompt(), 0)


# --- Around it

@test
def an_interrupt_ends_a_loop_typed_into_bash(place):
    desk = Desk(place)
    for words in ('', 'mortise exec -e PW=%s -- ' % PATH):
        desk.type("for i in 1 2 3; do %ssh -c \"echo u''p $i; exec sleep 600\"; done; echo went o''n"
                  % words)
        desk.hear('up 1\r\n')
        time_is_up(desk, '\x03')
        has_not(desk.screen.said.decode(), 'up 2', 'went on')
        same(desk.prompt(), 128 + signal.SIGINT, words)


@test
def an_interrupt_ends_a_script_too(place):
    desk = Desk(place)
    for words in ('', 'mortise exec -e PW=%s -- ' % PATH):
        place.file('script', 'trap "echo cleaned up" EXIT\nfor i in 1 2 3; do %ssh -c "echo up $i; exec '
                   'sleep 600"; done; echo went on\n' % words)
        desk.type('bash script')
        desk.hear('up 1\r\n')
        time_is_up(desk, '\x03')
        has(desk.screen.said.decode(), 'cleaned up')
        has_not(desk.screen.said.decode(), 'up 2', 'went on')
        same(desk.prompt(), 128 + signal.SIGINT, words)


@test
def a_job_goes_behind_and_comes_back(place):
    desk = Desk(place)
    desk.type("mortise exec -e PW=%s -- sh -c 'echo up; read x; echo \"got $x\"' &" % PATH)
    desk.hear('up\r\n')
    desk.ask_until('Stopped')  # it wants to read
    desk.keys('fg\n', 'mortise')
    desk.keys('words\n', 'got words')
    same(desk.prompt(), 0)
    # No sleep(1): who is stopped between vfork(2) and exec(2) keeps its parent from stopping.
    desk.exec("sh -c 'echo up; until [ -e go ]; do :; done; echo later; read x; echo \"got $x\"'")
    desk.hear('up\r\n')
    desk.keys('\x1a', 'Stopped')
    desk.back()
    desk.type('bg')
    place.file('go', '')
    desk.hear('later\r\n')  # and not the command that bg shows
    desk.ask_until('Stopped')
    desk.keys('fg\n', 'mortise')
    desk.keys('words\n', 'got words')
    same(desk.prompt(), 0)


@test
def a_pager_that_is_put_aside_comes_back_with_its_screen(place):
    need('less')
    desk = Desk(place)
    for words in ('less text', 'less <text'):
        desk.exec(words)
        desk.pager()
        desk.keys('\x1a', 'Stopped')
        desk.prompt()
        desk.keys('fg\n', 'line 1 of')
        desk.keys(' ', 'line 30 of')
        desk.screen.type('q')
        same(desk.prompt(), 0)


@test
def who_lets_it_go_on_from_elsewhere_takes_no_keys_away(place):
    need('less')
    desk = Desk(place)
    for words in ('less text', 'mortise exec -e PW=%s -- less text' % PATH):
        desk.type(words)
        pager = desk.pager()
        desk.keys('\x1a', 'Stopped')
        desk.back()
        before = turns_of(pager)
        os.kill(pager, signal.SIGCONT)
        # It sets the terminal when it goes on, and so is stopped again: as a job behind. Of that a shell may say nothing.
        until(lambda: turns_of(pager) > before and state_of(pager) == 'T')
        desk.keys('fg\n', 'line 1 of')
        desk.keys(' ', 'line 30 of')
        desk.screen.type('q')
        same(desk.prompt(), 0)


@test
def zsh_has_its_jobs_and_its_terminal(place):
    need('zsh', 'less')
    desk = Desk(place, shell=('zsh', '-f', '-i', '-o', 'nopromptsp', '-o', 'nozle'))
    desk.exec('less text')
    desk.pager()
    desk.keys('\x1a', 'suspended')
    desk.prompt()
    desk.keys('fg\n', 'line 1 of')
    desk.keys(' ', 'line 30 of')
    desk.screen.type('q')
    same(desk.prompt(), 0)
    desk.type("for i in 1 2 3; do mortise exec -e PW=%s -- sh -c \"echo u''p $i; exec sleep 600\"; "
              "done; echo went o''n" % PATH)
    desk.hear('up 1')
    time_is_up(desk, '\x03')
    has_not(desk.screen.said.decode(), 'up 2', 'went on')


@test
def in_tmux_it_ends_with_its_window(place):
    need('tmux')
    desk = Desk(place)
    tmux = ['tmux', '-L', 'mortise-%d' % os.getpid(), '-f', '/dev/null']
    for server_ends in (True, False):
        marker = place('alive.%s' % server_ends)
        subprocess.run([*tmux, 'new', '-d', '-s', 'it',
                        'exec mortise exec -e PW=%s -- sh -c "while :; do echo up; touch %s; '
                        'sleep 0.1; done"' % (PATH, marker)], env=desk.env, check=True)
        until(lambda: os.path.exists(marker))
        subprocess.run([*tmux, 'kill-server' if server_ends else 'kill-session'], env=desk.env,
                       check=True)
        until(lambda: not [pid for pid, line in command_lines() if marker.encode() in line
                           and b'tmux' not in line.split(b'\0', 1)[0]],
              what='it runs on without its window')


@test
def in_tmux_a_pager_reads_its_keys(place):
    need('tmux', 'less')
    desk = Desk(place)
    tmux = ['tmux', '-L', 'mortise-%d' % os.getpid(), '-f', '/dev/null']

    def shown():
        return subprocess.run([*tmux, 'capture-pane', '-p'], env=desk.env, capture_output=True,
                              text=True).stdout
    subprocess.run([*tmux, 'new', '-d', '-c', place.path, '-x', '80', '-y', '24', 'bash --norc --noprofile -i'],
                   env=desk.env, check=True)
    place.callback(subprocess.run, [*tmux, 'kill-server'], env=desk.env, capture_output=True)
    until(lambda: shown().strip())  # its prompt
    subprocess.run([*tmux, 'send-keys', 'mortise exec -e PW=%s -- less text' % PATH, 'Enter'],
                   env=desk.env, check=True)
    until(lambda: 'line 23 of the text' in shown())
    subprocess.run([*tmux, 'send-keys', 'Space'], env=desk.env, check=True)
    until(lambda: 'line 46 of the text' in shown())
    subprocess.run([*tmux, 'resize-window', '-x', '80', '-y', '40'], env=desk.env, check=True)
    until(lambda: 'line 60 of the text' in shown())
    subprocess.run([*tmux, 'send-keys', 'q'], env=desk.env, check=True)
    until(lambda: shown().rstrip()[-1:] in ('$', '#'))


@test
def in_screen_it_ends_with_its_window(place):
    need('screen')
    desk = Desk(place, SCREENDIR=place.directory('screens', 0o700))
    name = 'mortise-%d' % os.getpid()
    marker = place('alive')
    subprocess.run(['screen', '-dmS', name, 'mortise', 'exec', '-e', 'PW=' + PATH, '--', 'sh', '-c',
                    'while :; do echo up; touch %s; sleep 0.1; done' % marker], env=desk.env,
                   check=True)
    until(lambda: os.path.exists(marker))
    until(lambda: subprocess.run(['screen', '-S', name, '-X', 'quit'], env=desk.env,
                                 capture_output=True).returncode == 0)
    until(lambda: not [pid for pid, line in command_lines() if marker.encode() in line],
          what='it runs on without its window')


@test
def many_keys_at_once_all_arrive(place):
    desk = Desk(place)
    desk.exec("sh -c 'stty raw -echo; printf re\"\"ady; echo got $(head -c 200000 | wc -c); "
              "stty sane'")
    desk.hear('ready')
    for _ in range(50):
        written = 0
        while written < 4000:
            written += os.write(desk.screen.fd, b'x' * (4000 - written))
    desk.hear('got 200000')
    same(desk.prompt(), 0)


@test
def the_terminal_is_left_as_the_command_alone_would_leave_it(place):
    desk = Desk(place)
    for how in ('exit 3', 'kill -TERM $$', 'kill -KILL $$', 'kill -SEGV $$'):
        found = []
        for words in ('', 'mortise exec -e PW=%s -- ' % PATH):
            desk.type("%ssh -c 'stty raw -echo; printf re\"\"ady; %s'" % (words, how))
            desk.hear('ready')
            found.append(desk.modes())
            desk.type('stty sane')
            desk.back()
        same(found[1], found[0], how)


tap.main()
