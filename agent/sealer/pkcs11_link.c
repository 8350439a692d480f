/* SPDX-License-Identifier: ISC */
/*
 * p11_kit_module_load() with an absolute path reads no configuration of p11-kit's: no other
 * module comes in, and none of the system's options for this one.
 */
#include "pkcs11_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"

static const struct {
	CK_RV value;
	enum token_fault fault;
} faults[] = {
	{CKR_PIN_INCORRECT, TOKEN_FAULT_WRONG_PIN},
	{CKR_PIN_INVALID, TOKEN_FAULT_WRONG_PIN},
	{CKR_PIN_LEN_RANGE, TOKEN_FAULT_WRONG_PIN},
	{CKR_PIN_LOCKED, TOKEN_FAULT_LOCKOUT},
	{CKR_USER_NOT_LOGGED_IN, TOKEN_FAULT_NO_PIN},
	{CKR_TOKEN_NOT_PRESENT, TOKEN_FAULT_ABSENT},
	{CKR_TOKEN_NOT_RECOGNIZED, TOKEN_FAULT_ABSENT},
	{CKR_DEVICE_REMOVED, TOKEN_FAULT_ABSENT},
	{CKR_SLOT_ID_INVALID, TOKEN_FAULT_ABSENT},
	{CKR_DEVICE_MEMORY, TOKEN_FAULT_FULL},
	{CKR_SESSION_COUNT, TOKEN_FAULT_FULL},
	{CKR_BUFFER_TOO_SMALL, TOKEN_FAULT_MALFORMED},
	{CKR_ENCRYPTED_DATA_INVALID, TOKEN_FAULT_REFUSED},
	{CKR_ENCRYPTED_DATA_LEN_RANGE, TOKEN_FAULT_REFUSED},
	{CKR_ARGUMENTS_BAD, TOKEN_FAULT_UNSUPPORTED},
	{CKR_ATTRIBUTE_READ_ONLY, TOKEN_FAULT_UNSUPPORTED},
	{CKR_ATTRIBUTE_TYPE_INVALID, TOKEN_FAULT_UNSUPPORTED},
	{CKR_ATTRIBUTE_VALUE_INVALID, TOKEN_FAULT_UNSUPPORTED},
	{CKR_DOMAIN_PARAMS_INVALID, TOKEN_FAULT_UNSUPPORTED},
	{CKR_FUNCTION_NOT_SUPPORTED, TOKEN_FAULT_UNSUPPORTED},
	{CKR_KEY_FUNCTION_NOT_PERMITTED, TOKEN_FAULT_UNSUPPORTED},
	{CKR_KEY_SIZE_RANGE, TOKEN_FAULT_UNSUPPORTED},
	{CKR_KEY_TYPE_INCONSISTENT, TOKEN_FAULT_UNSUPPORTED},
	{CKR_MECHANISM_INVALID, TOKEN_FAULT_UNSUPPORTED},
	{CKR_MECHANISM_PARAM_INVALID, TOKEN_FAULT_UNSUPPORTED},
	{CKR_TEMPLATE_INCOMPLETE, TOKEN_FAULT_UNSUPPORTED},
	{CKR_TEMPLATE_INCONSISTENT, TOKEN_FAULT_UNSUPPORTED},
	{CKR_TOKEN_WRITE_PROTECTED, TOKEN_FAULT_UNSUPPORTED},
	{CKR_USER_PIN_NOT_INITIALIZED, TOKEN_FAULT_UNSUPPORTED},
	{CKR_CRYPTOKI_NOT_INITIALIZED, TOKEN_FAULT_OTHER},
	{CKR_DEVICE_ERROR, TOKEN_FAULT_OTHER},
	{CKR_HOST_MEMORY, TOKEN_FAULT_OTHER},
	{CKR_PIN_EXPIRED, TOKEN_FAULT_OTHER},
	{CKR_SESSION_CLOSED, TOKEN_FAULT_OTHER},
	{CKR_SESSION_HANDLE_INVALID, TOKEN_FAULT_OTHER},
};

enum token_fault pkcs11_fault_of(CK_RV value, enum token_fault refusal)
{
	if (value == CKR_OK)
		return TOKEN_FAULT_NONE;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		if (faults[i].value == value)
			return faults[i].fault;
	}
	return refusal;
}

