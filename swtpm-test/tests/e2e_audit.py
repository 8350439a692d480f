#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The audit log: who is on it, what is never on it, and what happens when it cannot be written."""

import calendar
import json
import os
import pwd
import re
import signal
import subprocess
import time

import tap
import wire
from agent import AGENT_USER, ALICE, BOB, fill, in_child
from cgroup import Unit
from tap import has, same, test, until

PATH = 'prod/db/password'
BUSY = 6


def records(agent, *options):
    return agent.do('audit', 'show', '--json', *options).json()['records']


def edit_line(agent, number, old, new):
    with open(agent.audit, 'rb') as file:
        lines = file.read().split(b'\n')
    assert old in lines[number - 1], lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    with open(agent.audit, 'r+b') as file:
        file.write(b'\n'.join(lines))


@test(root=True)
def every_request_is_on_record_with_who_what_and_why(place):
    agent = place.ready()
    agent.set(PATH, b'hunter2-canary')
    agent.apply('[rule reads]\nallow = read\nsecret = prod/db/*\nuser = %s\n' % ALICE)
    agent.get(PATH, user=ALICE)
    agent.run('get', PATH, user=BOB)
    agent.run('get', 'prod/none')
    found = records(agent, '--op=get')
    print('# ' + json.dumps(found[0]))
    same([(record['path'], record['uid'], record['result'], record.get('rule'))
          for record in found],
         [(PATH, pwd.getpwnam(ALICE).pw_uid, 'ok', 'reads'),
          (PATH, pwd.getpwnam(BOB).pw_uid, 'denied', None),
          ('prod/none', 0, 'not-found', 'first')])
    same(len(records(agent, '--user=' + ALICE)), 1)
    same(len(records(agent, '--last=2')), 2)
    with open(agent.audit, 'rb') as file:
        assert b'canary' not in file.read()


def configuration_of(agent):
    return 'configuration ' + subprocess.check_output(
        ['b2sum', '-l', '256', agent.conf], text=True).split()[0]


@test
def the_log_says_which_configuration_an_agent_has_and_in_which_boot_it_started(place):
    agent = place.ready()
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        boot = file.read().strip()
    with open('/proc/uptime', encoding='ascii') as file:
        uptime = float(file.read().split()[0])
    first = configuration_of(agent)
    note = re.fullmatch(r'(configuration \w+), (\d+) s into boot ([0-9a-f-]+)',
                        records(agent, '--op=start')[0]['note'])
    same((note.group(1), note.group(3)), (first, boot))
    assert uptime - 60 < int(note.group(2)) <= uptime, note.group(2)
    agent.configure(['environment = stage'])
    assert configuration_of(agent) != first
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: [record['note'] for record in records(agent, '--op=reloaded')] ==
          [configuration_of(agent)])
    agent.configure(['environment = stage', 'audit-sync = always', 'deleted-keep = 3d'])
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: len(records(agent, '--op=reloaded')) == 2)
    note = records(agent, '--op=reloaded')[1]['note']
    same(note.split(' but ')[0], configuration_of(agent))
    same(set(note.split(' restart: ')[1].split(', ')), {'audit-sync', 'deleted-keep'})
    agent.configure(['nonsense = 1'])
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: 'nothing changed' in agent.log())
    same(len(records(agent, '--op=reloaded')), 2)


def shown(agent, *options):
    """(operation, path, result) of each record."""
    return [(record['op'], record.get('path'), record['result'])
            for record in records(agent, *options)]


