#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Slots, as a person works with them: many ways to one store, wrong turns included."""

import os
import signal
import sqlite3
import subprocess

import keys
import tap
from tap import has, has_not, same, test, until

PATH = 'prod/db/password'


def with_secret(place, **settings):
    agent = place.ready(**settings)
    agent.set(PATH, b'hunter2')
    return agent


def slots(agent):
    """{id: facts}"""
    return {slot['id']: slot for slot in agent.do('slot', 'list', '--json').json()['slots']}


def add(agent, *options, **more):
    """The id of the slot that is added."""
    return agent.do('slot', 'add', '--json', *options, **more).json()['slot']


def add_key(place, agent, name, *options):
    """The same for keys that are typed: (id, path of the file)."""
    path = place('agent') + '/' + name
    return add(agent, '--recovery-file=' + path, *options), path


def lines(path):
    with open(path) as file:
        return [line.strip() for line in file if line.strip() and line[0] != '#']


class Terminal:
    """A command whose standard input is a terminal; what it asks is read from standard error."""

    def __init__(self, agent, *arguments):
        self.master, slave = os.openpty()
        self.process = agent.popen(*arguments, stdin=slave)
        os.close(slave)
        self.said = ''

    def answer(self, prompt, text):
        """Waits for the prompt: what is typed before is thrown away."""
        said = b''
        while not said.endswith((prompt + ': ').encode()):
            byte = os.read(self.process.stderr.fileno(), 1)
            if not byte:
                raise AssertionError('%r was never asked: %r' % (prompt, said))
            said += byte
        self.said += said.decode()
        os.write(self.master, text.encode() + b'\n')

    def end(self):
        out, err = self.process.communicate(timeout=60)
        os.close(self.master)
        self.said += err.decode()
        return self.process.returncode, out.decode()


@test
def one_store_is_opened_in_turn_by_tpm_recovery_keys_shares_and_a_fleets_key(place):
    agent = with_secret(place)
    office = place.ready(name='office')
    half = office.do('slot', 'escrow-key', '--recovery-file=' + place('fleet')).text
    same(len(slots(office)), 2)
    second, second_file = add_key(place, agent, 'second', '--recovery')
    shared, shares_file = add_key(place, agent, 'shares', '--recovery-shares=3/5')
    fleet = add(agent, '--recovery-public-key=' + place.file('fleet.pub', half))
    same(set(slots(agent)), {1, 2, second, shared, fleet})
    for ways in (['--recovery-file=' + agent.recovery], ['--recovery-file=' + second_file],
                 ['--recovery-file=' + shares_file], ['--recovery-file=' + place('fleet')], []):
        agent.do('seal', '--yes')
        same(agent.run('get', PATH).status, 75)
        agent.do('unseal', *ways)
        same(agent.get(PATH), b'hunter2')
    for slot in (1, 2, second, shared, fleet):
        assert slots(agent)[slot].get('opened'), slot
    agent.do('verify')


@test
def each_slot_is_proved_by_slot_test_and_only_its_date_changes(place):
    agent = with_secret(place)
    shared, shares_file = add_key(place, agent, 'shares', '--recovery-shares=2/3')
    before = slots(agent)
    assert 'tested' not in before[2]
    agent.do('slot', 'test', '1')
    agent.do('slot', 'test', '2', '--recovery-file=' + agent.recovery)
    agent.do('slot', 'test', str(shared), '--recovery-file=' + shares_file)
    after = slots(agent)
    for slot in after:
        assert after[slot].pop('tested') != before[slot].pop('tested', None)
    same(after, before)
    result = agent.run('slot', 'test', '2', '--recovery-file=' + shares_file)
    same(result.status, 77)
    has(result.err, 'that key does not open slot 2')
    same(agent.run('slot', 'test', '9').status, 66)
    same(agent.run('slot', 'test', 'one').status, 64)
    result = agent.run('slot', 'test', '2')
    same(result.status, 64)
    has(result.err, '--recovery-file=F')