#define SLOTS_MAX   65536 /* of one module; tokens of a network HSM have one each */
#define SLOTS_SPARE 16    /* may come between the question how many there are and which */
#define BLANKS      " \t"
#define FOUND_SIZE  200
#define MORE_SIZE   64  /* of it, for what is said at its end */
#define SHORT_MAX   176 /* a token's URI in short: label and serial number, all escaped */

/* Where fields of a token stand in an identity, by the name that a URI gives them. */
static const struct {
	const char *name;
	size_t at;
	int size;
} identity_fields[] = {
	{"token", 0, 32},
	{"serial", 80, 16},
	{"manufacturer", 32, 32},
	{"model", 64, 16},
};

/* A token that was seen, behind whichever modules. */
struct seen {
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	bool is_match; /* in one of its places */
};

/* What a search comes to, over all modules. */
struct findings {
	struct seen *seen;
	size_t count;    /* of seen */
	size_t matches;  /* of them */
	size_t blank;    /* tokens that are not initialised */
	bool has_sick;   /* a module did not load, start or list: token->failure says which */
	bool has_module; /* that the search allows */
};

static void findings_free(struct findings *findings)
{
	free(findings->seen);
}

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

/* Unreserved characters as they are, all others as %XX (RFC 3986, 2.1). */
static void put_escaped(char *text, size_t size, const uint8_t *bytes, int count)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~/";
	size_t used = strlen(text);

	for (int i = 0; i < count && used + 4 <= size; i++)
		used += (size_t)snprintf(text + used, size - used,
			bytes[i] != '\0' && strchr(plain, bytes[i]) ? "%c" : "%%%02X", bytes[i]);
}

/* The first so many of the fields that are not empty. */
static void write_uri(
	const uint8_t identity[PKCS11_IDENTITY_SIZE], size_t fields, char *out_uri, size_t size)
{
	const char *before = "";

	(void)snprintf(out_uri, size, "pkcs11:");
	for (size_t i = 0; i < fields; i++) {
		const uint8_t *field = identity + identity_fields[i].at;
		int width = width_of(field, identity_fields[i].size);
		size_t used = strlen(out_uri);

		if (width == 0)
			continue;
		(void)snprintf(
			out_uri + used, size - used, "%s%s=", before, identity_fields[i].name);
		put_escaped(out_uri, size, field, width);
		before = ";";
	}
}

static bool is_match(const struct pkcs11_search *search, CK_SLOT_ID slot,
	const CK_SLOT_INFO *slot_info, const CK_TOKEN_INFO *info)
{
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	CK_SLOT_ID wanted;

	if (search->uri) {
		wanted = p11_kit_uri_get_slot_id(search->uri);
		return p11_kit_uri_match_token_info(search->uri, info) == 1 &&
		       p11_kit_uri_match_slot_info(search->uri, slot_info) == 1 &&
		       (wanted == (CK_SLOT_ID)-1 || wanted == slot);
	}
	copy_identity(info, identity);
	return memcmp(identity, search->identity, sizeof identity) == 0;
}

/* The token's own entry; NULL without memory. */
static struct seen *find_seen(
	struct findings *findings, const uint8_t identity[PKCS11_IDENTITY_SIZE])
{
	struct seen *seen;

	for (size_t i = 0; i < findings->count; i++)
		if (memcmp(findings->seen[i].identity, identity, PKCS11_IDENTITY_SIZE) == 0)
			return &findings->seen[i];
	seen = array_room(findings->seen, findings->count, sizeof *seen);
	if (!seen)
		return NULL;
	findings->seen = seen;
	seen += findings->count++;
	*seen = (struct seen){.is_match = false};
	memcpy(seen->identity, identity, PKCS11_IDENTITY_SIZE);
	return seen;
}

/* Of the first token that matches, each place; one that a module shows in several slots has one. */
static void take_place(struct pkcs11 *token, CK_SLOT_ID slot, const struct seen *seen)
{
	size_t newest = token->module_count - 1;

	if (token->place_count == 0)
		memcpy(token->identity, seen->identity, PKCS11_IDENTITY_SIZE);
	else if (memcmp(token->identity, seen->identity, PKCS11_IDENTITY_SIZE) != 0 ||
		 token->places[token->place_count - 1].module == newest)
		return;
	token->places[token->place_count++] = (struct pkcs11_place){newest, slot};
}