@test(root=True)
def the_unit_and_the_program_that_the_policy_asks_for_are_on_record(place):
    unit = 'night%d.service' % os.getpid()
    agent = place.ready(lines=['exe-evidence = yes'])
    agent.set(PATH, b'x')
    agent.get(PATH)
    mortise = agent.prefix + '/bin/mortise'
    agent.apply('[rule reads]\nallow = read\nsecret = prod/**\nunit = %s\nexe = %s\nuser = root\n'
                % (unit, mortise))
    agent.run('get', PATH)

    def inside(made, *command):
        def work():
            made.enter()
            return agent.do(*command).out
        return in_child(None, work)
    with Unit(unit) as made:
        same(inside(made, 'get', PATH).strip(), b'x')
        found = records(agent, '--op=get')
        same([record.get('exe') for record in found[:1]], [None])
        same((found[-1]['unit'].split()[0], found[-1]['exe'], found[-1]['result']),
             (unit, mortise, 'ok'))
        same([record['seq'] for record in records(agent, '--unit=' + unit)], [found[-1]['seq']])
        has(inside(made, 'policy', 'rollback'), b'version 3')
    same([record['op'] for record in records(agent, '--unit=' + unit)
          if record['op'] != 'policy-change'],
         ['get', 'policy-rollback', 'policy-rollback'])  # what it would do is looked at first
    same(records(agent, '--unit=other.service'), [])
    has(agent.do('audit', 'show', '--op=get', '--last=1', '--unit=' + unit).text,
        'root(0) get %s v1: ok, rule first, in %s, by %s' % (PATH, found[-1]['unit'], mortise))
    for name in ('night', 'a b.service', 'x/y.service'):
        refused = agent.run('audit', 'show', '--unit=' + name)
        same((refused.status, refused.err), (
            64, "mortise: --unit=%s: a unit's whole name is wanted, such as backup.service\n" % name))
    same(agent.run('audit', 'verify').status, 0)


@test
def audit_show_shows_what_was_asked_for(place):
    agent = place.ready()
    for path in ('prod/db/a', 'prod/db/b', 'prod/web', 'stage/db/a'):
        agent.set(path, b'x')
    agent.get('prod/db/a')
    same(agent.run('get', 'prod/db/none').status, 66)
    same(shown(agent, '--path=prod/db/a'), [('set', 'prod/db/a', 'ok'), ('get', 'prod/db/a', 'ok')])
    same(shown(agent, '--path=prod/*', '--op=set'), [('set', 'prod/web', 'ok')])
    same(shown(agent, '--path=prod/**', '--op=set'),
         [('set', 'prod/' + name, 'ok') for name in ('db/a', 'db/b', 'web')])
    same(shown(agent, '--path=**/a', '--op=set', '--reverse'),
         [('set', 'stage/db/a', 'ok'), ('set', 'prod/db/a', 'ok')])
    same(shown(agent, '--result=not-found'), [('get', 'prod/db/none', 'not-found')])
    same(shown(agent, '--last=1', '--op=set'), [('set', 'stage/db/a', 'ok')])
    rule = records(agent, '--op=get')[0]['rule']
    same(shown(agent, '--rule=' + rule, '--op=get', '--result=ok'), [('get', 'prod/db/a', 'ok')])
    same(shown(agent, '--rule=none-of-that-name'), [])
    same({path for _, path, _ in shown(agent, '--path=**')} - {None},
         {'prod/db/a', 'prod/db/b', 'prod/db/none', 'prod/web', 'stage/db/a'})
    assert None not in {path for _, path, _ in shown(agent, '--path=**')}


@test
def audit_show_knows_from_when_to_when(place):
    agent = place.ready()
    agent.set('prod/a', b'x')
    until(lambda: time.time() - when(records(agent, '--op=set')[0]) > 2.5)
    agent.set('prod/b', b'x')
    first, second = records(agent, '--op=set')
    between = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(when(first) + 1))
    same([record['path'] for record in records(agent, '--op=set', '--until=' + between)], ['prod/a'])
    same([record['path'] for record in records(agent, '--op=set', '--since=' + between)], ['prod/b'])
    same(records(agent, '--op=set', '--since=1h', '--until=' + between), [first])
    line = agent.do('audit', 'show', '--op=set', '--last=1', '--utc').text
    same(line[:20], second['time'][:19].replace('T', ' ') + 'Z')
    refused = agent.run('audit', 'show', '--since=1h', '--until=2h')
    same((refused.status, refused.err), (64, 'mortise: --since is later than --until\n'))


def when(record):
    """Seconds since 1970."""
    return calendar.timegm(time.strptime(record['time'][:19], '%Y-%m-%dT%H:%M:%S'))