@test
def shares_are_typed_on_a_terminal_with_every_error_named_and_mended(place):
    agent = with_secret(place)
    _, shares_file = add_key(place, agent, 'shares', '--recovery-shares=3/5')
    shares = lines(shares_file)
    same(len(shares), 5)
    agent.do('seal', '--yes')
    wrong = shares[1][:20] + ('7' if shares[1][20] != '7' else '8') + shares[1][21:]
    terminal = Terminal(agent, 'unseal', '--recovery')
    terminal.answer('recovery key, or a share of it', shares[4].lower())
    terminal.answer('2 more shares are needed; next share', wrong)
    terminal.answer('next share', shares[1][:-1])
    terminal.answer('next share', shares[4])
    terminal.answer('next share', lines(agent.recovery)[0])
    terminal.answer('next share', shares[1])
    terminal.answer('1 more share is needed; next share', shares[0].replace('-', ' '))
    same(terminal.end(), (0, 'unsealed\n'))
    has(terminal.said, 'group 4 of share 2', 'share 2 has not the 15 groups',
        'share 2 is there twice')
    for secret in shares + lines(agent.recovery):
        assert secret not in terminal.said + agent.log()
    same(agent.get(PATH), b'hunter2')
    agent.do('seal', '--yes')
    result = agent.run('unseal', '--recovery-file=-', input='\n'.join(shares[:2]))
    same(result.status, 64)
    has(result.err, '1 more share is needed')
    same(agent.status()['state'], 'sealed')


@test
def a_removed_slot_opens_no_more_and_the_last_ones_are_not_removed_by_mistake(place):
    agent = with_secret(place)
    extra, extra_file = add_key(place, agent, 'extra', '--recovery')
    agent.do('slot', 'remove', str(extra))
    agent.do('seal', '--yes')
    same(agent.run('unseal', '--recovery-file=' + extra_file).status, 77)
    agent.do('unseal')
    for slot, reason in (('1', 'last hardware slot'), ('2', 'whose key can be typed')):
        result = agent.run('slot', 'remove', slot)
        same(result.status, 64)
        has(result.err, reason, '--yes')
    agent.do('slot', 'remove', '1', '--dry-run')
    same(set(slots(agent)), {1, 2})
    agent.do('slot', 'remove', '1', '--yes')
    result = agent.run('slot', 'remove', '2', '--yes')
    same(result.status, 73)
    has(result.err, 'the last one')
    agent.restart()
    until(lambda: 'no hardware slot' in agent.status().get('reason', ''))
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    same(add(agent, '--tpm2'), 3)
    agent.restart()
    agent.do('status', '--wait=20')
    same(agent.get(PATH), b'hunter2')


@test
def a_resealed_slot_replaces_the_old_one_when_it_has_opened_at_a_start(place):
    agent = with_secret(place)
    result = agent.do('slot', 'reseal', '1')
    has(result.text, 'it replaces slot 1 when it has opened')
    same([slots(agent)[slot]['state'] for slot in (1, 2, 3)], ['ready', 'ready', 'staged'])
    agent.restart()
    agent.do('status', '--wait=20')
    same({slot: facts['state'] for slot, facts in slots(agent).items()}, {2: 'ready', 3: 'ready'})
    has(agent.do('audit', 'show').text, 'slot 3 has opened and replaces slot 1')
    agent.restart()
    agent.do('status', '--wait=20')
    same(agent.get(PATH), b'hunter2')


@test
def a_keeper_killed_at_any_moment_of_a_reseal_leaves_a_store_that_opens(place):
    agent = with_secret(place)
    for delay in range(10):
        process = agent.popen('slot', 'reseal', '1' if 1 in slots(agent) else
                              str(next(slot for slot, facts in slots(agent).items()
                                       if facts['kind'] == 'tpm2' and facts['state'] == 'ready')))
        try:
            process.wait(delay * 0.02 + 0.001)
        except subprocess.TimeoutExpired:
            pass
        before = agent.keeper()
        os.kill(before, signal.SIGKILL)
        process.communicate()
        until(lambda: agent.keeper() not in (None, before))
        agent.do('status', '--wait=20')
        same(agent.get(PATH), b'hunter2')
        kinds = sorted(facts['kind'] for facts in slots(agent).values())
        assert 'recovery' in kinds and 'tpm2' in kinds, kinds


@test
def the_escrow_halves_and_seals_on_disk_show_no_public_key_and_no_key(place):
    agent = with_secret(place)
    office = place.ready(name='office')
    half = office.do('slot', 'escrow-key', '--recovery-file=' + place('fleet')).text
    add(agent, '--recovery-public-key=' + place.file('fleet.pub', half))
    agent.stop()
    public = keys.key_bits(lines(place('fleet.pub'))[0][12:])
    key = keys.key_bits(lines(place('fleet'))[0])
    with open(agent.store + '/store.db', 'rb') as file:
        content = file.read()
    assert public not in content and key not in content
    # The format is the page's: the key opens it without any code of mortise.
    same(len(keys.master_key(agent.store, 'escrow', key)), 32)


