/* SPDX-License-Identifier: ISC */
/*
 * h is protected by a key on a token (pkcs11_seal.h) that this enrolment makes there. The modules
 * are taken down at the end of the run, when the answer has left: many a one crashes at that.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pkcs11_key.h"
#include "pkcs11_link.h"
#include "pkcs11_seal.h"
#include "processes.h"
#include "token.h"

/*
 * What a vendor's module finds in this process: an environment of the configuration's words and
 * nothing else, no place to print to, and a socket to the keeper that it cannot leave behind in a
 * process of its own. Done once, before a module is loaded, and for good.
 */

/*
 * A child that a module forks would hold the keeper's socket open, and the keeper would wait for an
 * answer long after the sealer is dead. So a child has no socket and dies with its parent; a
 * program it starts gets no socket either. A module that goes around libc's fork() could still have
 * it: the modules are root's choice, and this is against clumsy ones.
 */

#define BLANKS        " \t"
#define WORD_MAX_SIZE 1024

static pid_t sealer;

static void in_a_child(void)
{
	close(PROCESS_FD);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != sealer)
		_exit(EXIT_FAILURE);
}

static bool silence(void)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool is_done;

	if (null_fd < 0)
		return false;
	is_done = dup2(null_fd, STDIN_FILENO) >= 0 && dup2(null_fd, STDOUT_FILENO) >= 0 &&
		  dup2(null_fd, STDERR_FILENO) >= 0;
	close(null_fd);
	return is_done;
}

static bool set_word(const char *word, size_t size)
{
	char pair[WORD_MAX_SIZE], *value;

	if (size >= sizeof pair) {
		errno = E2BIG;
		return false;
	}
	memcpy(pair, word, size);
	pair[size] = '\0';
	value = strchr(pair, '=');
	if (!value) {
		errno = EINVAL;
		return false;
	}
	*value++ = '\0';
	return setenv(pair, value, 1) == 0;
}

static bool set_environment(const char *words)
{
	if (clearenv() != 0)
		return false;
	while (words && *(words += strspn(words, BLANKS)) != '\0') {
		size_t size = strcspn(words, BLANKS);

		if (!set_word(words, size))
			return false;
		words += size;
	}
	return true;
}

/* False with errno. */
static bool pkcs11_surround(const struct token_options *options)
{
	if (sealer != 0)
		return true;
	sealer = getpid();
	/* Notes are about TPMs. */
	if (options->notes_fd >= 0)
		close(options->notes_fd);
	return silence() && set_environment(options->pkcs11_env) &&
	       fcntl(PROCESS_FD, F_SETFD, FD_CLOEXEC) == 0 &&
	       pthread_atfork(NULL, NULL, in_a_child) == 0;
}

#define ANY_TOKEN "pkcs11:"

static void drop_pin(struct pkcs11_pin *pin)
{
	secret_drop(&pin->kept);
}

static void free_uri(P11KitUri **uri)
{
	p11_kit_uri_free(*uri);
}

static enum mortise_status fail(
	struct token_failure *failure, enum token_fault fault, const char *detail)
{
	failure->fault = fault;
	snprintf(failure->detail, sizeof failure->detail, "%s", detail);
	return MORTISE_HARDWARE;
}

/* A PIN has no place in a URI, which stands on command lines, and a key is ours to make. */
static const char *what_is_wrong_with(P11KitUri *uri)
{
	CK_ULONG count = 0;

	if (p11_kit_uri_get_pin_value(uri) || p11_kit_uri_get_pin_source(uri))
		return "a PKCS #11 URI with a PIN; use pin-file, or type it";
	(void)p11_kit_uri_get_attributes(uri, &count);
	if (count > 0)
		return "a PKCS #11 URI of an object; leave out object, id and type";
	if (p11_kit_uri_any_unrecognized(uri))
		return "a PKCS #11 URI with an attribute that is not known";
	return NULL;
}

