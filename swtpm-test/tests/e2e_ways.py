#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""One store and each way into it, with all other hardware away; what crosses the TPM's bus
meanwhile, and what is in the TPM afterwards, as tpm2-tools see it."""

import os
import pwd
import tempfile

import agent as fixtures
import keys
import tap
from pkcs11 import PIN, SOFTHSM, TPM2_PKCS11, SoftHsm, Tpm2Token
from tap import Skip, has, same, test, until
from tpm import AGENT_USER, IS_ROOT, tool

VALUES = {'prod/db/password': b'hunter2', 'prod/empty': b'', 'prod/large': b'\0\xff' * 32768}
NOWHERE = 'swtpm:path=/nonexistent/tpm.sock'


def own(path):
    """Gives all below path to whom the sealer runs as."""
    user = pwd.getpwnam(AGENT_USER)
    for directory, _, names in os.walk(path):
        for name in ['', *names] if IS_ROOT else []:
            os.chown(os.path.join(directory, name), user.pw_uid, user.pw_gid)


class Hardware:
    """A TPM and two tokens, each of which can be away."""

    def __init__(self, place):
        self.tpm = place.tpm()
        self.softhsm = SoftHsm(place('softhsm'))
        self.tpm2token = place.enter_context(Tpm2Token(place('tpm2token'), place.tpm('other')))
        self.stores = {'softhsm': self.softhsm.tokens,
                       'tpm2-pkcs11': self.tpm2token.env['TPM2_PKCS11_STORE']}
        own(place('softhsm'))
        own(self.stores['tpm2-pkcs11'])

    def leave(self, agent, name):
        """Only this one is there."""
        agent.tcti = self.tpm.tcti if name == 'tpm2' else NOWHERE
        for token, path in self.stores.items():
            if os.path.exists(path + '-away'):
                os.rename(path + '-away', path)
            if token != name:
                os.rename(path, path + '-away')


class AgentOfAll(fixtures.Agent):
    """Knows both tokens' modules, and a PIN that is that of both."""

    hardware = None

    def configure(self, lines=(), tpm2_lines=('deadline = 20',)):
        super().configure(lines, tpm2_lines)
        if self.hardware:
            env = {**self.hardware.softhsm.env, **self.hardware.tpm2token.env}
            with open(self.conf, 'a') as file:
                file.write('[pkcs11]\nmodules = %s %s\nenv = %s\npin-file = %s/pin\n' % (
                    SOFTHSM, TPM2_PKCS11, ' '.join('%s=%s' % pair for pair in env.items()),
                    self.path))


def slots(agent):
    """{id: facts}"""
    return {slot['id']: slot for slot in agent.do('slot', 'list', '--json').json()['slots']}


def add(agent, *options):
    return agent.do('slot', 'add', '--json', *options).json()['slot']


def opened_by(agent):
    """The slot that was the last to open."""
    return max(slots(agent).values(), key=lambda slot: slot.get('opened', ''))['id']


def agent_of_all(place):
    for path in (SOFTHSM, TPM2_PKCS11):
        if not os.path.exists(path):
            raise Skip('no ' + path)
    hardware = Hardware(place)
    agent = place.enter_context(AgentOfAll(place('agent'), hardware.tpm.tcti))
    place.agents.append(agent)
    pin = place.file('agent/pin', PIN + b'\n', 0o400)
    if IS_ROOT:
        os.chown(pin, pwd.getpwnam(AGENT_USER).pw_uid, -1)
    agent.hardware = hardware
    agent.configure()
    agent.start()
    return agent


def add_all(place, agent):
    """{way: (slot, options of unseal; None: it opens at a start)}"""
    half = agent.do('slot', 'escrow-key', '--recovery-file=' + place('fleet')).text
    shares = place('shares')
    ways = {
        'tpm2': (1, None), 'recovery': (2, ['--recovery-file=' + agent.recovery]),
        'softhsm': (add(agent, '--pkcs11=pkcs11:token=mortise-test'), None),
        'tpm2-pkcs11': (add(agent, '--pkcs11=pkcs11:token=mortise-tpm'), None),
        'shares': (add(agent, '--recovery-shares=3/5', '--recovery-file=' + shares),
                   ['--recovery-file=' + place('three')]),
        'escrow': (add(agent, '--recovery-public-key=' + place.file('fleet.pub', half)),
                   ['--recovery-file=' + place('fleet')])}
    with open(shares) as file:
        lines = [line for line in file if line.strip() and line[0] != '#']
    same(len(lines), 5)
    place.file('three', ''.join([lines[4], lines[0], lines[2]]), 0o600)
    return ways


