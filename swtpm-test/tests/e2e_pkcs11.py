#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Tokens behind the sealer: SoftHSM2, tpm2-pkcs11 on a software TPM, and a module that lies."""

import contextlib
import os
import re
import shutil
import signal

import tap
from pkcs11 import (BLOB, ENROL, ENTROPY, HEADER_SIZE, HEALTH, MECHANISM, OPEN, PIN, SOFTHSM,
                    TOKEN_PIN, TPM2_PKCS11, Sealer, SoftHsm, Tpm2Token, ask_once, call, enrol,
                    open_slot)
from tap import Skip, has, same, test, until

GCM, OAEP, ECDH = '', 'hide=1087', 'hide=1087,hide=9'
EXPECTED = {GCM: 'gcm', OAEP: 'oaep-sha1', ECDH: 'ecdh'}
LOCKED, FINAL_TRY, COUNT_LOW = 'flag=40000', 'flag=20000', 'flag=10000'


def softhsm(place, name='token'):
    if not os.path.exists(SOFTHSM):
        raise Skip('no SoftHSM2')
    return SoftHsm(place(name))


def enrolled(token, **options):
    answer = enrol(token, **options)
    same((answer.fault, answer.text, len(answer.h)), ('', '', 32))
    return answer


def refused(answer, fault, *parts):
    same((answer.fault, answer.h, answer.blob), (fault, None, None), answer)
    has(answer.text, *parts)
    assert answer.text.isprintable(), answer


def pin_file(place, content=PIN, mode=0o400):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place('pin'))
    return place.file('pin', content, mode)


def calls(log, name):
    with open(log) as file:
        return file.read().splitlines().count(name)


