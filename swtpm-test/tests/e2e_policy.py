#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""How a policy comes into force and goes again: what is shown, asked, refused and kept."""

import os
import pty
import subprocess
import time

import tap
import wire
from agent import ALICE, BOB, in_child
from tap import Skip, has, same, test, until

PATH = 'prod/db/password'
OWN = ('[rule first]\nallow = read list write delete rotate audit admin\n'
       'secret = **\nuser = %d\nsocket = main\n' % os.geteuid())
READS = '[rule reads]\nallow = read\nsecret = prod/db/**\nuser = 1234\n'
ONLY_READS = '[rule reads]\nallow = read\nsecret = prod/db/**\nuser = %d\n' % os.geteuid()


def served(place, policy=''):
    """An agent without hardware, under OWN and policy: version 2."""
    agent = place.wrapped()
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('policy', 'apply', '-', input=OWN + policy)
    return agent


def version(agent):
    return agent.do('status', '--json').json()['policy_version']


class Terminal:
    """`mortise ARGUMENTS` with a terminal as its standard input."""

    def __init__(self, agent, *arguments, **options):
        self.ours, theirs = pty.openpty()
        self.process = agent.popen(*arguments, stdin=theirs, **options)
        self.err = b''
        os.close(theirs)

    def until(self, text):
        while text not in self.err:
            more = os.read(self.process.stderr.fileno(), 4096)
            assert more, (text, self.err)
            self.err += more

    def type(self, text):
        os.write(self.ours, text)

    def end(self):
        out, err = self.process.communicate(timeout=60)
        os.close(self.ours)
        return self.process.returncode, out.decode(), (self.err + err).decode()


def ask(agent, answer, *arguments, **options):
    terminal = Terminal(agent, *arguments, **options)
    terminal.until(b'[y/N]')
    terminal.type(answer)
    return terminal.end()


@test
def an_apply_shows_who_may_do_more_or_less(place):
    agent = served(place, READS)
    file = place.file('site.policy', OWN + READS.replace('1234', '77'))
    shown = ('uid 1234: may no longer read prod/db/**\n'
             'uid 77: may now read prod/db/**\n')
    same(agent.do('policy', 'apply', '--dry-run', file).text,
         shown + 'policy: would be version 3, 2 rules\n')
    same(version(agent), 2)
    same(agent.do('policy', 'apply', file).text, shown + 'policy: version 3, 2 rules\n')
    same(agent.do('policy', 'apply', file).text,
         'nobody may do more or less than before\npolicy: version 4, 2 rules\n')


def changes_on_record(agent):
    records = agent.do('audit', 'show', '--json', '--op=policy-change').json()['records']
    assert {(record['uid'], record['result']) for record in records} <= {(os.getuid(), 'ok')}
    return [record['note'] for record in records]


@test
def what_an_apply_changes_is_on_record(place):
    agent = served(place, READS)
    before = changes_on_record(agent)
    file = place.file('site.policy', OWN + READS.replace('1234', '77'))
    agent.do('policy', 'apply', '--dry-run', file)
    same(changes_on_record(agent), before)
    agent.do('policy', 'apply', file)
    shown = ['version 3: uid 1234: may no longer read prod/db/**',
             'version 3: uid 77: may now read prod/db/**']
    same(changes_on_record(agent), before + shown)
    lines = agent.do('audit', 'show', '--json', '--last=9').json()['records']
    same([record['op'] for record in lines if record['op'].startswith('policy')][-3:],
         ['policy-change', 'policy-change', 'policy-apply'])
    agent.do('policy', 'rollback')
    shown += ['version 4: uid 77: may no longer read prod/db/**',
              'version 4: uid 1234: may now read prod/db/**']
    same(changes_on_record(agent), before + shown)
    agent.do('policy', 'apply', place.file('again.policy', OWN + READS))
    same(changes_on_record(agent), before + shown)


