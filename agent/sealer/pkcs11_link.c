/* SPDX-License-Identifier: ISC */
/*
 * p11_kit_module_load() with an absolute path reads no configuration of p11-kit's: no other
 * module comes in, and none of the system's options for this one.
 */
#include "pkcs11_link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11_fault.h"

#define SLOTS_MAX   64
#define BLANKS      " \t"
#define LABEL_SIZE  32
#define SERIAL_SIZE 16
#define FOUND_SIZE  160

/* What a search comes to, over all modules. */
struct findings {
	size_t count;          /* of tokens that match */
	size_t others;         /* of tokens that don't */
	bool has_sick;         /* a module did not load or start: token->failure says which */
	bool has_module;       /* that the search allows */
	char list[FOUND_SIZE]; /* the labels of those that match or, if none does, of all */
};

enum mortise_status pkcs11_fail(
	struct pkcs11 *token, enum token_fault fault, const char *format, ...)
{
	va_list arguments;

	token->failure->fault = fault;
	va_start(arguments, format);
	vsnprintf(token->failure->detail, sizeof token->failure->detail, format, arguments);
	va_end(arguments);
	return MORTISE_HARDWARE;
}

enum mortise_status pkcs11_check(
	struct pkcs11 *token, CK_RV value, const char *what, enum token_fault refusal)
{
	if (value == CKR_OK)
		return MORTISE_OK;
	return pkcs11_fail(token, pkcs11_fault_of(value, refusal), "%s: %.160s (0x%lx)", what,
		p11_kit_strerror(value), value);
}

/* A field of CK_TOKEN_INFO is padded with blanks and has no NUL. */
static int width_of(const uint8_t *text, int size)
{
	while (size > 0 && text[size - 1] == ' ')
		size--;
	return size;
}

static void copy_identity(const CK_TOKEN_INFO *info, uint8_t out_identity[PKCS11_IDENTITY_SIZE])
{
	memcpy(out_identity, info->label, 32);
	memcpy(out_identity + 32, info->manufacturerID, 32);
	memcpy(out_identity + 64, info->model, 16);
	memcpy(out_identity + 80, info->serialNumber, 16);
}

static void note(struct findings *findings, const CK_TOKEN_INFO *info)
{
	size_t size = strlen(findings->list);

	snprintf(findings->list + size, FOUND_SIZE - size, "%s'%.*s' (serial %.*s)",
		size > 0 ? ", " : "", width_of(info->label, LABEL_SIZE), (const char *)info->label,
		width_of(info->serialNumber, SERIAL_SIZE), (const char *)info->serialNumber);
}

static bool is_match(const struct pkcs11_search *search, CK_SLOT_ID slot,
	const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *info)
{
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	CK_SLOT_ID wanted;

	if (search->uri != NULL) {
		wanted = p11_kit_uri_get_slot_id(search->uri);
		return p11_kit_uri_match_token_info(search->uri, info) == 1 &&
		       p11_kit_uri_match_slot_info(search->uri, slot_info) == 1 &&
		       (wanted == (CK_SLOT_ID)-1 || wanted == slot);
	}
	copy_identity(info, identity);
	return memcmp(identity, search->identity, sizeof identity) == 0;
}

/* One that is gone by now, or has no PIN yet, is none. */
static void look_at(struct pkcs11 *token, CK_FUNCTION_LIST *module, CK_SLOT_ID slot,
	const struct pkcs11_search *search, struct findings *findings)
{
	CK_SLOT_INFO slot_info = {0};
	CK_TOKEN_INFO info = {0};

	if (module->C_GetSlotInfo(slot, &slot_info) != CKR_OK ||
		module->C_GetTokenInfo(slot, &info) != CKR_OK ||
		(info.flags & CKF_TOKEN_INITIALIZED) == 0)
		return;
	if (!is_match(search, slot, &slot_info, &info)) {
		findings->others++;
		if (findings->count == 0)
			note(findings, &info);
		return;
	}
	if (findings->count == 0)
		findings->list[0] = '\0';
	findings->count++;
	note(findings, &info);
	token->module = module;
	token->slot = slot;
	copy_identity(&info, token->identity);
}

static void look_through(struct pkcs11 *token, CK_FUNCTION_LIST *module,
	const struct pkcs11_search *search, struct findings *findings)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	CK_INFO info = {0};

	if (search->uri != NULL && (module->C_GetInfo(&info) != CKR_OK ||
					   p11_kit_uri_match_module_info(search->uri, &info) != 1))
		return;
	if (module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK || count > SLOTS_MAX)
		return;
	for (CK_ULONG i = 0; i < count; i++)
		look_at(token, module, slots[i], search, findings);
}

/* A module that is sick hides no token of the others. */
static enum mortise_status load(struct pkcs11 *token, const char *path)
{
	CK_FUNCTION_LIST *module = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
	const char *message;
	CK_RV value;