static enum mortise_status read_uri(
	const char *text, struct token_failure *failure, P11KitUri **out_uri)
{
	CLEANUP(free_uri) P11KitUri *uri = p11_kit_uri_new();
	const char *wrong;

	if (!uri)
		return MORTISE_BUSY;
	if (p11_kit_uri_parse(text ? text : ANY_TOKEN, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK)
		return fail(failure, TOKEN_FAULT_UNFIT_WISH, "not a PKCS #11 URI (RFC 7512)");
	wrong = what_is_wrong_with(uri);
	if (wrong)
		return fail(failure, TOKEN_FAULT_UNFIT_WISH, wrong);
	*out_uri = uri;
	uri = NULL;
	return MORTISE_OK;
}

static enum mortise_status surround(
	const struct token_options *options, struct token_failure *failure)
{
	if (pkcs11_surround(options))
		return MORTISE_OK;
	return fail(failure, TOKEN_FAULT_OTHER, strerror(errno));
}

static void end(struct token_run *run)
{
	if (run->state)
		pkcs11_disconnect(run->state);
	free(run->state);
	run->state = NULL;
}

/* The state of the run; what a call before had there is taken down. */
static enum mortise_status connect_anew(struct token_run *run, const struct pkcs11_search *search,
	struct token_failure *failure, struct pkcs11 **out_token)
{
	struct pkcs11 *token;

	TRY(surround(&run->options, failure));
	end(run);
	token = calloc(1, sizeof *token);
	if (!token)
		return MORTISE_BUSY;
	run->state = token;
	TRY(pkcs11_connect(&run->options, search, failure, token));
	*out_token = token;
	return MORTISE_OK;
}

/* BLAKE2b-256 of the token's bytes, with the kernel's as key: as good as the better. */
static enum mortise_status mix(
	struct pkcs11 *token, const uint8_t entropy[KEY_SIZE], struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *random = NULL;
	CLEANUP(secret_drop) struct secret *h = NULL;
	CK_RV value;

	TRY(secret_new(KEY_SIZE, &random));
	TRY(secret_new(KEY_SIZE, &h));
	value = token->module->C_GenerateRandom(token->session, random->bytes, KEY_SIZE);
	if (value != CKR_RANDOM_NO_RNG && value != CKR_FUNCTION_NOT_SUPPORTED)
		TRY(pkcs11_check(token, value, "C_GenerateRandom", TOKEN_FAULT_OTHER));
	crypto_generichash(h->bytes, KEY_SIZE, random->bytes, KEY_SIZE, entropy, KEY_SIZE);
	*out_h = secret_take(&h);
	return MORTISE_OK;
}

static enum mortise_status enter(struct pkcs11 *token, const struct pkcs11_blob *blob,
	bool may_write, struct pkcs11_pin *pin)
{
	TRY(pkcs11_start_session(token, may_write));
	return blob->needs_pin ? pkcs11_login(token, pin) : MORTISE_OK;
}

static enum mortise_status make_and_seal(struct pkcs11 *token, enum pkcs11_kind kind,
	const struct secret *h, struct pkcs11_blob *blob)
{
	struct pkcs11_key key;

	randombytes_buf(blob->key_id, sizeof blob->key_id);
	TRY(pkcs11_key_make(token, kind, blob->key_id, &key));
	return pkcs11_seal(token, &key, kind, h, blob);
}

/*
 * In a session of its own: in the old one something may be half done. It goes on to be used. The
 * reason of the failure stays the one that is told.
 */
static void take_back(struct pkcs11 *token, const struct pkcs11_blob *blob, struct pkcs11_pin *pin)
{
	struct token_failure failure = *token->failure;

	if (enter(token, blob, true, pin) == MORTISE_OK)
		pkcs11_key_destroy(token, blob->key_id);
	*token->failure = failure;
}

/* The first kind that works, in the order of enum pkcs11_kind; what did not work is taken away. */
static enum mortise_status negotiate(struct pkcs11 *token, const struct secret *h,
	struct pkcs11_blob *blob, struct pkcs11_pin *pin)
{
	enum mortise_status status = fail(token->failure, TOKEN_FAULT_UNSUPPORTED,
		"the token has neither AES-GCM nor RSA-OAEP nor ECDH with keys of its own");
	unsigned kinds;

	TRY(pkcs11_key_kinds(token, &kinds));
	for (unsigned kind = 0; kind < PKCS11_KINDS; kind++) {
		if ((kinds & 1u << kind) == 0)
			continue;
		status = make_and_seal(token, (enum pkcs11_kind)kind, h, blob);
		if (status == MORTISE_OK)
			return MORTISE_OK;
		take_back(token, blob, pin);
		if (status != MORTISE_HARDWARE || token->failure->fault != TOKEN_FAULT_UNSUPPORTED)
			return status;
	}
	return status;
}

static enum mortise_status unseal(
	struct pkcs11 *token, const struct pkcs11_blob *blob, struct secret **out_h)
{
	struct pkcs11_key key;

	TRY(pkcs11_key_find(token, pkcs11_kind_of(blob->mechanism), blob->key_id, &key));
	return pkcs11_unseal(token, &key, blob, out_h);
}

/* As at the next boot: a session that knows nothing, from the blob's bytes. */
static enum mortise_status prove(struct pkcs11 *token, const struct secret *h, const uint8_t *bytes,
	size_t size, struct pkcs11_pin *pin)
{
	CLEANUP(secret_drop) struct secret *again = NULL;
	struct pkcs11_blob blob;

	if (!pkcs11_blob_unpack(bytes, size, &blob))
		return pkcs11_fail(token, TOKEN_FAULT_OTHER, "a blob that is none of ours");
	TRY(enter(token, &blob, false, pin));
	TRY(unseal(token, &blob, &again));
	if (!secret_equals(h, again))
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED,
			"the token gives back other bytes than were sealed a moment ago");
	return MORTISE_OK;
}

static enum mortise_status enrol_on(struct pkcs11 *token, const uint8_t entropy[KEY_SIZE],
	struct pkcs11_pin *pin, struct token_result *result)
{
	CLEANUP(secret_drop) struct secret *h = NULL;
	struct pkcs11_blob blob = {0};
	uint8_t bytes[TOKEN_BLOB_MAX];
	enum mortise_status status;
	CK_FLAGS flags;
	size_t size;

