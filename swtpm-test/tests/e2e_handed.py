#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Values that are handed over as files and descriptors: what mode and owner these have, whether real
programs take them (ssh wants a key that is nobody else's), and how often they can be read."""

import os
import pwd
import subprocess

import tap
from agent import ALICE, BOB
from tap import has, same, test
from tpm import IS_ROOT

KEY = 'prod/ssh/key'
VALUE = b'correct horse \xff battery\n'
PATH = 'prod/db/password'
SSH = ['-F', 'none', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no',
       '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR']


def with_key(place):
    """An agent that has an SSH key, and the public half."""
    agent = place.ready()
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'it', '-f', place('key')],
                   check=True)
    with open(place('key'), 'rb') as file:
        agent.do('set', '--raw', KEY, input=file.read())
    with open(place('key.pub')) as file:
        public = file.read()
    os.unlink(place('key'))
    return agent, public


def sh(*script):
    return ['sh', '-euc', *script]


def in_ssh_agent(agent, *words):
    """`mortise WORDS` as the command of an ssh-agent."""
    return subprocess.run(['ssh-agent', agent.prefix + '/bin/mortise', *words], stdin=subprocess.DEVNULL,
                          env={**os.environ, 'MORTISE_SOCKET': agent.socket}, capture_output=True, text=True)


# --- Mode and owner

@test
def ssh_and_its_tools_take_a_key_that_is_handed_over(place):
    agent, public = with_key(place)
    document = place.file('document', 'signed')
    for options in ([], ['--no-mask']):
        give = ['exec', *options, '--fd', 'K=' + KEY, '--']
        result = agent.do(*give, *sh('ssh-keygen -y -f "$K"'))
        same((result.text.split()[:2], result.err), (public.split()[:2], ''))
        said = in_ssh_agent(agent, *give, *sh('ssh-add -q "$K" && ssh-add -L'))
        same(said.stdout.split()[:2], public.split()[:2], repr(said))
        result = agent.do(*give, *sh('ssh-keygen -q -Y sign -f "$K" -n file <"$1"', 'sh', document))
        has(result.text, 'BEGIN SSH SIGNATURE')
    agent.do('get', '--out=' + place('out'), KEY)
    agent.do('render', '--out=' + place('rendered'), '-', input='{{ secret "%s" }}' % KEY)
    for name in ('out', 'rendered'):
        said = subprocess.run(['ssh-keygen', '-y', '-f', place(name)], capture_output=True, text=True)
        same((said.stdout.split()[:2], said.stderr), (public.split()[:2], ''))


@test(root=True)
def ssh_logs_in_with_a_key_that_is_handed_over(place):
    """To a real sshd, which ssh starts for its one connection."""
    agent, public = with_key(place)
    place.file('authorized', public, 0o600)
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', place('host')], check=True)
    os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
    place.file('sshd_config', 'HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n'
               'PasswordAuthentication no\nPermitRootLogin yes\n' % (place('host'),
                                                                     place('authorized')))
    server = 'ProxyCommand=/usr/sbin/sshd -i -f ' + place('sshd_config')
    for options in ([], ['--no-mask']):
        # ssh and ssh-agent close whatever they inherit, so the way that the manual names is by an agent around it.
        said = in_ssh_agent(agent, 'exec', *options, '--fd', 'K=' + KEY, '--', *sh(
            'ssh-add -q "$K"; exec ssh "$@"', 'sh', *SSH, '-o', server, 'root@nowhere', 'echo logged in'))
        same((said.returncode, said.stdout), (0, 'logged in\n'), repr(said))


@test
def a_file_in_memory_is_its_readers_own_and_closed_to_all_others(place):
    agent = place.ready()
    agent.set(PATH, VALUE)
    users = [(None, os.geteuid())]
    if IS_ROOT:
        agent.apply('[rule a]\nallow = read\nsecret = prod/**\nuser = %s\n' % ALICE)
        users.append((ALICE, pwd.getpwnam(ALICE).pw_uid))
    for user, uid in users:
        for options in ([], ['--no-mask']):
            for umask in (0, 0o777):
                result = agent.do('exec', *options, '--fd', 'V=' + PATH, '--', *sh(
                    'stat -Lc "%a %u %s" "$V" "/dev/fd/${V##*/}"; test -r "$V"; ! test -w "$V"' if uid
                    else 'stat -Lc "%a %u %s" "$V" "/dev/fd/${V##*/}"'), user=user, umask=umask)
                same(result.text, ('400 %d %d\n' % (uid, len(VALUE))) * 2)


