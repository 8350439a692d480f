/* SPDX-License-Identifier: ISC */
/*
 * pkcs11_link: the configured PKCS #11 modules, one token behind them, and a session with it.
 * Loads the modules of the options and nothing else, finds the one token that is meant, turns
 * return values into enum token_fault, and takes all down on disconnecting.
 * Knows nothing of keys or blobs. Runs in the sealer only.
 */
#ifndef MORTISE_PKCS11_LINK_H
#define MORTISE_PKCS11_LINK_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "token.h"

/*
 * What a PKCS #11 slot keeps on the disk: which token, which key on it, and what that key protects.
 * Packs and unpacks; talks to no token. All is of fixed size, so that nothing in it is a length.
 * u16 version (little-endian) | u8 mechanism | u8 flags (1: wants a PIN)  | label 32 | manufacturer
 * 32 | model 16 | serial 16     as in CK_TOKEN_INFO     | key id 16
 * these are the header; then the body:    AES-GCM         iv 12 | h encrypted 32 | tag 16
 * RSA-OAEP        h encrypted 256         ECDH            the key's point 65 | the other point 65 |
 * nonce 24 | h encrypted 48
 */

#define PKCS11_KEY_ID_SIZE   16
#define PKCS11_IDENTITY_SIZE (32 + 32 + 16 + 16)
#define PKCS11_HEADER_SIZE   (4 + PKCS11_IDENTITY_SIZE + PKCS11_KEY_ID_SIZE)

#define PKCS11_AES_SIZE      32
#define PKCS11_GCM_IV_SIZE   12
#define PKCS11_GCM_TAG_SIZE  16
#define PKCS11_GCM_SIZE      (KEY_SIZE + PKCS11_GCM_TAG_SIZE)
#define PKCS11_RSA_SIZE      256
#define PKCS11_POINT_SIZE    65 /* uncompressed, of P-256 */
#define PKCS11_BODY_MAX_SIZE PKCS11_RSA_SIZE

/* The numbers stand on disks. A file names one of these and no parameters. */
enum pkcs11_mechanism {
	PKCS11_AES_GCM = 1,
	PKCS11_OAEP_SHA256 = 2,
	PKCS11_OAEP_SHA1 = 3,
	PKCS11_ECDH = 4,
};

struct pkcs11_blob {
	enum pkcs11_mechanism mechanism;
	bool needs_pin;
	uint8_t identity[PKCS11_IDENTITY_SIZE];
	uint8_t key_id[PKCS11_KEY_ID_SIZE];
	uint8_t body[PKCS11_BODY_MAX_SIZE]; /* pkcs11_body_size() of them count */
};

/* 0 for what is no mechanism. */
size_t pkcs11_body_size(enum pkcs11_mechanism mechanism);

/* The blob's first bytes: what is authenticated along with h where the mechanism can. */
void pkcs11_blob_header(const struct pkcs11_blob *blob, uint8_t out_header[PKCS11_HEADER_SIZE]);

/* The size of all. */
size_t pkcs11_blob_pack(const struct pkcs11_blob *blob, uint8_t out_bytes[TOKEN_BLOB_MAX]);

/* False unless bytes are exactly what pkcs11_blob_pack() writes. */
bool pkcs11_blob_unpack(const uint8_t *bytes, size_t size, struct pkcs11_blob *out_blob) MUST_USE;

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

/*
 * The PIN of a token, typed or from the pin-file, and a login with it. A PIN is tried once. The
 * last try that a token has is for somebody who types, not for a file. That a restart loop does not
 * try again and again is up to the keeper, which notes it on the disk.
 */

struct pkcs11_pin {
	const struct secret *typed; /* NULL: it is in the file of the options, if anywhere */
	struct secret *kept;        /* of the file; whoever owns this frees it */
	bool is_right;              /* it was accepted */
	bool is_wrong;              /* it was not, and is not tried again */
};

/* Into the session. */
enum mortise_status pkcs11_login(struct pkcs11 *token, struct pkcs11_pin *pin) MUST_USE;

/* What a return value of a PKCS #11 module means to an operator. A pure function of the value. */

/*
 * refusal: what it is if the value says no more than "no". SoftHSM 2.6.1 has only
 * CKR_GENERAL_ERROR for a GCM tag that is wrong.
 */
enum token_fault pkcs11_fault_of(CK_RV value, enum token_fault refusal);

#endif