	TRY(pkcs11_uri(token, result->uri));
	TRY(pkcs11_flags(token, &flags));
	blob.needs_pin = (flags & CKF_LOGIN_REQUIRED) != 0 || pin->typed;
	memcpy(blob.identity, token->identity, sizeof blob.identity);
	TRY(enter(token, &blob, true, pin));
	TRY(mix(token, entropy, &h));
	TRY(negotiate(token, h, &blob, pin));
	size = pkcs11_blob_pack(&blob, bytes);
	status = prove(token, h, bytes, size, pin);
	if (status != MORTISE_OK) {
		take_back(token, &blob, pin);
		return status;
	}
	memcpy(result->blob, bytes, size);
	result->blob_size = size;
	result->h = secret_take(&h);
	return MORTISE_OK;
}

static enum mortise_status enrol(struct token_run *run, const struct token_wish *wish,
	const uint8_t entropy[KEY_SIZE], struct token_result *out_result)
{
	CLEANUP(free_uri) P11KitUri *uri = NULL;
	CLEANUP(drop_pin) struct pkcs11_pin pin = {.typed = wish->pin};
	struct pkcs11_search search = {0};
	struct pkcs11 *token;

	if (wish->pcrs != 0 || wish->pcr_key.size > 0)
		return fail(&out_result->failure, TOKEN_FAULT_UNFIT_WISH, "a token has no PCRs");
	TRY(read_uri(wish->uri, &out_result->failure, &uri));
	search.uri = uri;
	TRY(connect_anew(run, &search, &out_result->failure, &token));
	return enrol_on(token, entropy, &pin, out_result);
}

/* A login that failed may have been counted, whatever it failed by. */
static bool is_about_the_pin(const struct pkcs11_pin *pin, const struct token_failure *failure)
{
	return pin->is_wrong || failure->fault == TOKEN_FAULT_NO_PIN ||
	       failure->fault == TOKEN_FAULT_LOCKOUT;
}

/*
 * Behind each module that shows the token, until one opens: which of them made the slot, the blob
 * does not say. A PIN that was wrong is wrong behind all. What is told is what the module said that
 * knows the key, if one does.
 */
static enum mortise_status open_at_any_place(struct pkcs11 *token, const struct pkcs11_blob *blob,
	struct pkcs11_pin *pin, struct secret **out_h)
{
	struct token_failure told = {.fault = TOKEN_FAULT_REFUSED};
	enum mortise_status status;

	do {
		status = enter(token, blob, false, pin);
		if (status == MORTISE_OK)
			status = unseal(token, blob, out_h);
		if (status != MORTISE_HARDWARE || is_about_the_pin(pin, token->failure))
			return status;
		if (told.fault == TOKEN_FAULT_REFUSED)
			told = *token->failure;
	} while (pkcs11_next_place(token));
	*token->failure = told;
	return MORTISE_HARDWARE;
}

static enum mortise_status open_blob(
	struct token_run *run, const struct token_opening *opening, struct token_result *out_result)
{
	CLEANUP(drop_pin) struct pkcs11_pin pin = {.typed = opening->pin};
	struct pkcs11_search search = {0};
	struct pkcs11_blob blob;
	struct pkcs11 *token;

	if (!pkcs11_blob_unpack(opening->blob.bytes, opening->blob.size, &blob))
		return fail(&out_result->failure, TOKEN_FAULT_MALFORMED,
			"the sealed blob in the store is not one of ours");
	search.identity = blob.identity;
	TRY(connect_anew(run, &search, &out_result->failure, &token));
	return open_at_any_place(token, &blob, &pin, &out_result->h);
}

static unsigned health_of(CK_FLAGS flags)
{
	return (flags & CKF_USER_PIN_LOCKED ? TOKEN_HEALTH_LOCKED : 0u) |
	       (flags & CKF_USER_PIN_COUNT_LOW ? TOKEN_HEALTH_TRIES_LOW : 0u) |
	       (flags & CKF_USER_PIN_FINAL_TRY ? TOKEN_HEALTH_LAST_TRY : 0u);
}

static enum mortise_status check_health(
	struct token_run *run, const struct token_bytes *bytes, struct token_result *out_result)
{
	struct pkcs11_search search = {0};
	struct pkcs11_blob blob;
	enum mortise_status status;
	struct pkcs11 *token;
	CK_FLAGS flags;

	if (!pkcs11_blob_unpack(bytes->bytes, bytes->size, &blob))
		return fail(&out_result->failure, TOKEN_FAULT_MALFORMED,
			"the sealed blob in the store is not one of ours");
	search.identity = blob.identity;
	TRY(connect_anew(run, &search, &out_result->failure, &token));
	do
		status = pkcs11_flags(token, &flags);
	while (status == MORTISE_HARDWARE && pkcs11_next_place(token));
	TRY(status);
	out_result->health.flags =
		health_of(flags) | (blob.needs_pin ? TOKEN_HEALTH_WANTS_PIN : 0u);
	return MORTISE_OK;
}

const struct token token_pkcs11 = {
	.kind = "pkcs11",
	.enrol = enrol,
	.open = open_blob,
	.health = check_health,
	.end = end,
};
