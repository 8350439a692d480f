/* SPDX-License-Identifier: ISC */
/*
 * A PKCS #11 module that misbehaves: SoftHSM2, with something between. MOCK in its environment
 * lists, separated by commas, what it does besides:
 *
 *	crash|hang|exit|noise|fork|spawn|close:C_Login	when that function is called
 *	rv:C_Decrypt=5		the function returns that instead (hexadecimal)
 *	second:C_Login=a0	the same, but not at the first call
 *	wrong:C_Decrypt		a bit of what it gives is flipped
 *	short:C_Decrypt		what it gives is one byte shorter than it was
 *	long:C_FindObjects	it says that it gave more than there was room for
 *	slots=70		so many slots without a token come before the others
 *	hide=1087		a mechanism that is not listed (hexadecimal)
 *	flag=10000		set in CK_TOKEN_INFO
 *	label=X			the first letter of the token's label
 *	attribute=103:0		the first byte of an attribute, whatever it was
 *	log=/path		each call is a line there, and the start of the environment is
 *	while=/path		all but the log only while that file is there
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define SOFTHSM    "/usr/lib/softhsm/libsofthsm2.so"
#define EMPTY_SLOT 0x100000000ul /* and those behind it: SoftHSM has no such ids */

extern char **environ;

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out_list) __attribute__((visibility("default")));

static CK_FUNCTION_LIST *real, mock;

/* What follows the first directive that starts with prefix; NULL if there is none. */
static const char *find(const char *prefix)
{
	const char *at = getenv("MOCK");
	size_t size = strlen(prefix);

	for (; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, prefix, size) == 0)
			return at + size;
	}
	return NULL;
}

/* The same, unless it does not misbehave just now. */
static const char *after(const char *prefix)
{
	const char *path = find("while=");
	char name[256];

	if (path != NULL) {
		snprintf(name, sizeof name, "%.*s", (int)strcspn(path, ","), path);
		if (access(name, F_OK) != 0)
			return NULL;
	}
	return find(prefix);
}

static bool has(const char *what, const char *function)
{
	char directive[64];
	const char *rest;

	snprintf(directive, sizeof directive, "%s:%s", what, function);
	rest = after(directive);
	return rest != NULL && (*rest == ',' || *rest == '\0' || *rest == '=');
}

static void log_call(const char *function)
{
	const char *path = find("log=");
	char name[256];
	FILE *log;

	if (path == NULL)
		return;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(path, ","), path);
	log = fopen(name, "ae");
	if (log == NULL)
		return;
	fprintf(log, "%s\n", function);
	if (strcmp(function, "C_Initialize") == 0)
		for (char **word = environ; *word != NULL; word++)
			fprintf(log, "env %s\n", *word);
	fclose(log);
}

static void make_noise(void)
{
	static char line[65536];

	memset(line, 'x', sizeof line);
	for (int i = 0; i < 64; i++)
		for (int fd = 0; fd < 3; fd++)
			(void)!write(fd, line, sizeof line);
	printf("canary-on-stdout\n");
	fprintf(stderr, "canary-on-stderr\n");
	fflush(stdout);
}

/* A child that would live for ever, and a parent that is gone. */
static void leave_a_child(void)
{
	int begun[2];
	char byte;

	if (pipe2(begun, O_CLOEXEC) != 0)
		abort();
	if (fork() == 0) {
		log_call("child");
		close(begun[1]);
		for (;;)
			pause();
	}
	close(begun[1]);
	(void)!read(begun[0], &byte, 1);
	abort();
}

/* For one function only: it counts the calls of all that ask. */
static const char *after_the_first(const char *function)
{
	static unsigned called;
	char directive[64];
	const char *value;

	snprintf(directive, sizeof directive, "second:%s=", function);
	value = after(directive);
	return value != NULL && called++ > 0 ? value : NULL;
}

/* A program instead: libc runs no fork handlers for it. */
static void leave_a_program(void)
{
	char *arguments[] = {(char[]){"sleep"}, (char[]){"60"}, NULL};
	pid_t child;

	(void)!posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);
	abort();
}

static CK_RV act(const char *function)
{
	char directive[64];
	const char *value;

	log_call(function);
	if (has("crash", function))
		raise(SIGSEGV);
	if (has("exit", function))
		exit(0);
	if (has("noise", function))
		make_noise();
	if (has("fork", function))
		leave_a_child();
	if (has("spawn", function))
		leave_a_program();
	if (has("close", function))
		close_range(0, ~0u, 0);
	while (has("hang", function))
		pause();
	snprintf(directive, sizeof directive, "rv:%s=", function);
	value = after(directive);
	if (value == NULL)
		value = after_the_first(function);
	return value != NULL ? strtoul(value, NULL, 16) : CKR_OK;
}

#define ACT(function)                                                                              \
	do {                                                                                       \
		CK_RV forced_ = act(function);                                                     \
		if (forced_ != CKR_OK)                                                             \
			return forced_;                                                            \
	} while (0)

static CK_RV spoil(const char *function, CK_RV value, CK_BYTE *bytes, CK_ULONG *size)
{
	if (value != CKR_OK || bytes == NULL)
		return value;
	if (has("wrong", function))
		bytes[*size / 2] ^= 1;
	if (has("short", function))
		--*size;
	if (has("long", function))
		*size += 100000;
	return value;
}

static CK_RV initialize(void *arguments)
{
	ACT("C_Initialize");
	return real->C_Initialize(arguments);
}