@test
def of_many_changes_200_are_on_record_and_how_many_more_there_were(place):
    agent = served(place)
    before = len(changes_on_record(agent))
    many = OWN + ''.join('[rule r%d]\nallow = read\nsecret = prod/db/x\nuser = %d\n' % (n, n)
                         for n in range(5000, 5230))
    agent.do('policy', 'apply', '-', input=many)
    recorded = changes_on_record(agent)[before:]
    same((len(recorded), recorded[0], recorded[-1]),
         (201, 'version 3: uid 5000: may now read prod/db/x', 'version 3: and 30 more changes'))


def rules_of(numbers):
    return ''.join('[rule r%d]\nallow = read\nsecret = prod/db/x\nuser = %d\n' % (number, number)
                   for number in numbers)


@test
def however_much_a_policy_takes_what_it_gives_is_on_record(place):
    agent = served(place)
    agent.do('policy', 'apply', '-', input=OWN + rules_of(range(5000, 5300)))
    before = len(changes_on_record(agent))
    agent.do('policy', 'apply', '-', input=OWN + rules_of([7]))
    recorded = changes_on_record(agent)[before:]
    same((len(recorded), recorded[-2:]), (201, [
        'version 4: uid 7: may now read prod/db/x', 'version 4: and 101 more changes']))
    agent.do('policy', 'apply', '-', input=OWN + rules_of(range(5000, 5201)))
    recorded = changes_on_record(agent)[before + 201:]
    same((len(recorded), recorded[0], recorded[-1]), (
        201, 'version 5: uid 7: may no longer read prod/db/x', 'version 5: and 2 more changes'))


@test
def where_not_all_is_compared_there_are_at_least_so_many_changes(place):
    agent = served(place)
    agent.do('policy', 'apply', '-', input=OWN + rules_of(range(5000, 6500)))
    same(changes_on_record(agent)[-1], 'version 3: and at least 800 more changes')


@test
def in_json_changes_and_warnings_are_arrays(place):
    agent = served(place)
    script = place.file('job', '#!/bin/sh\n', 0o755)
    binary = place.file('binary', b'\x7fELF', 0o755)
    policy = OWN + READS + 'expires = 2020-01-01\nexe = %s %s %s\n' % (
        script, binary, place('nowhere'))
    said = agent.do('policy', 'apply', '--json', '-', input=policy).json()
    same(said['changes'], ['uid 1234: may now read prod/db/** (exe %s %s %s, expires %s)' % (
        script, binary, place('nowhere'), '2020-01-01T00:00:00Z')])
    same([(entry['file'], entry['line'], entry['column']) for entry in said['warnings']],
         [('standard-input', 10, 11), ('standard-input', 11, 7)])
    has(said['warnings'][0]['text'], 'it has expired')
    has(said['warnings'][1]['text'], script + ', a script')
    same((said['version'], said['changed'], said['dry_run']), (3, True, False))


@test
def on_a_terminal_it_asks_and_only_yes_applies(place):
    agent = served(place)
    file = place.file('site.policy', OWN + READS)
    for answer in (b'\n', b'n\n', b'\x04'):
        status, out, err = ask(agent, answer, 'policy', 'apply', file)
        same(status, 64)
        has(out, 'uid 1234: may now read prod/db/**')
        has(err, 'Apply this as version 3? [y/N]', 'not applied')
        same(version(agent), 2)
    same(ask(agent, b'y\n', 'policy', 'apply', file)[0], 0)
    same(version(agent), 3)
    status, _, err = Terminal(agent, 'policy', 'apply', '--yes', file).end()
    same((status, err), (0, ''))
    same(version(agent), 4)