@test
def audit_show_follows_the_log(place):
    agent = place.ready()
    agent.set('prod/a', b'x')
    text = agent.popen('audit', 'show', '--follow', '--last=1', '--op=set')
    jsons = agent.popen('audit', 'show', '--follow', '--json', '--op=set')
    has(text.stdout.readline().decode(), 'set prod/a v1: ok')
    same(json.loads(jsons.stdout.readline())['path'], 'prod/a')
    agent.set('prod/b', b'x')
    agent.set('prod/b', b'y')
    for version in (1, 2):
        has(text.stdout.readline().decode(), 'set prod/b v%d: ok' % version)
        same(json.loads(jsons.stdout.readline())['version'], version)
    same(len(records(agent, '--op=audit-show')), 2)  # to follow is one request
    agent.stop()
    for process in (text, jsons):
        _, said = process.communicate(timeout=30)
        same(process.returncode, 69, said)


@test
def audit_show_says_what_it_cannot_look_for(place):
    agent = place.ready()
    for option, words in (
            ('--path=prod//a', 'neither a path nor a pattern'),
            ('--result=refused', 'no result has that name'), ('--result=denid', 'did you mean denied'),
            ('--op=gett', 'did you mean get'), ('--until=tomorrow', '--until wants a time that was'),
            ('--rule=a rule', 'no rule can have that name'),
            ('--user=nobody-of-that-name', "no user 'nobody-of-that-name'")):
        refused = agent.run('audit', 'show', option)
        same((refused.status, refused.out), (64, b''), option)
        has(refused.err, words)
    for options in (('--reverse',), ('--until=1h',)):
        same(agent.run('audit', 'show', '--follow', *options).status, 64)


@test
def audit_show_follows_through_a_seal_and_ends_where_nobody_reads(place):
    agent = place.ready()
    agent.set('prod/first', b'x')
    process = agent.popen('audit', 'show', '--follow', '--json', '--op=set')
    same(json.loads(process.stdout.readline())['path'], 'prod/first')  # it has begun
    agent.do('seal', '--yes')
    time.sleep(1.5)
    agent.do('unseal')
    agent.set('prod/a', b'x')
    same(json.loads(process.stdout.readline())['path'], 'prod/a')
    process.stdout.close()
    until(lambda: agent.set('prod/b', b'x') and process.poll() is not None)
    assert process.returncode in (74, -13), process.returncode
    process.stdin.close()
    process.stderr.close()


@test
def audit_verify_finds_a_whole_log_intact_after_restarts_and_crashes(place):
    agent = place.ready()
    for end in (agent.stop, agent.kill, agent.stop):
        agent.set(PATH, b'one')
        agent.get(PATH)
        end()
        agent.start()
        agent.do('status', '--wait=20')
        same(agent.do('audit', 'verify', '--json').status, 0)
    with open(agent.audit) as file:
        numbers = [json.loads(line)['seq'] for line in file]
    same(numbers, list(range(1, len(numbers) + 1)))


@test
def audit_verify_names_the_first_line_that_was_edited(place):
    agent = place.ready()
    for number in range(10):
        agent.set(PATH, b'%d' % number)
    with open(agent.audit) as file:
        lines = [json.loads(line) for line in file]
    first = next(line['seq'] for line in lines if line['op'] == 'set')
    edit_line(agent, first + 6, b'prod/db/password', b'prod/db/passw0rd')
    edit_line(agent, first + 3, b'prod/db/password', b'prod/db/passw0rd')
    result = agent.run('audit', 'verify')
    assert result.status in (1, 65), result
    print('# ' + (result.text + result.err).strip())
    has(result.text + result.err, str(first + 3))


@test(root=True)
def on_a_full_disk_nothing_is_released_and_when_there_is_room_all_goes_on(place):
    path = place.disk('small', '4m', '0750', AGENT_USER)
    agent = place.ready(audit=path + '/audit.log')
    agent.set(PATH, b'hunter2')
    connection = wire.connect(agent.socket)
    same(wire.get(connection, PATH), (0, b'hunter2'))
    fill(path + '/ballast')
    same(wire.get(connection, PATH), (0, b'hunter2'), 'the reserve carries reads')
    told = set()
    for number in range(20000):
        status, value = wire.get(connection, PATH)
        if status != 0:
            break
        if number % 200 == 0:
            told.add(agent.status()['audit'])
    same((status, value), (BUSY, None))
    same(told, {'ok', 'disk full: on its reserve'})
    for words in (['get', PATH], ['set', PATH], ['slot', 'list']):
        result = agent.run(*words, input='v')
        same((result.status, result.out), (75, b''), words)
    has(agent.run('get', PATH).err, 'audit log')
    has(agent.status()['audit'], 'for administrators')
    os.unlink(path + '/ballast')
    same(agent.get(PATH, '--wait=20'), b'hunter2')
    has(agent.log(), 'it is on its reserve', 'for administrators')
    until(lambda: 'written as usual' in agent.log())
    same(agent.do('audit', 'verify').status, 0)
    same(agent.do('set', PATH, input='after').status, 0)


