#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Clocks that are wrong (FAULTS row 46): what grants, expires or destroys does not believe them.

The agent reads the clocks of fake_clock, a library loaded before it: the wall clock and the one
since boot move as a test wills. Commands, timers and deadlines have the real ones.
"""

import json
import os
import shutil
import struct
import subprocess
import time

import tap
from agent import ALICE
from tap import has, has_not, same, test, until

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400
UNSYNCHRONISED, SYNCHRONISED, REFUSED = 0, 1, 2
POLICY = '''[rule always]
allow = read
secret = always/**
user = %s
[rule hours]
allow = read
secret = hours/**
user = %s
hours = 00:00-24:00
[rule days]
allow = read
secret = days/**
user = %s
days = sun-sat
[rule expires]
allow = read
secret = expires/**
user = %s
expires = 2200-01-01
[rule not-by-day]
deny = read
secret = denied/**
user = %s
expires = 1999-01-01
[rule all-denied]
allow = read
secret = denied/**
user = %s
''' % ((ALICE,) * 6)
BY_TIME = ('hours/a', 'days/a', 'expires/a')


class Clock:
    """What the agent takes for the time: seconds added to the real clocks."""

    def __init__(self, place):
        self.path = place('clock')
        self.wall = self.boot = 0
        self.state = UNSYNCHRONISED
        with open(self.path, 'wb') as file:
            file.write(bytes(24))
        os.chmod(self.path, 0o644)
        library = os.path.join(os.environ['MORTISE_TEST_BUILD'], 'libfake_clock.so')
        self.library = place('fake_clock.so')
        shutil.copy(library, self.library)
        os.chmod(self.library, 0o755)

    def set(self, wall=None, boot=None, state=None):
        self.wall = self.wall if wall is None else wall
        self.boot = self.boot if boot is None else boot
        self.state = self.state if state is None else state
        with open(self.path, 'r+b') as file:
            file.write(struct.pack('<qqq', int(self.wall * 10**9), int(self.boot * 10**9),
                                   self.state))

    def at(self, when):
        """The wall clock says this instant."""
        self.set(wall=when - time.time())

    def pass_(self, seconds):
        """So much time goes by."""
        self.set(wall=self.wall + seconds, boot=self.boot + seconds)


def under(place, tpm=None, **settings):
    """(clock, agent): an agent whose processes all read this clock; not started.

    The keeper starts with an environment of its own, so that LD_PRELOAD does not reach it; the
    loader's own list in /etc does, and is put over the agent's /etc alone.
    """
    clock = Clock(place)
    etc = place('etc')
    subprocess.run(['cp', '-a', '/etc', etc], check=True)
    place.file('etc/ld.so.preload', clock.library + '\n')
    agent = place.wrapped('unshare', '--mount', '--propagation=private', 'sh', '-c',
                          '\'mount --bind %s /etc && exec "$0" "$@"\'' % etc, **settings)
    if tpm:
        agent.tcti = tpm.tcti
        agent.configure((), ('deadline = 15',))
    return clock, agent


def ready(place, **settings):
    clock, agent = under(place, **settings)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    for path in ('always/a', 'denied/a', *BY_TIME):
        agent.set(path, b'value of ' + path.encode())
    agent.apply(POLICY)
    return clock, agent


def start(agent):
    agent.start()
    agent.do('unseal', '--recovery-file=' + agent.recovery)


def restart(agent):
    agent.stop()
    start(agent)


def rows(agent):
    with open(agent.audit) as log:
        return [json.loads(line) for line in log]


def purged(agent):
    return [row['path'] for row in rows(agent) if row['op'] == 'purged']


def turns(agent):
    """The agent has had some turns since, each of which would purge."""
    for _ in range(3):
        agent.do('whoami')
    lines = agent.status()['audit_lines']
    agent.do('list')
    until(lambda: agent.status()['audit_lines'] > lines)


def may(agent, path):
    return agent.run('get', path, user=ALICE).status == 0


def believes(agent):
    fact = agent.status()['clock']
    assert fact == 'believed' or fact.startswith('not believed: '), fact
    return fact == 'believed'


def check_doubt(agent, why):
    """What holds wherever the clock is not believed."""
    has(agent.status()['clock'], 'not believed: ', why)
    shown = agent.run('clock', 'show')
    same(shown.status, 1)
    has(shown.text, 'not believed', why)
    for path in BY_TIME:
        assert not may(agent, path), path
    assert may(agent, 'always/a')
    assert not may(agent, 'denied/a'), 'a deny whose time is not known counts'
    has(agent.run('policy', 'check', '--user=' + ALICE, 'read', 'hours/a').text,
        'the clock is not believed, for hours 00:00-24:00')
    agent.set('always/b', b'set meanwhile')
    same(rows(agent)[-1].get('clock'), 'doubtful')
    has(agent.log(), 'the clock is not believed', why)
    finding, = [one for one in agent.run('doctor', '--quick', '--json').json()['findings']
                if one['check'] == 'clock' and one['severity'] == 'wrong']
    has(finding['text'], 'not believed', why)


def check_belief(agent):
    assert believes(agent), agent.status()
    same(agent.do('clock', 'show', '--json').json()['clock'], 'believed')
    for path in ('always/a', 'denied/a', *BY_TIME):
        assert may(agent, path), path
    agent.do('get', 'always/a')
    assert 'clock' not in rows(agent)[-1]


def audit_is_whole(agent):
    agent.do('audit', 'verify')


@test(root=True)
def one_start_in_2069_costs_nothing(place):
    clock, agent = ready(place, lines=['deleted-keep = 30d'])
    agent.do('meta', '--max-age=90d', '--hook=/bin/true', 'always/a')
    agent.do('delete', '--yes', 'days/a')
    agent.stop()
    clock.set(wall=43 * YEAR)
    start(agent)
    first = [row for row in rows(agent) if row['op'] == 'start'][-1]
    same(first['clock'], 'doubtful', 'it knew the floor while it was sealed')
    check_doubt_of_2069(agent)
    agent.stop()
    clock.set(wall=0)
    start(agent)
    same(purged(agent), [])
    agent.do('undelete', 'days/a')
    check_belief(agent)
    same(agent.do('list', '--due').text, '')
    audit_is_whole(agent)


def check_doubt_of_2069(agent):
    turns(agent)
    same(purged(agent), [])
    agent.do('undelete', 'days/a')
    check_doubt(agent, 'more than a day ahead')
    agent.do('delete', '--yes', 'days/a')
    same(agent.do('list', '--due').text, '', 'nothing is due that was not before')
    has_not(agent.do('rotate', '--due', '--dry-run', '--generate=hex:16').text, 'always/a')
    made = agent.do('show', '--json', 'always/b').json()['versions'][0]['created']
    same(made[:4], time.strftime('%Y'), 'what is made then is not of 2069')
    has(agent.do('audit', 'show', '--last=1').text, '2069-', '(?)')


@test(root=True)
def a_host_without_a_battery_works_from_its_boot_on_until_ntp_answers(place):
    clock, agent = ready(place)
    agent.do('delete', '--yes', 'always/a')
    agent.do('undelete', 'always/a')
    agent.stop()
    clock.at(20)
    start(agent)
    has(rows(agent)[-1]['time'], '1970-01-01')
    check_doubt(agent, 'before mortise was written')
    agent.do('set', '--raw', 'always/new', input=b'x')
    same(agent.get('always/new'), b'x')
    agent.do('delete', '--yes', 'always/b')
    clock.set(wall=40 * DAY, state=SYNCHRONISED)
    until(lambda: believes(agent))
    check_belief(agent)
    has(agent.log(), 'the clock is believed again')
    turns(agent)
    same(purged(agent), [], 'its time began when the time was known')
    clock.pass_(31 * DAY)
    until(lambda: purged(agent) == ['always/b'])
    agent.stop()
    clock.at(20)
    start(agent)
    check_doubt(agent, 'before mortise was written')
    audit_is_whole(agent)


@test(root=True)
def a_clock_that_is_set_back_a_year_while_it_runs_is_not_believed_until_it_is_right(place):
    clock, agent = ready(place)
    check_belief(agent)
    clock.set(wall=-YEAR)
    check_doubt(agent, 'behind a time that was confirmed')
    clock.set(wall=0)
    check_belief(agent)
    audit_is_whole(agent)


@test(root=True)
def a_jump_of_ten_years_while_it_runs_purges_and_expires_nothing_and_ends_no_wait(place):
    clock, agent = ready(place)
    agent.do('delete', '--yes', 'always/a')
    watch = agent.popen('watch', '--once', 'hours/a')
    until(lambda: any(row['op'] == 'watch' for row in rows(agent)))
    clock.set(wall=10 * YEAR)
    turns(agent)
    same(purged(agent), [])
    agent.do('undelete', 'always/a')
    check_doubt(agent, 'more than a day ahead')
    same(watch.poll(), None)
    agent.set('hours/a', b'again')
    watch.communicate(timeout=20)
    same(watch.returncode, 0)
    # However long it lasts, it confirms itself never.
    clock.pass_(20 * MINUTE)
    check_doubt(agent, 'more than a day ahead')
    clock.set(wall=20 * MINUTE)
    check_belief(agent)
    audit_is_whole(agent)


@test(root=True)
def what_was_deleted_is_purged_when_its_time_is_over_by_a_clock_that_is_believed(place):
    clock, agent = ready(place)
    agent.do('delete', '--yes', 'always/a')
    clock.pass_(29 * DAY)
    turns(agent)
    same(purged(agent), [])
    clock.pass_(2 * DAY)
    until(lambda: purged(agent) == ['always/a'])


@test(root=True)
def ten_minutes_confirm_a_time_and_a_restart_remembers_it(place):
    clock, agent = ready(place)
    first = agent.status()['clock_confirmed']
    clock.pass_(11 * MINUTE)
    agent.do('whoami')
    clock.pass_(11 * MINUTE)
    until(lambda: agent.status()['clock_confirmed'] > first)
    confirmed = agent.status()['clock_confirmed']
    restart(agent)
    same(agent.status()['clock_confirmed'], confirmed)
    agent.stop()
    clock.set(wall=clock.wall - 2 * HOUR)
    start(agent)
    check_doubt(agent, 'behind a time that was confirmed')


@test(root=True)
def a_host_that_was_off_for_a_week_wants_ntp_or_an_admins_word(place):
    clock, agent = ready(place)
    agent.stop()
    clock.set(wall=7 * DAY)  # and the clock since boot has hardly gone on
    start(agent)
    check_doubt(agent, 'more than a day ahead')
    same(agent.run('clock', 'accept').status, 64)
    same(agent.run('clock', 'accept', '--note=x', user=ALICE).status, 77)
    same(agent.do('clock', 'accept', '--dry-run', '--note=x').text, 'would be believed\n')
    assert not believes(agent)
    same(agent.do('clock', 'accept', '--note=off for a week').text, 'the clock is believed\n')
    check_belief(agent)
    line = [row for row in rows(agent) if row['op'] == 'clock-accept'][-1]
    same((line['note'], line['result'], 'clock' in line), ('off for a week', 'ok', False))
    same(agent.do('clock', 'accept', '--note=x').text, 'the clock is believed already\n')
    restart(agent)
    check_belief(agent)


@test(root=True)
def an_admins_word_brings_a_floor_back_that_lay_in_the_future(place):
    clock, agent = under(place)
    clock.set(wall=43 * YEAR)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    for path in ('always/a', 'denied/a', *BY_TIME):
        agent.set(path, b'value of ' + path.encode())
    agent.apply(POLICY)
    clock.set(wall=0, state=SYNCHRONISED)
    check_doubt(agent, 'behind a time that was confirmed')
    agent.do('clock', 'accept', '--note=it was made with the clock in 2069')
    check_belief(agent)
    restart(agent)
    check_belief(agent)
    clock.at(20)
    check_doubt(agent, 'before mortise was written')
    result = agent.run('clock', 'accept', '--note=x')
    same(result.status, 73)
    has(result.err, 'before mortise was written; set it first')


@test(root=True)
def where_the_kernel_may_not_be_asked_time_is_confirmed_more_slowly(place):
    clock, agent = ready(place)
    clock.set(state=REFUSED)
    same(agent.status()['clock_synchronised'], 'no')
    check_belief(agent)
    agent.do('seal')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    check_belief(agent)


@test(root=True)
def a_suspended_slot_does_not_end_by_a_clock_that_is_not_believed(place):
    clock, agent = under(place, tpm=place.tpm())
    agent.start()
    agent.do('init', '--pcrs=16', '--recovery-file=' + agent.recovery)
    agent.do('slot', 'suspend', '--yes', '1')

    def stand_ins():
        return [slot for slot in agent.do('slot', 'list', '--json').json()['slots']
                if 'stand-in' in json.dumps(slot)]
    assert stand_ins()
    agent.stop()
    clock.set(wall=43 * YEAR)
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    assert not believes(agent)
    assert stand_ins()
    agent.stop()
    clock.set(wall=0)
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    assert stand_ins()
    clock.pass_(25 * HOUR)
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed' and not stand_ins())


@test(root=True)
def a_recovery_takes_the_time_of_whoever_is_there(place):
    clock, agent = ready(place)
    agent.do('backup', 'create', place('backup'))
    agent.do('seal')
    clock.set(wall=30 * DAY)
    agent.do('backup', 'restore', '--no-hardware', '--yes',
             '--recovery-file=' + agent.recovery, place('backup'))
    check_belief(agent)
    restart(agent)
    check_belief(agent)


if __name__ == '__main__':
    tap.main()