/* One that is gone by now is none, and one that is not initialised has no PIN yet. */
static void look_at(struct pkcs11 *token, CK_FUNCTION_LIST *module, CK_SLOT_ID slot,
	const struct pkcs11_search *search, struct findings *findings)
{
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	CK_SLOT_INFO slot_info = {0};
	CK_TOKEN_INFO info = {0};
	struct seen *seen;

	if (module->C_GetSlotInfo(slot, &slot_info) != CKR_OK ||
		module->C_GetTokenInfo(slot, &info) != CKR_OK)
		return;
	if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) {
		findings->blank++;
		return;
	}
	copy_identity(&info, identity);
	seen = find_seen(findings, identity);
	if (!seen || !is_match(search, slot, &slot_info, &info))
		return;
	findings->matches += !seen->is_match;
	seen->is_match = true;
	take_place(token, slot, seen);
}

static enum mortise_status refuse_list(struct pkcs11 *token, const char *path, CK_ULONG count)
{
	return pkcs11_fail(token, TOKEN_FAULT_MALFORMED,
		"%.150s: C_GetSlotList: %lu slots, of %d at most", path, count, SLOTS_MAX);
}

/* The slots with a token; the caller frees them. */
static enum mortise_status list_slots(struct pkcs11 *token, CK_FUNCTION_LIST *module,
	const char *path, CK_SLOT_ID **out_slots, CK_ULONG *out_count)
{
	CK_ULONG count = 0, room;
	CK_SLOT_ID *slots;
	CK_RV value = module->C_GetSlotList(CK_TRUE, NULL, &count);

	if (value == CKR_OK && count > SLOTS_MAX)
		return refuse_list(token, path, count);
	room = count + SLOTS_SPARE;
	slots = calloc(room, sizeof *slots);
	if (!slots)
		return MORTISE_BUSY;
	count = room;
	if (value == CKR_OK)
		value = module->C_GetSlotList(CK_TRUE, slots, &count);
	if (value == CKR_OK && count <= room) {
		*out_slots = slots;
		*out_count = count;
		return MORTISE_OK;
	}
	free(slots);
	return value != CKR_OK
		       ? pkcs11_fail(token, TOKEN_FAULT_NO_MODULE, "%.150s: C_GetSlotList: %.60s",
				 path, p11_kit_strerror(value))
		       : refuse_list(token, path, count);
}

static enum mortise_status look_through(struct pkcs11 *token, const char *path,
	const struct pkcs11_search *search, struct findings *findings)
{
	CK_FUNCTION_LIST *module = token->modules[token->module_count - 1];
	CK_SLOT_ID *slots = NULL;
	CK_ULONG count = 0;
	CK_INFO info = {0};

	if (search->uri) {
		CK_RV value = module->C_GetInfo(&info);

		if (value != CKR_OK)
			return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE, "%.150s: C_GetInfo: %.60s",
				path, p11_kit_strerror(value));
		if (p11_kit_uri_match_module_info(search->uri, &info) != 1)
			return MORTISE_OK;
	}
	TRY(list_slots(token, module, path, &slots, &count));
	for (CK_ULONG i = 0; i < count; i++)
		look_at(token, module, slots[i], search, findings);
	free(slots);
	return MORTISE_OK;
}

/* A module that is sick hides no token of the others. */
static enum mortise_status load(struct pkcs11 *token, const char *path)
{
	CK_FUNCTION_LIST *module = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
	const char *message;
	CK_RV value;

	if (!module) {
		message = p11_kit_message();
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_MODULE, "%.200s", message ? message : path);
	}
	value = p11_kit_module_initialize(module);
	if (value != CKR_OK) {
		p11_kit_module_release(module);
		return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE, "%.150s: C_Initialize: %.60s",
			path, p11_kit_strerror(value));
	}
	(void)snprintf(token->paths[token->module_count], PKCS11_PATH_MAX, "%s", path);
	token->modules[token->module_count++] = module;
	return MORTISE_OK;
}

