#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A store read off its host, with its recovery key: without an agent, and without any code of mortise.

read_store.py DIRECTORY RECOVERY-FILE           checks all of it, and lists the paths
read_store.py DIRECTORY RECOVERY-FILE PATH      prints a secret's current value, byte for byte

Written from docs/store.md. Needs python3-nacl. No agent may have the store open. Exit status 1: it
is not what mortise wrote, with what is wrong; 2: it cannot be read.
"""

import hashlib
import hmac
import sqlite3
import struct
import sys

from nacl import bindings
from nacl.exceptions import CryptoError

FORMAT = 3
ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
HALF, NUMBERS = 1 << 62, (1 << 40) - 1
SLOT, POLICY, AUDIT, ANCHOR, FLOOR, GAP = range(1, 7)                        # kinds of item
WRAP, INDEX, LABEL, TALLY, AUDIT_KEY = range(1, 6)                           # purposes of keys
VALUE, DATA_KEY, HEAD, INFO, OF_POLICY, OF_AUDIT, OF_SLOT, OF_ANCHOR = range(1, 9)  # of ciphertexts
# Tags of records.
T_PATH, T_VERSION, T_ITEMS, T_TOKEN, T_NUMBER, T_KIND, T_TIME, T_TOTAL = 3, 5, 9, 10, 16, 22, 28, 30
T_DELETED, T_SALT, T_PUBLIC, T_BOX, T_PLACE, T_HEAD, T_INFO, T_WRAPPED, T_HASH = (
    33, 51, 52, 53, 64, 65, 66, 67, 68)
RECORD_SLOT, RECORD_HEAD, RECORD_INFO, RECORD_SECRET = 1, 2, 3, 8


class Damaged(Exception):
    """It is not what mortise wrote."""


def u64(number):
    return struct.pack('<Q', number)


def blake2b(key, data, size=32):
    return hashlib.blake2b(data, key=key, digest_size=size).digest()


# ---- frames ----

def fields_of(data):
    """{tag: bytes} of a run of fields, whose tags ascend."""
    fields, at, last = {}, 0, 0
    while at < len(data):
        if len(data) - at < 6:
            raise Damaged('a field is cut off')
        tag, size = struct.unpack_from('<HI', data, at)
        if tag <= last or tag > 511 or size > len(data) - at - 6:
            raise Damaged('fields are out of order, or larger than their record')
        fields[tag] = data[at + 6:at + 6 + size]
        at, last = at + 6 + size, tag
    return fields


def items_of(data):
    """The items of a list."""
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise Damaged('an item is cut off')
        size = struct.unpack_from('<I', data, at)[0]
        if size > len(data) - at - 4:
            raise Damaged('an item is larger than its list')
        yield data[at + 4:at + 4 + size]
        at += 4 + size


def record_of(data, code):
    """{tag: bytes} of a record of this kind."""
    if len(data) < 12:
        raise Damaged('a record is cut off')
    frame, kind, version, size = struct.unpack_from('<HHII', data)
    if (frame, kind, version, size) != (1, code, 0, len(data) - 12):
        raise Damaged('a record is not of its kind')
    return fields_of(data[12:])


def number_of(fields, tag):
    if len(fields.get(tag, b'')) != 8:
        raise Damaged('a number has not eight bytes')
    return struct.unpack('<Q', fields[tag])[0]


# ---- keys ----

def recovery_key(path):
    """The bits of the key in a recovery file: five for each character but the check of each group."""
    with open(path) as file:
        typed = next((line.strip() for line in file if line.strip() and line[0] != '#'), '')
    digits, group = [], []
    for character in typed.upper().translate(str.maketrans('OIL', '011', '- ')):
        group.append(ALPHABET.index(character))
        if len(group) < 5:
            continue
        check = 0
        for digit in group[:4]:
            check = times_x(check ^ digit)
        if check ^ (len(digits) // 4) != group[4]:
            raise ValueError('group %d of the recovery key is mistyped' % (len(digits) // 4 + 1))
        digits, group = digits + group[:4], []
    if len(digits) != 52 or group:
        raise ValueError('a recovery key has 13 groups of five characters')
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return (number >> 4).to_bytes(32, 'big')


def times_x(digit):
    """In GF(32) modulo x^5 + x^2 + 1."""
    return digit << 1 ^ (0x25 if digit & 16 else 0)


def purpose_key(master, purpose):
    """crypto_kdf_derive_from_key of libsodium."""
    return hashlib.blake2b(key=master, digest_size=32, salt=u64(purpose) + bytes(8),
                           person=b'mortise1' + bytes(8)).digest()


def open_sealed(key, sealed, kind, uuid, secret, number, epoch):
    binding = struct.pack('<B16sQQQ', kind, uuid, secret, number, epoch)
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[24:], binding, sealed[:24], key)
    except (CryptoError, ValueError, AssertionError):
        raise Damaged('a ciphertext is not one of its place') from None


class Store:
    """All that is in a store but the values, once its tally was found right."""

    def __init__(self, directory, h):
        self.database = sqlite3.connect('file:%s/store.db?mode=ro' % directory, uri=True)
        self.read_meta()
        self.master = self.open_slot(h)
        self.keys = {purpose: purpose_key(self.master, purpose) for purpose in range(1, 7)}
        self.rows = self.read_rows()
        if not hmac.compare_digest(self.tally_now(), self.tally):
            raise Damaged('the tally is not that of what is there')
        self.secrets = {number: self.read_secret(number, record)
                        for number, record in self.rows.items()}
        self.numbers = {secret['path']: number for number, secret in self.secrets.items()}
        if len(self.numbers) != len(self.secrets):
            raise Damaged('two secrets have one path')

    def query(self, text, *arguments):
        try:
            return self.database.execute(text, arguments).fetchall()
        except sqlite3.DatabaseError as error:
            raise Damaged('SQLite: %s' % error) from None

    def read_meta(self):
        rows = self.query('SELECT format, uuid, epoch, generation, last, tally FROM meta')
        if len(rows) != 1 or rows[0][0] != FORMAT:
            raise Damaged('it has not format %d' % FORMAT)
        _, self.uuid, self.epoch, self.generation, self.last, self.tally = rows[0]
        if len(self.uuid) != 16 or len(self.tally) != 32 or not 0 <= self.last <= NUMBERS:
            raise Damaged('its identity is none')
        self.items = self.query('SELECT kind, number, body FROM item WHERE epoch=? '
                                'ORDER BY kind, number', self.epoch)

    def open_slot(self, h):
        """The master key, from the first slot that this key opens."""
        for kind, number, body in self.items:
            if kind != SLOT:
                continue
            fields = record_of(body, RECORD_SLOT)
            if fields.get(T_KIND) not in (b'recovery', b'recovery-shares', b'escrow'):
                continue
            secret_half = blake2b(h, fields[T_SALT])
            public_half = bindings.crypto_scalarmult_base(secret_half)
            try:
                plain = bindings.crypto_box_seal_open(fields[T_BOX], public_half, secret_half)
            except CryptoError:
                continue
            if plain[:32] != self.uuid + u64(number) + u64(self.epoch):
                raise Damaged('slot %d is another\'s' % number)
            return plain[32:]
        raise ValueError('this key opens no slot of it')

    def read_rows(self):
        first = (self.epoch & 1) * HALF
        return {number - first: record for number, record in self.query(
            'SELECT number, record FROM secret WHERE number>? AND number<=? ORDER BY number',
            first, first + NUMBERS)}

    def tally_now(self):
        key = self.keys[TALLY]
        level = {number: blake2b(key, b'\1' + u64(number) + u64(len(record)) + record)
                 for number, record in self.rows.items()}
        height = 0
        while True:
            level = self.next_level(level, height)
            height += 1
            if self.last < 16 ** height:
                break
        items = b''.join(
            u64(kind) + u64(number)
            + blake2b(key, b'\3' + u64(kind) + u64(number) + u64(len(body)) + body)
            for kind, number, body in self.items)
        return blake2b(key, b'\4' + u64(FORMAT) + self.uuid + u64(self.epoch)
                       + u64(self.generation) + u64(self.last) + items + level.get(0, bytes(32)))

    def next_level(self, below, number):
        """The nodes of a level, from the rows or nodes below it."""
        children = {}
        for place, digest in sorted(below.items()):
            children.setdefault(place // 16, []).append((place % 16, digest))
        return {place: blake2b(self.keys[TALLY], b'\2' + u64(number) + u64(place)
                               + u64(sum(1 << bit for bit, _ in pairs))
                               + b''.join(digest for _, digest in pairs))
                for place, pairs in children.items()}

    def read_secret(self, number, record):
        fields = record_of(record, RECORD_SECRET)
        if set(fields) != {T_ITEMS, T_HEAD, T_HASH}:
            raise Damaged('secret number %d has a field of another kind' % number)
        head = record_of(open_sealed(self.keys[LABEL], fields[T_HEAD], HEAD, self.uuid, number, 0,
                                     self.epoch), RECORD_HEAD)
        path = head[T_PATH]
        if fields[T_HASH] != blake2b(self.keys[INDEX], path)[:16]:
            raise Damaged('secret number %d has another path' % number)
        versions = {}
        for item in items_of(fields[T_ITEMS]):
            version = fields_of(item)
            if set(version) != {T_VERSION, T_PLACE, T_INFO, T_WRAPPED}:
                raise Damaged('a version has a field of another kind')
            versions[number_of(version, T_VERSION)] = version
        return {'path': path.decode(), 'current': number_of(head, T_VERSION),
                'is_deleted': T_DELETED in head, 'versions': versions}

    def info(self, number, version):
        """{tag: bytes} of what is said of a version."""
        sealed = self.secrets[number]['versions'][version][T_INFO]
        return record_of(open_sealed(self.keys[LABEL], sealed, INFO, self.uuid, number, version,
                                     self.epoch), RECORD_INFO)

    def data_key(self, number, version):
        return open_sealed(self.keys[WRAP], self.secrets[number]['versions'][version][T_WRAPPED],
                           DATA_KEY, self.uuid, number, version, self.epoch)

    def value(self, number, version):
        fields = self.secrets[number]['versions'][version]
        data_key = self.data_key(number, version)
        rows = self.query('SELECT bytes FROM value WHERE place=? AND secret=? AND version=?',
                          number_of(fields, T_PLACE), number, version)
        if not rows:
            raise Damaged('%s: version %d has no value' % (self.secrets[number]['path'], version))
        return open_sealed(data_key, rows[0][0], VALUE, self.uuid, number, version, 0)

    def has_leftovers(self):
        """Of a rekey that was cut off: its values are no version's."""
        first = (self.epoch & 1) * HALF
        return bool(self.query('SELECT 1 FROM secret WHERE number<=? OR number>? LIMIT 1', first,
                               first + NUMBERS)
                    or self.query('SELECT 1 FROM item WHERE epoch<>? LIMIT 1', self.epoch))

    def check(self):
        """Every value and what is said of it, and that there are no others; how many values."""
        count = 0
        for number, secret in self.secrets.items():
            for version in secret['versions']:
                if number_of(self.info(number, version), T_TOTAL) != len(self.value(number, version)):
                    raise Damaged('%s: version %d has another size' % (secret['path'], version))
                count += 1
        if not self.has_leftovers() and self.query('SELECT count(*) FROM value') != [(count,)]:
            raise Damaged('there are values that were never written')
        return count


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    store = Store(arguments[0], recovery_key(arguments[1]))
    if len(arguments) == 2:
        count = store.check()
        for path in sorted(store.numbers):
            print(path)
        print('store: intact, %d values' % count, file=sys.stderr)
        return 0
    number = store.numbers.get(arguments[2])
    secret = store.secrets.get(number)
    if not secret or secret['is_deleted'] or not secret['current']:
        raise ValueError('%s: there is none' % arguments[2])
    sys.stdout.buffer.write(store.value(number, secret['current']))
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except Damaged as damage:
        print('read_store: damaged: %s' % damage, file=sys.stderr)
        sys.exit(1)
    except KeyError:
        print('read_store: damaged: a record lacks a field', file=sys.stderr)
        sys.exit(1)
    except (OSError, ValueError, sqlite3.Error) as error:
        print('read_store: %s' % error, file=sys.stderr)
        sys.exit(2)
