#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Text from elsewhere steers no terminal: notes, policies, lines of the log, facts and errors of an agent, names of
files, templates. Every command is run; what it prints is UTF-8 without control characters and without
what turns a text around, nothing of the text is left out, and with --json it is JSON whose text is whole.

An agent refuses most of that at its door, so its replies are changed on their way here.
"""

import contextlib
import json
import os
import socket
import struct
import threading

import tap
import wire
from commands import PATH, lay_out, turns
from tap import has, same, test

MARK = b'marker-marker-m'
# A terminal's escape in C0 and in C1, right-to-left, no UTF-8, DEL, a new line. As long as MARK.
HOSTILE = b'\x1b[2J\xc2\x9b31m\xe2\x80\xae\xff\x7f\n'
SHOWN = r'\u001b[2J\u009b31m\u202e\xff\u007f\u000a'
SHOWN_IN_LINES = SHOWN[:-len(r'\u000a')]  # of a policy, which has lines
# In a line of the log it is JSON's.
IN_LOG = rb'\u009b\u202e123'
assert len(HOSTILE) == len(MARK) == len(IN_LOG)
# Those that change nothing, first.
FIRST = ('list', 'show', 'meta', 'policy show', 'policy who', 'policy may', 'policy check', 'audit show', 'hygiene',
         'slot list', 'status', 'doctor', 'whoami', 'scan')
NOT_NAMED = ('unseal', 'doctor', 'get', 'render')  # here something else is wrong, or comes first
STATUSES = range(1, 12)


class Meddler(threading.Thread):
    """Stands between a command and its agent, and changes the replies."""

    def __init__(self, path, agent):
        super().__init__(daemon=True)
        self.agent = agent
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen(64)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.socket.close()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.relay, args=(connection,), daemon=True).start()

    def relay(self, connection):
        with connection, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
            agent.connect(self.agent)
            with contextlib.suppress(OSError):
                while True:
                    request = connection.recv(1 << 18)
                    if not request:
                        return
                    agent.send(request)
                    connection.send(self.change(agent.recv(1 << 18)))

    def change(self, reply):
        return reply.replace(MARK, IN_LOG if b'"op":"' in reply else HOSTILE)


class Refuser(Meddler):
    """Answers every request with a status and a hostile text."""

    status = 1

    def relay(self, connection):
        with connection, contextlib.suppress(OSError):
            while True:
                request = connection.recv(1 << 18)
                if not request:
                    return
                connection.send(wire.pack(self.status, {wire.TEXT: b'no: ' + HOSTILE},
                                          struct.unpack_from('<HHI', request)[2]))


def steers(text):
    return [hex(ord(one)) for one in text if one not in '\n\t' and (
        ord(one) < 0x20 or 0x7f <= ord(one) < 0xa0 or 0x2028 <= ord(one) <= 0x202e or
        0x2066 <= ord(one) <= 0x2069 or ord(one) in (0x61c, 0x200e, 0x200f))]


def looked_at(agent, words, **options):
    """What it printed, both streams, as a person sees it; then with --json."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(options['cwd'] + '/new-key')
    result = agent.run(*words, env={'EDITOR': 'true', 'MORTISE_SOCKET': options.pop('through')}, **options)
    said = result.out + result.err.encode('utf-8', 'surrogateescape')
    text = said.decode()  # it is UTF-8
    same(steers(text), [], words)
    return text


def looked_at_as_json(agent, words, **options):
    """The same with --json: the object, or None where it is a command that prints no JSON."""
    at = words.index('--') if '--' in words else len(words)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(options['cwd'] + '/new-key')
    result = agent.run(*words[:at], '--json', *words[at:],
                       env={'EDITOR': 'true', 'MORTISE_SOCKET': options.pop('through')}, **options)
    text = result.out.decode()
    same(steers(text), [], words)
    same(steers(result.err), [], words)
    return json.loads(text) if text.startswith('{') else None