@test(root=True)
def who_becomes_another_user_gives_it_away_first(place):
    agent = place.ready()
    agent.set(PATH, VALUE)
    become = 'exec setpriv --reuid=%s --clear-groups cat "$V"' % BOB
    for options in ([], ['--no-mask']):
        give = ['exec', *options, '--fd', 'V=' + PATH, '--']
        result = agent.run(*give, *sh(become))
        same(result.status, 1)
        has(result.err, 'Permission denied')
        result = agent.do(*give, *sh('chown %s "$V"; %s' % (BOB, become)))
        same(result.out, b'[mortise:prod/db/password]' if not options else VALUE)


# --- How often it can be read

READ = {
    'by its path, twice': 'cat "$F"; cat "$F"',
    'by /dev/fd, twice': 'cat "/dev/fd/$N"; cat "/dev/fd/$N"',
    'by /proc, in a shell, twice': 'a=$(cat "/proc/self/fd/$N"; echo .); '
                                   'b=$(cat "/proc/self/fd/$N"; echo .); '
                                   'printf %s%s "${a%.}" "${b%.}"',
    'from a path that is the input, twice': 'cat <"$F"; cat <"$F"',
    'by the descriptor, and then by its path': 'cat <&"$N"; cat "$F"',
    'in part by the descriptor, and then whole': 'head -c 5 <&"$N" >/dev/null; cat "$F"; cat "$F"',
    'by a program that seeks': 'python3 -c "'
                               'import os, sys\n'
                               'for turn in range(2):\n'
                               '    os.lseek($N, 0, os.SEEK_SET)\n'
                               '    os.write(1, os.read($N, 1000))"',
    'by a program that asks for a place': 'python3 -c "'
                                          'import os\n'
                                          'for turn in range(2): os.write(1, os.pread($N, 1000, 0))"',
    'by two at once': 'cat "$F" "$F"',
}


@test
def a_descriptor_of_exec_can_be_read_again(place):
    agent = place.ready()
    agent.set(PATH, VALUE)
    for options, expected in (([], b'[mortise:prod/db/password]'), (['--no-mask'], VALUE)):
        for how, script in READ.items():
            result = agent.do('exec', *options, '--fd', 'F=' + PATH, '--',
                              *sh('N=${F##*/}; ' + script))
            same(result.out, expected * 2, how)


HOOK = '''#!/bin/sh
set -eu
if [ "$1" = create ]; then
	stat -Lc %%a "$MORTISE_PENDING" >>%(modes)s
	printf 'new \\377 value\\n\\n' >"$MORTISE_PENDING"
	exit
fi
for N in "$MORTISE_PENDING_FD" "$MORTISE_CURRENT_FD"; do
	F=$MORTISE_PENDING
	[ "$N" = "$MORTISE_PENDING_FD" ] || F=$MORTISE_CURRENT
	stat -Lc '%%a %%u' "$F" >>%(modes)s
	{ %(script)s
	} >>%(seen)s.$N
done
'''


@test
def a_hook_can_read_both_of_its_values_again_in_each_step(place):
    agent = place.ready()
    directory = place.directory('hooks')
    for how, script in READ.items():
        agent.set(PATH, VALUE)
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        hook = place.file('hooks/hook', HOOK % {
            'modes': place('hooks/modes'), 'seen': place('hooks/seen'), 'script': script}, 0o755)
        agent.do('meta', '--hook=' + hook, PATH)
        agent.do('rotate', PATH)
        seen = sorted(name for name in os.listdir(directory) if name.startswith('seen'))
        found = []
        for name in seen:
            with open(os.path.join(directory, name), 'rb') as file:
                found.append(file.read())
        same(sorted(found), sorted([VALUE * 6, b'new \xff value\n\n' * 6]), how)  # of three steps
        with open(place('hooks/modes')) as file:
            same(file.read().split('\n', 1), ['600', ('400 %d\n' % os.geteuid()) * 6])


@test
def a_descriptor_itself_has_one_position_for_all_who_inherit_it(place):
    """The limit that the manual names: what is read by <& is read once."""
    agent = place.ready()
    agent.set(PATH, VALUE)
    result = agent.do('exec', '--no-mask', '--fd', 'F=' + PATH, '--', *sh(
        'N=${F##*/}; cat <&"$N"; echo --; cat <&"$N"'))
    same(result.out, VALUE + b'--\n')


tap.main()
