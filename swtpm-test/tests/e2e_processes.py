#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The keeper as the kernel sees it: what it maps, who it is, who may look into it."""

import contextlib
import ctypes
import os
import subprocess
import sys

import keys
import tap
import wire
from agent import AGENT_USER, in_child, is_gone
from tap import Skip, same, test, until

PATH = 'prod/db/password'
PTRACE_SEIZE = 0x4206

def facts_of(pid):
    with open('/proc/%d/status' % pid) as file:
        return dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)


def maps_of(pid):
    with open('/proc/%d/maps' % pid) as file:
        return file.read()


def find_in_memory(pid, needles):
    """The names of those needles that root finds in the readable memory of a process."""
    found = set()
    with open('/proc/%d/mem' % pid, 'rb', buffering=0) as memory:
        for line in maps_of(pid).splitlines():
            begin, end = (int(part, 16) for part in line.split()[0].split('-'))
            try:
                memory.seek(begin)
                content = memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue  # a guard page, or the kernel's own
            found |= {name for name, needle in needles.items() if needle in content}
    return found


def spy_on(pid):
    """How this process may look into another: bytes."""
    seen = []
    with contextlib.suppress(PermissionError), open('/proc/%d/mem' % pid, 'rb'):
        seen.append(b'mem')
    if ctypes.CDLL(None).ptrace(PTRACE_SEIZE, pid, None, None) == 0:
        seen.append(b'ptrace')
    return b' '.join(seen)


def needles_of(agent):
    """What must not be seen, by name; the agent is sealed for a moment to read its store."""
    agent.stop()
    bits = keys.key_bits(keys.typed_key(agent.recovery))
    master = keys.master_key(agent.store, 'recovery', bits)
    agent.start()
    agent.do('status', '--wait=20')
    return {'master': master, 'recovery': bits, **keys.derived(master)}


@test(root=True)
def the_keeper_neither_links_nor_maps_tpm2_tss_or_p11_kit(place):
    agent = place.ready()
    maps = maps_of(agent.keeper()) + maps_of(agent.process.pid)
    assert 'libsodium' in maps
    linked = subprocess.run(['ldd', agent.prefix + '/sbin/mortised'], capture_output=True,
                            check=True).stdout.decode()
    assert 'libsodium' in linked
    for text in (maps, linked):
        for name in ('tss2', 'p11-kit', 'pkcs11', 'libcrypto', 'jansson'):
            assert name not in text, name


@test(root=True)
def the_keeper_is_the_configured_user_without_any_capability_under_seccomp(place):
    agent = place.ready()
    facts = facts_of(agent.keeper())
    uid, gid = (subprocess.check_output(['id', option, AGENT_USER]).decode().strip()
                for option in ('-u', '-g'))
    same(facts['Uid'].split(), [uid] * 4)
    same(facts['Gid'].split(), [gid] * 4)
    assert facts['Groups'].split() in ([], [gid]), facts['Groups']
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
        same(int(facts[name], 16), 0, name)
    same((facts['Seccomp'], facts['NoNewPrivs']), ('2', '1'))
    same(facts['Threads'] in ('1', '2'), True)


@test(root=True)
def the_keeper_has_no_descriptor_but_its_own(place):
    agent = place.agent()
    inherited = os.open('/etc/hostname', os.O_RDONLY)
    os.set_inheritable(inherited, True)
    agent.start()
    agent.init()
    os.close(inherited)
    files = set()
    for number in os.listdir('/proc/%d/fd' % agent.keeper()):
        with contextlib.suppress(FileNotFoundError):  # a connection that just ended
            files.add(os.readlink('/proc/%d/fd/%s' % (agent.keeper(), number)))
    allowed = (agent.store, os.path.dirname(agent.audit), agent.path + '/stderr', '/dev/null',
               '/proc', '/memfd:', '/secretmem')
    same({name for name in files if name[0] == '/' and not name.startswith(allowed)}, set())


