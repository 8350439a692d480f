#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Frames made by hand: descriptors that change hands, and bytes that no client would send."""

import array
import os
import pwd
import random
import socket
import struct

import tap
import wire
from agent import BOB, in_child
from tap import same, test, until

PATH = 'prod/db/password'
REQUEST_ID = range(4, 8)  # any will do


def shared(place):
    agent = place.ready()
    agent.set(PATH, b'hunter2')
    return agent


def ask_once(connection):
    reply = wire.ask(connection, wire.get_frame(PATH))
    return b'hung up' if reply is None else b'answered %d' % reply[0]


def uid_of(user):
    return pwd.getpwnam(user).pw_uid


def descriptors_of(agent):
    return len(os.listdir('/proc/%d/fd' % agent.keeper()))


@test(root=True)
def a_descriptor_opened_by_root_and_used_by_a_child_as_nobody_is_refused(place):
    agent = shared(place)
    for user in ('nobody', BOB):
        connection = wire.connect(agent.socket)
        same(wire.get(connection, PATH), (0, b'hunter2'), 'root itself')
        same(in_child(user, lambda: ask_once(connection)), b'hung up', user)
        same(wire.ask(connection, wire.get_frame(PATH)), None, 'root, afterwards')
    records = agent.do('audit', 'show', '--op=connect', '--json').json()['records']
    same({record['uid'] for record in records}, {uid_of('nobody'), uid_of(BOB)})
    same({record['result'] for record in records}, {'denied'})


@test
def a_descriptor_used_by_a_child_of_the_same_user_is_refused(place):
    agent = shared(place)
    connection = wire.connect(agent.socket)
    same(in_child(None, lambda: ask_once(connection)), b'hung up')
    same(in_child(None, lambda: ask_once(wire.connect(agent.socket))), b'answered 0')


@test(root=True)
def a_descriptor_that_was_not_yet_used_is_refused_to_another_process_too(place):
    agent = shared(place)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(wire.DEADLINE_S)
    connection.connect(agent.socket)
    same(in_child(BOB, lambda: ask_once(connection)), b'hung up')


@test(root=True)
def a_descriptor_passed_to_another_user_carries_no_authority(place):
    agent = shared(place)
    connection = wire.connect(agent.socket)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(ours, [b'x'], [connection.fileno()])

    def receive():
        _, passed, _, _ = socket.recv_fds(theirs, 1, 1)
        other = socket.socket(fileno=passed[0])
        other.settimeout(wire.DEADLINE_S)
        return ask_once(other)
    same(in_child(BOB, receive), b'hung up')


@test(root=True)
def credentials_that_root_makes_up_for_another_process_are_refused(place):
    agent = shared(place)
    connection = wire.connect(agent.socket)
    parent = struct.pack('iII', os.getppid(), 0, 0)
    connection.sendmsg([wire.get_frame(PATH)],
                       [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, parent)])
    same(connection.recv(100), b'')


@test(root=True)
def descriptors_sent_along_do_not_stay_with_the_agent(place):
    agent = shared(place)
    wire.get(wire.connect(agent.socket), PATH)
    before = until(lambda: descriptors_of(agent))
    for _ in range(20):
        connection = wire.connect(agent.socket)
        with open('/dev/null') as null:
            passed = array.array('i', [null.fileno()] * 253)
            connection.sendmsg([wire.get_frame(PATH)],
                               [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        connection.close()
    until(lambda: descriptors_of(agent) <= before)
    same(agent.get(PATH), b'hunter2')


@test
def broken_frames_end_their_connection_or_get_an_error_and_others_are_served(place):
    agent = shared(place)
    good = wire.get_frame(PATH)
    broken = [b'\0', good[:11], good[:-1], good + b'\0', b'\2' + good[1:], bytes(131072),
              good[:8] + struct.pack('<I', 0xffffffff) + good[12:],
              wire.pack(wire.GET, {wire.PATHS: struct.pack('<I', 0xfffffff0) + b'prod'}),
              wire.pack(wire.GET, {}), wire.pack(999, {}), wire.pack(64, {}),
              wire.pack(wire.GET, {wire.PATHS: wire.item(PATH.encode()), 63: b'x'}),
              wire.pack(wire.GET, {wire.PATHS: wire.item(PATH.encode()) * 257}),
              wire.pack(wire.GET, {wire.PATHS: wire.item(PATH.encode() + b'\0')}),
              wire.pack(wire.STATUS, {2: b'x' * 60000})]
    source = random.Random(7)
    for _ in range(200):
        changed = bytearray(good)
        at = source.choice([at for at in range(len(changed)) if at not in REQUEST_ID])
        changed[at] ^= 1 << source.randrange(8)
        broken.append(bytes(changed))
    for frame in broken:
        reply = wire.ask(wire.connect(agent.socket), frame)
        assert reply is None or b'hunter2' not in b''.join(reply[1].values()), frame
    same(wire.get(wire.connect(agent.socket), PATH), (0, b'hunter2'))
    same(agent.log().count('keeper was ended'), 0)


@test
def an_unread_reply_ends_that_client_and_nobody_waits_for_it(place):
    agent = place.ready()
    agent.set(PATH, os.urandom(65536))
    lazy = wire.connect(agent.socket)
    lazy.setblocking(False)
    for _ in range(200):
        try:
            lazy.send(wire.get_frame(PATH))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            break
    same(len(agent.get(PATH)), 65536)


if __name__ == '__main__':
    tap.main()
