#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""README.md is typed as it stands there: its session, line by line, with cron for its job, and the commands of its
first hour; on a booted Debian with the package, and on one without. readme_inside.py is what types.
"""

import json
import os
import re
import shutil

import tap
from manual import fits, steps_of
from nspawn import Machine, in_turn
from package import packages
from tap import has, same, test

README = os.environ['MORTISE_TEST_SOURCE'] + '/README.md'
# What differs from one run to the next.
CHANGING = ((r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d #\d+', '...'), (r'\(id [0-9A-Z]{4}\)', '(id ...)'))


def text_of(heading=None):
    with open(README) as file:
        text = file.read()
    return text.split('\n## %s\n' % heading)[1].split('\n## ')[0] if heading else text


def session():
    """The steps of the block that begins with a prompt."""
    block = next(block for block in re.findall(r'^```\n(.*?)^```', text_of(), re.M | re.S) if block.startswith('# '))
    return steps_of(block.splitlines())


def blocks():
    """{number of a step of the first hour: the commands of its block}"""
    found = {}
    for number, step in re.findall(r'^(\d)\. (.*?)(?=^\d\. |^### |\Z)', text_of('The first hour'), re.M | re.S):
        block = re.search(r'^   ```\n(.*?)^   ```', step, re.M | re.S)
        if block and not block.group(1).lstrip().startswith('['):
            found[int(number)] = [line[3:] for line in block.group(1).splitlines()]
    return found


def inline(number, beginning):
    """A command in the text of a step."""
    step = re.search(r'^%d\. (.*?)(?=^\d\. )' % number, text_of('The first hour'), re.M | re.S).group(1)
    return next(code for code in re.findall(r'`([^`]+)`', step) if code.startswith(beginning))


def plan(place, came):
    typed = {'session': [[step.prompt, step.command, step.expected] for step in session()],
             'package': [blocks()[5], blocks()[7], blocks()[9]],
             'by hand': [blocks()[1], [inline(2, 'sudo systemctl')]]}
    for name in ('package', 'by_hand'):
        with tap.Place() as own:
            machine = Machine(own, 'readme_inside.py')
            own.file('out/typed.json', json.dumps(typed))
            if name == 'package':
                for one in ('mortise', 'libmortise1'):
                    shutil.copy(packages()[one], own('out'))
            else:
                machine.install()
            came[name] = machine.boot(name)


step = in_turn(plan)


@test(root=True)
def the_session_comes_to_what_it_shows(place):
    wrong = []
    for shown, came in zip(session(), step('package')['session']):
        if came is None:
            continue
        expected = shown.expected
        for changing, pattern in CHANGING:
            expected = [re.sub(changing, pattern, line) for line in expected]
        said = [came[1] + came[2], came[2] + came[1]]
        if not fits(expected, said):
            wrong.append('# %s\n--- shown:\n%s\n--- said:\n%s' % (shown.command, '\n'.join(expected), said[0]))
    assert not wrong, '\n'.join(wrong)
    assert len(session()) > 7, session()


@test(root=True)
def its_job_of_cron_has_the_password(place):
    same(step('package')['dump'], 'dump by backup with [mortise:prod/db/password]\n')


@test(root=True)
def each_command_of_the_first_hour_does_what_it_is_for(place):
    came = step('package')['blocks']
    wrong = ['%s: %s' % (line, rest) for line, *rest in came if rest[0] != 0]
    assert not wrong, '\n'.join(wrong)
    assert len(came) > 12, came


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
