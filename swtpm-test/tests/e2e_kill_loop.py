#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""SIGKILL at any moment of what changes a store's keys and slots: it opens, and nothing that was
acknowledged is lost.

A round begins one of OPERATIONS, makes sets beside it, kills keeper and monitor at a random moment
(as long as the operation took when nothing killed it, and some more), starts the agent again
and looks. MORTISE_TEST_KILLS rounds are made; the long run is
  MORTISE_TEST_KILLS=1000 TMPDIR=/dev/shm python3 swtpm-test/tests/e2e_kill_loop.py
and MORTISE_TEST_SEED=N makes the choices of another run.
"""

import json
import os
import random
import signal
import time

import tap
from tap import same, test
from tpm import tool

ROUNDS = int(os.environ.get('MORTISE_TEST_KILLS', 16))
SECRETS = 200
SLOTS_KEPT = 9  # more are removed again: there is room for 16


class Slots:
    """What a round did to slots, and what must be true of it after the next start."""

    def __init__(self, place, agent):
        self.place, self.agent, self.count = place, agent, 0
        self.keys = {2: agent.recovery}  # of slots that were acknowledged
        self.pins = [self.pin()]
        self.pin_slot = self.add('--tpm2', '--tpm2-pin-file=' + self.pins[0])

    def pin(self):
        self.count += 1
        return self.place.file('pin-%d' % self.count, 'PIN %d' % self.count, 0o600)

    def key_file(self):
        self.count += 1
        return self.place('key-%d' % self.count)

    def add(self, *options):
        return self.agent.do('slot', 'add', '--json', *options).json()['slot']

    def list(self):
        found = self.agent.do('slot', 'list', '--json', '--wait=30').json()['slots']
        return {slot['id']: slot for slot in found}

    def to_reseal(self):
        """A slot of the TPM that opens by itself and is there to stay; one is always."""
        return next(number for number, slot in sorted(self.list().items(), reverse=True)
                    if slot['kind'] == 'tpm2' and 'pin' not in slot and slot['state'] == 'ready')

    def look(self):
        """What was acknowledged is there and opens; what is too much is removed."""
        found = self.list()
        assert self.pin_slot in found and set(self.keys) <= set(found), (self.keys, found)
        assert self.to_reseal()
        newest = max(self.keys)
        self.agent.do('slot', 'test', str(newest), '--recovery-file=' + self.keys[newest])
        self.settle_pin()
        spare = [number for number in found if number not in (2, self.pin_slot)
                 and found[number]['kind'] == 'recovery']
        for number in spare[:max(0, len(found) - SLOTS_KEPT)]:
            self.agent.do('slot', 'remove', str(number))
            self.keys.pop(number, None)
        hardware = [number for number in found if number != self.pin_slot
                    and found[number]['kind'] == 'tpm2' and found[number]['state'] == 'ready']
        for number in hardware[:-2]:
            self.agent.do('slot', 'remove', str(number))

    def recover_again(self):
        """What a recover that was cut off is followed by. It removes all slots of hardware."""
        result = self.agent.run('recover', '--yes', '--wait=60',
                                '--recovery-file=' + self.agent.recovery)
        assert result.status in (0, 73), result  # 73: it is unsealed
        if self.pin_slot not in self.list():
            self.pins = self.pins[-1:]
            self.pin_slot = self.add('--wait=60', '--tpm2', '--tpm2-pin-file=' + self.pins[0])

    def settle_pin(self):
        """The PIN is that which was acknowledged last, or the one that was tried after that."""
        if len(self.pins) == 1:
            return
        tool(self.agent.tcti, 'tpm2_dictionarylockout', '--clear-lockout')
        tried = {pin: self.agent.run('slot', 'test', '--wait=60', str(self.pin_slot),
                                     '--tpm2-pin-file=' + pin) for pin in self.pins}
        opens = [pin for pin, result in tried.items() if result.status == 0]
        same(len(opens), 1, tried)
        self.pins = opens


# Each begins something: its process, and what is to be noted if it is acknowledged.

def begin_rekey(slots):
    return slots.agent.popen('rekey'), None


def begin_reencryption(slots):
    return slots.agent.popen('rekey', '--reencrypt'), None


def begin_add(slots):
    path = slots.key_file()

    def note(out):
        slots.keys[json.loads(out)['slot']] = path
    return slots.agent.popen('slot', 'add', '--json', '--recovery', '--recovery-file=' + path), note


def begin_add_hardware(slots):
    return slots.agent.popen('slot', 'add', '--json', '--tpm2'), None


def begin_reseal(slots):
    return slots.agent.popen('slot', 'reseal', str(slots.to_reseal())), None


def begin_change_pin(slots):
    slots.pins = [*slots.pins[-1:], slots.pin()]

    def note(_):
        slots.pins = slots.pins[-1:]
    return slots.agent.popen('slot', 'change-pin', str(slots.pin_slot),
                             '--tpm2-pin-file=' + slots.pins[-1]), note


def begin_recover(slots):
    slots.agent.do('seal', '--yes')
    return slots.agent.popen('recover', '--yes', '--wait=1', '--recovery-file=' + slots.agent.recovery), None


def begin_nothing(_slots):
    return None, None


OPERATIONS = {'rekey': begin_rekey, 'rekey --reencrypt': begin_reencryption,
              'slot add': begin_add, 'slot add --tpm2': begin_add_hardware,
              'slot reseal': begin_reseal, 'slot change-pin': begin_change_pin,
              'recover': begin_recover, 'set': begin_nothing}


class Values:
    """Those that were acknowledged, and those that may have come after them."""

    def __init__(self, agent):
        self.agent, self.histories = agent, {}
        for number in range(SECRETS):
            path = 'prod/key/%d' % number
            agent.set(path, b'first')
            self.histories[path] = [('first', True)]

    def set_one(self, source):
        path, value = 'prod/key/%d' % source.randrange(SECRETS), source.randbytes(20).hex()
        result = self.agent.run('set', '--raw', '--json', path, input=value)
        self.histories[path].append((value, result.status == 0))

    def look(self, paths):
        found = self.agent.do('get', '--wait=60', *paths).text.split('\n')
        for path, value in zip(paths, found):
            history = self.histories[path]
            last = max(i for i, (_, is_told) in enumerate(history) if is_told)
            assert value in [value for value, _ in history[last:]], (path, value, history)
            self.histories[path] = [(value, True)]


def kill_later(agent, delay_s):
    """Forks a process that kills keeper and monitor after delay_s; its pid."""
    keeper, monitor = agent.keeper(), agent.process.pid
    child = os.fork()
    if child == 0:
        time.sleep(delay_s)
        os.kill(keeper, signal.SIGKILL)
        os.kill(monitor, signal.SIGKILL)
        os._exit(0)
    return child


def measure(slots):
    """{operation: for how long one is under way when nothing ends it}"""
    longest_s = {}
    for name, begin in OPERATIONS.items():
        began = time.monotonic()
        process, note = begin(slots)
        out, error = process.communicate(timeout=60) if process else (b'', b'')
        longest_s[name] = time.monotonic() - began if process else 0.02
        assert not process or process.returncode == 0, (name, out, error)
        if note:
            note(out)
    slots.recover_again()
    return longest_s


def kill_once(slots, values, source, name, longest_s):
    """One round; was the operation acknowledged?"""
    agent = slots.agent
    delay_s = source.random() * longest_s * 1.1
    began = time.monotonic()
    process, note = OPERATIONS[name](slots)
    child = kill_later(agent, delay_s)
    values.set_one(source)
    while time.monotonic() < began + delay_s:
        values.set_one(source)
    os.waitpid(child, 0)
    out = process.communicate(timeout=60)[0] if process else b''
    is_told = bool(process) and process.returncode == 0
    if is_told and note:
        note(out)
    agent.kill()
    # As the kernel's resource manager does for who dies. The monitor's own notes die with it.
    for kind in ('-t', '-l', '-s'):
        tool(agent.tcti, 'tpm2_flushcontext', kind)
    agent.start()
    if name == 'recover':
        slots.recover_again()
    return is_told


@test
def sigkill_at_any_moment_leaves_a_store_that_opens_with_all_that_was_acknowledged(place):
    seed = int(os.environ.get('MORTISE_TEST_SEED', random.randrange(1 << 30)))
    source = random.Random(seed)
    agent = place.ready(tpm2_lines=['deadline = 15'])
    slots, values = Slots(place, agent), Values(agent)
    longest_s = measure(slots)
    counts, told = dict.fromkeys(OPERATIONS, 0), dict.fromkeys(OPERATIONS, 0)
    for number in range(ROUNDS):
        name = list(OPERATIONS)[number % len(OPERATIONS)]
        counts[name] += 1
        told[name] += kill_once(slots, values, source, name, longest_s[name])
        slots.look()
        values.look(source.sample(sorted(values.histories), 20))
    same(agent.do('verify', '--wait=60').status, 0)
    same(agent.do('audit', 'verify').status, 0)
    for at in range(0, SECRETS, 50):
        values.look(sorted(values.histories)[at:at + 50])
    print('# seed %d, %d kills: %s; key epoch %d' % (seed, ROUNDS, ', '.join(
        '%s %d (%d acknowledged)' % (name, counts[name], told[name]) for name in counts),
        agent.status()['key_epoch']))


if __name__ == '__main__':
    tap.main()