@test(root=True)
def the_agents_own_user_cannot_look_into_the_keeper(place):
    agent = place.ready()
    other = subprocess.Popen(['sleep', '600'], user=AGENT_USER, group=AGENT_USER)
    try:
        same(in_child(AGENT_USER, lambda: spy_on(other.pid)), b'mem ptrace', 'its own process')
    finally:
        other.kill()
        other.wait()
    same(in_child(AGENT_USER, lambda: spy_on(agent.keeper())), b'')
    same(os.stat('/proc/%d/mem' % agent.keeper()).st_uid, 0, 'dumpable')
    with open('/proc/%d/limits' % agent.keeper()) as file:
        core = next(line for line in file if line.startswith('Max core'))
    same(core.split()[4:6], ['0', '0'])


@test(root=True)
def after_seal_the_keepers_memory_holds_neither_keys_nor_values(place):
    prefix = os.environ.get('MORTISE_TEST_PREFIX_READABLE')
    if not prefix:
        raise Skip('MORTISE_TEST_PREFIX_READABLE (-Dmemfd_secret=false) is not set')
    agent = place.ready(prefix_path=prefix)
    needles = needles_of(agent)
    values = {'value %d' % number: os.urandom(48) for number in range(20)}
    for name, value in values.items():
        agent.set('prod/' + name.replace(' ', '-'), value)
        same(agent.get('prod/' + name.replace(' ', '-')), value)
    needles.update(values)
    keeper = agent.keeper()
    before = find_in_memory(keeper, needles)
    print('# before the seal: ' + ', '.join(sorted(before)))
    assert {'master', 'kek', 'index', 'label', 'tally'} <= before, before
    lazy = wire.connect(agent.socket)
    values['unread'] = needles['unread'] = os.urandom(65536)
    agent.set(PATH, values['unread'])
    lazy.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(64):
            lazy.send(wire.get_frame(PATH))
    until(lambda: 'unread' in find_in_memory(keeper, values))
    agent.do('seal', '--yes')
    same(agent.keeper(), keeper, 'the same process')
    same(find_in_memory(keeper, needles), set(), 'after the seal')


@test
def the_scan_finds_a_value_in_a_process_that_holds_it(place):
    value = os.urandom(48)
    holder = subprocess.Popen(
        [sys.executable, '-c', 'import sys; v = sys.stdin.buffer.read(48); print(flush=True); '
         'sys.stdin.read()'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdin.write(value)
    holder.stdin.flush()
    holder.stdout.readline()
    same(find_in_memory(holder.pid, {'value': value, 'other': os.urandom(48)}), {'value'})
    holder.communicate()


@test(root=True)
def with_memfd_secret_root_sees_no_key_even_while_unsealed(place):
    agent = place.ready()
    if agent.status()['memory'] != 'memfd_secret':
        raise Skip('this kernel has no memfd_secret')
    needles = needles_of(agent)
    needles['value'] = os.urandom(48)
    agent.set(PATH, needles['value'])
    same(agent.get(PATH), needles['value'])
    same(find_in_memory(agent.keeper(), needles), set())


@test(root=True)
def neither_monitor_nor_log_nor_any_file_ever_holds_a_key_or_value(place):
    agent = place.ready()
    needles = needles_of(agent)
    typed = keys.typed_key(agent.recovery).encode()
    needles.update(value=os.urandom(48), typed=typed)
    agent.set(PATH, needles['value'])
    agent.get(PATH)
    agent.do('seal', '--yes')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    same(find_in_memory(agent.process.pid, needles), set())
    os.unlink(agent.recovery)
    for directory, _, files in os.walk(place.path):
        for name in files:
            if '.sock' in name:
                continue
            with open(os.path.join(directory, name), 'rb') as file:
                content = file.read()
            same({name for name, needle in needles.items() if needle in content}, set(), name)


@test
def the_keeper_goes_with_its_monitor(place):
    agent = place.ready()
    keeper = agent.keeper()
    agent.kill()
    until(lambda: is_gone(keeper))
    agent.start()
    same(agent.stop(), 0)
    assert not os.path.exists(agent.socket) or agent.run('status').status == 69


if __name__ == '__main__':
    tap.main()
