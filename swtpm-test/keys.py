# SPDX-License-Identifier: ISC
"""keys: the way from a recovery key, or a TPM, to the master key, without any code of mortise.

Written from the descriptions in agent/vault (slots, recovery, envelope) alone, so that it also
proves that a store opens off its host.
"""

import ctypes
import ctypes.util
import hashlib
import os
import sqlite3
import struct
import tempfile

import wire
from tpm import tool

ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
KIND, BLOB, SALT, BOX = 22, 41, 51, 53
SLOT_ITEM = 1
PURPOSES = {'kek': 1, 'index': 2, 'label': 3, 'tally': 4, 'audit': 5, 'twin': 6}


def sodium():
    library = ctypes.CDLL(ctypes.util.find_library('sodium') or 'libsodium.so.23')
    assert library.sodium_init() >= 0
    return library


def typed_key(path):
    """The recovery key in a recovery file, as it is typed."""
    with open(path) as file:
        return next(line.strip() for line in file if line.strip() and line[0] != '#')


def key_bits(typed):
    """Five bits a character; the fifth of each group is its check, the last four bits are none."""
    digits = [ALPHABET.index(character) for group in typed.split('-') for character in group[:4]]
    number = 0
    for digit in digits:
        number = number << 5 | digit
    assert len(digits) == 52 and number & 15 == 0
    return (number >> 4).to_bytes(32, 'big')


def read_slots(store):
    """(uuid, epoch, {kind: (id, fields)}) of a store that no agent has open."""
    database = sqlite3.connect(store + '/store.db')
    uuid, epoch = database.execute('SELECT uuid, epoch FROM meta').fetchone()
    rows = database.execute('SELECT number, body FROM item WHERE kind=?', (SLOT_ITEM,)).fetchall()
    database.close()
    slots = {}
    for number, body in rows:
        _, fields = wire.unpack(body)
        slots[fields[KIND].decode()] = number, fields
    return uuid, epoch, slots


def master_key(store, kind, h):
    """The master key in the slot of that kind, opened with h."""
    library = sodium()
    uuid, epoch, slots = read_slots(store)
    number, fields = slots[kind]
    secret = hashlib.blake2b(fields[SALT], key=h, digest_size=32).digest()
    public = ctypes.create_string_buffer(32)
    library.crypto_scalarmult_base(public, secret)
    plain = ctypes.create_string_buffer(len(fields[BOX]) - 48)
    code = library.crypto_box_seal_open(plain, fields[BOX], ctypes.c_ulonglong(len(fields[BOX])),
                                        public, secret)
    assert code == 0, 'the slot does not open'
    found_uuid, found_number, found_epoch, key = struct.unpack('<16sQQ32s', plain.raw)
    assert (found_uuid, found_number, found_epoch) == (uuid, number, epoch)
    return key


def derived(master):
    """{name: key} of the keys below the master key."""
    library = sodium()
    keys = {}
    for name, number in PURPOSES.items():
        out = ctypes.create_string_buffer(32)
        library.crypto_kdf_derive_from_key(out, ctypes.c_size_t(32), ctypes.c_uint64(number),
                                           b'mortise1', master)
        keys[name] = out.raw
    return keys


def tpm_h(store, tcti):
    """h, as tpm2-tools unseal it; in the clear, so that a recording through tcti shows it."""
    _, _, slots = read_slots(store)
    blob = slots['tpm2'][1][BLOB]
    with tempfile.TemporaryDirectory() as directory:
        at, names = 2, []
        for name in ('public', 'private'):
            size = 2 + struct.unpack_from('>H', blob, at)[0]
            names.append(os.path.join(directory, name))
            with open(names[-1], 'wb') as file:
                file.write(blob[at:at + size])
            at += size
        context = os.path.join(directory, 'context')
        tool(tcti, 'tpm2_load', '-C', '0x81000001', '-u', names[0], '-r', names[1], '-c', context)
        h = tool(tcti, 'tpm2_unseal', '-c', context)
        tool(tcti, 'tpm2_flushcontext', '-t')
    return h