def lose(agent):
    os.rename(agent.audit, os.path.dirname(agent.store) + '/elsewhere')


def cut(agent):
    with open(agent.audit, 'r+b') as log:
        lines = log.read().split(b'\n')
        log.truncate(len(b'\n'.join(lines[:4])) + 1)


def edit_last(agent):
    with open(agent.audit, 'rb') as log:
        lines = log.read().split(b'\n')
    last = max(number for number, line in enumerate(lines[:-2], 1) if b'"op":"get"' in line)
    edit_line(agent, last, b'"op":"get"', b'"op":"gat"')


def audit_finding(agent):
    result = agent.run('doctor', '--quick', '--json')
    finding, = [one for one in result.json()['findings'] if one['check'] == 'audit']
    return finding['severity'], finding['text'], result.status


def check_alarm(agent, why):
    """Who looks after the agent hears of it, wherever he looks."""
    has(agent.status()['audit'], 'DAMAGED: ', why)
    assert agent.status()['audit_damaged_since'].startswith('20')
    severity, text, status = audit_finding(agent)
    same((severity, status), ('wrong', 1))
    has(text, 'DAMAGED: ', why)
    has(agent.log(), 'the audit log is DAMAGED: ', why, 'mortise audit acknowledge')


def killed_behind_checkpoint(agent):
    """Killed, and a get stands behind the last line that a key vouched for, with a line behind it?"""
    agent.get(PATH)
    agent.get(PATH)
    agent.kill()
    with open(agent.audit) as file:
        operations = [json.loads(line)['op'] for line in file]
    last = max(number for number, operation in enumerate(operations[:-1]) if operation == 'get')
    if 'checkpoint' not in operations[last:]:
        return True
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    return False


def damaged(place, damage, why):
    agent = place.ready()
    agent.set(PATH, b'one')
    if damage is edit_last:
        until(lambda: killed_behind_checkpoint(agent), 60)
    else:
        agent.stop()
    damage(agent)
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    check_alarm(agent, why)
    shown = agent.do('audit', 'show')
    has(shown.err, 'the log is DAMAGED: ', why)
    same(agent.run('audit', 'verify').status, 65)
    # It stays, over restarts and while nobody has the keys, until somebody has said so.
    agent.do('seal')
    check_alarm(agent, why)
    with open(agent.path + '/stderr', 'w'):
        pass
    agent.restart()
    check_alarm(agent, why)
    agent.do('unseal')
    check_alarm(agent, why)
    return agent


def acknowledged(agent):
    same(agent.run('audit', 'acknowledge').status, 64)
    same(agent.run('audit', 'acknowledge', '--note=x', user=BOB).status, 77)
    same(agent.do('audit', 'acknowledge', '--dry-run', '--note=x').text,
         '1 gap: would be acknowledged\n')
    has(agent.status()['audit'], 'DAMAGED')
    same(agent.do('audit', 'acknowledge', '--note=moved by hand').text, '1 gap: acknowledged\n')
    for _ in range(2):
        same(agent.status()['audit'], 'ok')
        same(audit_finding(agent)[0], 'ok')
        same(agent.do('audit', 'show', '--last=1').err, '')
        agent.restart()
        until(lambda: agent.status()['state'] == 'unsealed')
    line, = records(agent, '--op=audit-acknowledge')[-1:]
    same((line['note'], line['result']), ('moved by hand', 'ok'))
    same(agent.do('audit', 'acknowledge', '--note=x').text,
         'there is no damage that nobody has acknowledged\n')