/* module-path and module-name of a URI choose among the configured modules, no others. */
static bool is_allowed(const struct pkcs11_search *search, const char *path)
{
	const char *file = strrchr(path, '/'), *wanted_path, *wanted_name;
	size_t size;

	if (!search->uri)
		return true;
	wanted_path = p11_kit_uri_get_module_path(search->uri);
	wanted_name = p11_kit_uri_get_module_name(search->uri);
	if (wanted_path && strcmp(wanted_path, path) != 0)
		return false;
	if (!wanted_name)
		return true;
	/* RFC 7512, 2.3: without "lib" or a suffix; written whole it is the same. */
	file = file ? file + 1 : path;
	size = strlen(wanted_name);
	if (strncmp(file, "lib", 3) == 0 && strncmp(wanted_name, "lib", 3) != 0)
		file += 3;
	return strncmp(file, wanted_name, size) == 0 && (file[size] == '\0' || file[size] == '.');
}

static enum mortise_status search_modules(
	struct pkcs11 *token, const struct pkcs11_search *search, struct findings *findings)
{
	const char *at = token->options->pkcs11_modules;
	char path[PKCS11_PATH_MAX];

	while (at && *(at += strspn(at, BLANKS)) != '\0') {
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
		if (load(token, path) != MORTISE_OK ||
			look_through(token, path, search, findings) != MORTISE_OK)
			findings->has_sick = true;
	}
	return MORTISE_OK;
}

/* Those that match or, if none does, all: as many as there is room for, and how many more. */
static void tell_found(const struct findings *findings, char *text, size_t size)
{
	size_t used = 0, untold = 0;
	char uri[SHORT_MAX];

	text[0] = '\0';
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->matches > 0 && !findings->seen[i].is_match)
			continue;
		write_uri(findings->seen[i].identity, 2, uri, sizeof uri);
		if (untold > 0 || used + strlen(uri) + MORE_SIZE > size)
			untold++;
		else
			used += (size_t)snprintf(
				text + used, size - used, "%s%s", used > 0 ? ", " : "", uri);
	}
	if (untold > 0)
		used += (size_t)snprintf(text + used, size - used, " and %zu more", untold);
	if (findings->count == 0)
		used += (size_t)snprintf(text + used, size - used, "none");
	if (findings->blank > 0)
		(void)snprintf(text + used, size - used, "; %zu not initialised", findings->blank);
}

static enum mortise_status judge(
	struct pkcs11 *token, const struct pkcs11_search *search, const struct findings *findings)
{
	char found[FOUND_SIZE], wanted[SHORT_MAX];

	if (findings->matches == 1)
		return MORTISE_OK;
	if (!findings->has_module)
		return pkcs11_fail(token, TOKEN_FAULT_NO_MODULE,
			!token->options->pkcs11_modules
				? "no modules in [pkcs11] of mortised.conf"
				: "the URI names a module that is not in [pkcs11] modules");
	tell_found(findings, found, sizeof found);
	if (findings->matches > 1)
		return pkcs11_fail(token, TOKEN_FAULT_ABSENT,
			"%zu tokens match, and one must be meant: %s", findings->matches, found);
	if (findings->has_sick)
		return MORTISE_HARDWARE;
	if (!search->identity)
		return pkcs11_fail(
			token, TOKEN_FAULT_ABSENT, "no token matches the URI; found: %s", found);
	write_uri(search->identity, 2, wanted, sizeof wanted);
	return pkcs11_fail(token, TOKEN_FAULT_ABSENT, "%s is not there; found: %s", wanted, found);
}

static void choose(struct pkcs11 *token, size_t place)
{
	token->place = place;
	token->module = token->modules[token->places[place].module];
	token->slot = token->places[place].slot;
}

enum mortise_status pkcs11_connect(const struct token_options *options,
	const struct pkcs11_search *search, struct token_failure *failure, struct pkcs11 *token)
{
	CLEANUP(findings_free) struct findings findings = {0};

	*token = (struct pkcs11){.options = options, .failure = failure};
	p11_kit_be_quiet();
	TRY(search_modules(token, search, &findings));
	TRY(judge(token, search, &findings));
	choose(token, 0);
	return MORTISE_OK;
}

static void close_session(struct pkcs11 *token)
{
	if (token->has_session)
		(void)token->module->C_CloseSession(token->session);
	token->has_session = false;
}

