#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Where scan looks, and what it says of places into which it cannot look: histories made by git,
gzip by those who write it, pipes, and all that can be in a directory."""

import gzip
import os
import re
import socket
import stat
import subprocess
import sys
import zipfile

import tap
from agent import ALICE, IS_ROOT, Skip
from tap import has, has_not, same, test, until

VALUE = 'k9XwT2mQ7vB4nL6z'
OTHER = 'what-it-was-until-march'


def ready(place):
    agent = place.ready()
    agent.set('prod/api/key', VALUE.encode())
    agent.set('prod/db/password', OTHER.encode())
    return agent


def shell(place, script, **variables):
    """A script with git's settings of its own, in place."""
    done = subprocess.run(['sh', '-euc', script], cwd=place.path, capture_output=True, env={
        'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'HOME': place.path, 'VALUE': VALUE,
        'OTHER': OTHER, 'GIT_CONFIG_COUNT': '4', 'GIT_CONFIG_KEY_0': 'user.name',
        'GIT_CONFIG_VALUE_0': 'n', 'GIT_CONFIG_KEY_1': 'user.email',
        'GIT_CONFIG_VALUE_1': 'n@example.org', 'GIT_CONFIG_KEY_2': 'init.defaultBranch',
        'GIT_CONFIG_VALUE_2': 'main', 'GIT_CONFIG_KEY_3': 'protocol.file.allow',
        'GIT_CONFIG_VALUE_3': 'always', **variables})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def scan(agent, *words, status, **options):
    """(what --json says, the findings' secrets, what is said to a person)."""
    told = agent.run('scan', '--json', *words, **options)
    same(told.status, status, repr(told))
    spoken = agent.run('scan', *words, **options)
    same(spoken.status, status, repr(spoken))
    result = told.json()
    return result, {item['secret'] for item in result['findings']}, spoken.err


def history(place):
    """A repository: the password in a file of the first commit only, the key in the last message."""
    shell(place, '''git init -q origin; cd origin; git config uploadpack.allowFilter true
        git config uploadpack.allowAnySHA1InWant true
        mkdir conf; echo "password=$OTHER" >conf/db.ini; echo text >other; git add .
        git commit -qm one
        for i in 1 2 3; do echo $i >>other; git commit -qam "more $i"; done
        git rm -q conf/db.ini; git commit -qm "no $VALUE any more"; git gc -q''')
    return place('origin')


# --- Histories that are not all here

@test
def a_clone_without_blobs_is_searched_for_all_that_it_has(place):
    agent, origin = ready(place), history(place)
    shell(place, 'git clone -q --bare --filter=blob:none "file://$PWD/origin" partial')
    result, found, said = scan(agent, '--git=' + place('partial'), status=1)
    same(found, {'prod/api/key'})
    same(len(result['unreadable']), 1)
    missing = int(re.match(r'(\d+) objects of its history are not here', result['unreadable'][0][
        'message']).group(1))
    same(missing, int(shell(place, 'git -C origin rev-list --objects --all --filter=blob:none '
                                   '--filter-print-omitted | grep -c "^~"')))
    has(said, 'cannot read %s: %d objects' % (place('partial'), missing), '1 places that could not')
    same(scan(agent, '--git=' + origin, status=1)[1], {'prod/api/key', 'prod/db/password'})


@test
def a_clone_without_trees_says_so_and_its_messages_are_searched(place):
    agent = ready(place)
    history(place)
    shell(place, 'git clone -q --bare --filter=tree:0 "file://$PWD/origin" partial')
    result, found, _ = scan(agent, '--git=' + place('partial'), status=1)
    same(found, {'prod/api/key'})
    has(result['unreadable'][0]['message'], 'objects of its history are not here')