@test
def one_store_is_opened_by_each_way_in_turn_with_all_other_hardware_away(place):
    agent = agent_of_all(place)
    # With an anchor the TPM must be there whatever opens, or `recover` is the way.
    agent.do('init', '--tpm2', '--no-anchor', '--recovery-file=' + agent.recovery)
    for path, value in VALUES.items():
        agent.set(path, value)
    ways = add_all(place, agent)
    for way, (slot, options) in ways.items():
        agent.stop()
        agent.hardware.leave(agent, way)
        agent.configure()
        agent.start()
        if options:
            until(lambda: agent.status()['state'] == 'sealed' and 'reason' in agent.status())
            same(agent.run('get', 'prod/db/password').status, 75, way)
            agent.do('unseal', *options)
        agent.do('status', '--wait=60')
        for path, value in VALUES.items():
            same(agent.get(path), value, way)
        same(opened_by(agent), slot, way)
        agent.set('prod/by', way.encode())
        same(agent.get('prod/by'), way.encode())
    same(agent.do('verify').status, 0)
    same(agent.do('audit', 'verify').status, 0)


# ---- the bus ----

def tpm_slots(store):
    """{id: fields of the record} of the TPM's slots."""
    return {number: fields for number, fields in keys.read_slots_by_id(store).items()
            if fields[keys.KIND] == b'tpm2'}