@test
def a_slot_edited_on_the_disk_keeps_the_store_sealed(place):
    agent = with_secret(place)
    agent.stop()
    database = sqlite3.connect(agent.store + '/store.db')
    body, = database.execute('SELECT body FROM item WHERE kind=1 AND number=2').fetchone()
    assert b'created' in body
    at = body.index(b'created') + 7 + 6  # the name, and the head of the number behind it
    edited = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
    with database:
        database.execute('UPDATE item SET body=? WHERE kind=1 AND number=2', (edited,))
    database.close()
    agent.start()
    until(lambda: agent.status()['state'] == 'sealed')
    has(agent.status()['reason'], 'tally', 'edited')


@test
def a_pin_is_asked_for_on_a_terminal_and_never_taken_from_the_command_line(place):
    agent = with_secret(place)
    pin_file = place.file('pin', 'correct horse\n', 0o600)
    slot = add(agent, '--tpm2', '--tpm2-pin-file=' + pin_file)
    agent.do('slot', 'remove', '1', '--yes')
    agent.restart()
    until(lambda: 'waits for its PIN' in agent.status().get('reason', ''))
    same(agent.status()['pin_slot'], str(slot))
    result = agent.run('unseal')
    same(result.status, 74)
    has(result.err, 'slot %d waits for its PIN' % slot, 'no terminal to ask on', '--tpm2-pin-file=F')
    result = agent.run('unseal', '--tpm2-pin-file=' + place.file('wrong', 'wrong', 0o600))
    same(result.status, 74)
    has(result.err, 'the PIN is wrong, and was tried once')
    terminal = Terminal(agent, 'unseal')
    terminal.answer('PIN of slot %d' % slot, 'correct horse')
    same(terminal.end(), (0, 'unsealed\n'))
    agent.do('slot', 'test', str(slot), '--tpm2-pin-file=' + pin_file)
    terminal = Terminal(agent, 'slot', 'change-pin', str(slot))
    terminal.answer('new PIN', 'battery staple')
    terminal.answer('the same again', 'battery stable')
    same(terminal.end()[0], 64)
    terminal = Terminal(agent, 'slot', 'change-pin', str(slot))
    terminal.answer('new PIN', 'battery staple')
    terminal.answer('the same again', 'battery staple')
    same(terminal.end()[0], 0)
    agent.do('seal', '--yes')
    same(agent.run('unseal', '--tpm2-pin-file=' + pin_file).status, 74)
    agent.do('unseal', '--tpm2-pin-file=-', input='battery staple\n')
    same(agent.get(PATH), b'hunter2')


@test
def password_agents_are_asked_by_another_program_and_only_while_a_slot_waits(place):
    agent = with_secret(place)
    add(agent, '--tpm2', '--tpm2-pin-file=' + place.file('pin', 'correct horse', 0o600))
    has(agent.do('unseal', '--ask-agents').text, 'no slot waits for its PIN')
    same(agent.run('unseal', '--ask-agents', '--recovery').status, 64)
    agent.do('slot', 'remove', '1', '--yes')
    agent.restart()
    until(lambda: 'pin_slot' in agent.status())
    path = place.directory('bin')
    missing = agent.run('unseal', '--ask-agents', env=[('PATH', path)])
    same(missing.status, 74)
    has(missing.err, 'systemd-ask-password cannot be run', 'mortise unseal')
    place.file('bin/systemd-ask-password', """#!/bin/sh
echo "$@" >>%s
[ -e %s/second ] && echo 'correct horse' || { : >%s/second; echo wrong; }
""" % (place('asked'), path, path), 0o755)
    place.file('asked', '', 0o666)
    done = agent.do('unseal', '--ask-agents', env=[('PATH', path + ':/usr/bin:/bin')])
    same(done.text, 'unsealed\n')
    has(done.err, 'the PIN is wrong')
    with open(place('asked')) as asked:
        first, second = asked.read().splitlines()
    has(first, '--no-tty', '--timeout=0', 'PIN of mortise')
    has(second, 'the PIN is wrong', 'PIN of mortise')


