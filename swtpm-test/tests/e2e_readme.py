#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""README.md and docs/first-hour.md are typed as they stand there: the session, line by line, with cron for its job, and
the commands of the first hour; on each Debian booted with its package, and on one without. readme_inside.py is what types.
"""

import json
import re
import shutil

import tap
from manual import fits, steps_of
from nspawn import Machine, in_turn
from package import packages_for
from readme import text
from tap import has, same, test

RELEASES = 'bookworm', 'trixie'
FIRST_HOUR = 'The first hour', 'docs/first-hour.md'
# What differs from one run to the next.
CHANGING = ((r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d #\d+', '...'), (r'\(id [0-9A-Z]{4}\)', '(id ...)'))


def session():
    """The steps of the block that begins with a prompt."""
    block = next(block for block in re.findall(r'^```\n(.*?)^```', text(), re.M | re.S) if block.startswith('# '))
    return steps_of(block.splitlines())


def blocks():
    """{number of a step of the first hour: the commands of its block}"""
    found = {}
    for number, step in re.findall(r'^(\d)\. (.*?)(?=^\d\. |^### |\Z)', text(*FIRST_HOUR), re.M | re.S):
        block = re.search(r'^   ```\n(.*?)^   ```', step, re.M | re.S)
        if block and not block.group(1).lstrip().startswith('['):
            found[int(number)] = [line[3:] for line in block.group(1).splitlines()]
    return found


def inline(number, beginning):
    """A command in the text of a step."""
    step = re.search(r'^%d\. (.*?)(?=^\d\. )' % number, text(*FIRST_HOUR), re.M | re.S).group(1)
    return next(code for code in re.findall(r'`([^`]+)`', step) if code.startswith(beginning))


def boot(name, suite='own'):
    with tap.Place() as place:
        machine = Machine(place, 'readme_inside.py', suite=suite)
        place.file('out/typed.json', json.dumps(typed()))
        if name == 'package':
            for one in ('mortise', 'libmortise1'):
                shutil.copy(packages_for(suite)[one], place('out'))
        else:
            machine.install()
        return machine.boot(name)


def typed():
    return {'session': [[step.prompt, step.command, step.expected] for step in session()],
            'package': [blocks()[5], blocks()[7], blocks()[9]],
            'by hand': [blocks()[1], [inline(2, 'sudo systemctl')]]}


def plan(place, came):
    came['by_hand'] = boot('by_hand')
    for suite in RELEASES:
        came[suite] = boot('package', suite)


step = in_turn(plan)


def differences(came):
    """Where the session, as it came to be, is not what README.md shows."""
    wrong = []
    for shown, line in zip(session(), came):
        if line is None:
            continue
        expected = shown.expected
        for changing, pattern in CHANGING:
            expected = [re.sub(changing, pattern, line) for line in expected]
        said = [line[1] + line[2], line[2] + line[1]]
        if not fits(expected, said):
            wrong.append('# %s\n--- shown:\n%s\n--- said:\n%s' % (shown.command, '\n'.join(expected), said[0]))
    return wrong


def told_on(suite):
    @test(root=True)
    def the_session_comes_to_what_it_shows(place):
        wrong = differences(step(suite)['session'])
        assert not wrong, '\n'.join(wrong)
        assert len(session()) > 7, session()

    @test(root=True)
    def its_job_of_cron_has_the_password(place):
        same(step(suite)['dump'], 'dump by backup with [mortise:prod/db/password]\n')

    @test(root=True)
    def each_command_of_the_first_hour_does_what_it_is_for(place):
        came = step(suite)['blocks']
        wrong = ['%s: %s' % (line, rest) for line, *rest in came if rest[0] != 0]
        assert not wrong, '\n'.join(wrong)
        assert len(came) > 12, came


for release in RELEASES:
    told_on(release)


@test(root=True)
def without_the_package_its_first_steps_start_an_agent(place):
    came = step('by_hand')
    wrong = ['%s: %s' % (line, rest) for line, *rest in came['blocks'] if rest[0] != 0]
    assert not wrong, '\n'.join(wrong)
    same(came['init'][0], 0, came['init'])
    has(came['init'][1], '/etc/mortise/policy.d/10-first.policy')
    same(came['status'][0], 0, came['status'])


@test(root=True)
def a_check_without_a_configuration_says_that_there_is_none(place):
    came = step('by_hand')
    said = ''.join(came['check before'][1:])
    has(said, 'there is no /etc/mortise/mortised.conf')
    same(came['check before'][0], 0, said)
    status, _, said = came['check of others']
    same(status, 0)  # of the mv behind it
    has(said, 'there is no /etc/mortise/mortised.conf', 'mortised -c FILE')
    assert 'chown 0' not in said, said


if __name__ == '__main__':
    tap.main()
