# SPDX-License-Identifier: ISC
"""wire: frames made by hand, for what the command line would never send (docs/protocol.md)."""

import os
import socket
import struct

HELLO, STATUS, GET, SET, GREET = 1, 2, 16, 17, 256
CHALLENGE, TEXT, PATH, PATHS, VALUE, ITEM_STATUS, ITEMS, TOKEN = 1, 2, 3, 4, 7, 8, 9, 10
DEADLINE_S = 10


def pack(code, fields, request_id=1):
    body = b''.join(struct.pack('<HI', tag, len(data)) + data
                    for tag, data in sorted(fields.items()))
    return struct.pack('<HHII', 1, code, request_id, len(body)) + body


def fields_of(body):
    fields = {}
    while body:
        tag, size = struct.unpack_from('<HI', body)
        fields[tag], body = body[6:6 + size], body[6 + size:]
    return fields


def unpack(frame):
    version, code, _, size = struct.unpack_from('<HHII', frame)
    assert version == 1 and size == len(frame) - 12, frame[:12]
    return code, fields_of(frame[12:])


def item(data):
    return struct.pack('<I', len(data)) + data


def get_frame(path):
    return pack(GET, {PATHS: item(path.encode())})


def connect(path):
    """A connection whose connector the agent knows, on old kernels too."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(DEADLINE_S)
    connection.connect(path)
    connection.send(pack(STATUS, {}))
    code, fields = unpack(connection.recv(131072))
    if code == GREET:
        connection.send(pack(HELLO, {CHALLENGE: fields[CHALLENGE]}))
        assert unpack(connection.recv(131072))[0] == 0
    return connection


def ask(connection, frame):
    """(code, fields) of the reply; None if the agent hung up instead."""
    try:
        connection.send(frame)
        reply = connection.recv(131072)
    except (ConnectionResetError, BrokenPipeError):
        return None
    return unpack(reply) if reply else None


def get(connection, path):
    """(status, value) of one secret."""
    code, fields = ask(connection, get_frame(path))
    if code != 0:
        return code, None
    found = fields_of(fields[ITEMS][4:])
    return struct.unpack('<Q', found[ITEM_STATUS])[0], found.get(VALUE)


def statuses(items):
    """The status of each item of an answer."""
    found = []
    while items:
        size, = struct.unpack_from('<I', items)
        found += struct.unpack('<Q', fields_of(items[4:4 + size])[ITEM_STATUS])
        items = items[4 + size:]
    return found


def set(connection, path, value):
    """The status of a set."""
    frame = pack(SET, {PATH: path.encode(), VALUE: value, TOKEN: os.urandom(16)})
    return ask(connection, frame)[0]