static CK_RV finalize(void *reserved)
{
	ACT("C_Finalize");
	return real->C_Finalize(reserved);
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	const char *before = after("slots=");
	CK_ULONG empty = before != NULL ? strtoul(before, NULL, 10) : 0;
	CK_ULONG left = *count > empty ? *count - empty : 0;

	ACT("C_GetSlotList");
	CK_RV value = real->C_GetSlotList(
		present, slots != NULL ? slots + empty : NULL, slots != NULL ? &left : count);
	if (slots != NULL)
		*count = left;
	*count += empty;
	for (CK_ULONG i = 0; i < empty && slots != NULL && value == CKR_OK; i++)
		slots[i] = EMPTY_SLOT + i;
	if (has("long", "C_GetSlotList"))
		*count += 100000;
	return value;
}

static CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	ACT("C_GetSlotInfo");
	if (slot < EMPTY_SLOT)
		return real->C_GetSlotInfo(slot, info);
	*info = (CK_SLOT_INFO){.flags = CKF_HW_SLOT};
	return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	const char *flag = after("flag="), *name = after("label=");

	ACT("C_GetTokenInfo");
	if (slot >= EMPTY_SLOT)
		return CKR_TOKEN_NOT_PRESENT;
	CK_RV value = real->C_GetTokenInfo(slot, info);
	if (flag != NULL)
		info->flags |= strtoul(flag, NULL, 16);
	if (name != NULL)
		info->label[0] = (CK_UTF8CHAR)*name;
	return value;
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
	ACT("C_GetMechanismList");
	CK_RV value = real->C_GetMechanismList(slot, list, count);
	if (value != CKR_OK || list == NULL)
		return value;
	for (CK_ULONG i = 0; i < *count; i++) {
		char directive[32];

		snprintf(directive, sizeof directive, "hide=%lx", list[i]);
		if (after(directive) != NULL)
			list[i] = ~0ul;
	}
	if (has("long", "C_GetMechanismList"))
		*count += 100000;
	return value;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
	CK_SESSION_HANDLE *session)
{
	ACT("C_OpenSession");
	return real->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV login(
	CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_size)
{
	ACT("C_Login");
	return real->C_Login(session, user, pin, pin_size);
}

static CK_RV generate_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
	CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
	ACT("C_GenerateKey");
	return real->C_GenerateKey(session, mechanism, template, count, key);
}

static CK_RV generate_key_pair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
	CK_ATTRIBUTE *public, CK_ULONG public_count, CK_ATTRIBUTE *private, CK_ULONG private_count,
	CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
	ACT("C_GenerateKeyPair");
	return real->C_GenerateKeyPair(session, mechanism, public, public_count, private,
		private_count, public_key, private_key);
}

static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	const char *changed = after("attribute=");
	char *end;

	ACT("C_GetAttributeValue");
	CK_RV value = real->C_GetAttributeValue(session, object, attributes, count);
	for (CK_ULONG i = 0; i < count && value == CKR_OK; i++) {
		if (has("long", "C_GetAttributeValue"))
			attributes[i].ulValueLen += 100000;
		if (changed != NULL && strtoul(changed, &end, 16) == attributes[i].type)
			*(CK_BYTE *)attributes[i].pValue = (CK_BYTE)strtoul(end + 1, NULL, 16);
	}
	return value;
}

static CK_RV find_objects(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
	ACT("C_FindObjects");
	CK_RV value = real->C_FindObjects(session, objects, max, count);
	if (has("long", "C_FindObjects"))
		*count += 100000;
	return value;
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG size, CK_BYTE *output,
	CK_ULONG *output_size)
{
	ACT("C_Encrypt");
	return spoil("C_Encrypt", real->C_Encrypt(session, data, size, output, output_size), output,
		output_size);
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG size, CK_BYTE *output,
	CK_ULONG *output_size)
{
	ACT("C_Decrypt");
	return spoil("C_Decrypt", real->C_Decrypt(session, data, size, output, output_size), output,
		output_size);
}

static CK_RV derive_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
	CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
	ACT("C_DeriveKey");
	return real->C_DeriveKey(session, mechanism, base, template, count, key);
}

static CK_RV generate_random(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG size)
{
	ACT("C_GenerateRandom");
	if (has("wrong", "C_GenerateRandom")) {
		memset(bytes, 0, size);
		return CKR_OK;
	}
	return real->C_GenerateRandom(session, bytes, size);
}

static CK_RV get_function_list(CK_FUNCTION_LIST **out_list)
{
	*out_list = &mock;
	return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out_list)
{
	void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = NULL;

	ACT("C_GetFunctionList");
	if (library != NULL)
		*(void **)&get = dlsym(library, "C_GetFunctionList");
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	mock = *real;
	mock.C_GetFunctionList = get_function_list;
	mock.C_Initialize = initialize;
	mock.C_Finalize = finalize;
	mock.C_GetSlotList = get_slot_list;
	mock.C_GetSlotInfo = get_slot_info;
	mock.C_GetTokenInfo = get_token_info;
	mock.C_GetMechanismList = get_mechanism_list;
	mock.C_OpenSession = open_session;
	mock.C_Login = login;
	mock.C_GenerateKey = generate_key;
	mock.C_GenerateKeyPair = generate_key_pair;
	mock.C_GetAttributeValue = get_attribute_value;
	mock.C_FindObjects = find_objects;
	mock.C_Encrypt = encrypt;
	mock.C_Decrypt = decrypt;
	mock.C_DeriveKey = derive_key;
	mock.C_GenerateRandom = generate_random;
	*out_list = &mock;
	return CKR_OK;
}
