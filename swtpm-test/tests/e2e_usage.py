#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the command says: help, JSON, wrong turns, exit statuses, one line for each error."""

import json
import os
import re

import tap
from tap import has, same, test

PATH = 'prod/db/password'


def refused(agent, status, *arguments, **options):
    """The one line that a refused command says; it says nothing else, and --json says the same."""
    result = agent.run(*arguments, **options)
    same((result.status, result.out), (status, b''), arguments)
    assert result.err.startswith('mortise: ') and result.err.count('\n') == 1, result
    assert result.err[:-1].isprintable(), result
    told = agent.run(*arguments, '--json', **options)
    same((told.status, told.err), (status, ''), arguments)
    same(told.json()['status'], status, arguments)
    same(told.json()['message'], result.err[len('mortise: '):-1], arguments)
    return result.err


@test
def every_command_has_a_help_with_its_name_options_and_an_example(place):
    agent = place.agent()
    overview = agent.do('--help').text
    commands = re.findall(r'^  ([a-z-]+(?: [a-z-]+)?)  ', overview.split('options everywhere')[0], re.M)
    assert len(commands) > 40, commands
    for command in commands:
        result = agent.do(*command.split(), '--help')
        has(result.text, 'usage: mortise ' + command, '\nexamples:\n  ', '\nexit status:\n')
        same(result.err, '')
    same(agent.do('help').text, overview)
    has(agent.do('--version').text, 'mortise')


@test
def a_help_lists_the_exit_statuses_of_that_command_alone(place):
    agent = place.agent()
    for command, own in (('get', {65, 66}), ('policy check', {1}), ('set', {65, 73}),
                         ('policy apply', {73, 78}), ('whoami', set())):
        table = agent.do(*command.split(), '--help').text.split('exit status:\n')[1]
        same({int(line.split()[0]) for line in table.splitlines()},
             {0, 64, 69, 74, 75, 77} | own, command)


@test
def the_json_of_every_command_is_one_object(place):
    agent = place.agent()
    agent.start()
    runs = [(75, 'status'), (0, 'init', '--recovery-file=' + agent.recovery), (0, 'whoami'),
            (0, 'init', '--if-needed', '--recovery-file=/none'), (0, 'set', PATH),
            (0, 'set', PATH, '--dry-run'), (0, 'get', PATH), (0, 'list'), (0, 'show', PATH),
            (0, 'delete', PATH), (0, 'undelete', PATH), (0, 'policy', 'show'),
            (0, 'policy', 'reset', '--recovery-file=' + agent.recovery), (0, 'policy', 'rollback'),
            (1, 'policy', 'check', '--user=12345', 'read', PATH), (0, 'policy', 'who', PATH),
            (0, 'policy', 'may', '--user=12345'), (0, 'audit', 'show'), (0, 'audit', 'verify'),
            (0, 'audit', 'public-key'), (0, 'verify'), (66, 'scan', '-'),
            (0, 'set', '-g', 'uuid', PATH), (0, 'scan', '-'), (0, 'slot', 'list'), (0, 'doctor', '--quick'),
            (0, 'backup', 'create', agent.path + '/backup'),
            (0, 'backup', 'verify', agent.path + '/backup'), (0, 'rekey'), (0, 'seal', '--yes'),
            (0, 'recover', '--recovery-file=' + agent.recovery), (0, 'seal', '--yes'),
            (0, 'unseal'), (0, 'unseal'), (0, 'status')]
    for status, *words in runs:
        result = agent.run(*words, '--json', input='value')
        same((result.status, result.err), (status, ''), words)
        assert isinstance(result.json(), dict) and result.out.endswith(b'}\n'), result
        same(result.out.count(b'\n'), 1, words)


@test
def whatever_may_change_something_says_whether_it_did(place):
    agent = place.ready()
    for words, changed in ((['set', PATH], True), (['set', '--if-changed', PATH], False),
                           (['delete', PATH], True), (['delete', PATH], False),
                           (['undelete', PATH], True), (['seal', '--yes'], True),
                           (['seal', '--yes'], False),
                           (['unseal'], True), (['unseal'], False)):
        same(agent.do(*words, '--json', input='value').json()['changed'], changed, words)


@test
def a_value_that_is_no_text_is_base64_in_json(place):
    agent = place.ready()
    agent.set(PATH, b'\xff\x00')
    same(agent.do('get', '--json', PATH).json(),
         {'secrets': [{'path': PATH, 'version': 1, 'value_base64': '/wA='}]})
    agent.set(PATH, 'Zoë'.encode())
    same(json.loads(agent.get(PATH, '--json'))['secrets'][0]['value'], 'Zoë')


