#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What to do next, as each error says it: a person types it, in the state in which it was said. It leads on,
until the store is open or something has to be done by hand, and never back to the same error.

Hardware that fails in every way is sealer_fake, in mortise-sealer's place; what a real TPM can be made to
do is done to one, too. And each command in each wrong turn that it may take has what it says typed.
"""

import json
import os
import re
import shutil
import subprocess
import time

import tap
from agent import ALICE, prefix
from commands import PATH, lay_out, turns
from rooms import TOOLS
from tap import has, same, test, until
from tpm import AGENT_USER, IS_ROOT, tool

SOURCE = os.environ['MORTISE_TEST_SOURCE']
FAULTS = {name: number for number, name in enumerate(re.findall(
    r'\tTOKEN_FAULT_(\w+)[ ,]', open(SOURCE + '/agent/base/token.h').read().split('enum token_fault {')[1].split('}')[0]))}
OPERATIONS = ['enrol', 'open', 'define', 'read', 'increment', 'health']
PIN, URI = '2468', 'pkcs11:token=mortise'
# What each fault befalls while it lasts, and more of sealer_fake's words. The rest: whatever is asked.
BEFALLS = {
    'LOCKOUT': (['open', 'enrol'], {}), 'OWNER_AUTH': (['enrol', 'define'], {}),
    'NO_SRK': (['open', 'read', 'increment', 'health'], {'old': True}),
    'OTHER_SRK': (['open', 'read', 'increment', 'health'], {'old': True}),
    'REFUSED': (['open', 'enrol'], {}), 'WRONG_PIN': (['open', 'enrol'], {'pin': PIN}),
    'NO_PIN': (['open', 'enrol'], {'pin': PIN}), 'OTHER_PCRS': (['open'], {'old': True}),
    'NO_SIGNATURE': (['open', 'enrol'], {}), 'NO_COUNTER': (['read', 'increment'], {'old': True}),
    'OTHER_COUNT': (['increment'], {}), 'UNFIT_WISH': (['enrol'], {})}
# By which question to the hardware each operation fails.
ASKED = {'unseal': 'open', 'age': 'read', 'init': 'enrol', 'init-counter': 'define', 'recover': 'enrol',
         'recover-counter': 'define', 'make': 'enrol', 'test': 'open', 'count': 'increment'}
# What is typed for a command that asks for more than it was told to be given.
GIVEN = {'unseal': [], 'recover': ['--yes'], 'init': [], 'seal': ['--yes'], 'slot reseal': ['--yes'],
         'slot remove': ['--yes'], 'slot add': ['--tpm2'], 'status': [], 'slot list': []}
TYPED = r'mortise ((?:(?:slot|policy|audit|backup) )?[a-z][a-z-]*(?: --[a-z0-9-]+(?:=[^\s,;]+)?| \d+\b)*)'
MAX_STEPS = 4
# Where the store is shut, something that can be typed opens it; but not where the next thing is done by hand.
WITH_A_WAY = ('unseal', 'age', 'init', 'init-counter', 'recover', 'recover-counter')
BY_HAND = ('BUSY', 'WRONG_PIN', 'NO_PIN', 'NO_SIGNATURE', 'UNFIT_WISH', 'NO_MONITOR')


def alternatives(text):
    """The command lines that an error names: [[first, then, ...], ...]; what is behind "then" belongs to one."""
    advice = text.partition('; ')[2] if not text.startswith('slot ') else text
    found, end = [], 0
    for match in re.finditer(TYPED, advice):
        between = advice[end:match.start()]
        if found and re.fullmatch(r',?(?: with [a-z ]+,)?(?: and)? then:? ?(?:run: )?', between):
            found[-1].append(match.group(1))
        else:
            found.append([match.group(1)])
        end = match.end()
    return found


class Case:
    """An agent whose hardware is a file, brought to where an operation fails by a fault."""

    files = 0

    def __init__(self, agent, place, operation, fault):
        self.agent, self.place, self.operation = agent, place, operation
        befalls, more = BEFALLS.get(fault, (OPERATIONS, {}))
        self.fault = {'fault': FAULTS[fault], 'of': befalls, **more}
        if operation.endswith('-counter'):
            self.fault['of'] = ['define']
        self.kept = {'WRONG_PIN': 'kept-with-pin', 'NO_PIN': 'kept-token'}.get(fault, 'kept')
        self.is_token = self.kept != 'kept'
        self.is_mended = False  # by some way that was advised
        shutil.copy(place('recovery-' + self.kept), place('recovery'))

    def file(self, name):
        return self.place('fake/' + name)

    def new_file(self):
        Case.files += 1
        return self.place('made-%d' % Case.files)

    def set_fault(self, fault):
        if fault is None and os.path.exists(self.file('fault')):
            os.unlink(self.file('fault'))
        elif fault is not None:
            with open(self.file('new'), 'w') as file:
                json.dump(fault, file)
            os.chmod(self.file('new'), 0o644)
            os.rename(self.file('new'), self.file('fault'))

    def start_over(self):
        """The agent in the state in which the operation is tried."""
        agent = self.agent
        agent.stop()
        self.set_fault(None)
        shutil.rmtree(agent.store, ignore_errors=True)
        shutil.rmtree(os.path.dirname(agent.audit), ignore_errors=True)
        kept = self.place(self.kept)
        with open(kept + '/hardware') as file:
            self.fault['since'] = json.load(file)['clock']
        if not self.operation.startswith('init'):
            shutil.copytree(kept + '/store', agent.store)
            shutil.copytree(kept + '/log', os.path.dirname(agent.audit))
            shutil.copy(kept + '/hardware', self.file('hardware'))
            if IS_ROOT:
                subprocess.run(['chown', '-R', AGENT_USER + ':', agent.store, os.path.dirname(agent.audit),
                                self.file('hardware')], check=True)
        if self.operation in ('unseal', 'age', 'recover', 'recover-counter'):
            self.set_fault(self.fault)
        begin(agent)
        state = until(lambda: self.settled())
        if self.operation in ('make', 'test') and self.kept == 'kept-with-pin':
            agent.do('unseal', '--pin-file=' + self.place('right-pin'))
        elif self.operation in ('make', 'test', 'count'):
            same(state, 'unsealed')
        elif self.operation.startswith('recover') and state == 'unsealed':
            agent.do('seal', '--yes')
        self.set_fault(self.fault)

    def settled(self):
        state = self.agent.status()['state']
        return None if state == 'unsealing' else state

    def type(self, line):
        """Types a command, with what it asks for: its exit status and the error."""
        words = line.split()
        name = ' '.join(words[:2]) if ' '.join(words[:2]) in GIVEN else words[0]
        more = list(GIVEN[name])
        if name == 'init':
            more += ['--recovery-file=' + self.new_file()]
        if name == 'recover' or '--recovery' in words:
            words = [word for word in words if word != '--recovery']
            more += ['--recovery-file=' + self.place('recovery')]
        elif name == 'unseal' and self.is_token:
            more += ['--pin-file=' + self.place('right-pin')]
        if name in ('init', 'recover') and self.is_token and not set(words) & {'--no-hardware', '--tpm2'}:
            more += ['--pkcs11=' + URI, '--pin-file=' + self.place('right-pin')]
        if name == 'slot add' and '--recovery' in line:
            more.remove('--tpm2')
        end = time.monotonic() + 20
        while True:
            result = self.agent.run(*words, *more)
            if result.status != 75 or time.monotonic() > end or not re.search('just now|busy', result.err):
                said = result.err.strip().split('\n')[-1].removeprefix('mortise: ')
                return result.status, said if result.status else 'done'

    def first_error(self):
        """Has the operation fail; the line that says why."""
        wrong = ['--pin-file=' + self.place('wrong-pin')] if self.kept == 'kept-with-pin' else []
        token = ['--pkcs11=' + URI, *wrong] if self.is_token else []
        key = '--recovery-file=' + self.place('recovery')
        if self.operation == 'unseal' and self.kept == 'kept-with-pin':
            return self.agent.run('unseal', *wrong).err.strip().removeprefix('mortise: ')
        if self.operation == 'unseal':
            return until(lambda: self.agent.status().get('reason', ''))
        if self.operation == 'count':
            self.agent.run('set', '--raw', PATH, input=os.urandom(8).hex())
            self.agent.do('policy', 'apply', '--yes', self.place('rules.policy'))
            return until(lambda: self.agent.status()['anchor'] not in ('ok',) and self.agent.status()['anchor'])
        words = {'age': ['unseal', key], 'init': ['init', *token], 'init-counter': ['init'],
                 'recover': ['recover', '--yes', key, *token], 'recover-counter': ['recover', '--yes', key],
                 'make': ['slot', 'add', *(token or ['--tpm2'])],
                 'test': ['slot', 'test', '1', *wrong]}[self.operation]
        if words[0] == 'init':
            words += ['--recovery-file=' + self.new_file()]
        end = time.monotonic() + 20
        while True:
            result = self.agent.run(*words)
            if result.status != 75 or time.monotonic() > end:
                break
        assert result.status != 0, (self.operation, words, result)
        return result.err.strip().split('\n')[-1].removeprefix('mortise: ')

    def is_done(self, status):
        if self.operation in ('test', 'count', 'make'):
            return status == 0
        return status == 0 and self.agent.status()['state'] == 'unsealed'


def begin(agent):
    agent.tcti = 'swtpm:path=/nowhere'
    ready = agent.spawn(options=('--sealer=' + os.path.dirname(agent.path) + '/fake/sealer',))
    assert os.read(ready, 1) == b'\n', agent.log()
    os.close(ready)


def follow(case, chain=()):
    """Types what is advised, each alternative from the beginning; [what is wrong with it]."""
    case.start_over()
    said, status = case.first_error(), 1
    texts = [said]
    for lines in chain:
        for line in lines:
            status, said = case.type(line)
            if status != 0:
                break
        texts.append(said)
    trail = ' -> '.join([texts[0]] + ['%s: %s' % (' ; '.join(lines), text) for lines, text in zip(chain, texts[1:])])
    if 'MORTISE_TEST_SHOW' in os.environ:
        print('# ' + trail)
    if chain and case.is_done(status):
        case.is_mended = True
        return []
    if '; ' not in said:
        return ['it says nothing of what next: ' + trail]
    if texts.count(said) > 1:
        return ['back to the same error: ' + trail]
    if chain and not alternatives(said) and status != 74:
        return ['it is not the hardware any more: ' + trail]
    faults = []
    for lines in alternatives(said):
        if list(lines) in [list(before) for before in chain]:
            faults.append('a circle: ' + trail)
        elif len(chain) >= MAX_STEPS:
            faults.append('it does not end: ' + trail)
        else:
            faults += follow(case, (*chain, lines))
    return faults


def fake(place):
    """The fake sealer's directory, for its agent's user."""
    place.directory('fake')
    shutil.copy(TOOLS + '/sealer_fake', place('fake/sealer'))
    if IS_ROOT:
        shutil.chown(place('fake'), AGENT_USER, AGENT_USER)


def prepare(place):
    """An agent with a file for its hardware, and copies of stores: by a TPM, by a token, and by one with a PIN."""
    fake(place)
    agent = place.agent(tpm2_lines=('anchor-window = 1',))
    lay_out(place)
    place.file('right-pin', PIN + '\n')
    place.file('wrong-pin', '1111\n')
    for name, options in (('kept-with-pin', ['--pkcs11=' + URI, '--pin-file=' + place('right-pin')]),
                          ('kept-token', ['--pkcs11=' + URI]), ('kept', [])):
        begin(agent)
        key = place('recovery-' + name)
        agent.do('init', '--recovery-file=' + key, *options)
        agent.set(PATH, b'a-value')
        if name == 'kept':
            until(lambda: agent.status()['anchor_counter'] == agent.status()['anchor_generation'])
        agent.stop()
        place.directory(name)
        shutil.copytree(agent.store, place(name + '/store'))
        shutil.copytree(os.path.dirname(agent.audit), place(name + '/log'))
        shutil.copy(place('fake/hardware'), place(name + '/hardware'))
        shutil.rmtree(agent.store)
        shutil.rmtree(os.path.dirname(agent.audit))
    begin(agent)
    return agent


def can_occur(operation, fault):
    """Not all can: a token has no anchor, and a PIN that is wrong fails no counter."""
    befalls = BEFALLS.get(fault, (OPERATIONS, {}))[0]
    if fault == 'NONE' or (operation, fault) in (('age', 'REFUSED'), ('recover', 'NO_MODULE')):
        return False
    if fault in ('WRONG_PIN', 'NO_PIN', 'NO_MODULE') and operation in ('age', 'count', 'init-counter', 'recover-counter'):
        return False
    if operation.endswith('-counter'):
        return fault not in ('NO_SRK', 'OTHER_SRK', 'UNFIT_SRK', 'REFUSED', 'LOCKOUT', 'OTHER_PCRS', 'NO_SIGNATURE',
                             'NO_COUNTER', 'OTHER_COUNT')
    return ASKED[operation] in befalls


def register(operation):
    def run(place):
        agent = prepare(place)
        wrong = []
        for fault in FAULTS:
            if can_occur(operation, fault):
                case = Case(agent, place, operation, fault)
                try:
                    found = follow(case)
                    if not case.is_mended and operation in WITH_A_WAY and fault not in BY_HAND:
                        found += ['nothing that is advised gets by it']
                except AssertionError as failure:
                    found = [str(failure)]
                wrong += ['%s, %s: %s' % (operation, fault, each) for each in found]
        assert not wrong, '\n' + '\n'.join(wrong)
    run.__name__ = 'what_is_advised_where_%s_fails_leads_on' % operation.replace('-', '_s_')
    test(run)


for one in ASKED:
    register(one)


@test
def init_says_that_its_store_is_made_and_not_open_where_it_is_so(place):
    fake(place)
    agent = place.agent()
    begin(agent)
    place.file('fake/fault', json.dumps({'fault': FAULTS['FAILURE_MODE'], 'of': ['read']}))
    os.chmod(place('fake/fault'), 0o644)
    said = agent.do('init', '--recovery-file=' + place('recovery')).out.decode()
    has(said, 'the store is made, but not unsealed yet: ')
    has(agent.status()['state'], 'seal')
    os.unlink(place('fake/fault'))
    agent.do('recover', '--yes', '--no-hardware', '--recovery-file=' + place('recovery'))
    same(agent.status()['state'], 'unsealed')


# ---- a TPM ----

def type_line(agent, line, place):
    """Types an advised command: its exit status and what it says of why not."""
    words, name = line.split(), line.split()[0]
    more = ['--yes'] if name in ('recover', 'seal') or line.startswith('slot reseal') else []
    if name == 'recover' or '--recovery' in words:
        words = [word for word in words if word != '--recovery']
        more.append('--recovery-file=' + agent.recovery)
    if name == 'init':
        more.append('--recovery-file=' + agent.recovery)
    def ask():
        result = agent.run(*words, *more)
        return result if result.status != 75 or 'just now' not in result.err else None
    result = until(ask, 30)
    return result.status, result.err.strip().split('\n')[-1].removeprefix('mortise: ') if result.status else 'done'


def walk(agent, place, said, *typed):
    """Types the last way that each error names, after what somebody has typed by himself: all that was said."""
    trail, lines = [said], [list(typed)] if typed else alternatives(said)[-1:]
    for _ in range(MAX_STEPS):
        assert lines, 'no way on: ' + ' -> '.join(trail)
        for line in lines[0]:
            status, said = type_line(agent, line, place)
            trail.append('%s: %s' % (line, said))
            if status != 0:
                break
        if status == 0 and agent.status()['state'] == 'unsealed':
            return trail
        assert trail.count(trail[-1]) == 1, 'a circle: ' + ' -> '.join(trail)
        lines = alternatives(said)[-1:]
    raise AssertionError('it does not end: ' + ' -> '.join(trail))


def sealed_reason(agent):
    until(lambda: agent.status()['state'] == 'sealed' and 'reason' in agent.status())
    return agent.status()['reason']


@test
def without_its_tpm_the_recovery_key_leads_on_to_a_store_without_hardware(place):
    tpm = place.tpm()
    agent = place.ready(tpm=tpm)
    agent.set(PATH, b'one')
    agent.stop()
    tpm.stop()
    agent.start()
    reason = sealed_reason(agent)
    has(reason, 'no TPM answers', 'mortise recover --no-hardware')
    trail = walk(agent, place, reason, 'unseal --recovery')  # as people do
    same(len(trail), 3, trail)
    has(trail[1], 'age cannot be checked', 'mortise recover --no-hardware')
    same(agent.get(PATH), b'one')


@test
def at_init_without_a_tpm_what_is_advised_makes_a_store(place):
    tpm = place.tpm()
    agent = place.agent(tpm=tpm)
    tpm.stop()
    agent.start()
    result = agent.run('init', '--recovery-file=' + agent.recovery)
    same(result.status, 74)
    has(result.err, 'mortise init --no-hardware')
    assert 'recover' not in result.err.replace('recovery', ''), result
    walk(agent, place, result.err)


@test
def what_is_advised_of_a_tpm_that_was_changed_opens_the_store(place):
    def cleared(agent):
        tool(agent.tcti, 'tpm2_clear')

    def without_counter(agent):
        index = tool(agent.tcti, 'tpm2_getcap', 'handles-nv-index').decode().split()[1]
        tool(agent.tcti, 'tpm2_nvundefine', index)

    def other_pcrs(agent):
        tool(agent.tcti, 'tpm2_pcrextend', '16:sha256=' + 64 * '1')

    def cleared_with_a_password(agent):
        tool(agent.tcti, 'tpm2_clear')
        tool(agent.tcti, 'tpm2_changeauth', '-c', 'owner', 'owner-password')

    def planted(agent):
        context = place('planted.ctx')
        tool(agent.tcti, 'tpm2_evictcontrol', '-c', '0x81000001')
        tool(agent.tcti, 'tpm2_createprimary', '-C', 'o', '-G', 'ecc', '-c', context)
        tool(agent.tcti, 'tpm2_evictcontrol', '-c', context, '0x81000001')
        tool(agent.tcti, 'tpm2_flushcontext', '-t')

    for number, (change, options, told) in enumerate((
            (cleared, (), 'cleared'), (without_counter, (), 'counter in the TPM'),
            (other_pcrs, ('--pcrs=16',), 'other PCR values'), (cleared_with_a_password, (), 'cleared'),
            (planted, (), 'storage root key'))):
        agent = place.agent(name='agent%d' % number)
        agent.start()
        agent.do('init', '--tpm2', '--recovery-file=' + agent.recovery, *options)
        agent.set(PATH, b'one')
        change(agent)
        agent.restart()
        reason = sealed_reason(agent)
        has(reason, told)
        trail = walk(agent, place, reason)
        print('# %s: %s' % (change.__name__, ' -> '.join(trail)))
        same(agent.get(PATH), b'one')
        agent.stop()


@test
def an_init_that_a_tpm_refuses_is_made_in_the_way_that_is_advised(place):
    def with_a_password(agent):
        tool(agent.tcti, 'tpm2_changeauth', '-c', 'owner', 'owner-password')

    def with_a_password_and_a_key(agent):
        context = place('srk.ctx')
        tool(agent.tcti, 'tpm2_createprimary', '-C', 'o', '-g', 'sha256', '-G', 'ecc256:aes128cfb', '-c', context, '-a',
             'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt')
        tool(agent.tcti, 'tpm2_evictcontrol', '-c', context, '0x81000001')
        tool(agent.tcti, 'tpm2_flushcontext', '-t')
        with_a_password(agent)

    for number, (change, way) in enumerate(((with_a_password, 'init --no-hardware'),
                                            (with_a_password_and_a_key, 'init --no-anchor'))):
        agent = place.agent(name='agent%d' % number)
        agent.start()
        change(agent)
        result = agent.run('init', '--recovery-file=' + agent.recovery)
        same(result.status, 74, result)
        has(result.err, 'owner', 'mortise ' + way)
        walk(agent, place, result.err)
        agent.stop()


@test
def a_locked_tpm_leads_on_to_the_recovery_key(place):
    agent = place.agent()
    agent.start()
    pin, wrong = place.file('pin', '2468\n'), place.file('wrong', '1111\n')
    agent.do('init', '--tpm2-pin-file=' + pin, '--recovery-file=' + agent.recovery)
    tool(agent.tcti, 'tpm2_dictionarylockout', '-s', '-n', '1', '-t', '1000', '-l', '1000')
    agent.do('seal', '--yes')
    has(agent.run('unseal', '--tpm2-pin-file=' + wrong).err, 'the PIN is wrong', 'mortise unseal')
    result = agent.run('unseal', '--tpm2-pin-file=' + pin)
    has(result.err, 'locked', 'mortise unseal --recovery')
    walk(agent, place, result.err)


# ---- every command ----

def advised(line):
    """The commands that an error tells somebody to type."""
    return [found for found in re.findall(r"mortise ((?:(?:slot|policy|audit|backup) )?[a-z][a-z-]*(?: --?[a-z0-9-]+"
                                          r"(?:='[^']*'|=[^\s,;]+)?| [a-z0-9][a-z0-9./-]*[a-z0-9]|\b)*)", line)]


def check_advice(agent, place, name, status, line, wrong):
    """Types each command that an error names; none may come to that error. One of usage says what is wanted."""
    found = advised(line.partition('; ')[2])
    if '; ' not in line and status != 64:
        wrong.append('%s: says nothing of what next: %s' % (name, line))
    for command in found:
        typed = command.split()
        if typed[0] in ('unseal', 'init', 'recover'):
            typed += ['--dry-run']
        result = agent.run(*typed, cwd=place.path, input=b'')
        error = result.err.strip().split('\n')[-1].removeprefix('mortise: ')
        if result.status == 64 or (result.status != 0 and error == line):
            wrong.append('%s: %s -> mortise %s: %s' % (name, line, command, error))


@test(root=True)
def whatever_an_error_of_any_command_tells_to_type_can_be_typed(place):
    def sweep(state, commands, **options):
        for name, words in commands:
            result = agent.run(*words, cwd=place.path, env={'EDITOR': 'true'}, input='a-new-value', **options)
            if result.status not in (0, 1):
                line = result.err.strip().split('\n')[-1].removeprefix('mortise: ')
                check_advice(agent, place, state + ', ' + name, result.status, line, wrong)

    wrong = []
    agent = place.agent()
    lay_out(place)
    sweep('no agent', turns())
    agent.start()
    os.chmod(place.path, 0o777)
    sweep('no store', turns())
    agent.init()
    agent.set(PATH, b'a-value-of-some-length')
    sweep('denied', [turn for turn in turns() if turn[0] not in ('exec',)], user=ALICE)
    sweep('no such secret', [turn for turn in turns('prod/db/none') if turn[0] not in (
        'seal', 'set', 'import', 'rekey', 'policy apply', 'slot add', 'slot remove', 'backup create', 'rotate')])
    agent.do('seal', '--yes')
    sweep('sealed', [turn for turn in turns() if turn[0] not in ('slot list', 'slot test')])
    assert not wrong, '\n' + '\n'.join(wrong)


if __name__ == '__main__':
    tap.main()