@test
def what_was_shown_is_applied_or_nothing(place):
    agent = served(place)
    file = place.file('site.policy', OWN + READS)
    asked = Terminal(agent, 'policy', 'apply', file)
    asked.until(b'[y/N]')
    place.file('site.policy', OWN)
    asked.type(b'y\n')
    same(asked.end()[0], 0)
    has(agent.do('policy', 'show').text, 'rule reads')
    asked = Terminal(agent, 'policy', 'apply', file)
    asked.until(b'[y/N]')
    agent.do('policy', 'apply', '-', input=OWN)
    asked.type(b'y\n')
    status, _, err = asked.end()
    same(status, 73)
    has(err, 'is version 4, no longer 3')
    same(version(agent), 4)


@test
def without_an_administrator_it_takes_force_and_the_recovery_key_brings_one_back(place):
    agent = served(place)
    refused = agent.run('policy', 'apply', '-', input=ONLY_READS)
    same(refused.status, 78)
    has(refused.err, 'would leave no administrator', '--force')
    forced = agent.do('policy', 'apply', '--force', '-', input=ONLY_READS)
    has(forced.err, 'mortise policy reset')
    same(agent.run('policy', 'show').status, 77)
    wrong = place.file('wrong', '-'.join(['AAAAA'] * 13) + '\n')
    assert agent.run('policy', 'reset', '--recovery-file=' + wrong).status in (64, 77)
    same(agent.run('policy', 'reset').status, 64)
    said = agent.do('policy', 'reset', '--json', '--recovery-file=' + agent.recovery).json()
    same((said['version'], said['rules'], said['changed']), (4, 1, True))
    has(agent.do('audit', 'show').text, 'policy-reset')


@test
def a_rollback_is_a_new_version_and_a_second_one_takes_it_back(place):
    agent = served(place)
    agent.do('policy', 'apply', '-', input=OWN + READS)
    has(agent.do('policy', 'rollback').text, 'uid 1234: may no longer read', 'version 4')
    assert 'rule reads' not in agent.do('policy', 'show').text
    has(agent.do('policy', 'rollback', '--dry-run').text, 'would be version 5')
    agent.do('policy', 'rollback')
    has(agent.do('policy', 'show').text, 'rule reads')
    agent.do('policy', 'rollback', '--to=2')
    same(version(agent), 6)
    for number, status in (('99', 66), ('0', 64), ('x', 64)):
        same(agent.run('policy', 'rollback', '--to=' + number).status, status)
    has(agent.run('policy', 'rollback', '--to=99').err, 'mortise policy show')


def edit(agent, script, *options, **more):
    return agent.run('policy', 'edit', *options, env={'EDITOR': 'sh -c \'%s\' editor' % script},
                     **more)


@test
def an_edit_applies_what_the_editor_left(place):
    agent = served(place)
    place.directory('policy.d')
    place.file('policy.d/10-own.policy', OWN)
    place.file('policy.d/20-reads.policy', READS + '\n')
    agent.do('policy', 'apply', place('policy.d'))
    seen = place('seen')
    result = edit(agent, 'pwd >%s; stat -c %%a . >>%s; echo "$@" >>%s; sed -i s/1234/77/ "$@"'
                  % (seen, seen, seen))
    same(result.status, 0, result)
    has(result.text, 'uid 77: may now read prod/db/**', 'version 4')
    with open(seen) as file:
        directory, mode, names = file.read().splitlines()
    same((mode, names), ('700', '10-own.policy 20-reads.policy'))
    assert not os.path.exists(directory), directory
    has(agent.do('policy', 'show').text, '; file: 10-own.policy\n' + OWN,
        '; file: 20-reads.policy\n' + READS.replace('1234', '77') + '\n')
    same(edit(agent, 'true').text, 'policy: version 4, unchanged\n')
    same(version(agent), 4)


@test
def an_edit_that_cannot_be_applied_is_kept_and_told(place):
    agent = served(place)
    tmp = place.directory('tmp')
    result = agent.run('policy', 'edit', env={'EDITOR': 'sed -i s/allow/alow/', 'TMPDIR': tmp})
    same(result.status, 78)
    kept, = os.listdir(tmp)
    has(result.err, "unknown key 'alow'", 'mortise policy apply %s/%s' % (tmp, kept))
    with open('%s/%s/standard-input.policy' % (tmp, kept)) as file:
        same(file.read(), OWN.replace('allow', 'alow'))
    same(agent.run('policy', 'apply', '%s/%s' % (tmp, kept)).status, 78)
    same(edit(agent, 'exit 3').status, 74)
    same(version(agent), 2)


