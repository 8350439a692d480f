#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What bash, zsh and fish offer on TAB, with paths from an agent; and that nothing is said, asked
or waited for where there is none."""

import contextlib
import os
import pwd
import re
import signal
import time

import tap
from agent import ALICE, BOB
from shells import Bash, Fish, Zsh
from tap import same, test, until

SHELLS = (Bash, Zsh, Fish)
VALUE = b'hunter2-never-shown'
PATHS = ('prod/db/password', 'prod/db/user', 'prod/web/key', 'prod/web/old', 'stage/key')
POLICY = '''[rule alice]
allow = list
secret = prod/web/**
user = %s
'''


def filled(place):
    agent = place.agent(lines=('environment = prod',))
    agent.start()
    agent.init()
    for path in PATHS:
        agent.set(path, VALUE)
    agent.do('delete', '--yes', 'prod/web/old')
    return agent


def home(place, name, user=None):
    """A shell's home, with three files."""
    path = place.directory(name)
    for file in ('value', 'vault'):
        place.file(name + '/' + file, '')
    place.directory(name + '/void')
    if user:
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    return path


@contextlib.contextmanager
def shells(place, agent, user=None, kinds=SHELLS):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(kind(home(place, '%s-%s' % (kind.__name__, user), user),
                                        agent.socket, user)) for kind in kinds]


def last_part(word):
    """Shells list as much of a word as they see fit; this they all do."""
    return re.search(r'[^=@/]*[=/]?$', word).group()


def offers(shell, line, *names):
    """That the shell lists just these: the last part of each."""
    about = '%s: %s' % (type(shell).__name__, line)
    found = until(lambda: shell.offers(line), what=about + ': nothing is offered') if names \
        else shell.offers(line)
    same({last_part(word) for word in found}, set(names), about)


@test
def commands_options_and_verbs_are_those_of_the_tables(place):
    agent = place.agent()
    with shells(place, agent) as all_shells:
        for shell in all_shells:
            offers(shell, 'mortise sl', 'slot')
            offers(shell, 'mortise policy r', 'reset', 'rollback')
            offers(shell, 'mortise --json policy r', 'reset', 'rollback')
            offers(shell, 'mortise policy apply --d', '--dry-run')
            offers(shell, 'mortise get --v', '--version=')
            offers(shell, 'mortise policy check r', 'read', 'rotate')
            offers(shell, 'mortise policy check --user=' + ALICE[:-1], ALICE)
            offers(shell, 'mortise frobnicate ')


@test
def paths_come_from_the_agent_one_level_at_a_time(place):
    agent = filled(place)
    with shells(place, agent) as all_shells:
        for shell in all_shells:
            offers(shell, 'mortise get ', 'prod/', 'stage/')
            offers(shell, 'mortise get prod/', 'db/', 'web/')
            offers(shell, 'mortise get stage/key prod/db/', 'password', 'user')
            offers(shell, 'mortise move stage/key prod/d', 'db/')
            offers(shell, 'mortise exec -e A=prod/w', 'web/')
            offers(shell, 'mortise exec --fd=KEY=prod/db/', 'password', 'user')
            offers(shell, 'mortise get @/d', 'db/')
            offers(shell, 'mortise list --json prod/', 'db/', 'web/')
            offers(shell, 'mortise get prod/web/', 'key')
            offers(shell, 'mortise undelete prod/web/', 'old')
            offers(shell, 'mortise delete stage/key prod/')  # which takes one


@test
def a_folder_stays_open_and_a_secret_ends_its_word(place):
    agent = filled(place)
    with shells(place, agent, kinds=(Bash, Zsh)) as all_shells:
        for shell in all_shells:
            for typed, line in (('mortise get s', 'mortise get stage/'),
                                ('mortise get stage/', 'mortise get stage/key '),
                                ('mortise exec -e A=prod/d', 'mortise exec -e A=prod/db/'),
                                ('mortise exec -e A=prod/db/p', 'mortise exec -e A=prod/db/password '),
                                ('mortise get @/w', 'mortise get @/web/'),
                                ('mortise get --o', 'mortise get --out='),
                                ('mortise policy ap', 'mortise policy apply ')):
                until(lambda: shell.line(typed) == line, what=lambda: '%s: %r' % (
                    type(shell).__name__, shell.line(typed)))