@test
def what_is_not_here_is_74_where_nothing_is_found(place):
    agent = place.ready()
    agent.set('prod/db/password', OTHER.encode())
    history(place)
    shell(place, 'git clone -q --bare --filter=blob:none "file://$PWD/origin" partial')
    result, found, _ = scan(agent, '--git=' + place('partial'), status=74)
    assert not found and result['texts'] > 5, result
    shell(place, 'git clone -q --bare --depth=1 "file://$PWD/origin" shallow')
    result, found, said = scan(agent, '--git=' + place('shallow'), status=74)
    has(result['unreadable'][0]['message'], 'shallow clone', 'git fetch --unshallow')
    shell(place, 'git -C shallow fetch -q --unshallow')
    same(scan(agent, '--git=' + place('shallow'), status=1)[1], {'prod/db/password'})


def damage(place, repository, what, how='printf "no object of git" >"$file"'):
    """Unpacks a repository and makes the object that git rev-parse calls `what` unreadable."""
    shell(place, '''cd "$AT"; if mv .git/objects/pack/*.pack .. 2>/dev/null; then
            rm -f .git/objects/pack/*; git unpack-objects -q <"$(ls ../*.pack)"; rm -f ../*.pack; fi
        id=$(git rev-parse "$WHAT"); rest=${id#??}; file=.git/objects/${id%$rest}/$rest
        chmod u+w "$file"; ''' + how, AT=repository, WHAT=what)


@test
def a_damaged_object_is_said_and_the_others_are_searched(place):
    agent, origin = ready(place), history(place)
    for number, what, how in (
            (1, 'HEAD~2:other', 'printf "no object of git" >"$file"'),  # git passes over this,
            (2, 'HEAD~3:other', 'truncate -s -3 "$file"'),  # and ends at these
            (3, 'HEAD:other', 'printf "\\0\\0" | dd of="$file" bs=1 seek=12 conv=notrunc status=none')):
        damage(place, origin, what, how)
        result, found, _ = scan(agent, '--git=' + origin, status=1)
        same(found, {'prod/api/key', 'prod/db/password'})
        same(len(result['unreadable']), 1)
        has(result['unreadable'][0]['message'], '%d objects can\'t be read: ' % number, 'git fsck')


@test
def of_a_history_that_cannot_be_walked_every_object_is_searched(place):
    agent, origin = ready(place), history(place)
    damage(place, origin, 'HEAD~3')
    result, found, _ = scan(agent, '--git=' + origin, status=1)
    same(found, {'prod/api/key', 'prod/db/password'})
    assert any(item['file'] == '(object)' for item in result['findings']), result
    assert result['unreadable'], result
    tree = place('tree')
    os.mkdir(tree)
    shell(place, 'git init -q tree/a; cd tree/a; echo "$VALUE" >file; git add .; git commit -qm x; '
                 'echo 1234567890123456789012345678901234567890 >.git/refs/heads/gone; git gc -q || :')
    result, found, _ = scan(agent, '--git=' + tree + '/a', status=1)
    same(found, {'prod/api/key'})
    message = result['unreadable'][0]['message']  # git of Debian 13 only counts it
    assert 'refs/heads/gone' in message or '1 objects of its history are not here' in message, message


@test
def a_repository_borrows_objects_and_says_if_the_lender_is_gone(place):
    agent = ready(place)
    history(place)
    shell(place, 'git clone -q --bare --shared origin borrower')
    same(scan(agent, '--git=' + place('borrower'), status=1)[1], {'prod/api/key', 'prod/db/password'})
    os.rename(place('origin'), place('elsewhere'))
    result, found, _ = scan(agent, '--git=' + place('borrower'), status=74)
    assert not found and result['unreadable'], result


@test
def worktrees_bare_repositories_and_stashes_are_histories_like_others(place):
    agent = ready(place)
    shell(place, '''git init -q r; cd r; echo x >x; git add .; git commit -qm one
        echo "$VALUE" >x; git stash -q; git worktree add -q ../tree; cd ../tree
        git checkout -q --detach; echo "$OTHER" >y; git add .; git commit -qm two; git rm -q y
        git commit -qm three; cd ..; git clone -q --bare r bare.git''')
    for directory in ('r', 'tree', 'r/.git'):
        same(scan(agent, '--git=' + place(directory), status=1)[1],
             {'prod/api/key', 'prod/db/password'}, directory)
    same(scan(agent, '--git=' + place('bare.git'), status=0)[1], set())
    shell(place, 'git init -q empty')
    same(scan(agent, '--git=' + place('empty'), status=0)[0]['texts'], 0)