bool pkcs11_next_place(struct pkcs11 *token)
{
	close_session(token);
	if (token->place + 1 >= token->place_count)
		return false;
	choose(token, token->place + 1);
	return true;
}

enum mortise_status pkcs11_uri(struct pkcs11 *token, char out_uri[TOKEN_URI_MAX + 1])
{
	const char *path = token->paths[token->places[token->place].module];
	size_t used;

	write_uri(token->identity, sizeof identity_fields / sizeof *identity_fields, out_uri,
		TOKEN_URI_MAX + 1);
	used = strlen(out_uri);
	(void)snprintf(out_uri + used, TOKEN_URI_MAX + 1 - used, "?module-path=");
	put_escaped(out_uri, TOKEN_URI_MAX + 1, (const uint8_t *)path, (int)strlen(path));
	/* What did not fit was left out. */
	if (strlen(out_uri) + 3 > TOKEN_URI_MAX)
		return pkcs11_fail(token, TOKEN_FAULT_UNFIT_WISH,
			"the module's path is too long: a slot's URI has %d bytes", TOKEN_URI_MAX);
	return MORTISE_OK;
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

/*
 * The pin-file: a regular file, root's or our own, which nobody else may change and not all the
 * world may read. Its group may read it if it is root's: then root chose that group for us.
 */

static void close_file(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static const char *what_is_wrong_with(const struct stat *file)
{
	mode_t refused = S_IWGRP | S_IRWXO | (file->st_uid == 0 ? 0 : S_IRGRP);

	if (!S_ISREG(file->st_mode))
		return "is no regular file";
	if (file->st_uid != 0 && file->st_uid != geteuid())
		return "is neither root's nor the agent's";
	if ((file->st_mode & refused) != 0)
		return "may be read or changed by others; chmod 0400, or root's and 0440";
	return NULL;
}

/* Could it be typed? Neither a byte order mark nor UTF-16 could. */
static bool is_typable(const uint8_t *bytes, size_t size)
{
	if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
		return false;
	for (size_t i = 0; i < size; i++)
		if ((bytes[i] < ' ' && bytes[i] != '\t') || bytes[i] == 0x7f)
			return false;
	return true;
}

/* One line without its ending, \n or \r\n, which may be missing. What is none costs no try. */
static enum mortise_status take_line(
	struct pkcs11 *token, const char *path, const struct secret *text, struct secret **out_pin)
{
	size_t size = text->size;

	if (size > 0 && text->bytes[size - 1] == '\n')
		size--;
	if (size > 0 && size < text->size && text->bytes[size - 1] == '\r')
		size--;
	if (size == 0 || size > TOKEN_PIN_MAX || !is_typable(text->bytes, size))
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"pin-file %.160s is not one line of 1 to %d bytes of plain text", path,
			TOKEN_PIN_MAX);
	return secret_copy(text->bytes, size, out_pin);
}

static enum mortise_status read_file(struct pkcs11 *token, struct secret **out_pin)
{
	const char *path = token->options->pkcs11_pin_file, *wrong;
	CLEANUP(close_file) int fd = -1;
	CLEANUP(secret_drop) struct secret *text = NULL;
	struct stat file;
	ssize_t size;

	if (!path)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"the token wants a PIN, and there is no pin-file in [pkcs11]");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &file) != 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_PIN, "pin-file %.160s: %s", path, strerror(errno));
	wrong = what_is_wrong_with(&file);
	if (wrong)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN, "pin-file %.160s %s", path, wrong);
	TRY(secret_new(TOKEN_PIN_MAX + 3, &text)); /* with an ending, and one byte too many */
	do
		size = read(fd, text->bytes, text->size);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_NO_PIN, "pin-file %.160s: %s", path, strerror(errno));
	secret_shrink(text, (size_t)size);
	return take_line(token, path, text, out_pin);
}

static enum mortise_status may_try(struct pkcs11 *token, bool is_typed, bool is_right)
{
	CK_FLAGS flags;