@test
def fish_has_whole_words(place):
    agent = filled(place)
    with shells(place, agent, kinds=(Fish,)) as (fish,):
        for line, words in (('mortise get prod/db/', {'prod/db/password', 'prod/db/user'}),
                            ('mortise exec --env=A=@/', {'--env=A=@/db/', '--env=A=@/web/'}),
                            ('mortise set --from-file=va', {'--from-file=value', '--from-file=vault'})):
            until(lambda: fish.offers(line) == words, what=lambda: '%s: %s' % (line, fish.offers(line)))


@test
def files_are_the_shells_own(place):
    agent = place.agent()
    with shells(place, agent) as all_shells:
        for shell in all_shells:
            offers(shell, 'mortise set --from-file=va', 'value', 'vault')
            offers(shell, 'mortise set -f va', 'value', 'vault')
            offers(shell, 'mortise render val', 'value')
            offers(shell, 'mortise scan --git=v', 'void/')


@test
def behind_exec_dev_and_watch_the_commands_own_completion_speaks(place):
    agent = filled(place)
    with shells(place, agent) as all_shells:
        for shell in all_shells:
            for words in ('exec -e A=prod/db/user -- tool', 'exec --env=A=@/db/user tool', 'dev tool',
                          'watch stage/key -- tool', 'exec -- mortise exec tool'):
                offers(shell, 'mortise %s a' % words, 'alpha')
            offers(shell, 'mortise exec -- mortise get st', 'stage/')


@test(root=True)
def one_is_offered_what_one_may_list_and_nothing_else(place):
    agent = filled(place)
    agent.apply(POLICY % ALICE)
    with shells(place, agent, ALICE) as hers:
        for shell in hers:
            offers(shell, 'mortise get ', 'prod/')
            offers(shell, 'mortise get prod/', 'web/')
            offers(shell, 'mortise get prod/web/', 'key')
            offers(shell, 'mortise get prod/db/')
    with shells(place, agent, BOB) as his:
        for shell in his:
            offers(shell, 'mortise get ')
            offers(shell, 'mortise sl', 'slot')


@test
def a_listing_is_on_record_and_no_value_is_read(place):
    agent = filled(place)
    before = len(agent.do('audit', 'show', '--json').json()['records'])
    same(agent.do('complete', '--', 'get', 'prod/db/').text.split(),
         ['prod/db/password', 'prod/db/user'])
    records = agent.do('audit', 'show', '--json').json()['records'][before:]
    same([record['op'] for record in records if record['op'] != 'audit-show'], ['list'], records)


def silent(agent, *words, env=()):
    """Nothing said, and no error."""
    result = agent.run('complete', *words, env=env, timeout=20)
    same((result.status, result.out, result.err), (0, b'', ''), words)


@test
def nothing_is_offered_or_said_where_nothing_is_to_be_had(place):
    agent = place.agent()
    silent(agent, '--', 'get', 'prod/')
    agent.start()
    silent(agent, '--', 'get', 'prod/')  # no store
    agent.init()
    agent.set('prod/key', VALUE)
    same(agent.do('complete', '--', 'get', 'prod/').out, b'prod/key\n')
    for words in ((), ('--',), ('--', 'gte', ''), ('--', 'get', '--odd', ''), ('--', 'get', 'Prod/'),
                  ('--', 'get', '/'), ('--', 'get', 'prod/key#'), ('--', 'get', 'x' * 5000 + '/'),
                  ('--', 'get', '@/'), ('--', '--socket=' + 'x' * 200, 'get', ''),
                  ('--', '--wait=x', 'get', ''), ('--', 'exec', '-e', 'prod'), ('--', 'slot', 'test', '')):
        silent(agent, *words)
    silent(agent, '--', 'get', '', env={'MORTISE_SOCKET': 'x' * 200}.items())
    agent.do('seal', '--yes')
    silent(agent, '--', 'get', 'prod/')


@test
def the_socket_is_that_of_the_line(place):
    agent = filled(place)
    for words in (('--socket=' + agent.socket,), ('--socket', agent.socket)):
        same(agent.do('complete', '--', *words, 'get', 's', env={'MORTISE_SOCKET': '/none'}.items()).text,
             'stage/\n')


@test
def an_agent_that_hangs_is_waited_for_half_a_second(place):
    agent = filled(place)
    keeper = agent.keeper()
    os.kill(keeper, signal.SIGSTOP)
    try:
        began = time.monotonic()
        silent(agent, '--', 'get', 'prod/')
        assert time.monotonic() - began < 8, 'it waited as long as a request may take'
    finally:
        os.kill(keeper, signal.SIGCONT)


if __name__ == '__main__':
    tap.main()