	if (module == NULL) {
		message = p11_kit_message();
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_MODULE, "%.200s", message != NULL ? message : path);
	}
	value = p11_kit_module_initialize(module);
	if (value != CKR_OK) {
		p11_kit_module_release(module);
		return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE, "%.150s: C_Initialize: %.60s",
			path, p11_kit_strerror(value));
	}
	token->modules[token->module_count++] = module;
	return MORTISE_OK;
}

/* module-path and module-name of a URI choose among the configured modules, no others. */
static bool is_allowed(const struct pkcs11_search *search, const char *path)
{
	const char *file = strrchr(path, '/'), *wanted_path, *wanted_name;
	size_t size;

	if (search->uri == NULL)
		return true;
	wanted_path = p11_kit_uri_get_module_path(search->uri);
	wanted_name = p11_kit_uri_get_module_name(search->uri);
	if (wanted_path != NULL && strcmp(wanted_path, path) != 0)
		return false;
	if (wanted_name == NULL)
		return true;
	/* RFC 7512, 2.3: without "lib" or a suffix; written whole it is the same. */
	file = file != NULL ? file + 1 : path;
	size = strlen(wanted_name);
	if (strncmp(file, "lib", 3) == 0 && strncmp(wanted_name, "lib", 3) != 0)
		file += 3;
	return strncmp(file, wanted_name, size) == 0 && (file[size] == '\0' || file[size] == '.');
}

static enum mortise_status search_modules(
	struct pkcs11 *token, const struct pkcs11_search *search, struct findings *findings)
{
	const char *at = token->options->pkcs11_modules;
	char path[1024];

	while (at != NULL && *(at += strspn(at, BLANKS)) != '\0') {
		size_t size = strcspn(at, BLANKS);

		if (*at != '/' || size >= sizeof path || token->module_count == PKCS11_MODULES_MAX)
			return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE,
				"[pkcs11] modules: at most %d absolute paths", PKCS11_MODULES_MAX);
		memcpy(path, at, size);
		path[size] = '\0';
		at += size;
		if (!is_allowed(search, path))
			continue;
		findings->has_module = true;
		if (load(token, path) == MORTISE_OK)
			look_through(
				token, token->modules[token->module_count - 1], search, findings);
		else
			findings->has_sick = true;
	}
	return MORTISE_OK;
}

static enum mortise_status judge(
	struct pkcs11 *token, const struct pkcs11_search *search, const struct findings *findings)
{
	const uint8_t *label = search->identity;

	if (findings->count == 1)
		return MORTISE_OK;
	if (!findings->has_module)
		return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE,
			token->options->pkcs11_modules == NULL
				? "no modules in [pkcs11] of mortised.conf"
				: "the URI names a module that is not in [pkcs11] modules");
	if (findings->count > 1)
		return pkcs11_fail(token, TOKEN_FAULT_ABSENT,
			"%zu tokens match, and one must be meant: %s", findings->count,
			findings->list);
	if (findings->has_sick)
		return MORTISE_HARDWARE;
	if (label != NULL)
		return pkcs11_fail(token, TOKEN_FAULT_ABSENT,
			"token '%.*s' (serial %.*s) is not there; found: %s",
			width_of(label, LABEL_SIZE), (const char *)label,
			width_of(label + 80, SERIAL_SIZE), (const char *)label + 80,
			findings->others > 0 ? findings->list : "none");
	return pkcs11_fail(token, TOKEN_FAULT_ABSENT, "no token matches the URI; found: %s",
		findings->others > 0 ? findings->list : "none");
}

enum mortise_status pkcs11_connect(const struct token_options *options,
	const struct pkcs11_search *search, struct token_failure *failure, struct pkcs11 *token)
{
	struct findings findings = {0};

	*token = (struct pkcs11){.options = options, .failure = failure};
	p11_kit_be_quiet();
	TRY(search_modules(token, search, &findings));
	return judge(token, search, &findings);
}

static void close_session(struct pkcs11 *token)
{
	if (token->has_session)
		(void)token->module->C_CloseSession(token->session);
	token->has_session = false;
}

enum mortise_status pkcs11_start_session(struct pkcs11 *token, bool may_write)
{
	CK_FLAGS flags = CKF_SERIAL_SESSION | (may_write ? CKF_RW_SESSION : 0);

	close_session(token);
	TRY(pkcs11_check(token,
		token->module->C_OpenSession(token->slot, flags, NULL, NULL, &token->session),
		"C_OpenSession", TOKEN_FAULT_OTHER));
	token->has_session = true;
	return MORTISE_OK;
}

enum mortise_status pkcs11_flags(struct pkcs11 *token, CK_FLAGS *out_flags)
{
	CK_TOKEN_INFO info = {0};

	TRY(pkcs11_check(token, token->module->C_GetTokenInfo(token->slot, &info), "C_GetTokenInfo",
		TOKEN_FAULT_OTHER));
	*out_flags = info.flags;
	return MORTISE_OK;
}

void pkcs11_disconnect(struct pkcs11 *token)
{
	close_session(token);
	while (token->module_count > 0) {
		CK_FUNCTION_LIST *module = token->modules[--token->module_count];

		(void)p11_kit_module_finalize(module);
		p11_kit_module_release(module);
	}
	token->module = NULL;
}