def hostile_agent(place):
    """An agent with MARK in all that it tells, and where its replies are changed."""
    mark = MARK.decode()
    agent = place.ready(lines=('environment = ' + mark,))
    lay_out(place)
    place.file('rules.policy', '; %s\n[rule first]\nallow = read list write delete rotate audit admin\n'
               'secret = **\nuser = %d\n[rule %s]\nallow = read\nsecret = %s/*\nuser = 4242\nunit = %s.service\n' % (
                   mark, os.geteuid(), mark, mark, mark))
    agent.do('policy', 'apply', '--yes', place('rules.policy'))
    for path in (PATH, 'prod/' + mark, 'prod/again'):
        agent.do('set', '--note=' + mark, path, input='one-value-of-some-length')
    agent.do('meta', '--note=' + mark, '--set=owner=' + mark, '--hook=/' + mark, PATH)
    return agent, place.enter_context(Meddler(place('meddler'), agent.socket))


@test
def a_note_that_would_steer_a_terminal_is_refused_at_the_door(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    for hostile in (b'\x1b[2J', b'\xc2\x9b31m', b'\xe2\x80\xae', b'\xff', b'\x7f', b'\n'):
        note = b'--note=a' + hostile + b'b'
        for words in (('set', note, PATH), ('meta', note, PATH), ('meta', b'--set=k=' + hostile, PATH),
                      ('clock', 'accept', note), ('audit', 'acknowledge', note)):
            result = agent.run(*words, input='two')
            same(result.status, 64, words)
            has(result.err, 'one line of UTF-8')
            same(steers(result.err), [])
    same(agent.get(PATH), b'one')
    note = 'caf\u00e9 \u20ac'
    agent.do('set', '--note=' + note, PATH, input='two')
    has(agent.do('show', PATH).text, note)


@test
def each_command_shows_what_the_agent_tells_and_steers_no_terminal(place):
    agent, _ = hostile_agent(place)
    commands = {name: words for name, words in turns()}
    commands.update({'status': ['status'], 'whoami': ['whoami'], 'doctor': ['doctor', '--all']})
    commands['meta'] = ['meta', PATH]
    commands['policy who'] = ['policy', 'who', MARK.decode() + '/x']
    shown = set()
    for name in sorted(commands, key=lambda name: (name not in FIRST, name == 'seal', name)):
        options = {'cwd': place.path, 'through': place('meddler'), 'input': 'a-new-value'}
        if SHOWN_IN_LINES in looked_at(agent, commands[name], **options):
            shown.add(name)
    missing = {'list', 'show', 'meta', 'policy show', 'policy who', 'hygiene', 'status'} - shown
    assert not missing, (missing, shown)


@test
def with_json_each_is_json_and_nothing_of_a_text_is_left_out(place):
    agent, _ = hostile_agent(place)
    options = {'cwd': place.path, 'through': place('meddler')}
    whole = SHOWN
    shown = looked_at_as_json(agent, ['show', PATH], **options)
    same((shown['note'], shown['hook'], shown['meta']['owner']), (whole, '/' + whole, whole))
    same(shown['versions'][0]['note'], whole)
    has([each['path'] for each in looked_at_as_json(agent, ['list', '-r'], **options)['secrets']], 'prod/' + whole)
    has(looked_at_as_json(agent, ['policy', 'show'], **options)['policy'], '; ')
    same(looked_at_as_json(agent, ['status'], **options)['environment'], whole)
    records = looked_at_as_json(agent, ['audit', 'show'], **options)['records']
    has([record.get('path') for record in records], 'prod/\u009b\u202e123')
    for name, words in turns():
        if name != 'seal' and '--json' not in words:
            looked_at_as_json(agent, words, input='a-new-value', **options)
    has(looked_at(agent, ['audit', 'show'], **options), r'prod/\u009b\u202e123')


@test
def an_error_of_the_agent_is_shown_as_it_is_and_steers_nothing(place):
    agent = place.agent()
    lay_out(place)
    place.file('key', '-'.join(['AAAAAA'] * 13) + '\n')
    with Refuser(place('refuser'), None) as refuser:
        for status in STATUSES:
            refuser.status = status
            for _, words in turns():
                options = {'cwd': place.path, 'through': place('refuser'), 'input': 'v'}
                said = looked_at(agent, words, **options)
                assert status == 2 or words[0] == 'exec' or SHOWN in said, (status, words, said)  # 2: denied
    with Refuser(place('refuser2'), None) as refuser:
        refuser.status = 9
        for _, words in turns():
            said = looked_at_as_json(agent, words, cwd=place.path, through=place('refuser2'), input='v')
            assert said is None or words[0] == 'render' or SHOWN in said['message'], (words, said)


@test
def a_name_of_a_file_is_shown_and_steers_nothing(place):
    agent = place.ready()
    agent.set(PATH, b'a-value-of-some-length')
    name = HOSTILE.replace(b'/', b'')
    hostile = os.fsencode(place.path) + b'/' + name
    os.mkdir(hostile)
    with open(hostile + b'/' + name, 'wb') as file:
        file.write(b'a-value-of-some-length')
    inner = hostile + b'/' + name
    options = {'cwd': place.path, 'through': agent.socket}
    for words in (['get', '--out=%s/', PATH], ['set', '--from-file=%s/', PATH], ['import', '%s', 'prod/x'],
                  ['render', '%s/'], ['exec', '--env-file=%s', '--', 'true'], ['exec', '--', '%s'],
                  ['policy', 'apply', '%s'], ['policy', 'test', '%s'], ['scan', '%s'], ['scan', '--git=%s'],
                  ['backup', 'create', '%s/'], ['backup', 'create', '%s.copy'], ['backup', 'verify', '%s'],
                  ['unseal', '--recovery-file=%s/'], ['doctor', '--config=%s/'],
                  ['slot', 'add', '--recovery', '--recovery-file=%s'], ['slot', 'test', '2', '--recovery-file=%s/'],
                  ['slot', 'add', '--tpm2', '--tpm2-pin-file=%s/'], ['slot', 'add', '--tpm2', '--pcr-public-key=%s/'],
                  ['policy', 'apply', '--yes', '%s/..']):
        filled = [os.fsencode(word).replace(b'%s', inner) for word in words]
        said = looked_at(agent, filled, **options)
        assert SHOWN in said or words[0] in NOT_NAMED, (words, said)
        said = json.dumps(looked_at_as_json(agent, filled, **options))
        assert said == 'null' or '31m' in said or '_base64' in said or words[0] in NOT_NAMED, (words, said)
    same(agent.do('list', '-r').text, PATH + '\n')


@test
def a_word_that_is_typed_comes_back_harmless(place):
    agent = place.ready()
    agent.set(PATH, b'a-value-of-some-length')
    place.file('template', b'{{ ' + HOSTILE[:-1] + b' }}')
    options = {'cwd': place.path, 'through': agent.socket}
    for words in ([HOSTILE], ['get', HOSTILE], ['list', HOSTILE], [b'--' + HOSTILE], ['policy', HOSTILE],
                  ['policy', 'check', HOSTILE], ['policy', 'check', b'--user=' + HOSTILE, 'read'],
                  ['policy', 'check', b'--unit=' + HOSTILE, 'read'], ['audit', 'show', b'--op=' + HOSTILE],
                  ['audit', 'show', b'--user=' + HOSTILE], ['audit', 'show', b'--path=' + HOSTILE],
                  ['meta', b'--max-age=' + HOSTILE, PATH], ['slot', 'test', HOSTILE], ['render', 'template'],
                  ['slot', 'add', b'--pcrs=' + HOSTILE, '--tpm2'], ['exec', '-e', HOSTILE, '--', 'true']):
        said = looked_at(agent, [os.fsencode(word) for word in words], **options)
        has(said, 'mortise: ')


if __name__ == '__main__':
    tap.main()