def add_key(needles, name, key):
    """All of it, and either half: less is found by chance, more than half is not all that leaks."""
    needles[name] = key
    needles[name + ', first half'] = key[:len(key) // 2]
    needles[name + ', second half'] = key[len(key) // 2:]


def found(needles, path):
    with open(path, 'rb') as file:
        recording = file.read()
    assert len(recording) > 1000, path
    return sorted(name for name, needle in needles.items() if needle in recording)


def work_on_the_tpm(place, agent):
    """All that the agent asks of a TPM; the id of the slot with PCRs in the end."""
    pin, newer = place('pin'), place('newer')
    agent.do('seal', '--yes')
    agent.do('unseal', '--tpm2-pin-file=' + pin)
    slot = add(agent, '--tpm2', '--pcrs=16,23')
    agent.do('slot', 'test', '1', '--tpm2-pin-file=' + pin)
    agent.do('slot', 'test', str(slot))
    agent.do('slot', 'suspend', str(slot))
    agent.do('slot', 'reseal', str(slot))
    agent.do('slot', 'change-pin', '1', '--tpm2-pin-file=' + newer)
    agent.do('seal', '--yes')
    agent.do('unseal', '--tpm2-pin-file=' + newer)
    agent.do('slot', 'test', '1', '--tpm2-pin-file=' + newer)
    agent.set('prod/db/password', b'value-canary')
    return next(number for number, facts in slots(agent).items() if 'pcrs' in facts)


@test
def no_recording_of_the_bus_shows_a_key_or_a_pin(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    agent = place.agent(tpm=tapped)
    pins = {'pin': b'PIN-canary-0123', 'newer': b'PIN-kanari-4567'}
    for name, pin in pins.items():
        place.file(name, pin, 0o600)
    tapped.start(place('bus.log'))
    agent.start()
    agent.do('init', '--tpm2', '--tpm2-pin-file=' + place('pin'),
             '--recovery-file=' + agent.recovery)
    agent.stop()
    first = tpm_slots(agent.store)[1]  # before its PIN is another
    agent.start()
    until(lambda: 'waits for its PIN' in agent.status().get('reason', ''))
    agent.do('unseal', '--tpm2-pin-file=' + place('pin'))
    slot = work_on_the_tpm(place, agent)
    agent.stop()
    tapped.stop()
    last = tpm_slots(agent.store)
    assert first[keys.BLOB] != last[1][keys.BLOB]
    tapped.start(place('control.log'))
    hs = {'slot 1': (keys.unsealed(tapped.tcti, first[keys.BLOB], '-p', pins['pin'].decode()), first),
          'slot 1, new PIN': (keys.unsealed(tapped.tcti, last[1][keys.BLOB], '-p',
                                   pins['newer'].decode()), last[1]),
          'PCR slot': (keys.unsealed(tapped.tcti, last[slot][keys.BLOB], '-p', 'pcr:sha256:16,23'),
                       last[slot])}
    for name, pin in pins.items():
        tool(tapped.tcti, 'tpm2_create', '-C', '0x81000001', '-p', pin.decode(),
             '-i', place(name), '-u', place('u'), '-r', place('r'))
    tapped.stop()
    needles, shown = {}, {}
    for name, (h, fields) in hs.items():
        add_key(shown, 'h of ' + name, h)
        add_key(needles, 'slot key of ' + name, keys.slot_secret(fields, h))
    shown.update(pins)
    master = keys.master_key(agent.store, 'recovery',
                             keys.key_bits(keys.typed_key(agent.recovery)))
    same(keys.opened(agent.store, slot, hs['PCR slot'][0]), master)
    for name, key in {'master': master, **keys.derived(master)}.items():
        add_key(needles, name, key)
    needles.update(shown, value=b'value-canary')
    same(found(needles, place('control.log')), sorted(shown), 'what is in the clear is found')
    same(found(needles, place('bus.log')), [], 'on the bus')


# ---- the TPM, from outside ----

def attributes(text):
    line = next(line for line in text.decode().splitlines() if 'value: ' in line and '|' in line)
    return set(line.split('value: ')[1].split('|'))


def lockouts(tcti):
    lines = tool(tcti, 'tpm2_getcap', 'properties-variable').decode().splitlines()
    return next(int(line.split(':')[1], 16) for line in lines if 'LOCKOUT_COUNTER' in line)


def wrong_pin(tcti, context):
    """By how much the TPM's lockout counter grows."""
    before = lockouts(tcti)
    try:
        tool(tcti, 'tpm2_unseal', '-c', context, '-p', 'wrong')
    except AssertionError:
        return lockouts(tcti) - before
    raise AssertionError('it opens by a wrong PIN')


def nothing_is_left(tcti):
    for kind in ('handles-transient', 'handles-loaded-session', 'handles-saved-session'):
        # A count of the anchor may be on its way.
        until(lambda kind=kind: tool(tcti, 'tpm2_getcap', kind) == b'')


@test
def tools_see_the_root_key_the_protection_of_pins_and_nothing_left_behind(place):
    tpm = place.tpm()
    agent = place.agent(tpm=tpm)
    agent.start()
    agent.init()
    place.file('pin', 'PIN-canary-0123', 0o600)
    place.file('newer', 'PIN-kanari-4567', 0o600)
    with_pin = add(agent, '--tpm2', '--tpm2-pin-file=' + place('pin'))
    with_pcrs = add(agent, '--tpm2', '--pcrs=16')
    agent.do('slot', 'change-pin', str(with_pin), '--tpm2-pin-file=' + place('newer'))
    agent.do('seal', '--yes')
    agent.do('unseal')
    nothing_is_left(tpm.tcti)
    same(tool(tpm.tcti, 'tpm2_getcap', 'handles-persistent').split(), [b'-', b'0x81000001'])
    index = tool(tpm.tcti, 'tpm2_getcap', 'handles-nv-index').decode().split()[1].lower()
    assert 0x01836d00 <= int(index, 16) <= 0x01836dff, index
    counter = tool(tpm.tcti, 'tpm2_nvreadpublic', index).decode()
    has(counter, 'nt=0x1|', 'authread', 'authwrite', 'no_da')
    assert 'ownerread' not in counter and 'ownerwrite' not in counter, counter
    root = attributes(tool(tpm.tcti, 'tpm2_readpublic', '-c', '0x81000001'))
    assert {'fixedtpm', 'fixedparent', 'sensitivedataorigin', 'restricted', 'decrypt'} <= root
    agent.stop()
    for slot, fields in tpm_slots(agent.store).items():
        with tempfile.TemporaryDirectory() as directory:
            context = keys.load(tpm.tcti, fields[keys.BLOB], directory)
            seen = attributes(tool(tpm.tcti, 'tpm2_readpublic', '-c', context))
            same('noda' in seen, slot != with_pin, (slot, seen))
            same('userwithauth' in seen, slot != with_pcrs, (slot, seen))
            assert {'fixedtpm', 'fixedparent'} <= seen, seen
            if slot != with_pcrs:
                same(wrong_pin(tpm.tcti, context), int(slot == with_pin), slot)
            tool(tpm.tcti, 'tpm2_flushcontext', '-t')


if __name__ == '__main__':
    tap.main()
