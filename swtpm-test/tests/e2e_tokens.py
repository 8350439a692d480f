#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An agent whose store a PKCS #11 token opens: at boot, with a PIN, without the token."""

import os
import pwd
import shutil
import subprocess

import agent as fixtures
import tap
from pkcs11 import PIN, SOFTHSM, SoftHsm
from tap import Skip, has, same, test, until
from tpm import AGENT_USER, IS_ROOT

PATH, VALUE = 'prod/db/password', b'hunter2'
MOCK = os.environ.get('MORTISE_TEST_BUILD', '') + '/libmock_pkcs11.so'


def own(path):
    """Gives all below path to whom the sealer runs as."""
    if not IS_ROOT:
        return
    user = pwd.getpwnam(AGENT_USER)
    for directory, _, names in os.walk(path):
        for name in ['', *names]:
            os.chown(os.path.join(directory, name), user.pw_uid, user.pw_gid)


class TokenAgent(fixtures.Agent):
    """mock: what MOCK is; pin_file: whether [pkcs11] names one."""

    token, mock, pin_file, modules = None, None, True, [SOFTHSM]

    def configure(self, lines=(), tpm2_lines=('deadline = 3',)):
        super().configure(lines, tpm2_lines)
        if self.token is None:
            return
        env = 'SOFTHSM2_CONF=' + self.token.conf
        if not os.path.exists(self.mocking):
            shutil.copy(MOCK, self.mocking)
        with open(self.conf, 'a') as file:
            file.write('[pkcs11]\nmodules = %s\nenv = %s\n' % (
                ' '.join(self.modules) if self.mock is None else self.mocking,
                env if self.mock is None else env + ' MOCK=' + self.mock))
            if self.pin_file:
                file.write('pin-file = %s\n' % self.pin)

    @property
    def mocking(self):
        """The mock, where the agent's user can reach it."""
        return self.path + '/mocking.so'

    def begin(self, token, is_typed):
        self.token, self.pin = token, self.path + '/pin'
        with open(self.pin, 'wb') as file:
            file.write(PIN + b'\n')
        os.chmod(self.pin, 0o400)
        own(self.pin)
        if IS_ROOT:
            os.chown(self.pin, pwd.getpwnam(AGENT_USER).pw_uid, -1)
        self.configure()
        self.start()
        typed = ['--pin-file=' + self.pin] if is_typed else []
        self.do('init', '--pkcs11=pkcs11:token=' + token.label, *typed,
                '--recovery-file=' + self.recovery)
        self.set(PATH, VALUE)

    def again(self, mock=None, pin_file=True):
        """With another configuration, and so from the start."""
        self.stop()
        self.mock, self.pin_file = mock, pin_file
        self.configure()
        self.start()

    def reason(self):
        def said():
            status = self.status()
            return status['state'] == 'sealed' and status.get('reason')
        return until(said)

    def is_unsealed(self):
        return self.status()['state'] == 'unsealed'


def begun(place, is_typed=False):
    if not os.path.exists(SOFTHSM):
        raise Skip('no SoftHSM2')
    said = subprocess.run([fixtures.prefix() + '/bin/mortise', 'init', '--help'],
                          capture_output=True)
    if b'--pkcs11' not in said.stdout:
        raise Skip('this mortise has no slots of tokens')
    token = SoftHsm(place('token'))
    own(place('token'))
    agent = place.enter_context(TokenAgent(place('agent'), 'swtpm:path=/nonexistent/tpm.sock'))
    place.agents.append(agent)
    agent.begin(token, is_typed)
    return agent


@test
def at_boot_the_token_opens_the_store_with_the_pin_of_the_file(place):
    agent = begun(place)
    agent.restart()
    until(agent.is_unsealed)
    same(agent.get(PATH), VALUE)


@test
def a_slot_whose_pin_was_typed_waits_for_it(place):
    agent = begun(place, is_typed=True)
    agent.again(pin_file=False)
    has(agent.reason(), 'PIN')
    agent.do('unseal', '--pin-file=' + agent.pin)
    same(agent.get(PATH), VALUE)


@test
def a_wrong_pin_is_tried_once_however_long_the_agent_is_sealed(place):
    agent = begun(place)
    log = agent.token.tokens + '/../log'
    os.chmod(agent.pin, 0o600)
    with open(agent.pin, 'wb') as file:
        file.write(b'wrong-Horse\n')
    os.chmod(agent.pin, 0o400)
    agent.again(mock='log=' + log)
    has(agent.reason(), 'PIN')
    agent.restart()
    has(agent.reason(), 'PIN')
    with open(log) as file:
        same(file.read().splitlines().count('C_Login'), 1, 'over two starts')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    same(agent.get(PATH), VALUE)


@test
def a_token_that_is_taken_out_is_told_and_opens_when_it_is_back(place):
    agent = begun(place)
    agent.token.take_out()
    own(place('token'))
    same(agent.get(PATH), VALUE, 'while unsealed nobody misses it')
    agent.restart()
    has(agent.reason(), 'token')
    agent.token.put_back()
    agent.do('unseal')
    same(agent.get(PATH), VALUE)


