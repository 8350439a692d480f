# SPDX-License-Identifier: ISC
"""sealer: one mortise-sealer at work for a TPM, asked over its socket as the keeper asks it.

Sealer   one run, of any number of requests
once()   a run with one request
"""

import os
import socket
import struct
import subprocess

import wire
from tap import same
from tpm import DEADLINE_S

ENROL, OPEN, ANCHOR = 528, 529, 530
TEXT, NUMBER, KIND, PIN, PCRS, KEY, BLOB, ENTROPY, FAULT, PUBLIC_KEY, COUNTER = \
    2, 16, 22, 37, 39, 40, 41, 42, 43, 54, 57
DEFINE, READ, INCREMENT, REMOVE = 1, 2, 3, 4
HARDWARE_FAULTS = {5: 'lockout', 16: 'wrong PIN', 17: 'no PIN', 18: 'other PCRs',
                   19: 'no signature', 20: 'no counter', 21: 'other count',
                   23: 'SRK password'}
AUTH = bytes(range(100, 132))


def number(value):
    return struct.pack('<Q', value)


class Sealer:
    """One run: any number of requests, until one fails; said is what the failure was."""

    def __init__(self, tcti, *options, wrapper=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.environ['MORTISE_TEST_PREFIX'] + '/libexec/mortise-sealer'
        command = 'exec 3<&%d; exec "$@"' % theirs.fileno()
        self.process = subprocess.Popen(
            ['bash', '-c', command, 'sealer', *wrapper, program, '--tcti=' + tcti, '--deadline-ms=20000',
             *options], pass_fds=[theirs.fileno()], env={'SECRET': 'of the environment'})
        theirs.close()
        self.socket, self.said = ours, ''
        self.socket.settimeout(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        same(self.process.wait(DEADLINE_S), 0)

    def ask(self, code, **fields):
        """The fields of the answer, or the fault in words."""
        tags = {globals()[name.upper()]: data for name, data in fields.items()}
        self.socket.send(wire.pack(code, {KIND: b'tpm2', **tags}))
        status, answer = wire.unpack(self.socket.recv(16384))
        if status == 0:
            return answer
        fault = struct.unpack('<Q', answer[FAULT])[0]
        self.said = answer.get(TEXT, b'').decode('ascii')
        return HARDWARE_FAULTS.get(fault, 'fault %d: %s' % (fault, self.said))

    def enrol(self, **fields):
        answer = self.ask(ENROL, entropy=os.urandom(32), **fields)
        return (answer[KEY], answer[BLOB]) if isinstance(answer, dict) else answer

    def open(self, blob, **fields):
        answer = self.ask(OPEN, blob=blob, **fields)
        return answer[KEY] if isinstance(answer, dict) else answer

    def anchor(self, action, **fields):
        answer = self.ask(ANCHOR, number=number(action), key=AUTH, **fields)
        if not isinstance(answer, dict):
            return answer
        count = struct.unpack('<Q', answer[COUNTER])[0] if COUNTER in answer else None
        return (answer[BLOB], count) if action == DEFINE else count


def once(tcti, what, *arguments, **fields):
    with Sealer(tcti) as sealer:
        return getattr(sealer, what)(*arguments, **fields)