@test(root=True)
def a_log_that_was_moved_away_is_damage_until_it_is_acknowledged(place):
    agent = damaged(place, lose, 'the log lacks its last signed line')
    acknowledged(agent)
    result = agent.do('audit', 'verify')
    has(result.text, 'intact', 'but for gaps: before sequence ', 'lacks its last signed line',
        'moved by hand')
    agent.do('rekey', '--yes')
    agent.get(PATH)
    has(agent.do('audit', 'verify', '--json').json()['gaps'], 'moved by hand')
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')
    same(agent.do('audit', 'verify').status, 0)
    same(agent.status()['audit'], 'ok')


@test(root=True)
def a_log_that_was_moved_away_is_noticed_by_an_agent_that_stays_sealed(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    agent.do('seal')
    agent.restart()
    same((agent.status()['state'], agent.status()['audit']), ('sealed', 'ok'))
    agent.stop()
    lose(agent)
    agent.start()
    for _ in range(2):
        same(agent.status()['state'], 'sealed')
        check_alarm(agent, 'the log has no line that a key vouched for')
        same(agent.run('audit', 'acknowledge', '--note=x').status, 75)
        agent.restart()
    agent.do('unseal')
    check_alarm(agent, 'the log lacks its last signed line')
    acknowledged(agent)
    agent.do('seal')
    agent.restart()
    same((agent.status()['state'], agent.status()['audit']), ('sealed', 'ok'))


@test(root=True)
def a_log_that_was_cut_is_damage_until_it_is_acknowledged(place):
    agent = damaged(place, cut, 'the log lacks its last signed line')
    acknowledged(agent)
    has(agent.do('audit', 'verify').text, 'but for gaps')
    # A second one is one of its own.
    agent.stop()
    cut(agent)
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    check_alarm(agent, 'the log lacks its last signed line')
    same(agent.run('audit', 'verify').status, 65)


@test(root=True)
def a_line_that_was_changed_stays_a_bad_record_though_it_is_acknowledged(place):
    agent = damaged(place, edit_last, 'line')
    acknowledged(agent)
    same(agent.run('audit', 'verify').status, 65)


@test
def a_log_that_is_removed_under_the_agent_is_noticed_before_anything_leaves(place):
    agent = place.ready()
    agent.set(PATH, b'hunter2')
    os.rename(agent.audit, agent.audit + '.1')
    result = agent.run('get', PATH)
    with open(agent.audit + '.1') as file:
        old = [json.loads(line) for line in file]
    kept = [line for line in old if line['op'] == 'get']
    if os.path.exists(agent.audit):
        with open(agent.audit) as file:
            kept += [line for line in map(json.loads, file) if line['op'] == 'get']
    same(result.status == 0, bool(kept), 'released, and on record')
    until(lambda: agent.status()['audit'].startswith('MOVED'))
    has(agent.log(), 'the audit log was moved away or removed')
    severity, text, status = audit_finding(agent)
    same((severity, status), ('wrong', 1))
    has(text, 'MOVED')
    os.rename(agent.audit + '.1', agent.audit)
    until(lambda: agent.status()['audit'] == 'ok')
    has(agent.log(), 'the audit log is in its place again')
    same(agent.do('audit', 'verify').status, 0)


@test(root=True)
def the_agent_s_log_says_who_was_denied_what_and_is_not_flooded_by_it(place):
    agent = place.ready()
    agent.set(PATH, 'hunter2')
    agent.apply('[rule no-bob]\ndeny = read\nsecret = **\nuser = %s\n' % BOB)
    uid = pwd.getpwnam(ALICE).pw_uid
    agent.run('set', PATH, user=ALICE, input='of-alice')
    has(agent.log(), 'denied: set prod/db/password for uid %d (pid ' % uid)
    for _ in range(40):
        same(agent.run('get', PATH, user=BOB).status, 77)
    lines = [line for line in agent.log().splitlines() if 'denied: get ' + PATH in line]
    assert 10 <= len(lines) <= 30, lines  # ten a minute, of which these may be three
    has(lines[0], 'for uid %d (pid ' % pwd.getpwnam(BOB).pw_uid, ') by rule no-bob')
    for value in ('hunter2', 'of-alice'):
        assert value not in agent.log(), value


if __name__ == '__main__':
    tap.main()