@test
def a_module_that_is_not_ready_at_boot_is_tried_again_until_it_is(place):
    agent = begun(place)
    mocks = ('rv:C_Initialize=5', 'crash:C_Initialize', 'exit:C_Initialize',
             'rv:C_GetFunctionList=5', 'rv:C_GetSlotList=5', 'rv:C_GetTokenInfo=e0',
             'rv:C_OpenSession=31', 'rv:C_FindObjects=30', 'rv:C_Decrypt=30')
    for number, mock in enumerate(mocks, 1):
        trouble = place.file('trouble', '')
        agent.again(mock=mock + ',while=' + trouble)
        until(lambda: 'tried again by itself' in agent.status().get('reason', ''), what=mock)
        os.unlink(trouble)
        until(agent.is_unsealed, what=mock)
        same(agent.get(PATH), VALUE)
        same(agent.log().count('sealed: slot 1'), number, mock)


@test
def a_module_that_hangs_at_boot_is_tried_again_when_its_time_is_over(place):
    agent = begun(place)
    trouble = place.file('trouble', '')
    agent.again(mock='hang:C_Initialize,while=' + trouble)
    until(lambda: 'tried again by itself' in agent.status().get('reason', ''))
    os.unlink(trouble)
    until(agent.is_unsealed, seconds=30)
    same(agent.get(PATH), VALUE)


@test
def a_pin_file_that_comes_late_is_found(place):
    agent = begun(place)
    os.rename(agent.pin, agent.pin + '-later')
    agent.restart()
    until(lambda: 'pin-file' in agent.status().get('reason', ''))
    has(agent.reason(), 'tried again by itself')
    os.rename(agent.pin + '-later', agent.pin)
    until(agent.is_unsealed)


@test
def a_token_behind_two_modules_opens_the_store_whichever_made_the_slot(place):
    agent = begun(place)
    uri = next(slot['uri'] for slot in agent.do('slot', 'list', '--json').json()['slots']
               if slot['kind'] == 'pkcs11')
    has(uri, 'pkcs11:token=mortise-test;serial=', '?module-path=' + SOFTHSM)
    has(agent.do('slot', 'list').text, uri)
    copy = place('copy.so')
    shutil.copy(SOFTHSM, copy)
    for agent.modules in ([SOFTHSM, copy], [copy, SOFTHSM], [copy]):
        agent.again()
        until(agent.is_unsealed, what=agent.modules)
        same(agent.get(PATH), VALUE)


def doctors_word(agent, *options):
    """(exit status, all that it says of slot 1)"""
    result = agent.run('doctor', '--all', '--config=' + agent.conf, *options)
    return result.status, [line for line in result.text.splitlines() if 'slot 1' in line]


@test
def the_doctor_finds_token_and_module_gone_and_logs_in_only_when_asked_to(place):
    agent = begun(place)
    log = agent.token.tokens + '/../log'
    agent.again(mock='log=' + log)
    until(agent.is_unsealed)
    with open(log) as file:
        before = file.read().splitlines().count('C_Login')
    status, said = doctors_word(agent)
    same(status, 0)
    has('\n'.join(said), 'has a PIN and was not tried', 'mortise doctor --pins')
    with open(log) as file:
        same(file.read().splitlines().count('C_Login'), before)
    status, said = doctors_word(agent, '--pins')
    same(status, 0)
    has('\n'.join(said), 'it opens')
    agent.token.take_out()
    own(place('token'))
    status, said = doctors_word(agent)
    same(status, 1)
    has('\n'.join(said), 'wrong    slots   slot 1 (pkcs11)', 'token')
    agent.token.put_back()
    same(doctors_word(agent)[0], 0)
    agent.stop()
    module = place('module.so')
    with open(agent.conf) as file:
        text = file.read()
    shutil.copy(SOFTHSM, module)
    with open(agent.conf, 'w') as file:
        file.write(text.replace(agent.mocking, module))
    agent.start()
    until(agent.is_unsealed)
    os.unlink(module)
    status, said = doctors_word(agent)
    same(status, 1)
    has('\n'.join(said), 'module', '[pkcs11] modules in mortised.conf')


@test
def a_module_that_crashes_hangs_forks_or_prints_leaves_the_agent_alive(place):
    agent = begun(place)
    for mock in ('crash:C_Initialize', 'exit:C_OpenSession', 'fork:C_OpenSession',
                 'hang:C_OpenSession'):
        agent.again(mock=mock)
        agent.reason()
        same((agent.run('unseal').status, agent.run('get', PATH).status), (74, 75), mock)
        agent.do('unseal', '--recovery-file=' + agent.recovery)
        same(agent.get(PATH), VALUE, mock)
    agent.again(mock='noise:C_OpenSession')
    agent.do('unseal')
    same(agent.get(PATH), VALUE)
    agent.again()
    until(agent.is_unsealed)
    same(agent.get(PATH), VALUE)
    assert 'canary' not in agent.log() and 'xxxx' not in agent.log()


if __name__ == '__main__':
    tap.main()