@test
def pcrs_hold_until_they_change_and_the_way_on_is_named(place):
    agent = with_secret(place)
    slot = add(agent, '--tpm2', '--pcrs=16,23')
    agent.do('slot', 'remove', '1', '--yes')
    agent.restart()
    agent.do('status', '--wait=20')
    same(slots(agent)[slot]['pcrs'], '16,23')
    keys.tool(agent.tcti, 'tpm2_pcrextend', '16:sha256=' + 64 * '1')
    agent.restart()
    reason = until(lambda: agent.status().get('reason'))
    has(reason, 'other PCR values', 'slot %d' % slot, 'mortise slot reseal')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    agent.do('slot', 'reseal', str(slot))
    agent.restart()
    agent.do('status', '--wait=20')
    same(agent.get(PATH), b'hunter2')


NO_LINE = (b'', b'\n', b'\r\n', b'1234\n\n', b'1234\r\n\r\n', b'1234\r', b'1234\n5678', b'12\r34\n',
           b'\xef\xbb\xbf1234\n', '1234'.encode('utf-16'), b'1234\x1b[A', b'1' * 65)


@test
def the_ending_of_a_pin_files_line_is_no_part_of_the_pin(place):
    agent = with_secret(place)
    plain = place.file('plain', '1234')
    for content in ('1234', '1234\n', '1234\r\n'):
        slot = add(agent, '--tpm2', '--tpm2-pin-file=' + place.file('pin', content))
        agent.do('slot', 'test', str(slot), '--tpm2-pin-file=' + plain)
        terminal = Terminal(agent, 'slot', 'test', str(slot))
        terminal.answer('PIN', '1234')
        same(terminal.end()[0], 0, repr(content))
        agent.do('slot', 'test', str(slot), '--tpm2-pin-file=-', input=content)
        agent.do('slot', 'change-pin', str(slot), '--tpm2-pin-file=' + place.file('pin', '99' + content))
        agent.do('slot', 'test', str(slot), '--tpm2-pin-file=' + place.file('pin', '991234'))
        agent.do('slot', 'remove', str(slot))
    slot = add(agent, '--tpm2', '--tpm2-pin-file=' + plain)
    agent.do('slot', 'remove', '1', '--yes')
    agent.do('seal', '--yes')
    agent.do('unseal', '--tpm2-pin-file=' + place.file('pin', '1234\r\n'))
    same(agent.get(PATH), b'hunter2')


@test
def what_is_not_one_line_that_could_be_typed_is_no_pin_anywhere(place):
    agent = with_secret(place)
    slot = add(agent, '--tpm2', '--tpm2-pin-file=' + place.file('plain', '1234'))
    fresh = place.agent(name='fresh')
    fresh.start()
    before = slots(agent)
    for content in NO_LINE:
        file = '--tpm2-pin-file=' + place.file('pin', content)
        results = [agent.run('slot', 'add', '--tpm2', file), agent.run('slot', 'test', str(slot), file),
                   agent.run('slot', 'change-pin', str(slot), file),
                   agent.run('slot', 'reseal', str(slot), file),
                   agent.run('slot', 'add', '--tpm2', '--tpm2-pin-file=-', input=content),
                   agent.run('slot', 'add', '--pkcs11=pkcs11:', '--pin-file=' + place('pin')),
                   fresh.run('init', file, '--recovery-file=' + fresh.recovery),
                   agent.run('unseal', file)]
        for result in results[:-1]:
            same((result.status, result.err.count('\n')), (64, 1), (content, result))
            has(result.err, 'PIN')
    same(slots(agent), before)
    same(fresh.status()['state'], 'uninitialised')
    agent.do('slot', 'remove', '1', '--yes')
    agent.do('seal', '--yes')
    for content in NO_LINE:
        same(agent.run('unseal', '--tpm2-pin-file=' + place.file('pin', content)).status, 64, content)
    agent.do('unseal', '--tpm2-pin-file=' + place('plain'))


@test
def a_blank_at_the_end_of_a_new_pin_is_pointed_out(place):
    agent = with_secret(place)
    result = agent.do('slot', 'add', '--tpm2', '--tpm2-pin-file=' + place.file('pin', '1234 \n'))
    has(result.err, 'ends with a blank, which is part of it')
    same(agent.do('slot', 'test', '3', '--tpm2-pin-file=' + place('pin')).err, '')


def as_windows_has_it(place, path):
    """The same file with a byte order mark and other line endings."""
    with open(path, 'rb') as file:
        content = file.read()
    return place.file('windows', b'\xef\xbb\xbf' + content.replace(b'\n', b'\r\n'))