@test
def submodules_are_said_and_searched_where_they_are_named(place):
    agent = ready(place)
    shell(place, '''git init -q sub; cd sub; echo "$VALUE" >x; git add .; git commit -qm one; cd ..
        git init -q r; cd r; git submodule --quiet add "file://$PWD/../sub" part
        git commit -qm two''')
    result, found, said = scan(agent, '--git=' + place('r'), status=0)
    same((found, result['submodules']), (set(), 1))
    has(said, 'submodules', '--git=DIR/SUBMODULE')
    same(scan(agent, '--git=' + place('r/part'), status=1)[1], {'prod/api/key'})


# --- Pipes

def start(agent, *words, **options):
    return agent.popen('scan', *words, **options)


@test
def a_fifo_that_is_named_is_waited_for(place):
    agent = ready(place)
    os.mkfifo(place('fifo'))
    process = start(agent, place('fifo'))

    def waits():
        with open('/proc/%d/syscall' % process.pid) as file:
            return os.path.exists('/proc/%d/fd/4' % process.pid) and any(
                os.path.realpath('/proc/%d/fd/%s' % (process.pid, fd)) == os.path.realpath(
                    place('fifo')) for fd in os.listdir('/proc/%d/fd' % process.pid)) and file.read()
    until(waits)
    same(process.poll(), None)
    with open(place('fifo'), 'w') as fifo:
        fifo.write('x\n')
        fifo.flush()
        fifo.write(VALUE)
    out, err = process.communicate(timeout=60)
    same(process.returncode, 1, err)
    has(out.decode(), 'fifo:2: byte 2: prod/api/key')


@test
def a_fifo_whose_writer_says_nothing_is_an_empty_text(place):
    agent = ready(place)
    os.mkfifo(place('fifo'))
    process = start(agent, place('fifo'))
    os.close(os.open(place('fifo'), os.O_WRONLY))
    process.communicate(timeout=60)
    same(process.returncode, 0)
    for command, status in (('true', 0), ('echo "$VALUE"', 1)):
        done = subprocess.run(['bash', '-c', '"$0" scan <(%s; exit)' % command,
                               agent.prefix + '/bin/mortise'], capture_output=True, timeout=60,
                              env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket,
                                   'VALUE': VALUE})
        same(done.returncode, status, done.stderr)
    for text, status in ((b'', 0), (VALUE.encode(), 1)):  # its writer is gone before it is opened
        read, write_end = os.pipe()
        os.write(write_end, text)
        os.close(write_end)
        process = start(agent, '/dev/fd/%d' % read, pass_fds=(read,))
        os.close(read)
        process.communicate(timeout=30)
        same(process.returncode, status)