@test
def a_program_with_more_rights_than_its_caller_lays_nothing_out_where_he_says(place):
    """What it asks is told that its environment does not count; glibc takes TMPDIR from it besides."""
    agent = served(place)
    tmp, seen, library = place.directory('tmp'), place('seen'), place('secure.so')
    source = place.file('secure.c', 'char *secure_getenv(const char *name) { (void)name; return 0; }\n')
    subprocess.run(['cc', '-shared', '-fPIC', source, '-o', library], check=True)

    def laid_out(**more):
        agent.do('--socket=' + agent.socket, 'policy', 'edit', env={
            'EDITOR': 'sh -c \'pwd >%s\' editor' % seen, 'TMPDIR': tmp, **more})
        with open(seen) as file:
            return os.path.dirname(file.read())
    same(laid_out(), tmp)
    same(laid_out(LD_PRELOAD=library), '/tmp')


@test
def an_edit_of_a_policy_that_is_no_longer_in_force_is_a_conflict(place):
    agent = served(place)
    other = place.file('other.policy', OWN + READS)
    mortise = '%s/bin/mortise policy apply %s' % (agent.prefix, other)
    tmp = place.directory('tmp')
    result = agent.run('policy', 'edit', env={
        'EDITOR': 'sh -c \'%s; echo ";" >>"$1"\' editor' % mortise, 'TMPDIR': tmp})
    same(result.status, 73, result)
    same(version(agent), 3)


def with_file(place, ours, path):
    """An agent that sees the file ours where others see path; not started yet."""
    done = subprocess.run(['unshare', '--mount', 'true'], capture_output=True)
    if done.returncode:
        raise Skip('no mount namespace here: ' + done.stderr.decode().strip())
    place.file('wrap', '#!/bin/sh\nmount --bind %s %s && exec "$@"\n' % (
        ours, os.path.realpath(path)), 0o755)
    return place.wrapped('unshare', '--mount', place('wrap'))


@test(root=True)
def hours_that_meet_a_change_of_the_hosts_clocks_are_named(place):
    berlin = '/usr/share/zoneinfo/Europe/Berlin'
    if not os.path.exists(berlin):
        raise Skip('no time zones here')
    agent = with_file(place, berlin, '/etc/localtime')
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    result = agent.do('policy', 'apply', '-', input=OWN + READS + 'hours = 02:30-04:00\n')
    has(result.err, 'warning: standard-input:10:9: rule \'reads\' has hours 02:30-04:00, but on',
        'is skipped', 'comes twice')


@test(root=True)
def a_name_that_is_gone_disables_its_rules_and_status_says_so(place):
    with open('/etc/passwd') as file:
        host = file.read()
    users = place.file('passwd', host + 'departed:x:4321:4321::/:/bin/false\n')
    agent = with_file(place, users, '/etc/passwd')
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.do('policy', 'apply', '-', input=OWN + READS.replace('1234', 'departed'))
    with open(users, 'w') as file:
        file.write(host)
    agent.do('seal', '--yes')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    status = until(lambda: (lambda facts: facts if 'policy_rules_disabled' in facts else None)(
        agent.status()))
    same((status['policy_rules_disabled'], status['policy_names_changed']),
         (1, 'user departed (gone)'))
    has(agent.log(), 'names of the policy changed: user departed (gone); 1 rule is disabled')
    told = agent.run('status', '--json', user=BOB).json()
    assert 'policy_rules_disabled' not in told, told
    result = agent.run('policy', 'apply', '-', input=OWN + READS.replace('1234', 'departed'))
    has(result.err, "no such user 'departed'")


