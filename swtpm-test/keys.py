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


def read_items(store):
    """(uuid, epoch, {slot id: fields of its record}) of a store that no agent has open."""
    database = sqlite3.connect(store + '/store.db')
    uuid, epoch = database.execute('SELECT uuid, epoch FROM meta').fetchone()
    rows = database.execute('SELECT number, body FROM item WHERE kind=?', (SLOT_ITEM,)).fetchall()
    database.close()
    return uuid, epoch, {number: wire.unpack(body)[1] for number, body in rows}


def read_slots_by_id(store):
    return read_items(store)[2]


def slot_of_kind(store, kind):
    """The last of that kind: (id, fields)."""
    return next(pair for pair in sorted(read_slots_by_id(store).items(), reverse=True)
                if pair[1][KIND].decode() == kind)


def slot_secret(fields, h):
    """The secret half of a slot's key."""
    return hashlib.blake2b(fields[SALT], key=h, digest_size=32).digest()


def opened(store, number, h):
    """The master key in the slot of that id, opened with h."""
    library = sodium()
    uuid, epoch, slots = read_items(store)
    fields = slots[number]
    secret = slot_secret(fields, h)
    public = ctypes.create_string_buffer(32)
    library.crypto_scalarmult_base(public, secret)
    plain = ctypes.create_string_buffer(len(fields[BOX]) - 48)
    code = library.crypto_box_seal_open(plain, fields[BOX], ctypes.c_ulonglong(len(fields[BOX])),
                                        public, secret)
    assert code == 0, 'the slot does not open'
    found_uuid, found_number, found_epoch, key = struct.unpack('<16sQQ32s', plain.raw)
    assert (found_uuid, found_number, found_epoch) == (uuid, number, epoch)
    return key


def master_key(store, kind, h):
    return opened(store, slot_of_kind(store, kind)[0], h)


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


def load(tcti, blob, directory):
    """Loads what a TPM slot has sealed, with tpm2-tools: the context's file."""
    at, names = 2, []
    for name in ('public', 'private'):
        size = 2 + struct.unpack_from('>H', blob, at)[0]
        names.append(os.path.join(directory, name))
        with open(names[-1], 'wb') as file:
            file.write(blob[at:at + size])
        at += size
    context = os.path.join(directory, 'context')
    tool(tcti, 'tpm2_load', '-C', '0x81000001', '-u', names[0], '-r', names[1], '-c', context)
    return context


def unsealed(tcti, blob, *authorisation):
    """h, as tpm2-tools unseal it; in the clear, so that a recording through tcti shows it."""
    with tempfile.TemporaryDirectory() as directory:
        context = load(tcti, blob, directory)
        h = tool(tcti, 'tpm2_unseal', '-c', context, *authorisation)
        tool(tcti, 'tpm2_flushcontext', '-t')
    return h


def tpm_h(store, tcti):
    return unsealed(tcti, slot_of_kind(store, 'tpm2')[1][BLOB])
