#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What people type who know other programs, or mistype: the word for it here, and never one that takes
something away, unless they said so; and the value of each option, which is what it should be or an error.
Commands and options are those that --help lists: none can be forgotten.
"""

import os
import pathlib
import re
import subprocess

import tap
from agent import Skip
from commands import PATH, WORDS, lay_out, names, options
from tap import has, has_not, same, test

# What changes the store or the agent so that it is not easily undone.
GRAVE = ('seal', 'init', 'delete', 'destroy', 'rollback', 'rekey', 'recover', 'policy reset', 'policy rollback',
         'slot remove', 'slot suspend', 'backup restore')
# (what is typed, the command that does it). By programs: vault, op, pass, git and shells, ssh-add, systemctl, aws.
MEANT = (
    ('read', 'get'), ('write', 'set'), ('put', 'set'), ('patch', 'set'), ('login', 'whoami'), ('kv', 'get'),
    ('policy list', 'policy show'), ('policy read', 'policy show'), ('policy write', 'policy apply'),
    ('item', 'get'), ('run', 'exec'), ('inject', 'render'), ('edit', 'set'), ('create', 'set'), ('signin', 'whoami'),
    ('insert', 'set'), ('generate', 'set'), ('ls', 'list'), ('find', 'list'), ('grep', 'scan'), ('cp', 'get'),
    ('add', 'set'), ('rm', 'delete'), ('mv', 'move'), ('log', 'audit show'), ('cat', 'get'), ('revert', 'rollback'),
    ('tag', 'meta'), ('audit log', 'audit show'), ('env', 'exec'), ('shred', 'destroy'),
    ('lock', 'seal'), ('unlock', 'unseal'), ('keys', 'slot list'), ('slot rm', 'slot remove'),
    ('check', 'doctor'), ('is-active', 'status'), ('setup', 'init'),
    ('get-secret-value', 'get'), ('put-secret-value', 'set'), ('create-secret', 'set'), ('list-secrets', 'list'),
    ('describe-secret', 'show'), ('delete-secret', 'delete'), ('restore-secret', 'undelete'))
# Words for the agent as a service, which are for systemctl.
OF_SERVICES = ('start', 'stop', 'restart', 'reload', 'enable', 'disable')

# Arguments that may be any text, or name something to be read or written.
FREE = ('F', 'FILE', 'DIR', 'TEXT', 'LABEL', 'PROGRAM', 'NAME', 'KEY=VALUE', 'KEY', 'N,..', 'G', 'N=PATH')
NONSENSE = '%%nonsense//'
NUMBERS = ('x', '-1', '0x10', '1.5', '', '1 ', '9' * 30)
SPANS = ('90', 'x', '-1d', '1y', '', 'd', '0')


def advised(agent, words):
    """What is said of a word that is none, and the command that is named; '' if none is."""
    result = agent.run(*words.split())
    same((result.status, result.out), (64, b''), words)
    found = re.search(r'mortise (?!--)((?:(?:policy|audit|slot|backup) )?[a-z-]+)', result.err[len('mortise: '):])
    return result.err, found.group(1) if found else ''


@test
def each_word_of_other_programs_leads_to_the_command_that_does_it(place):
    agent = place.agent()
    known = names(agent)
    for word, command in MEANT:
        assert word not in known, word
        said, found = advised(agent, word)
        same(found, command, said)
        assert found in known, found
    for word in OF_SERVICES:
        has(advised(agent, word)[0], 'systemctl ' + word)


@test
def a_word_that_is_mistyped_never_leads_to_what_takes_something_away(place):
    agent = place.agent()
    for command in GRAVE:
        for at in range(len(command.split()[-1])):
            first, last = ' '.join(command.split()[:-1]), command.split()[-1]
            for typed in (last[:at] + last[at + 1:], last[:at] + 'x' + last[at + 1:],
                          last[:at] + last[at + 1:at + 2] + last[at:at + 1] + last[at + 2:]):
                words = (first + ' ' + typed).strip()
                if typed and words != command and words not in dict(MEANT):
                    said, found = advised(agent, words)
                    assert found not in GRAVE, said


@test
def no_word_of_git_or_systemctl_leads_there_unless_it_means_that(place):
    agent = place.agent()
    lists = []
    for program, pattern in ((['git', 'help', '-a'], r'^   ([a-z][a-z-]+)  '),
                             (['systemctl', '--help'], r'^  ([a-z][a-z-]+) ')):
        try:
            text = subprocess.run(program, capture_output=True, check=True, env={
                'PATH': os.environ['PATH'], 'PAGER': 'cat', 'LC_ALL': 'C'}).stdout.decode()
        except (FileNotFoundError, subprocess.CalledProcessError):
            raise Skip('no ' + program[0])
        lists += re.findall(pattern, text, re.M)
    assert len(lists) > 100, lists
    known = [name.split()[0] for name in names(agent)]
    for word in sorted(set(lists) - set(known) - {'help'}):
        said, found = advised(agent, word)
        assert found not in GRAVE or word in dict(MEANT), said


@test
def a_near_miss_is_still_understood(place):
    agent = place.agent()
    for word, command in (('gte', 'get'), ('lsit', 'list'), ('stauts', 'status'), ('exce', 'exec'),
                          ('policy shwo', 'policy show'), ('whoam', 'whoami'), ('improt', 'import')):
        same(advised(agent, word)[1], command)
    same(advised(agent, 'frobnicate')[1], '')


@test
def each_option_takes_what_it_is_for_and_a_typing_error_is_one(place):
    def refuses(name, option, value):
        # What the command needs comes first: of an option that is given twice, the last one counts.
        before, dashes, behind = (WORDS[name] or '').format(PATH).partition(' -- ')
        words = name.split() + before.split() + ['--%s=%s' % (option, value)] + (dashes + behind).split()
        result = agent.run(*words, cwd=place.path, env={'EDITOR': 'false'}, input=b'')
        if result.status != allowed.get(name, 64) or result.out:
            wrong.append('%s: %r' % (' '.join(words), result))

    agent = place.ready()
    lay_out(place)
    agent.set(PATH, b'a-value-of-some-length')
    before = agent.do('show', '--json', PATH).text
    seen, wrong = set(), []
    allowed = {'recover': 73}  # the store is unsealed, and that comes first
    for name in names(agent):
        for option, kind in options(agent, name):
            if kind in FREE:
                continue
            seen.add(kind)
            values = {'N': NUMBERS, 'S': NUMBERS, 'T': SPANS, 'TIME': SPANS}.get(kind, ())
            for value in (NONSENSE, *values):
                refuses(name, option, value)
    assert not wrong, '\n'.join(wrong)
    assert seen >= {'N', 'T', 'TIME', 'O', 'U', 'PATH', 'L', 'UNIT', 'SPEC', 'K/N', 'URI', 'PREFIX/'}, seen
    same(agent.do('show', '--json', PATH).text, before)


@test
def a_version_that_cannot_be_is_a_typing_error_and_one_that_is_not_there_is_not(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    for words in ('get --version=%d ' + PATH, 'rollback --to=%d ' + PATH, 'destroy --yes --version=%d ' + PATH,
                  'policy show --version=%d', 'policy rollback --yes --to=%d'):
        same(agent.run(*(words % 0).split()).status, 64, words)
        same(agent.run(*(words % 77).split()).status, 66, words)
    same(agent.run('audit', 'show', '--last=0').status, 64)


@test
def an_age_without_its_unit_changes_nothing(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    agent.do('meta', '--max-age=90d', PATH)
    for age in ('90', '0', '0d', '1.5', 'd'):
        result = agent.run('meta', '--max-age=' + age, PATH)
        same((result.status, result.out), (64, b''), age)
        has(result.err, '--max-age=' + age, '90d', 'never')
    has(agent.do('meta', PATH).text, 'max-age  90d')
    same(agent.do('meta', '--json', '--max-age=never', PATH).json()['changed'], True)


@test
def each_operation_of_the_log_can_be_asked_for_and_another_word_is_refused(place):
    source = os.environ['MORTISE_TEST_SOURCE'] + '/agent/'
    written = set()
    for file in pathlib.Path(source).glob('**/*.c'):
        text = file.read_text()
        written |= set(re.findall(r'\.operation = "([a-z-]+)"', text))
        written |= set(re.findall(r'\{WIRE_[A-Z_]+, "([a-z-]+)"', text))
        written |= set(re.findall(r'record\([^"]+, "([a-z-]+)"', text))
    agent = place.ready()
    agent.set(PATH, b'one')
    assert len(written) > 50, written
    for name in sorted(written):
        agent.do('audit', 'show', '--op=' + name)
    lines = agent.do('audit', 'show', '--json').json()['records']
    same({line['op'] for line in lines} - written, set())
    has(agent.do('audit', 'show', '--op=set').text, PATH)
    has(agent.run('audit', 'show', '--op=sett').err, 'did you mean set')
    result = agent.run('audit', 'show', '--op=nonsense', '--json')
    same((result.status, result.json()['error']), (64, 'invalid'))


@test
def a_prefix_below_which_there_is_nothing_says_so_and_is_no_error(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    result = agent.do('list', 'prdo')
    same(result.out, b'')
    has(result.err, 'nothing that you may see is below prdo')
    has_not(agent.do('list', 'prod').err, 'nothing')
    same(agent.do('list', '--json', 'prdo').json(), {'secrets': []})


@test
def a_check_that_has_nothing_to_check_says_so(place):
    agent = place.ready()
    empty, nothing = place.file('empty', ''), place.directory('nothing')
    place.directory('policy.d')
    place.file('policy.d/10-first.policy', '[rule one]\nallow = read\nsecret = prod/**\nuser = 1\n')
    result = agent.do('hygiene')
    same(result.out, b'')
    has(result.err, '0 secrets were examined')
    for status, words, told in (
            (66, ('scan', empty), 'nothing to look for'), (64, ('import', empty, 'prod/app'), 'nothing in it'),
            (78, ('policy', 'apply', nothing), 'has no file'), (78, ('policy', 'test', empty), 'no section [expect NAME]'),
            (65, ('backup', 'verify', empty), 'is empty'), (64, ('scan',), 'scan what?')):
        result = agent.run(*words)
        same((result.status, result.out), (status, b''), words)
        has(result.err, told)


if __name__ == '__main__':
    tap.main()
