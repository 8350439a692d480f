/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_link: the configured PKCS #11 modules, one token behind them, and a session with it.
 * Loads the modules of the options and nothing else, finds the one token that is meant, turns
 * return values into enum token_fault, and takes all down on disconnecting.
 * Knows nothing of keys or blobs. Runs in the sealer only.
 */
#ifndef MORTISE_PKCS11_LINK_H
#define MORTISE_PKCS11_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "pkcs11_blob.h"
#include "token.h"

#define PKCS11_MODULES_MAX 8
#define PKCS11_PATH_MAX    1024

/* Where a token is: the same one may be behind several modules. */
struct pkcs11_place {
	size_t module; /* index of modules */
	CK_SLOT_ID slot;
};

struct pkcs11 {
	const struct token_options *options;
	struct token_failure *failure; /* of the call that connected, and no longer than it */
	CK_FUNCTION_LIST *modules[PKCS11_MODULES_MAX];
	char paths[PKCS11_MODULES_MAX][PKCS11_PATH_MAX];
	size_t module_count;
	struct pkcs11_place places[PKCS11_MODULES_MAX]; /* of the token, at most one a module */
	size_t place_count, place;
	CK_FUNCTION_LIST *module; /* of the place; NULL until the token is found */
	CK_SLOT_ID slot;          /* of the place */
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	CK_SESSION_HANDLE session;
	bool has_session;
};

/* Either is NULL. */
struct pkcs11_search {
	P11KitUri *uri;
	const uint8_t *identity; /* PKCS11_IDENTITY_SIZE bytes, as a blob has them */
};

/*
 * Fills *token, which is to be disconnected even after a failure. None or several tokens are an
 * error that names what was found, as URIs. A token is what it says of itself: label,
 * manufacturer, model and serial number; behind several modules it is the same one, in the first.
 */
enum mortise_status pkcs11_connect(const struct token_options *options,
	const struct pkcs11_search *search, struct token_failure *failure, struct pkcs11 *token)
	MUST_USE;

void pkcs11_disconnect(struct pkcs11 *token);

/* The same token behind the next module that shows it; false if there is none. */
bool pkcs11_next_place(struct pkcs11 *token);

/* The token and the module that is in use, as a URI. */
enum mortise_status pkcs11_uri(struct pkcs11 *token, char out_uri[TOKEN_URI_MAX + 1]) MUST_USE;

/* A session; the one before is closed, and so whoever was logged in is out. */
enum mortise_status pkcs11_start_session(struct pkcs11 *token, bool may_write) MUST_USE;

/* The CKF_ bits of the token as they are now. */
enum mortise_status pkcs11_flags(struct pkcs11 *token, CK_FLAGS *out_flags) MUST_USE;

/*
 * MORTISE_OK, or MORTISE_HARDWARE with token->failure saying what did not work and why.
 * refusal is the fault if the value says no more than "no".
 */
enum mortise_status pkcs11_check(
	struct pkcs11 *token, CK_RV value, const char *what, enum token_fault refusal) MUST_USE;

/* MORTISE_HARDWARE, with a failure that no module reported. */
enum mortise_status pkcs11_fail(struct pkcs11 *token, enum token_fault fault, const char *format,
	...) __attribute__((format(printf, 3, 4))) MUST_USE;

#endif
