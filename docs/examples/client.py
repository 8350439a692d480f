#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""libmortise from Python, by ctypes.

client.py get PATH            prints a secret, byte for byte
client.py set PATH <VALUE     stores a version
"""

import contextlib
import ctypes
import os
import sys

VALUE_MAX = 65536
DENIED, NOT_FOUND, SEALED, BUSY, UNREACHABLE = 2, 3, 5, 6, 10

lib = ctypes.CDLL('libmortise.so.1')
lib.mortise_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
lib.mortise_close.argtypes = [ctypes.c_void_p]
lib.mortise_close.restype = None
lib.mortise_set_deadline.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
lib.mortise_set_deadline.restype = None
lib.mortise_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
                            ctypes.POINTER(ctypes.c_size_t)]
lib.mortise_set.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t,
                            ctypes.POINTER(ctypes.c_uint64)]
lib.mortise_wipe.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
lib.mortise_wipe.restype = None
lib.mortise_message.argtypes = [ctypes.c_void_p]
lib.mortise_message.restype = ctypes.c_char_p


class MortiseError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Mortise:
    """A connection, for one thread at a time."""

    def __init__(self, socket=None, wait_s=0):
        self._agent = ctypes.c_void_p()
        status = lib.mortise_open(socket.encode() if socket else None, ctypes.byref(self._agent))
        try:
            self._check(status)
        except MortiseError:
            self.close()
            raise
        lib.mortise_set_deadline(self._agent, 10000, int(wait_s * 1000))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        lib.mortise_close(self._agent)
        self._agent = ctypes.c_void_p()

    def _check(self, status):
        if status != 0:
            message = lib.mortise_message(self._agent) if self._agent else b'out of memory'
            raise MortiseError(status, message.decode(errors='replace'))

    @contextlib.contextmanager
    def secret(self, path):
        """The value as a memoryview, which is wiped when the block ends."""
        buffer = ctypes.create_string_buffer(VALUE_MAX)
        size = ctypes.c_size_t()
        try:
            self._check(lib.mortise_get(self._agent, path.encode(), buffer, VALUE_MAX,
                                        ctypes.byref(size)))
            yield memoryview(buffer).cast('B')[:size.value]
        finally:
            lib.mortise_wipe(buffer, VALUE_MAX)

    def set(self, path, value):
        version = ctypes.c_uint64()
        self._check(lib.mortise_set(self._agent, path.encode(), value, len(value),
                                    ctypes.byref(version)))
        return version.value


def main():
    verb, path = sys.argv[1:]
    try:
        with Mortise() as agent:
            if verb == 'set':
                print('version', agent.set(path, sys.stdin.buffer.read()))
            else:
                with agent.secret(path) as value:
                    while value:
                        value = value[os.write(1, value):]
    except MortiseError as error:
        print('client.py:', error, file=sys.stderr)
        sys.exit(error.status)


if __name__ == '__main__':
    main()