	TRY(pkcs11_flags(token, &flags));
	if ((flags & CKF_USER_PIN_LOCKED) != 0)
		return pkcs11_fail(
			token, TOKEN_FAULT_LOCKOUT, "the token says that its PIN is locked");
	if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		return pkcs11_fail(token, TOKEN_FAULT_UNSUPPORTED,
			"a token whose PIN is typed on itself cannot open a store at boot");
	if (is_typed || is_right)
		return MORTISE_OK;
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return pkcs11_fail(token, TOKEN_FAULT_NO_PIN,
			"the token has one try left, which pin-file does not get; log in with the "
			"right PIN, as by pkcs11-tool --login --test, and try again");
	return MORTISE_OK;
}

enum mortise_status pkcs11_login(struct pkcs11 *token, struct pkcs11_pin *pin)
{
	const struct secret *used;
	CK_RV value;

	if (pin->is_wrong)
		return pkcs11_fail(token, TOKEN_FAULT_WRONG_PIN, "C_Login: it failed before");
	TRY(may_try(token, pin->typed != NULL, pin->is_right));
	if (!pin->typed && !pin->kept)
		TRY(read_file(token, &pin->kept));
	used = pin->typed ? pin->typed : pin->kept;
	/* PKCS #11 takes a PIN by a pointer that is not const, and does not change it. */
	value = token->module->C_Login(
		token->session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)used->bytes, used->size);
	pin->is_right = value == CKR_OK;
	pin->is_wrong = !pin->is_right;
	return pkcs11_check(token, value, "C_Login", TOKEN_FAULT_OTHER);
}

#define PKCS11_BLOB_VERSION 1

#define PKCS11_BOX_SIZE (24 + KEY_SIZE + 16)

#define FLAG_PIN 1

#define AT_IDENTITY 4
#define AT_KEY_ID   (AT_IDENTITY + PKCS11_IDENTITY_SIZE)

size_t pkcs11_body_size(enum pkcs11_mechanism mechanism)
{
	switch (mechanism) {
	case PKCS11_AES_GCM:
		return PKCS11_GCM_IV_SIZE + PKCS11_GCM_SIZE;
	case PKCS11_OAEP_SHA256:
	case PKCS11_OAEP_SHA1:
		return PKCS11_RSA_SIZE;
	case PKCS11_ECDH:
		return 2 * PKCS11_POINT_SIZE + PKCS11_BOX_SIZE;
	default:
		return 0;
	}
}

void pkcs11_blob_header(const struct pkcs11_blob *blob, uint8_t out_header[PKCS11_HEADER_SIZE])
{
	out_header[0] = PKCS11_BLOB_VERSION;
	out_header[1] = 0;
	out_header[2] = (uint8_t)blob->mechanism;
	out_header[3] = blob->needs_pin ? FLAG_PIN : 0;
	memcpy(out_header + AT_IDENTITY, blob->identity, PKCS11_IDENTITY_SIZE);
	memcpy(out_header + AT_KEY_ID, blob->key_id, PKCS11_KEY_ID_SIZE);
}

size_t pkcs11_blob_pack(const struct pkcs11_blob *blob, uint8_t out_bytes[TOKEN_BLOB_MAX])
{
	size_t body_size = pkcs11_body_size(blob->mechanism);

	pkcs11_blob_header(blob, out_bytes);
	memcpy(out_bytes + PKCS11_HEADER_SIZE, blob->body, body_size);
	return PKCS11_HEADER_SIZE + body_size;
}

bool pkcs11_blob_unpack(const uint8_t *bytes, size_t size, struct pkcs11_blob *out_blob)
{
	struct pkcs11_blob blob = {0};
	size_t body_size;

	if (size < PKCS11_HEADER_SIZE || bytes[0] != PKCS11_BLOB_VERSION || bytes[1] != 0 ||
		(bytes[3] & ~FLAG_PIN) != 0)
		return false;
	blob.mechanism = (enum pkcs11_mechanism)bytes[2];
	body_size = pkcs11_body_size(blob.mechanism);
	if (body_size == 0 || size != PKCS11_HEADER_SIZE + body_size)
		return false;
	blob.needs_pin = bytes[3] == FLAG_PIN;
	memcpy(blob.identity, bytes + AT_IDENTITY, PKCS11_IDENTITY_SIZE);
	memcpy(blob.key_id, bytes + AT_KEY_ID, PKCS11_KEY_ID_SIZE);
	memcpy(blob.body, bytes + PKCS11_HEADER_SIZE, body_size);
	*out_blob = blob;
	return true;
}
