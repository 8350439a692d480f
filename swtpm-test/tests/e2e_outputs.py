#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every option and operand that names where something is written, with everything that can stand
under such a name: files, links, FIFOs, devices, directories, sockets, descriptors.

COMMANDS is all of them. Each test takes one kind of thing, and has each command write there.
"""

import contextlib
import os
import pwd
import re
import select
import signal
import socket
import stat
import subprocess

import tap
from agent import ALICE, BOB, fill, prefix
from tap import Skip, has, has_not, same, test, until
from tpm import AGENT_USER, IS_ROOT

PATH = 'prod/db/password'
VALUE = b'correct horse \xff\0 battery'
TEMPLATE = 'password = "{{ secret "prod/app/word" }}"\n'
RENDERED = b'password = "staple"\n'
KEY_LINE = re.compile(rb'^[0-9A-Z]{5}(-[0-9A-Z]{5})+', re.M)


def is_value(said):
    return said == VALUE


def is_rendered(said):
    return said == RENDERED


def is_backup(said):
    return said.startswith(b'SQLite format 3\0') and len(said) % 4096 == 0


def is_key(said):
    return said.startswith(b'# ') and KEY_LINE.search(said) and b'\0' not in said


class Command:
    """Words in which OUT stands for the place."""

    def __init__(self, words, is_whole, replaces, with_agent='ready'):
        self.words, self.is_whole, self.replaces = words, is_whole, replaces
        self.with_agent = with_agent

    def on(self, target):
        return [word.replace('OUT', target) for word in self.words.split(' ')]


COMMANDS = {
    'get': Command('get --out=OUT ' + PATH, is_value, True),
    'render': Command('render --out=OUT TEMPLATE', is_rendered, True),
    'backup create': Command('backup create OUT', is_backup, False),
    'backup create --force': Command('backup create --force OUT', is_backup, True),
    'slot add --recovery': Command('slot add --recovery --recovery-file=OUT', is_key, False),
    'slot add --recovery-shares': Command(
        'slot add --recovery-shares=2/3 --recovery-file=OUT', is_key, False),
    'slot escrow-key': Command('slot escrow-key --recovery-file=OUT', is_key, False),
    'init': Command('init --no-hardware --recovery-file=OUT', is_key, False, 'new'),
}


class Desk:
    """A directory to write into, and agents that answer."""

    def __init__(self, place):
        self.place = place
        self.ready = place.agent(name='ready')
        self.ready.start()
        self.ready.do('init', '--no-hardware', '--recovery-file=' + self.ready.recovery)
        self.ready.set(PATH, VALUE)
        self.ready.set('prod/app/word', b'staple')
        self.template = place.file('app.in', TEMPLATE)
        self.new = None
        self.count = 0

    def agent(self, command):
        """Of init, one without a store."""
        if command.with_agent == 'ready':
            return self.ready
        if self.new is None or self.new.run('status').status == 0:
            self.count += 1
            self.new = self.place.agent(name='new%d' % self.count)
            self.new.start()
        return self.new

    def words(self, command, target):
        return [self.template if word == 'TEMPLATE' else word for word in command.on(target)]

    def run(self, command, target, **options):
        result = self.agent(command).run(*self.words(command, target), **options)
        self._remove_slot()
        return result

    def popen(self, command, target, **options):
        return self.agent(command).popen(*self.words(command, target), **options)

    def _remove_slot(self):
        """There is room for so many."""
        for slot in self.ready.do('slot', 'list', '--json').json()['slots'][1:]:
            self.ready.do('slot', 'remove', '--yes', str(slot['id']))

    def room(self):
        """An empty directory."""
        self.count += 1
        return self.place.directory('room%d' % self.count)


def each(place, names=COMMANDS):
    desk = Desk(place)
    for name in names:
        yield desk, name, COMMANDS[name], desk.room()


def content(path):
    with open(path, 'rb') as file:
        return file.read()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@contextlib.contextmanager
def stopped(agent):
    """Its keeper answers nobody meanwhile."""
    keeper = agent.keeper()
    os.kill(keeper, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(keeper, signal.SIGCONT)


def refused(result, name, status, *parts):
    same(result.status, status, '%s: %r' % (name, result))
    same(result.out, b'', name)
    has(result.err, 'mortise: ', *parts)
    same(result.err.count('\n'), 1, name)


# --- Files

@test
def a_new_file_is_for_its_owner_only_and_nothing_lies_beside_it(place):
    for desk, name, command, room in each(place):
        for umask in (0o000, 0o077, 0o777):
            target = '%s/out%o' % (room, umask)
            result = desk.run(command, target, umask=umask)
            same(result.status, 0, '%s: %r' % (name, result))
            assert command.is_whole(content(target)), name
            same((mode(target), os.stat(target).st_uid), (0o600, os.geteuid()), name)
        same(len(os.listdir(room)), 3, name)


@test
def a_name_is_one_in_any_directory(place):
    for desk, name, command, room in each(place):
        os.mkdir(room + '/sub')
        for target, cwd in (('out', room), ('./sub/out', room), ('sub/../out2', room),
                            ('../out3', room + '/sub'), ('./-', room), ('x' * 255, room)):
            result = desk.run(command, target, cwd=cwd)
            same(result.status, 0, '%s %s: %r' % (name, target, result))
            assert command.is_whole(content(os.path.join(cwd, target))), (name, target)


@test
def a_file_that_is_there_is_replaced_whole_or_refused(place):
    for desk, name, command, room in each(place):
        target, other = room + '/out', room + '/other'
        with open(target, 'w') as file:
            file.write('as it was')
        os.chmod(target, 0o644)
        os.link(target, other)
        with open(target, 'rb') as reader:
            result = desk.run(command, target)
            same(reader.read(), b'as it was', name)  # who reads it reads it to its end
        same(content(other), b'as it was', name)  # and another name for it is another file now
        if command.replaces:
            same(result.status, 0, '%s: %r' % (name, result))
            assert command.is_whole(content(target)), name
            same((mode(target), os.stat(target).st_nlink), (0o600, 1), name)
        else:
            refused(result, name, 73, target + ' exists; ')
            same(content(target), b'as it was', name)
        same(sorted(os.listdir(room)), ['other', 'out'], name)


@test
def what_the_refusal_of_a_backup_names_works(place):
    desk = Desk(place)
    target = place.file('backup.db', 'as it was')
    result = desk.ready.run('backup', 'create', '--json', target)
    same((result.status, result.json()['error']), (73, 'conflict'))
    has(result.json()['message'], '--force')
    desk.ready.do('backup', 'create', '--force', target)
    has(desk.ready.do('backup', 'verify', target).text, 'intact, 2 values')


@test
def a_file_that_comes_into_being_meanwhile_is_not_replaced_unasked(place):
    desk = Desk(place)
    room = desk.room()
    target = room + '/out'
    with stopped(desk.ready):
        process = desk.popen(COMMANDS['backup create'], target)
        until(lambda: os.listdir(room))  # it has begun
        with open(target, 'x') as file:
            file.write('somebody else')
    out, err = process.communicate(timeout=60)
    same((process.returncode, content(target)), (73, b'somebody else'), err)
    same(os.listdir(room), ['out'])


@test
def a_signal_leaves_no_piece_of_a_file(place):
    """Where the agent does not answer, it waits with the file begun."""
    for desk, name, command, room in each(place, ['backup create', 'slot escrow-key',
                                                  'slot add --recovery']):
        with stopped(desk.agent(command)):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                process = desk.popen(command, room + '/out')
                until(lambda: os.listdir(room) or process.poll() is not None)
                process.send_signal(number)
                process.communicate(timeout=30)
                same((process.returncode, os.listdir(room)), (-number, []), name)


@test(root=True)
def a_full_disk_leaves_what_was_there_and_no_piece(place):
    disk = place.disk('disk', '64k')
    for desk, name, command, _ in each(place, ['get', 'render', 'backup create --force']):
        target = disk + '/out'
        with open(target, 'w') as file:
            file.write('as it was')
        fill(disk + '/rest')
        result = desk.run(command, target)
        refused(result, name, 74, 'cannot write', 'No space left')
        same((content(target), sorted(os.listdir(disk))), (b'as it was', ['out', 'rest']), name)


# --- Directories

@test
def where_there_is_no_directory_nothing_can_be_made(place):
    for desk, name, command, room in each(place):
        with open(room + '/file', 'w'):
            pass
        for target, part in ((room + '/no/out', 'No such file or directory'),
                             (room + '/file/out', 'Not a directory'),
                             (room, 'it is a directory'), (room + '/', 'it is a directory'),
                             (room + '/.', 'it is a directory'), ('/', 'it is a directory')):
            refused(desk.run(command, target), name, 74, 'cannot ', target, part)
        result = desk.run(command, '')
        same((result.status, result.out), (74, b''), name)
        same(os.listdir(room), ['file'], name)


@test(root=True)
def without_the_right_to_make_a_file_it_says_what_goes_nonetheless(place):
    desk = Desk(place)
    desk.ready.apply('[rule a]\nallow = read\nsecret = prod/**\nuser = %s\n' % ALICE)
    room = desk.room()
    target = room + '/out'
    with open(target, 'w'):
        pass
    os.chown(target, pwd.getpwnam(ALICE).pw_uid, -1)
    for name in ('get', 'render'):
        result = desk.run(COMMANDS[name], target, user=ALICE)
        refused(result, name, 74, 'Permission denied, in its directory', "a shell's >")
        words = desk.words(COMMANDS[name], target)
        words = [word for word in words if not word.startswith('--out')]
        done = subprocess.run(
            ['runuser', '-u', ALICE, '--', 'sh', '-c', 'out=$1; shift; "$@" >"$out"', 'sh', target,
             prefix() + '/bin/mortise', *words], env={'MORTISE_SOCKET': desk.ready.socket,
                                                      'PATH': '/usr/sbin:/usr/bin:/bin'})
        same(done.returncode, 0)
        assert COMMANDS[name].is_whole(content(target)), name


@test(root=True)
def what_cannot_be_replaced_where_it_is_mounted_says_what_goes_nonetheless(place):
    desk = Desk(place)
    room = desk.room()
    source, target = place.file('source', 'as it was'), room + '/out'
    with open(target, 'w'):
        pass
    if subprocess.run(['mount', '--bind', source, target], check=False).returncode != 0:
        raise Skip('nothing can be mounted here')
    place.callback(subprocess.run, ['umount', '-l', target], check=False)
    for name in ('get', 'render', 'backup create --force'):
        refused(desk.run(COMMANDS[name], target), name, 74, 'busy', "a shell's >")
    same((content(source), os.listdir(room)), (b'as it was', ['out']))


# --- Links

@test
def a_link_stays_and_what_it_leads_to_is_written(place):
    for desk, name, command, room in each(place):
        os.mkdir(room + '/there')
        os.symlink('there/file', room + '/one')  # relative to its own directory
        os.symlink(room + '/one', room + '/two')
        result = desk.run(command, room + '/two', cwd='/')  # there is nothing yet
        same(result.status, 0, '%s: %r' % (name, result))
        assert command.is_whole(content(room + '/there/file')), name
        assert os.path.islink(room + '/one') and os.path.islink(room + '/two'), name
        result = desk.run(command, room + '/one')
        same(result.status, 0 if command.replaces else 73, name)
        assert command.is_whole(content(room + '/there/file')), name
        same((mode(room + '/there/file'), os.listdir(room + '/there')), (0o600, ['file']), name)
        same(sorted(os.listdir(room)), ['one', 'there', 'two'], name)


@test
def a_link_to_nowhere_or_to_itself_is_said(place):
    for desk, name, command, room in each(place):
        os.symlink('loop', room + '/loop')
        refused(desk.run(command, room + '/loop'), name, 74, 'Too many levels')
        os.symlink('no/such', room + '/nowhere')
        refused(desk.run(command, room + '/nowhere'), name, 74, 'No such file')
        os.symlink('.', room + '/here')
        refused(desk.run(command, room + '/here'), name, 74, 'it is a directory')
        same(sorted(os.listdir(room)), ['here', 'loop', 'nowhere'], name)


@test(root=True)
def root_is_not_led_by_a_link_that_somebody_else_made(place):
    victim = place.file('victim', 'as it was')
    for desk, name, command, room in each(place):
        for leads_to in (victim, room + '/not-there', '/dev/null'):
            for directory_mode in (0o1777, 0o755):
                os.chmod(room, directory_mode)
                os.symlink(leads_to, room + '/link')
                os.chown(room + '/link', pwd.getpwnam(BOB).pw_uid, -1, follow_symlinks=False)
                result = desk.run(command, room + '/link')
                refused(result, name, 78, 'neither you nor root made', 'name what it leads to')
                same(os.listdir(room), ['link'], name)
                os.unlink(room + '/link')
    same(content(victim), b'as it was')


# --- What is no file

class Reader:
    """Reads a FIFO to its end, in a process of its own."""

    def __init__(self, path):
        self.process = subprocess.Popen(['cat', path], stdout=subprocess.PIPE)

    def end(self):
        return self.process.communicate(timeout=30)[0]


@test
def a_fifo_is_written_to(place):
    for desk, name, command, room in each(place):
        os.mkfifo(room + '/fifo')
        reader = Reader(room + '/fifo')
        result = desk.run(command, room + '/fifo')
        said = reader.end()
        same(result.status, 0, '%s: %r' % (name, result))
        assert command.is_whole(said), (name, said[:100])
        assert stat.S_ISFIFO(os.stat(room + '/fifo').st_mode), name
        same(os.listdir(room), ['fifo'], name)


@test
def a_fifo_that_nobody_reads_is_waited_for_with_a_word(place):
    for desk, name, command, room in each(place):
        fifo = room + '/fifo'
        os.mkfifo(fifo)
        process = desk.popen(command, fifo)
        has(process.stderr.readline().decode(), fifo + ': nobody reads this FIFO yet; waiting')
        assert command.is_whole(Reader(fifo).end()), name
        same(process.wait(30), 0, name)
        process.communicate()
        for number in (signal.SIGINT, signal.SIGTERM):
            process = desk.popen(command, fifo)
            has(process.stderr.readline().decode(), 'waiting')
            process.send_signal(number)
            process.communicate(timeout=15)
            same(process.returncode, -number, name)
        assert stat.S_ISFIFO(os.stat(fifo).st_mode), name


@test
def a_recovery_key_whose_reader_goes_is_an_error_with_a_word(place):
    desk = Desk(place)
    fifo = place('fifo')
    os.mkfifo(fifo)
    with stopped(desk.ready):
        process = desk.popen(COMMANDS['slot add --recovery'], fifo)
        subprocess.run(['sh', '-c', ': <"$1"', 'sh', fifo], timeout=30)  # comes, and goes
    _, err = process.communicate(timeout=30)
    same(process.returncode, 74, err)
    has(err.decode(), 'its key could not be written', 'mortise slot remove')


@test(root=True)
def a_device_stays_a_device(place):
    for desk, name, command, room in each(place):
        os.mknod(room + '/nul', 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(room + '/full', 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        os.chmod(room + '/nul', 0o666)
        os.chmod(room + '/full', 0o666)
        result = desk.run(command, room + '/nul')
        same(result.status, 0, '%s: %r' % (name, result))
        result = desk.run(command, room + '/full')
        same(result.status, 74, '%s: %r' % (name, result))
        has(result.err, 'No space left on device')
        for device, number in (('nul', 3), ('full', 7)):
            about = os.stat('%s/%s' % (room, device))
            same((stat.S_ISCHR(about.st_mode), about.st_rdev, mode('%s/%s' % (room, device))),
                 (True, os.makedev(1, number), 0o666), name)
        same(sorted(os.listdir(room)), ['full', 'nul'], name)


@test
def a_terminal_is_written_to(place):
    for desk, name, command, room in each(place, ['get', 'render', 'slot escrow-key']):
        ours, theirs = os.openpty()
        result = desk.run(command, os.ttyname(theirs))
        same(result.status, 0, '%s: %r' % (name, result))
        said = b''
        while select.select([ours], [], [], 0)[0]:
            said += os.read(ours, 65536)
        assert command.is_whole(said.replace(b'\r\n', b'\n')), (name, said)
        os.close(ours)
        os.close(theirs)


@test(root=True)
def a_disk_is_refused_with_a_word(place):
    for desk, name, command, room in each(place):
        os.mknod(room + '/disk', 0o600 | stat.S_IFBLK, os.makedev(7, 250))
        refused(desk.run(command, room + '/disk'), name, 78, 'it is a disk', "a shell's >")
        assert stat.S_ISBLK(os.stat(room + '/disk').st_mode), name


@test
def a_socket_is_refused_with_a_word(place):
    for desk, name, command, room in each(place):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(room + '/socket')
            refused(desk.run(command, room + '/socket'), name, 78, 'it is a socket')
            assert stat.S_ISSOCK(os.stat(room + '/socket').st_mode), name


@test(root=True)
def what_others_may_have_put_there_is_not_written_to(place):
    bob = pwd.getpwnam(BOB).pw_uid
    for desk, name, command, room in each(place):
        os.mkfifo(room + '/fifo')
        os.chown(room + '/fifo', bob, -1)
        for directory_mode in (0o1777, 0o777):
            os.chmod(room, directory_mode)
            refused(desk.run(command, room + '/fifo'), name, 78, 'uid %d has put it' % bob)
        os.chmod(room, 0o755)  # in a directory of root's own it is root's choice
        reader = Reader(room + '/fifo')
        result = desk.run(command, room + '/fifo')
        same((result.status, bool(command.is_whole(reader.end()))), (0, True), name)
        target = room + '/file'
        with open(target, 'w') as file:
            file.write('as it was')
        os.chown(target, bob, -1)
        os.chmod(target, 0o666)
        os.chmod(room, 0o1777)
        if command.replaces:  # by a file that is root's
            same(desk.run(command, target).status, 0, name)
            same((mode(target), os.stat(target).st_uid), (0o600, 0), name)


# --- Descriptors

@test
def standard_output_has_many_names(place):
    for desk, name, command, room in each(place):
        # /dev/stdout is such a link; a program that fails here is not to replace that one.
        os.symlink('/proc/self/fd/1', room + '/stdout')
        for target in ('-', room + '/stdout', '/dev/fd/1', '/proc/self/fd/1'):
            if name == 'slot escrow-key':
                refused(desk.run(command, target), name, 64, 'standard output has the public half')
                continue
            result = desk.run(command, target)
            same(result.status, 0, '%s %s: %r' % (name, target, result))
            assert command.is_whole(result.out), (name, target, result)
            told = desk.agent(command).run('--json', *desk.words(command, target))
            assert told.status == 64 or name == 'render' or (name, told.status) == ('init', 73)
            # In a file it goes on where that is.
            with open(room + '/log', 'wb') as log:
                log.write(b'before\n')
                log.flush()
                same(desk.run(command, target, stdout=log).status, 0, name)
                os.write(log.fileno(), b'after\n')
            said = content(room + '/log')
            assert said.startswith(b'before\n') and said.endswith(b'after\n'), (name, target, said)
            assert command.is_whole(said[7:-6]), (name, target, said)


@test
def a_descriptor_that_mortise_was_started_with_is_written_to(place):
    for desk, name, command, room in each(place):
        for target in ('/dev/fd/%d', '/proc/self/fd/%d'):
            with open(room + '/out', 'w+b') as file:
                number = file.fileno()
                result = desk.run(command, target % number, pass_fds=(number,))
                same(result.status, 0, '%s: %r' % (name, result))
                file.seek(0)
                assert command.is_whole(file.read()), name
            ours, theirs = socket.socketpair()
            with contextlib.closing(ours):
                reader = subprocess.Popen(['cat'], stdin=ours, stdout=subprocess.PIPE)
                with contextlib.closing(theirs):
                    same(desk.run(command, target % theirs.fileno(),
                                  pass_fds=(theirs.fileno(),)).status, 0, name)
                assert command.is_whole(reader.communicate()[0]), name


@test
def a_shells_process_substitution_is_written_to(place):
    for desk, name, command, room in each(place):
        agent = desk.agent(command)
        words = ' '.join(desk.words(command, '@')).replace('@', '>(cat >%s/out)' % room)
        words = words.replace('=>(', ' >(')  # bash expands it as a word of its own
        done = subprocess.run(
            ['bash', '-c', prefix() + '/bin/mortise ' + words], capture_output=True,
            env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket})
        same(done.returncode, 0, '%s: %r' % (name, done))
        until(lambda: os.path.exists(room + '/out') and command.is_whole(content(room + '/out')),
              what=name)
        desk._remove_slot()


@test
def what_is_not_open_or_mortises_own_is_no_place(place):
    for desk, name, command, room in each(place):
        for number in range(3, 12):  # its connection to the agent has one of these
            refused(desk.run(command, '/dev/fd/%d' % number), name, 74,
                    'descriptor %d is not open' % number)
        with open('/dev/null') as reading:
            number = reading.fileno()
            refused(desk.run(command, '/dev/fd/%d' % number, pass_fds=(number,)), name, 74,
                    'not open for writing')


# --- import --rewrite: the place is the file that was read

@test
def import_rewrites_a_file_through_a_link_and_nothing_else(place):
    desk = Desk(place)
    room = desk.room()
    with open(room + '/app.env', 'w') as file:
        file.write('A=correct horse\n')
    os.chmod(room + '/app.env', 0o640)
    if IS_ROOT:
        os.chown(room + '/app.env', pwd.getpwnam(ALICE).pw_uid, -1)
    os.symlink('app.env', room + '/link')
    desk.ready.do('import', '--rewrite', room + '/link', 'prod/app')
    same(content(room + '/app.env'), b'A=mortise:prod/app/a\n')
    assert os.path.islink(room + '/link')
    same(mode(room + '/app.env'), 0o640)
    if IS_ROOT:
        same(os.stat(room + '/app.env').st_uid, pwd.getpwnam(ALICE).pw_uid)
    same(sorted(os.listdir(room)), ['app.env', 'link'])


# --- The agent's own: what mortised.conf names

@test
def the_agents_log_and_socket_take_the_place_of_nothing_else(place):
    for number, (key, make) in enumerate((
            ('audit-log', os.mkfifo), ('audit-log', os.mkdir),
            ('audit-log', lambda path: os.symlink(place.file('victim', 'as it was'), path)),
            ('socket', os.mkfifo), ('socket', os.mkdir),
            ('socket', lambda path: place.file(os.path.relpath(path, place.path), 'as it was')))):
        room = place.directory('own%d' % number, 0o755)
        if IS_ROOT and key == 'audit-log':
            os.chown(room, *pwd.getpwnam(AGENT_USER)[2:4])
        target = room + '/it'
        make(target)
        if IS_ROOT:
            os.chown(target, *pwd.getpwnam(AGENT_USER)[2:4], follow_symlinks=False)
        before = os.lstat(target)
        agent = place.agent(name='agent%d' % number)
        with open(agent.conf) as conf:
            lines = conf.read().splitlines()
        with open(agent.conf, 'w') as conf:
            conf.write('\n'.join(key + ' = ' + target if line.startswith(key + ' =') else line
                                 for line in lines) + '\n')
        os.close(agent.spawn())
        until(lambda: target + ':' in agent.log(), what='it takes ' + target)
        has_not(agent.log(), 'uninitialised')  # it serves nobody
        agent.process.kill()
        agent.process.wait()
        after = os.lstat(target)
        same((after.st_ino, after.st_mode), (before.st_ino, before.st_mode), key)
    same(content(place('victim')), b'as it was')


tap.main()
