#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An audit log checked off its host: without an agent, and with Python's standard library alone.

verify_audit.py FIRST_KEY LOG...    FIRST_KEY is what `mortise audit public-key` printed

LOG is the log, or its parts in their order; `-` is standard input. What is compressed by gzip is read as
well; of zstd: zstd -dc LOG.zst | verify_audit.py FIRST_KEY -

Written from docs/audit.md. It says what `mortise audit verify` says of the same text, and knows less: how
far the log went, and which damage somebody has acknowledged, only the agent knows. Exit status 0: intact;
65: not what an agent wrote, and where; 64 or 66: it was asked for what cannot be.
"""

import gzip
import hashlib
import re
import struct
import sys
import zlib

LINE_MAX = 2048         # bytes, with the newline
U32, U64 = 2 ** 32 - 1, 2 ** 64 - 1


# ---- Ed25519, RFC 8032, 5.1.7; as strict as libsodium ----

P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)                                # of -1
NOTHING = (0, 1, 1, 0)                                        # X Y Z T, of x = X/Z and y = Y/Z


def add(a, b):
    c, d = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    e, f = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    g, h, i, j = d - c, f - e, f + e, d + c
    return g * h % P, i * j % P, h * i % P, g * j % P


def point_of(data):
    """The point with this encoding; None: there is none, or it has another one."""
    y = int.from_bytes(data, 'little')
    sign, y = y >> 255, y & (2 ** 255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def bytes_of(point):
    z = pow(point[2], P - 2, P)
    x, y = point[0] * z % P, point[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, 'little')


def is_of_small_order(point):
    for _ in range(3):
        point = add(point, point)
    return point[0] == 0 and point[1] == point[2]


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, 'little'))


def is_signature(key, signature, message):
    a, s = point_of(key), int.from_bytes(signature[32:], 'little')
    r = point_of(signature[:32])
    if s >= L or a is None or r is None or is_of_small_order(a) or is_of_small_order(r):
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), 'little') % L
    minus = (P - a[0], a[1], a[2], P - a[3])
    both, at = add(BASE, minus), NOTHING
    for bit in range(252, -1, -1):
        at = add(at, at)
        step = (s >> bit & 1, h >> bit & 1)
        if step != (0, 0):
            at = add(at, both if step == (1, 1) else BASE if step[0] else minus)
    return bytes_of(at) == signature[:32]


# ---- a line ----

def hexadecimal(name, size):
    return rb'(?P<%s>[0-9a-f]{%d})' % (name.encode(), 2 * size)


NUMBER = rb'(?:0|[1-9][0-9]{0,19})'
TEXT = rb'(?:[^"\\\x00-\x1f\x7f]|\\["\\]|\\u00(?:[01][0-9a-f]|7f|[89a-f][0-9a-f]))*'
RESULTS = (b'ok|invalid|denied|not-found|conflict|sealed|busy|integrity|io|hardware|unreachable|'
           b'rejected')
SHAPE = re.compile(
    rb'\{"seq":(?P<seq>' + NUMBER + rb')'
    rb',"time":"(?P<time>[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])'
    rb'T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z)"'
    rb'(?:,"clock":"doubtful")?'
    rb',"op":"(?P<op>[a-z][a-z0-9-]{0,31})"'
    rb'(?:,"uid":(?P<uid>' + NUMBER + rb')(?P<process>,"gid":(?P<gid>' + NUMBER + rb')'
    rb',"pid":(?P<pid>' + NUMBER + rb')(?:,"auid":(?P<auid>' + NUMBER + rb'))?'
    rb'(?:,"session":(?P<session>' + NUMBER + rb'))?)?)?'
    rb'(?:,"path":"' + TEXT + rb'")?'
    rb'(?:,"version":(?P<version>' + NUMBER + rb'))?'
    rb'(?:,"rule":"' + TEXT + rb'")?'
    rb'(?:,"unit":"' + TEXT + rb'")?(?:,"exe":"' + TEXT + rb'")?(?:,"label":"' + TEXT + rb'")?'
    rb',"result":"(?:' + RESULTS + rb')"'
    rb'(?:,"note":"(?P<note>' + TEXT + rb')")?'
    rb'(?P<proof>(?:,"store":"(?P<store>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")?'
    rb'(?:,"key":"' + hexadecimal('key', 32) + rb'")?'
    rb'(?:,"next":"' + hexadecimal('next', 32) + rb'")?'
    rb'(?:,"sig":"' + hexadecimal('sig', 64) + rb'")?)'
    rb',"prev":"' + hexadecimal('prev', 32) + rb'"\}')
BOUNDS = (('seq', U64), ('uid', U32), ('gid', U32), ('pid', U32), ('auid', U32 - 1),
          ('session', U32 - 1), ('version', U64))
PROOFS = {'genesis': {'store', 'key'}, 'checkpoint': {'key', 'next', 'sig'}}
CONTROL = re.compile('[\x00-\x1f\x7f-\x9f]')


def parts_of(raw):
    """A line's parts; None: no agent writes such a line."""
    match = SHAPE.fullmatch(raw) if len(raw) < LINE_MAX else None
    if not match:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    parts = {name: value for name, value in match.groupdict().items() if value is not None}
    numbers = {name: int(parts[name]) for name, _ in BOUNDS if name in parts}
    operation = parts['op'].decode()
    has = {name for name in ('store', 'key', 'next', 'sig') if name in parts}
    if (CONTROL.search(text) or any(numbers.get(name, 0) > limit for name, limit in BOUNDS) or
            numbers.get('version') == 0 or has != PROOFS.get(operation, set()) or
            ('uid' in parts and ('process' in parts) == (operation == 'denials'))):
        return None
    proofs = {name: bytes.fromhex(parts[name].decode()) for name in ('key', 'next', 'sig', 'prev')
              if name in parts}
    return {'seq': numbers['seq'], 'time': parts['time'], 'op': operation, 'note': parts.get('note', b''),
            'store': parts.get('store', b'').replace(b'-', b''), **proofs}