def processes_with(word):
    """Pids of those that have it in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            with open('/proc/%s/environ' % pid, 'rb') as file:
                if word.encode() in file.read():
                    found.append(int(pid))
    return found


def changed(blob, at):
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1:]


@test
def each_mechanism_seals_and_another_sealer_opens_it(place):
    token = softhsm(place)
    for mock, mechanism in EXPECTED.items():
        answer = enrolled(token, mock=mock)
        same(answer.mechanism, mechanism)
        for _ in range(2):
            opened = open_slot(token, answer.blob)
            same((opened.fault, opened.h), ('', answer.h))


@test
def with_softhsm_itself_a_key_of_aes_is_made_and_nothing_else(place):
    token = softhsm(place)
    same(enrolled(token).mechanism, 'gcm')
    same(token.objects(), 1)


@test
def no_byte_of_a_blob_can_be_changed(place):
    token = softhsm(place)
    for mock in EXPECTED:
        blob = enrolled(token, mock=mock).blob
        places = {*range(4), *range(4, len(blob), 7), HEADER_SIZE, len(blob) - 1}
        for at in sorted(places):
            answer = open_slot(token, changed(blob, at))
            assert answer.fault and answer.h is None, (EXPECTED[mock], at, answer)


@test
def a_changed_gcm_is_a_refusal_though_softhsm_calls_it_a_general_error(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    refused(open_slot(token, changed(blob, HEADER_SIZE + 20)), 'refused', 'C_Decrypt')
    same(open_slot(token, blob).fault, '')


@test
def a_blob_made_for_a_token_of_another_name_does_not_open(place):
    token = softhsm(place)
    for mock in (GCM, ECDH):
        blob = enrolled(token, mock=mock).blob
        other = blob[:4] + b'X' + blob[5:]
        refused(open_slot(token, other, mock='label=X'), 'refused')
        same(open_slot(token, blob).fault, '')


@test
def a_blob_that_names_another_mechanism_does_not_open(place):
    token = softhsm(place)
    blob = enrolled(token, mock=OAEP).blob
    for number in range(256):
        if number in (blob[MECHANISM], 2):
            continue
        other = blob[:MECHANISM] + bytes([number]) + blob[MECHANISM + 1:]
        refused(open_slot(token, other), 'malformed', 'not one of ours')
        if number == 8:
            break
    other = blob[:MECHANISM] + b'\2' + blob[MECHANISM + 1:]
    assert open_slot(token, other).h is None


@test
def h_is_mixed_from_the_tokens_bytes_and_the_kernels(place):
    token = softhsm(place)
    one, two = enrolled(token), enrolled(token)
    assert one.h != two.h
    zeros = 'wrong:C_GenerateRandom'
    same(enrolled(token, mock=zeros).h, enrolled(token, mock=zeros).h, 'the same entropy')
    other = ask_once(token, ENROL, {ENTROPY: b'o' * 32, TOKEN_PIN: PIN}, mock=zeros)
    assert other.h != enrolled(token, mock=zeros).h
    same(enrolled(token, mock='rv:C_GenerateRandom=121').mechanism, 'gcm')


@test
def a_wrong_pin_is_tried_once_and_the_right_one_then_opens(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    refused(open_slot(token, blob, pin=b'wrong-Horse', mock='log=' + log), 'wrong-pin')
    same(calls(log, 'C_Login'), 1)
    same(open_slot(token, blob).fault, '')
    before = token.objects()
    refused(enrol(token, pin=b'wrong-Horse', mock='log=' + log), 'wrong-pin')
    same((calls(log, 'C_Login'), token.objects()), (2, before))


@test
def a_pin_that_was_right_and_then_is_wrong_is_not_tried_a_third_time(place):
    token, log = softhsm(place), place('log')
    answer = enrol(token, mock='second:C_Login=a0,log=' + log)
    refused(answer, 'wrong-pin')
    same(calls(log, 'C_Login'), 2)


@test
def without_a_pin_the_file_has_it_for_enrolling_and_for_opening(place):
    token = softhsm(place)
    refused(enrol(token, pin=None), 'no-pin', 'pin-file')
    for ending in (b'', b'\n', b'\r\n'):
        path = pin_file(place, PIN + ending)
        blob = enrolled(token, pin=None, pin_file=path).blob
        same(open_slot(token, blob, pin=None, pin_file=path).fault, '', ending)
    same(open_slot(token, blob, pin=PIN, pin_file='/nonexistent').fault, '', 'typed goes first')
    refused(open_slot(token, blob, pin=None, pin_file='/nonexistent'), 'no-pin', '/nonexistent')


@test
def a_pin_file_that_others_could_read_or_change_is_refused_and_no_pin_is_tried(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    own_only = () if os.geteuid() == 0 else (0o440,)
    for mode in (0o404, 0o420, 0o402, 0o444, 0o660, *own_only):
        refused(open_slot(token, blob, pin=None, pin_file=pin_file(place, mode=mode),
                          mock='log=' + log), 'no-pin', 'chmod')
    os.symlink(pin_file(place), place('link'))
    refused(open_slot(token, blob, pin=None, pin_file=place('link')), 'no-pin')
    os.mkfifo(place('fifo'), 0o400)
    for path in (place('fifo'), place.path):
        refused(open_slot(token, blob, pin=None, pin_file=path), 'no-pin')
    same(calls(log, 'C_Login'), 0)


@test(root=True)
def a_pin_file_is_roots_or_the_agents(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    path = pin_file(place, mode=0o440)
    same(open_slot(token, blob, pin=None, pin_file=path).fault, '', "root's, its group may read")
    os.chown(path, 34, 34)
    os.chmod(path, 0o400)
    refused(open_slot(token, blob, pin=None, pin_file=path), 'no-pin', "neither root's nor")


@test
def what_is_no_line_of_64_bytes_is_no_pin(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    for content in (b'', b'\n', b'\r\n', PIN + b'\n\n', PIN + b'\r\n\r\n', PIN + b'\r', PIN + b'\nmore',
                    b'a\0b', b'x' * 65, b'x' * 65 + b'\r\n', b'x' * 9999, b'\xef\xbb\xbf' + PIN,
                    PIN.decode().encode('utf-16'), b'\x1b[A'):
        refused(open_slot(token, blob, pin=None, pin_file=pin_file(place, content),
                          mock='log=' + log), 'no-pin', 'one line')
    same(calls(log, 'C_Login'), 0)
    refused(open_slot(token, blob, pin=None, pin_file=pin_file(place, b'x' * 64 + b'\r\n')),
            'wrong-pin')


@test
def the_last_try_is_not_for_a_pin_that_nobody_typed(place):
    token, log = softhsm(place), place('log')
    blob, path = enrolled(token).blob, pin_file(place)
    refused(open_slot(token, blob, pin=None, pin_file=path, mock=FINAL_TRY + ',log=' + log),
            'no-pin', 'one try left')
    same(calls(log, 'C_Login'), 0)
    same(open_slot(token, blob, mock=FINAL_TRY).fault, '', 'typed')
    same(open_slot(token, blob, pin=None, pin_file=path, mock=COUNT_LOW).fault, '', 'two left')


@test
def a_locked_pin_is_told_and_not_tried(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    refused(open_slot(token, blob, mock=LOCKED + ',log=' + log), 'lockout')
    same(calls(log, 'C_Login'), 0)
    refused(open_slot(token, blob, mock='rv:C_Login=a4'), 'lockout')


@test
def a_token_that_is_taken_out_is_named_and_opens_when_it_is_put_back(place):
    token = softhsm(place)
    answer = enrolled(token)
    token.take_out()
    refused(open_slot(token, answer.blob), 'absent', 'pkcs11:token=mortise-test;serial=',
            'found: none')
    refused(enrol(token), 'absent', 'found: none')
    token.put_back()
    same(open_slot(token, answer.blob).h, answer.h)


@test
def another_token_of_the_same_name_is_not_given_the_pin(place):
    token, other, log = softhsm(place), softhsm(place, 'other'), place('log')
    blob = enrolled(token).blob
    refused(open_slot(other, blob, mock='log=' + log), 'absent', 'found: pkcs11:token=mortise-test;serial=')
    same(calls(log, 'C_Login'), 0)


@test
def a_key_that_is_gone_is_a_refusal(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    for directory, _, names in os.walk(token.tokens):
        for name in names:
            if name.endswith('.object') and name != 'token.object':
                os.unlink(os.path.join(directory, name))
    refused(open_slot(token, blob), 'refused', 'not on the token any more')


@test
def a_uri_chooses_a_token_and_several_are_listed(place):
    token = softhsm(place)
    token.add('second')
    refused(enrol(token), 'absent', '2 tokens', 'pkcs11:token=mortise-test;serial=',
            'pkcs11:token=second;serial=')
    refused(enrol(token, uri=None), 'absent', '2 tokens')
    refused(enrol(token, uri='pkcs11:token=third'), 'absent', 'token=mortise-test', 'token=second')
    for uri in ('pkcs11:token=second', 'pkcs11:token=second;manufacturer=SoftHSM%20project',
                'pkcs11:token=second?module-name=softhsm2',
                'pkcs11:token=second?module-path=' + SOFTHSM):
        same(enrolled(token, uri=uri).mechanism, 'gcm', uri)


def twice(place, token):
    """The same token, shown by two modules."""
    copy = place('copy.so')
    shutil.copy(SOFTHSM, copy)
    token.modules = [SOFTHSM, copy]
    return token


@test
def a_token_that_two_modules_show_is_one_and_opens_by_either(place):
    token = twice(place, softhsm(place))
    both = list(token.modules)
    answer = enrolled(token)
    for modules in (both, both[::-1], both[:1], both[1:]):
        same(open_slot(token, answer.blob, modules=modules).h, answer.h, modules)
        same(ask_once(token, HEALTH, {BLOB: answer.blob}, modules=modules).fault, '')
    token.add('second')
    refused(enrol(token), 'absent', '2 tokens', 'token=mortise-test', 'token=second')
    same(enrolled(token, uri='pkcs11:token=second').mechanism, 'gcm')


@test
def the_slot_names_its_token_and_the_module_that_made_it(place):
    token = twice(place, softhsm(place))
    for module in token.modules:
        answer = enrolled(token, uri='pkcs11:token=mortise-test?module-path=' + module)
        has(answer.uri, 'pkcs11:token=mortise-test;serial=', ';manufacturer=SoftHSM%20project;',
            '?module-path=' + module)
        same(enrolled(token, uri=answer.uri).uri, answer.uri, 'as it was told')
    same(enrolled(token).uri.split('=')[-1], SOFTHSM, 'the first that is configured')


@test
def a_module_that_shows_the_token_and_not_the_key_hides_it_from_no_other(place):
    token = twice(place, softhsm(place))
    answer, copy = enrolled(token), token.modules[1]
    mock = os.environ['MORTISE_TEST_BUILD'] + '/libmock_pkcs11.so'
    for trouble in ('rv:C_OpenSession=30', 'rv:C_FindObjects=6', 'rv:C_GetAttributeValue=5',
                    'attribute=0:2', 'rv:C_Decrypt=5'):
        opened = open_slot(token, answer.blob, mock=trouble, modules=[mock, copy])
        same((opened.fault, opened.h), ('', answer.h), trouble)
    log = place('log')
    refused(open_slot(token, answer.blob, pin=b'wrong-Horse', mock='log=' + log,
                      modules=[mock, copy]), 'wrong-pin')
    same(calls(log, 'C_Login'), 1)
    for value, fault in (('a0', 'wrong-pin'), ('30', 'other'), ('a4', 'lockout')):
        trouble = 'rv:C_Login=' + value
        refused(open_slot(token, answer.blob, mock=trouble, modules=[mock, copy]), fault, 'C_Login')
    token.take_out()
    refused(open_slot(token, answer.blob, modules=[mock, copy]), 'absent')


@test
def one_module_by_two_names_is_one(place):
    token = softhsm(place)
    os.symlink(SOFTHSM, place('link.so'))
    token.modules = [SOFTHSM, place('link.so')]
    answer = enrolled(token)
    same(open_slot(token, answer.blob).h, answer.h)
    same(open_slot(token, answer.blob, modules=token.modules[::-1]).h, answer.h)


@test
def a_token_behind_any_number_of_slots_is_found_and_too_many_are_named(place):
    token = softhsm(place)
    answer = enrolled(token)
    for slots in (63, 64, 70, 5000):
        same(open_slot(token, answer.blob, mock='slots=%d' % slots).h, answer.h, slots)
    same(enrolled(token, mock='slots=70').mechanism, 'gcm')
    refused(open_slot(token, answer.blob, mock='slots=70000'), 'malformed',
            '7000', 'slots, of 65536 at most')


@test
def of_many_tokens_as_many_are_listed_as_there_is_room_for_and_the_rest_is_counted(place):
    token = softhsm(place)
    for number in range(8):
        token.add('token-%d' % number)
    refused(enrol(token), 'absent', '9 tokens match', 'pkcs11:token=', ' and ', ' more')
    refused(enrol(token, uri='pkcs11:token=none'), 'absent', 'found: pkcs11:token=', ' more')


@test
def a_module_that_lists_nothing_because_it_failed_is_named(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    refused(open_slot(token, blob, mock='rv:C_GetSlotList=5'), 'no-module', 'C_GetSlotList')
    refused(enrol(token, mock='rv:C_GetSlotList=5'), 'no-module', 'C_GetSlotList')


@test
def a_token_that_is_not_initialised_is_told(place):
    token = softhsm(place)
    refused(enrol(token, uri='pkcs11:token=other'), 'absent', '1 not initialised')


LABELS = ('plain', 'B\u00fcro; #2', 'a=b&c?d/e', '50% off', "'quoted' \"twice\"", 'x' * 32,
          '\u9375\u30c8\u30fc\u30af\u30f3', 'ends in dots...', '~tilde+plus')


@test
def uris_of_p11tool_and_opensc_are_taken_as_they_are_printed(place):
    token = softhsm(place)
    for label in LABELS:
        token.add(label)
    provider = ['p11tool', '--provider=' + SOFTHSM]
    urls = [line for line in call(*provider, '--list-token-urls', **token.env).splitlines()
            if 'SoftHSM' in line and 'token=' in line]
    detailed = [line for line in call(*provider, '--list-token-urls', '--detailed-url',
                                      **token.env).splitlines() if 'SoftHSM' in line]
    opensc = re.findall(r'uri *: *(pkcs11:\S+)', call('pkcs11-tool', '--module', SOFTHSM, '-L',
                                                     **token.env))
    same((len(urls), len(detailed)), (len(LABELS) + 1,) * 2)
    said = set()
    for uri in urls + detailed + opensc:
        said.add(enrolled(token, uri=uri).uri)
    same(len(said), len(LABELS) + 1)
    listed = call('p11tool', '--provider=' + SOFTHSM, '--list-token-urls', **token.env)
    for uri in said:
        own = uri.split('?')[0]
        one = call(*provider, '--list-all', '--login', '--set-pin=' + PIN.decode(), own, **token.env)
        has(one, 'mortise')
    has(listed, 'B%C3%BCro%3B%20%232')


@test
def a_token_of_a_foreign_label_is_told_as_a_uri_that_can_be_typed(place):
    token = softhsm(place)
    token.add('B\u00fcro; #2')
    said = enrol(token).text
    uris = re.findall(r'pkcs11:[^, ]+', said)
    same(len(uris), 2, said)
    for uri in uris:
        same(enrolled(token, uri=uri).mechanism, 'gcm')


@test
def the_key_of_a_removed_slot_is_deleted_with_the_command_of_the_page(place):
    token = softhsm(place)
    for mock, kinds in ((GCM, ['secrkey']), (OAEP, ['privkey', 'pubkey'])):
        enrolled(token, mock=mock)
        for kind in kinds:
            call('pkcs11-tool', '--module=' + SOFTHSM, '--login', '--pin=' + PIN.decode(),
                 '--delete-object', '--type=' + kind, '--label=mortise', **token.env)
        same(token.objects(), 0, mock)


@test
def a_uri_with_a_pin_an_object_or_nonsense_is_refused_before_a_module_is_loaded(place):
    token, log = softhsm(place), place('log')
    for uri, reason in (('pkcs11:token=a?pin-value=1234', 'with a PIN'),
                        ('pkcs11:token=a?pin-source=file:/etc/pin', 'with a PIN'),
                        ('pkcs11:?pinfile=/etc/pin', 'PIN'),
                        ('pkcs11:object=key', 'of an object'), ('pkcs11:id=%01', 'of an object'),
                        ('pkcs11:type=private', 'of an object'), ('pkcs11:tokn=a', 'not known'),
                        ('pkcs11:token=%zz', 'not a PKCS'), ('http://x/', 'not a PKCS'),
                        ('token=a', 'not a PKCS'), ('', 'not a PKCS')):
        refused(enrol(token, uri=uri, mock='log=' + log), 'unfit-wish', reason)
    assert not os.path.exists(log)


@test
def only_configured_modules_are_loaded(place):
    token = softhsm(place)
    fields = {ENTROPY: b'e' * 32, TOKEN_PIN: PIN}
    token.modules = []
    refused(ask_once(token, ENROL, fields), 'no-module', 'no modules in [pkcs11]')
    token.modules = [SOFTHSM]
    for query in ('module-path=' + TPM2_PKCS11, 'module-path=/usr/lib', 'module-name=tpm2_pkcs11',
                  'module-name=soft', 'module-name=p11-kit-trust'):
        refused(enrol(token, uri='pkcs11:?' + query), 'no-module', 'not in [pkcs11] modules')
    text = place.file('text.so', 'no module')
    for path in ('/nonexistent.so', text, '/lib/x86_64-linux-gnu/libc.so.6'):
        refused(enrol(token, modules=[path]), 'no-module')
    refused(enrol(token, modules=['libsofthsm2.so']), 'no-module', 'absolute')


@test
def a_module_that_does_not_load_hides_no_token_of_another(place):
    token = softhsm(place)
    same(enrolled(token, modules=['/nonexistent.so', SOFTHSM]).mechanism, 'gcm')
    same(enrolled(token, modules=[SOFTHSM, '/nonexistent.so']).mechanism, 'gcm')
    token.take_out()
    refused(enrol(token, modules=['/nonexistent.so', SOFTHSM]), 'no-module', '/nonexistent.so')


@test
def nothing_of_the_systems_configuration_is_read(place):
    token, trace = softhsm(place), place('trace')
    enrolled(token, wrapper=[
        'env', 'ASAN_OPTIONS=detect_leaks=0', 'strace', '-f', '-e', 'trace=open,openat,execve', '-o', trace])
    with open(trace) as file:
        opened = file.read()
    has(opened, SOFTHSM, token.conf)
    for word in ('/etc/pkcs11', 'p11-kit/modules', 'p11-kit-trust', '.config', '/nonexistent'):
        assert word not in opened, word


@test
def a_module_finds_what_env_says_and_nothing_else(place):
    token, log = softhsm(place), place('log')
    token.env['EXTRA'] = 'a=b'
    enrolled(token, mock='log=' + log)
    with open(log) as file:
        found = {line for line in file.read().splitlines() if line.startswith('env ')}
    same(found, {'env SOFTHSM2_CONF=' + token.conf, 'env EXTRA=a=b', 'env MOCK=log=' + log})


@test
def a_failed_enrolment_leaves_no_key_on_the_token(place):
    token = softhsm(place)
    for mock in ('wrong:C_Decrypt', 'short:C_Decrypt', 'short:C_Encrypt', 'rv:C_Encrypt=30',
                 'attribute=103:0', 'attribute=162:1', 'long:C_GetAttributeValue',
                 'hide=9,hide=1050,rv:C_Encrypt=5', ECDH + ',rv:C_DeriveKey=30',
                 OAEP + ',wrong:C_Decrypt', 'second:C_Login=30'):
        answer = enrol(token, mock=mock)
        assert answer.fault and answer.h is None, (mock, answer)
        if not mock.startswith('second'):
            same(token.objects(), 0, mock)


@test
def what_a_token_cannot_do_is_tried_in_turn_and_taken_away_again(place):
    token = softhsm(place)
    same(enrolled(token, mock='rv:C_GenerateKey=54').mechanism, 'oaep-sha1')
    same(token.objects(), 2, 'a pair')
    answer = enrolled(token, mock='rv:C_Encrypt=70')
    same((answer.mechanism, token.objects()), ('ecdh', 4))
    refused(enrol(token, mock=ECDH + ',hide=1050'), 'unsupported', 'neither')
    same(token.objects(), 4)


@test
def a_key_that_is_not_what_mortise_makes_is_refused_at_each_opening(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    for attribute, said in (('1:0', 'not kept'), ('2:0', 'without a PIN'), ('103:0', 'be read'),
                            ('165:0', 'read once'), ('162:1', 'taken out'),
                            ('164:0', 'taken out once'), ('163:0', 'not made on'),
                            ('105:0', 'another use'), ('161:10', 'another size'),
                            ('100:1', 'another kind'), ('0:3', 'another kind')):
        refused(open_slot(token, blob, mock='attribute=' + attribute), 'refused', said)
    blob = enrolled(token, mock=OAEP).blob
    refused(open_slot(token, blob, mock='attribute=120:7'), 'refused', 'another size')
    blob = enrolled(token, mock=ECDH).blob
    refused(open_slot(token, blob, mock='attribute=180:7'), 'refused', 'another size')


@test
def lengths_that_lie_are_malformed(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    for mock in ('short:C_Decrypt', 'long:C_Decrypt', 'long:C_FindObjects',
                 'long:C_GetAttributeValue'):
        refused(open_slot(token, blob, mock=mock), 'malformed')
    refused(open_slot(token, blob, mock='long:C_GetSlotList'), 'malformed', 'C_GetSlotList')
    for mock in ('long:C_GetMechanismList', 'long:C_Encrypt'):
        refused(enrol(token, mock=mock), 'malformed')


@test
def every_call_may_fail_with_any_value_and_is_a_fault_in_one_line(place):
    token = softhsm(place)
    blob = enrolled(token).blob
    for name in ('C_GetFunctionList', 'C_Initialize', 'C_GetSlotList', 'C_GetTokenInfo',
                 'C_OpenSession', 'C_Login', 'C_FindObjects', 'C_GetAttributeValue', 'C_Decrypt'):
        for value in ('5', '31', 'e0', '80000001'):
            answer = open_slot(token, blob, mock='rv:%s=%s' % (name, value))
            assert answer.fault and answer.text.isprintable() and answer.text, (name, answer)


@test
def a_module_that_crashes_or_exits_takes_the_sealer_along_and_no_more(place):
    token = softhsm(place)
    answer = enrolled(token)
    for what in ('crash', 'exit', 'fork', 'close'):
        for name in ('C_GetFunctionList', 'C_Initialize', 'C_Login', 'C_Decrypt'):
            same(open_slot(token, answer.blob, mock='%s:%s' % (what, name)), None, (what, name))
    same(open_slot(token, answer.blob).h, answer.h)


@test
def a_module_that_crashes_at_its_end_has_answered_before(place):
    token = softhsm(place)
    answer = enrolled(token, mock='crash:C_Finalize', dies=True)
    same(open_slot(token, answer.blob, mock='crash:C_Finalize', dies=True).h, answer.h)
    same(open_slot(token, answer.blob, mock='hang:C_Finalize', deadline_ms=1000, dies=True).h,
         answer.h)


@test
def a_sealer_that_is_asked_again_starts_anew_and_ends_what_it_began(place):
    token, log = softhsm(place), place('log')
    answer = enrolled(token)
    sealer = Sealer([os.environ['MORTISE_TEST_BUILD'] + '/libmock_pkcs11.so'],
                    {**token.env, 'MOCK': 'log=' + log})
    for _ in range(3):
        same(sealer.ask(OPEN, {BLOB: answer.blob, TOKEN_PIN: PIN}).h, answer.h)
    same(sealer.finish(), 0)
    same((calls(log, 'C_Initialize'), calls(log, 'C_Finalize')), (3, 3))


@test
def a_child_that_a_module_leaves_has_no_socket_and_dies_with_the_sealer(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    same(open_slot(token, blob, mock='fork:C_Login,log=' + log), None)
    same(calls(log, 'child'), 1)
    until(lambda: not processes_with('MOCK=fork:C_Login,log=' + log))


@test
def a_program_that_a_module_leaves_has_no_socket(place):
    token, log = softhsm(place), place('log')
    blob = enrolled(token).blob
    mock = 'spawn:C_Login,log=' + log
    same(open_slot(token, blob, mock=mock), None)
    for pid in processes_with('MOCK=' + mock):
        os.kill(pid, signal.SIGKILL)


@test
def a_module_that_hangs_ends_with_the_deadline(place):
    token = softhsm(place)
    answer = enrolled(token)
    for name in ('C_Initialize', 'C_Login'):
        same(open_slot(token, answer.blob, mock='hang:' + name, deadline_ms=50), None)
    same(open_slot(token, answer.blob).h, answer.h)


@test
def what_a_module_prints_reaches_nobody(place):
    token = softhsm(place)
    answer = enrolled(token)
    with open(place('output'), 'w+b') as output:
        for name in ('C_GetFunctionList', 'C_Login', 'C_Finalize'):
            opened = open_slot(token, answer.blob, mock='noise:' + name, output=output)
            same(opened.h, answer.h)
        output.seek(0)
        same(output.read(), b'')


def need_tpm2_pkcs11():
    if not os.path.exists(TPM2_PKCS11):
        raise Skip('no tpm2-pkcs11')


@test
def tpm2_pkcs11_offers_oaep_and_another_sealer_opens_it(place):
    need_tpm2_pkcs11()
    with Tpm2Token(place('tpm2'), place.tpm()) as token:
        answer = enrolled(token, uri='pkcs11:token=mortise-tpm')
        same(answer.mechanism, 'oaep-sha256')
        same(open_slot(token, answer.blob).h, answer.h)
        refused(open_slot(token, answer.blob, pin=b'wrong-Horse'), 'wrong-pin')
        for at in (HEADER_SIZE, HEADER_SIZE + 100, len(answer.blob) - 1):
            refused(open_slot(token, changed(answer.blob, at)), 'refused', 'C_Decrypt')
        same(open_slot(token, answer.blob).h, answer.h)


@test
def two_tokens_of_two_makers_are_told_apart(place):
    need_tpm2_pkcs11()
    first = softhsm(place)
    with Tpm2Token(place('tpm2'), place.tpm()) as second:
        second.env.update(first.env)
        second.modules += first.modules
        refused(enrol(second), 'absent', '2 tokens', 'token=mortise-test', 'token=mortise-tpm')
        one = enrolled(second, uri='pkcs11:token=mortise-test')
        two = enrolled(second, uri='pkcs11:token=mortise-tpm')
        same((one.mechanism, two.mechanism), ('gcm', 'oaep-sha256'))
        same(open_slot(second, one.blob).h, one.h)
        same(open_slot(second, two.blob).h, two.h)


if __name__ == '__main__':
    tap.main()