@test
def keys_and_shares_are_read_from_files_that_windows_had_and_refused_by_name_otherwise(place):
    agent = with_secret(place)
    _, shares_file = add_key(place, agent, 'shares', '--recovery-shares=2/3')
    for path in (agent.recovery, shares_file):
        agent.do('seal', '--yes')
        agent.do('unseal', '--recovery-file=' + as_windows_has_it(place, path))
    agent.do('slot', 'test', '2', '--recovery-file=' + as_windows_has_it(place, agent.recovery))
    half = agent.do('slot', 'escrow-key', '--recovery-file=' + place('fleet')).text
    add(agent, '--recovery-public-key=' + as_windows_has_it(place, place.file('half', half)))
    with open(agent.recovery, encoding='ascii') as file:
        text = file.read()
    wide = place.file('wide', text.encode('utf-16'))
    twice = place.file('twice', text + lines(place('fleet'))[0] + '\n')
    nothing = place.file('nothing', '# a comment\n\n')
    agent.do('seal', '--yes')
    for verb in (['unseal'], ['recover', '--yes']):
        for path, reason in ((wide, 'UTF-16'), (twice, 'more lines than a recovery key'),
                             (nothing, 'no line but comments')):
            result = agent.run(*verb, '--recovery-file=' + path)
            same((result.status, result.err.splitlines()[-1].count(reason)), (64, 1), (verb, path, result))
    agent.do('unseal')
    for path, reason in ((wide, 'UTF-16'), (twice, 'more lines'), (nothing, 'no line')):
        result = agent.run('policy', 'reset', '--yes', '--recovery-file=' + path)
        same(result.status, 64, result)
        has(result.err, reason)
    for path, reason in ((place.file('wide', half.encode('utf-16')), 'UTF-16'), (nothing, 'no line')):
        result = agent.run('slot', 'add', '--recovery-public-key=' + path)
        same(result.status, 64, result)
        has(result.err, reason)


@test
def a_pcr_key_that_is_none_is_named_by_what_it_is(place):
    agent = with_secret(place)

    def openssl(name, *arguments):
        subprocess.run(['openssl', arguments[0], '-out', place(name), *arguments[1:]], check=True,
                       capture_output=True)
        return place(name)
    private = openssl('private', 'genrsa', '2048')
    for path, status, reason in (
            (private, 64, 'pkey -in %s -pubout' % private),
            (openssl('cipher', 'genrsa', '-aes128', '-passout', 'pass:x', '2048'), 64, '-pubout'),
            (openssl('certificate', 'req', '-x509', '-key', private, '-subj', '/CN=x'), 74,
             'x509 -in FILE -noout -pubkey'),
            (openssl('der', 'pkey', '-in', private, '-pubout', '-outform', 'DER'), 74, 'no PEM'),
            (place.file('long', 'x' * 3000), 64, 'at most 2048 bytes'), (place.file('empty', ''), 64, 'no public'),
            (place.file('huge', 'x' * 70000), 64, 'no public'), (place('nowhere'), 74, 'No such file')):
        result = agent.run('slot', 'add', '--tpm2', '--pcr-public-key=' + path)
        same((result.status, result.err.count('\n')), (status, 1), result)
        has(result.err, reason)
        has_not(result.err, 'tcti')
    same(set(slots(agent)), {1, 2})


@test
def options_that_make_no_sense_are_refused_before_the_agent_is_asked(place):
    agent = with_secret(place)
    for options in ([], ['--tpm2', '--recovery'], ['--tpm2', '--pcrs=24'], ['--tpm2', '--pcrs=7,'],
                    ['--recovery', '--pcrs=7'], ['--recovery-shares=5/3'],
                    ['--recovery-shares=3'], ['--tpm2', '--pin-file=/dev/null'],
                    ['--tpm2', '--tpm2-pin-file=/dev/null']):
        result = agent.run('slot', 'add', *options)
        same(result.status, 64, options)
        same(result.err.count('\n'), 1, options)
    same(agent.run('slot', 'add', '--recovery').status, 64)
    result = agent.run('slot', 'add', '--recovery-public-key=' + agent.recovery)
    same(result.status, 64)
    has(result.err, 'mortise slot escrow-key')
    result = agent.run('slot', 'suspend', '1')
    same(result.status, 73)
    has(result.err, 'nothing to suspend')
    same(set(slots(agent)), {1, 2})


if __name__ == '__main__':
    tap.main()