# ---- the chain ----

class Damaged(Exception):
    """It is not what an agent wrote."""


class Check:
    def __init__(self, first_key):
        self.first_key, self.store, self.expected = first_key, None, None
        self.head, self.seq, self.lines = bytes(32), 0, 0
        self.checkpoints = self.signed = 0
        self.suspect = False     # the last line does not follow the one before: which of them is it?

    def fail(self, why, seq=0):
        raise Damaged('line %d%s: %s' % (self.lines, ' (sequence %d)' % seq if seq else '', why))

    def settle(self, follows):
        """follows: what comes next has the suspect line's hash, so that line is as it was written."""
        if not follows:
            self.fail("changed, or the line before it: it does not hold that line's hash", self.seq)
        self.lines -= 1
        self.fail('changed: the next line holds another hash of it', self.seq - 1)

    def genesis(self, line):
        if self.store:
            self.fail('another store begins here', line['seq'])
        if line['key'] == self.first_key:
            self.store, self.expected = bytes.fromhex(line['store'].decode()), line['key']

    def checkpoint(self, line):
        if not self.store:
            return
        if line['key'] != self.expected:
            self.fail('a checkpoint with another key than the one before it named', line['seq'])
        statement = (b'mortise audit checkpoint 1\0' + self.store + struct.pack('<Q', line['seq']) +
                     line['prev'] + line['time'] + line['next'])
        if not is_signature(line['key'], line['sig'], statement):
            self.fail('wrong signature: this line, or one since checkpoint %d, was changed' %
                      self.signed, line['seq'])
        self.expected = line['next']

    def joint(self, line):
        if self.store and line['note'].startswith(b'DAMAGED'):
            self.fail('the agent found a damaged log: ' + line['note'].decode(), line['seq'])

    def take(self, raw):
        line = parts_of(raw)
        if self.suspect:
            self.settle(line is not None and line['prev'] == self.head)
        self.lines += 1
        if line is None:
            self.fail('not a line of the audit log')
        if line['seq'] != self.seq + 1:
            self.fail('sequence %d was expected' % (self.seq + 1), line['seq'])
        if line['prev'] == self.head:
            {'genesis': self.genesis, 'checkpoint': self.checkpoint,
             'joint': self.joint}.get(line['op'], lambda _: None)(line)
        elif line['seq'] == 1:
            self.fail('changed: the first line follows none', 1)
        else:
            self.suspect = True
        self.seq, self.head = line['seq'], hashlib.blake2b(raw, digest_size=32).digest()
        if line['op'] == 'checkpoint':
            self.checkpoints, self.signed = self.checkpoints + 1, line['seq']

    def end(self):
        if self.suspect:
            self.settle(False)
        if not self.store:
            self.fail('no genesis line has this first key')


def lines_of(names):
    """Each line with its newline, if it has one; of one that is too long, more than a line may have."""
    for name in names:
        with (sys.stdin.buffer if name == '-' else open(name, 'rb')) as file:
            is_packed = file.peek(2)[:2] == b'\x1f\x8b'
            text = gzip.open(file) if is_packed else file
            while line := text.readline(LINE_MAX + 1):
                yield line


def check_all(check, names):
    for raw in lines_of(names):
        if not raw.endswith(b'\n') and len(raw) <= LINE_MAX:
            check.lines += 1
            check.fail('not a whole line')
        check.take(raw[:-1] if raw.endswith(b'\n') else raw)
    check.end()


def main(arguments):
    if len(arguments) < 2 or not re.fullmatch('[0-9a-f]{64}', arguments[0]):
        print(__doc__.split('\n\n')[1], file=sys.stderr)
        return 64
    check = Check(bytes.fromhex(arguments[0]))
    try:
        check_all(check, arguments[1:])
    except Damaged as damage:
        print(damage, file=sys.stderr)
        return 65
    except (OSError, EOFError, zlib.error) as error:
        print('cannot be read: %s' % error, file=sys.stderr)
        return 66
    print('intact: %d lines, %d checkpoints, signed up to line %d' %
          (check.lines, check.checkpoints, check.signed))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