@test(root=True)
def a_rate_says_when_to_try_again(place):
    agent = served(place, '[rule r]\nallow = read\nsecret = **\nuser = %s\nrate = 1/d\n' % ALICE)
    agent.do('set', PATH, input='v')
    same(agent.get(PATH, user=ALICE), b'v')
    result = agent.run('get', PATH, user=ALICE)
    same(result.status, 75)
    has(result.err, PATH + ': more often than the policy', 'try again in 86')


@test(root=True)
def a_request_is_one_use_of_a_rate_and_a_wait_lasts_until_there_is_another(place):
    agent = served(place, '[rule r]\nallow = read\nsecret = **\nuser = %s\nrate = 20/min\n' % ALICE)
    paths = ['prod/many/p%d' % number for number in range(5)]
    for path in paths:
        agent.set(path, b'value of ' + path[-2:].encode())

    def use_up():
        """With one connection, faster than the rate comes back: so often it was allowed."""
        connection = wire.connect(agent.socket)
        frame = wire.pack(wire.GET, {wire.PATHS: b''.join(wire.item(path.encode())
                                                          for path in paths)})
        for uses in range(100):
            _, fields = wire.ask(connection, frame)
            statuses = wire.statuses(fields[wire.ITEMS])
            if 6 in statuses:
                same(statuses, [6] * 5)
                return b'%d' % uses
        return b'never'
    same(in_child(ALICE, use_up), b'20')
    same(agent.run('get', paths[0], user=ALICE).status, 75)
    began = time.monotonic()
    result = agent.do('get', '--json', '--wait=60', *paths, user=ALICE).json()
    same([one['value'] for one in result['secrets']], ['value of ' + path[-2:] for path in paths])
    assert time.monotonic() - began > 1, 'the next one comes after three seconds'
    many = [argument for number, path in enumerate(paths)
            for argument in ('-e', 'V%d=%s' % (number, path))]
    agent.do('exec', '--wait=60', *many, '--', 'true', user=ALICE)
    same(agent.run('get', '--wait=1', paths[0], user=ALICE).status, 75)


@test
def delete_asks_on_a_terminal_unless_with_yes(place):
    agent = served(place)
    agent.do('set', PATH, input='v')
    status, _, err = ask(agent, b'n\n', 'delete', PATH)
    same(status, 64)
    has(err, 'Hide %s from everyone?' % PATH)
    same(agent.get(PATH), b'v')
    same(ask(agent, b'y\n', 'delete', PATH)[0], 0)
    agent.do('undelete', PATH)
    same(Terminal(agent, 'delete', '--yes', PATH).end()[0], 0)


@test
def what_is_missing_is_looked_for_in_the_right_place(place):
    agent = served(place)
    agent.do('set', PATH, input='v')
    has(agent.run('get', '--version=9', PATH).err, '; see: mortise show ' + PATH)
    has(agent.run('get', 'prod/none').err, '; see: mortise list -r')
    has(agent.run('policy', 'show', '--version=9').err, '; see: mortise policy show\n')
    same(agent.run('get', 'Prod').err.count('joined by'), 1)


@test(root=True)
def a_denial_without_a_secret_names_the_verb_or_the_operators(place):
    agent = served(place)
    for words, verb in ((['policy', 'show'], 'admin'), (['verify'], 'admin'),
                        (['audit', 'show'], 'audit'), (['seal', '--yes'], 'admin')):
        result = agent.run(*words, user=BOB)
        same(result.status, 77)
        has(result.err, 'denied: it needs the verb ' + verb, BOB)
        assert 'no such secret' not in result.err, result
    for words in (['unseal'], ['init', '--recovery-file=-'],
                  ['policy', 'reset', '--recovery-file=' + place.file('key', 'A')]):
        result = agent.run(*words, user=BOB)
        same(result.status, 77, words)
        has(result.err, 'operators')


if __name__ == '__main__':
    tap.main()