@test
def a_wrong_turn_is_one_line_that_says_what_to_do(place):
    agent = place.ready()
    has(refused(agent, 64, 'gte', PATH), 'did you mean: mortise get')
    has(refused(agent, 64, 'frobnicate'), 'mortise --help')
    has(refused(agent, 64), 'mortise --help')
    has(refused(agent, 64, 'policy'), 'policy what?')
    has(refused(agent, 64, 'get', '--verison=1', PATH), '--version')
    has(refused(agent, 64, 'get'), 'usage: mortise get')
    has(refused(agent, 64, 'get', '--version=x', PATH), 'number')
    has(refused(agent, 64, 'policy', 'check', 'raed', PATH), 'did you mean read')
    has(refused(agent, 64, '--wait=soon', 'status'), 'seconds')


@test
def a_value_as_an_argument_is_refused_and_not_repeated(place):
    agent = place.ready()
    for words in (['set', PATH, 'hunter2'], ['set', '--value=hunter2', PATH]):
        line = refused(agent, 64, *words)
        assert 'hunter2' not in line, line
    has(refused(agent, 64, 'set', PATH, 'hunter2'), 'never an argument', '--from-file')
    same(agent.run('get', PATH).status, 66)


@test
def a_file_that_cannot_be_read_or_written_is_named(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    has(refused(agent, 74, 'set', '--from-file=/no/such', PATH), '/no/such', 'No such file')
    has(refused(agent, 74, 'policy', 'apply', '/no/such'), '/no/such')
    result = agent.run('get', '--out=/no/such', PATH)
    same(result.status, 74)
    has(result.err, '/no/such')
    with open('/dev/full', 'wb') as full:
        same(agent.run('get', PATH, stdout=full).status, 74)


@test
def what_is_no_path_is_refused_and_never_mended(place):
    agent = place.ready()
    for path in ('Prod/x', '/prod/x', 'prod/x/', 'prod//x', 'prod/../x', 'prod/./x', 'prod/ x',
                 'prod/-x', 'prod/_x', 'prod/é', 'a/' * 8 + 'x', 'p' * 256, '.', 'prod/x*', ''):
        for words in (['get'], ['set'], ['show'], ['delete'], ['undelete']):
            has(refused(agent, 64, *words, path, input='v'), 'path')
    same(agent.do('list', '-r').text, '')
    longest = 'p' * 255
    agent.set(longest, b'one')
    same(agent.get(longest), b'one')


@test
def what_is_not_there_is_66_and_what_is_expected_otherwise_73(place):
    agent = place.ready()
    for words in (['get'], ['show'], ['delete'], ['undelete']):
        has(refused(agent, 66, *words, 'prod/none'), 'prod/none', 'mortise list')
    refused(agent, 73, 'set', '--expect-version=3', PATH, input='v')
    refused(agent, 73, 'init', '--recovery-file=' + place('other'))
    assert not os.path.exists(place('other'))
    refused(agent, 73, 'init', '--recovery-file=' + agent.recovery)


@test
def before_init_everything_is_75_and_init_wants_a_place_for_the_recovery_key(place):
    agent = place.agent()
    agent.start()
    for words in (['get', PATH], ['set', PATH], ['list'], ['policy', 'show'], ['verify']):
        has(refused(agent, 75, *words, input='v'), 'mortise init')
    refused(agent, 73, 'unseal')
    has(refused(agent, 64, 'init'), '--recovery-file')
    place.file('taken', 'mine')
    has(refused(agent, 73, 'init', '--recovery-file=' + place('taken')), 'exists')
    with open(place('taken')) as file:
        same(file.read(), 'mine')


@test
def no_agent_is_69_at_once_and_with_wait_when_the_time_is_over(place):
    agent = place.agent()
    has(refused(agent, 69, 'get', PATH), 'is mortised running?', '--wait')
    same(agent.run('get', PATH, '--wait=1').status, 69)
    same(agent.run('status').status, 69)


@test
def a_wait_lasts_until_the_agent_is_there(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    agent.stop()
    waiting = agent.popen('--wait=60', 'get', PATH)
    agent.start()
    same(waiting.communicate(timeout=60)[0], b'one')
    same(waiting.returncode, 0)


@test
def the_recovery_key_can_go_to_standard_output_and_is_nowhere_else(place):
    agent = place.agent()
    agent.start()
    result = agent.do('init', '--recovery-file=-')
    typed = next(line for line in result.text.splitlines() if line[0] != '#')
    same(len(typed), 13 * 6 - 1)
    assert typed not in agent.log() and typed not in result.err
    agent.do('seal', '--yes')
    same(agent.run('unseal', '--recovery-file=-', input=typed.lower().replace('-', ' ')).status, 0)


if __name__ == '__main__':
    tap.main()