@test
def what_is_in_a_directory_and_no_file_is_passed_over_and_counted(place):
    agent = ready(place)
    tree = place.directory('tree')
    os.mkfifo(tree + '/fifo')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(tree + '/socket')
    os.symlink('loop', tree + '/loop')
    os.symlink('/etc/passwd', tree + '/link')
    special = 2
    if IS_ROOT:
        os.mknod(tree + '/device', 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        special += 1
    place.file('tree/file', VALUE)
    result, found, said = scan(agent, tree, status=1)
    same((found, result['special'], result['links'], result['unreadable']),
         ({'prod/api/key'}, special, 2, []))
    has(said, '%d special files' % special, '2 symbolic links')
    for name, why in (('socket', 'it is a socket'), ('loop', 'Too many levels of symbolic links'),
                      ('none', 'No such file')):
        result, _, _ = scan(agent, tree + '/' + name, status=74)
        has(result['unreadable'][0]['message'], why)
    has(scan(agent, '/dev/zero', status=74)[2], 'neither a file nor a directory', 'scan - <')


@test
def a_file_that_vanishes_meanwhile_is_said_and_the_walk_goes_on(place):
    agent = ready(place)
    tree = place.directory('tree')
    os.mkfifo(place('fifo'))
    for name in ('b', 'c'):
        place.file('tree/' + name, VALUE)
    with open(tree + '/a', 'wb') as sparse:
        sparse.truncate(8 << 30)
    process = start(agent, '--json', tree)
    until(lambda: any(os.path.realpath('/proc/%d/fd/%s' % (process.pid, fd)).endswith('/a')
                      for fd in os.listdir('/proc/%d/fd' % process.pid)))
    os.unlink(tree + '/b')
    os.truncate(tree + '/a', 0)
    out, _ = process.communicate(timeout=120)
    same(process.returncode, 1)
    has(out.decode(), '"No such file or directory"', tree + '/b', tree + '/c')


@test(root=True)
def what_may_not_be_read_is_said_for_each(place):
    agent = ready(place)
    agent.apply('[rule r]\nallow = read list\nsecret = **\nuser = %s\n' % ALICE)
    place.directory('tree')
    place.directory('tree/closed', 0o700)
    place.file('tree/closed/file', VALUE)
    place.file('tree/secret', VALUE, 0o600)
    place.file('tree/open', VALUE)
    result, found, said = scan(agent, place('tree'), status=1, user=ALICE)
    same({item['file'] for item in result['unreadable']},
         {place('tree/closed'), place('tree/secret')})
    has(said, 'cannot read %s: Permission denied' % place('tree/secret'), '2 places')
    shell(place, 'git init -q r; cd r; echo x >x; git add .; git commit -qm x; chmod 0700 .git')
    result, _, _ = scan(agent, '--git=' + place('r'), status=74, user=ALICE)
    assert result['unreadable'], result


# --- Packed by those who pack

def write(path, *parts):
    with open(path, 'wb') as file:
        for part in parts:
            file.write(part)


def packed(place, command, text, needs=None):
    """What a program makes of a text, through its standard input."""
    words = command.split()
    if not os.path.exists('/usr/bin/' + words[0]) and not os.path.exists('/bin/' + words[0]):
        raise Skip('%s is not installed' % words[0])
    return subprocess.run(words, input=text, stdout=subprocess.PIPE, check=True,
                          cwd=place.path).stdout


LINES = b''.join(b'line %d of a log\n' % i for i in range(20000))
HIDDEN = LINES + VALUE.encode() + b'\n' + LINES


def check_packed(agent, place, *parts, line=20001, status=1, unreadable=0):
    write(place('packed'), *parts)
    result, found, _ = scan(agent, place('packed'), status=status)
    same(len(result['unreadable']), unreadable, result)
    if status == 1:
        same([(item['line'], item['unpacked']) for item in result['findings']], [(line, True)])
    return result


@test
def what_gzip_packs_is_unpacked_in_every_way_that_it_packs(place):
    agent = ready(place)
    for level in (1, 6, 9):
        check_packed(agent, place, packed(place, 'gzip -%d' % level, HIDDEN))
    place.file('named.log', HIDDEN)
    shell(place, 'gzip -N named.log')
    with open(place('named.log.gz'), 'rb') as file:
        named = file.read()
    assert b'named.log' in named[:64]
    check_packed(agent, place, named)
    check_packed(agent, place, packed(place, 'gzip', LINES), packed(place, 'gzip', HIDDEN), line=40001)
    halves = [packed(place, 'gzip', part) for part in (HIDDEN[:len(LINES) + 7], HIDDEN[len(LINES) + 7:])]
    check_packed(agent, place, *halves)  # the value lies across two members
    check_packed(agent, place, packed(place, 'gzip', b''), packed(place, 'gzip', HIDDEN))
    check_packed(agent, place, packed(place, 'gzip', HIDDEN), bytes(10240))  # as tapes pad
    check_packed(agent, place, packed(place, 'gzip', HIDDEN), b'no gzip any more')


@test
def gzip_in_a_history_is_unpacked_and_said_where_it_is_cut(place):
    agent = ready(place)
    shell(place, 'git init -q r')
    write(place('r/whole.gz'), packed(place, 'gzip', HIDDEN))
    write(place('r/cut.gz'), packed(place, 'gzip', HIDDEN)[:-20])
    commit = shell(place, 'cd r; git add .; git commit -qm x; git rev-parse HEAD').strip()
    result, _, _ = scan(agent, '--git=' + place('r'), status=1)
    same([(item['file'], item['line'], item['unpacked']) for item in result['findings']],
         [('cut.gz', 20001, True), ('whole.gz', 20001, True)])
    same([item['file'] for item in result['unreadable']],
         ['%s@%s:cut.gz' % (place('r'), commit[:12])])


@test
def what_pigz_and_zopfli_pack_is_unpacked(place):
    agent = ready(place)
    check_packed(agent, place, packed(place, 'pigz -C a-comment -c', HIDDEN))
    check_packed(agent, place, packed(place, 'pigz -i -b 128 -c', HIDDEN))
    write(place('plain'), LINES[-2000:], HIDDEN[-len(LINES) - 50:][:2000])
    write(place('packed'), packed(place, 'zopfli -c plain', b''))
    same([item['unpacked'] for item in scan(agent, place('packed'), status=1)[0]['findings']], [True])


@test
def gzip_that_is_cut_or_damaged_is_said_and_searched_as_far_as_it_goes(place):
    agent = ready(place)
    whole = packed(place, 'gzip', HIDDEN)
    result = check_packed(agent, place, whole[:-20], unreadable=1)
    has(result['unreadable'][0]['message'], 'end too early')
    check_packed(agent, place, whole[:2000], status=74, unreadable=1)
    broken = bytearray(whole)
    broken[len(whole) - 6] ^= 1  # its checksum
    result = check_packed(agent, place, bytes(broken), unreadable=1)
    has(result['unreadable'][0]['message'], 'damaged')
    for size in (1, 2, 3, 9):
        check_packed(agent, place, whole[:size], status=0 if size < 3 else 74,
                     unreadable=int(size >= 3))


@test
def what_is_packed_or_encrypted_otherwise_is_counted(place):
    agent = ready(place)
    tree = place.directory('tree')
    text = HIDDEN.replace(b'line', VALUE.encode())
    made = {'gzip twice': gzip.compress(gzip.compress(text))}
    for name, command in {'xz': 'xz -c', 'bzip2': 'bzip2 -c', 'zstd': 'zstd -c',
                          'openssl': 'openssl enc -aes-256-cbc -pbkdf2 -k x',
                          'openssl, base64': 'openssl enc -a -aes-256-cbc -pbkdf2 -k x'}.items():
        try:
            made[name] = packed(place, command, text)
        except Skip as reason:
            print('# %s' % reason)
    for name, content in made.items():
        write(tree + '/' + name.replace(', ', '-').replace(' ', '-'), content)
    with zipfile.ZipFile(tree + '/zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('name', text)
    place.file('tree/plain', 'nothing')
    result, found, said = scan(agent, tree, status=0)
    same(result['opaque'], len(made) + 1)
    has(said, '%d texts packed or encrypted' % (len(made) + 1))
    assert len(made) >= 4, made.keys()


@test
def a_large_history_of_small_objects_is_searched_in_one_run_of_git(place):
    """An object that is missing or damaged costs one more git, not one for each behind it."""
    agent = ready(place)
    shell(place, '''git init -q r; cd r; for i in $(seq 300); do echo $i >$i; done; git add .
        git commit -qm x; for i in $(seq 300); do echo "$i $VALUE" >$i; done; git commit -qam y''')
    result, _, _ = scan(agent, '--git=' + place('r'), status=1)
    same(result['found'], 300)
    damage_all = '''cd r; for i in 5 50 500; do
        id=$(git ls-tree HEAD | awk -v i=$i 'NR == i % 299 { print $3 }'); rest=${id#??}
        chmod u+w ".git/objects/${id%$rest}/$rest"; : >".git/objects/${id%$rest}/$rest"; done'''
    shell(place, damage_all)
    result, _, said = scan(agent, '--git=' + place('r'), status=1)
    same(result['found'], 297)
    has(said, '3 objects can\'t be read')
    has_not(said, VALUE)


if __name__ == '__main__':
    sys.exit(tap.main())
