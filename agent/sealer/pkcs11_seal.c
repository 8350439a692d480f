/* SPDX-License-Identifier: ISC */
#include "pkcs11_seal.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

/* Room for what a module writes that minds no sizes; what counts is what it says it wrote. */
#define OUTPUT_SIZE 1024

/* Of the body with ECDH. */
#define AT_PEER  PKCS11_POINT_SIZE
#define AT_NONCE (2 * PKCS11_POINT_SIZE)
#define AT_BOX   (AT_NONCE + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)

static const char agreement_context[] = "mortise pkcs11 ecdh";

/*
 * Parameters of mechanisms, as "PKCS #11 Cryptographic Token Interface Current Mechanisms" 2.40
 * lays them out under AES-GCM, RSA PKCS #1 OAEP and elliptic curve Diffie-Hellman. p11-kit
 * names their members one way until 0.24 and another from 0.25 on.
 */
struct gcm_params {
	unsigned char *iv;
	unsigned long iv_bytes;
	unsigned long iv_bits;
	unsigned char *associated;
	unsigned long associated_bytes;
	unsigned long tag_bits;
};

struct oaep_params {
	unsigned long hash;
	unsigned long mask_generation;
	unsigned long source;
	void *source_bytes;
	unsigned long source_size_bytes;
};

struct ecdh1_params {
	unsigned long kdf;
	unsigned long shared_size_bytes;
	unsigned char *shared;
	unsigned long point_size_bytes;
	unsigned char *point;
};

static_assert(sizeof(struct gcm_params) == sizeof(CK_GCM_PARAMS) &&
		      sizeof(struct oaep_params) == sizeof(CK_RSA_PKCS_OAEP_PARAMS) &&
		      sizeof(struct ecdh1_params) == sizeof(CK_ECDH1_DERIVE_PARAMS),
	"a module reads these by their layout");

/* A mechanism with its parameters, which PKCS #11 does not take as const. */
struct cipher {
	CK_MECHANISM mechanism;
	struct gcm_params gcm;
	struct oaep_params oaep;
	uint8_t iv[PKCS11_GCM_IV_SIZE];
	uint8_t header[PKCS11_HEADER_SIZE];
};

static void set_gcm(struct cipher *cipher, const struct pkcs11_blob *blob)
{
	memcpy(cipher->iv, blob->body, PKCS11_GCM_IV_SIZE);
	pkcs11_blob_header(blob, cipher->header);
	cipher->gcm = (struct gcm_params){
		.iv = cipher->iv,
		.iv_bytes = PKCS11_GCM_IV_SIZE,
		.iv_bits = 8 * PKCS11_GCM_IV_SIZE,
		.associated = cipher->header,
		.associated_bytes = PKCS11_HEADER_SIZE,
		.tag_bits = 8 * PKCS11_GCM_TAG_SIZE,
	};
	cipher->mechanism = (CK_MECHANISM){CKM_AES_GCM, &cipher->gcm, sizeof cipher->gcm};
}

static void set_oaep(struct cipher *cipher, const struct pkcs11_blob *blob)
{
	bool is_sha256 = blob->mechanism == PKCS11_OAEP_SHA256;

	cipher->oaep = (struct oaep_params){
		.hash = is_sha256 ? CKM_SHA256 : CKM_SHA_1,
		.mask_generation = is_sha256 ? CKG_MGF1_SHA256 : CKG_MGF1_SHA1,
		.source = CKZ_DATA_SPECIFIED,
	};
	cipher->mechanism = (CK_MECHANISM){CKM_RSA_PKCS_OAEP, &cipher->oaep, sizeof cipher->oaep};
}

static void set_cipher(struct cipher *cipher, const struct pkcs11_blob *blob)
{
	if (blob->mechanism == PKCS11_AES_GCM)
		set_gcm(cipher, blob);
	else
		set_oaep(cipher, blob);
}

static enum mortise_status encrypt(struct pkcs11 *token, CK_OBJECT_HANDLE key,
	struct cipher *cipher, const struct secret *h, uint8_t *out_bytes, size_t size)
{
	uint8_t output[OUTPUT_SIZE];
	CK_ULONG written = size; /* tpm2-pkcs11 1.9 leaves it as it is */

	TRY(pkcs11_check(token,
		token->module->C_EncryptInit(token->session, &cipher->mechanism, key),
		"C_EncryptInit", TOKEN_FAULT_UNSUPPORTED));
	TRY(pkcs11_check(token,
		token->module->C_Encrypt(
			token->session, (CK_BYTE *)(uintptr_t)h->bytes, h->size, output, &written),
		"C_Encrypt", TOKEN_FAULT_UNSUPPORTED));
	if (written != size)
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED, "C_Encrypt: %lu bytes, not %zu",
			written, size);
	memcpy(out_bytes, output, size);
	return MORTISE_OK;
}

static enum mortise_status decrypt(struct pkcs11 *token, CK_OBJECT_HANDLE key,
	struct cipher *cipher, const uint8_t *bytes, size_t size, struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *output = NULL;
	CK_ULONG written = OUTPUT_SIZE;

	TRY(secret_new(OUTPUT_SIZE, &output));
	TRY(pkcs11_check(token,
		token->module->C_DecryptInit(token->session, &cipher->mechanism, key),
		"C_DecryptInit", TOKEN_FAULT_REFUSED));
	TRY(pkcs11_check(token,
		token->module->C_Decrypt(
			token->session, (CK_BYTE *)(uintptr_t)bytes, size, output->bytes, &written),
		"C_Decrypt", TOKEN_FAULT_REFUSED));
	if (written != KEY_SIZE)
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED, "C_Decrypt: not 32 bytes");
	return secret_copy(output->bytes, KEY_SIZE, out_h);
}

/* A token that makes its own IV writes it over ours. */
static enum mortise_status seal_gcm(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct secret *h, struct pkcs11_blob *blob)
{
	struct cipher cipher;

	blob->mechanism = PKCS11_AES_GCM;
	randombytes_buf(blob->body, PKCS11_GCM_IV_SIZE);
	set_gcm(&cipher, blob);
	TRY(encrypt(
		token, key->handle, &cipher, h, blob->body + PKCS11_GCM_IV_SIZE, PKCS11_GCM_SIZE));
	memcpy(blob->body, cipher.iv, PKCS11_GCM_IV_SIZE);
	return MORTISE_OK;
}

static enum mortise_status seal_oaep(struct pkcs11 *token, const struct pkcs11_key *key,
	enum pkcs11_mechanism mechanism, const struct secret *h, struct pkcs11_blob *blob)
{
	struct cipher cipher;

	blob->mechanism = mechanism;
	set_oaep(&cipher, blob);
	return encrypt(token, key->public, &cipher, h, blob->body, PKCS11_RSA_SIZE);
}

/* The x coordinate, by ECDH without a key derivation of the token's (CKD_NULL). */
static enum mortise_status agree(struct pkcs11 *token, CK_OBJECT_HANDLE key,
	const uint8_t point[PKCS11_POINT_SIZE], uint8_t out_shared[KEY_SIZE])
{
	uint8_t other[PKCS11_POINT_SIZE];
	struct ecdh1_params parameters = {
		.kdf = CKD_NULL, .point = other, .point_size_bytes = sizeof other};
	CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG size = KEY_SIZE;
	CK_ATTRIBUTE template[] = {
		{CKA_CLASS, &class, sizeof class},
		{CKA_KEY_TYPE, &type, sizeof type},
		{CKA_TOKEN, &no, sizeof no},
		{CKA_SENSITIVE, &no, sizeof no},
		{CKA_EXTRACTABLE, &yes, sizeof yes},
		{CKA_VALUE_LEN, &size, sizeof size},
	};
	CK_OBJECT_HANDLE shared;
	enum mortise_status status;

	memcpy(other, point, sizeof other);
	TRY(pkcs11_check(token,
		token->module->C_DeriveKey(token->session, &mechanism, key, template,
			sizeof template / sizeof *template, &shared),
		"C_DeriveKey", TOKEN_FAULT_REFUSED));
	status = pkcs11_key_read(token, shared, CKA_VALUE, out_shared, KEY_SIZE);
	(void)token->module->C_DestroyObject(token->session, shared);
	return status;
}

/* The body has both points. */
static enum mortise_status derive(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct pkcs11_blob *blob, struct secret **out_kek)
{
	CLEANUP(secret_drop) struct secret *shared = NULL;
	CLEANUP(secret_drop) struct secret *kek = NULL;
	crypto_generichash_state state;

	TRY(secret_new(KEY_SIZE, &shared));
	TRY(secret_new(KEY_SIZE, &kek));
	TRY(agree(token, key->handle, blob->body + AT_PEER, shared->bytes));
	crypto_generichash_init(&state, shared->bytes, KEY_SIZE, KEY_SIZE);
	crypto_generichash_update(
		&state, (const uint8_t *)agreement_context, sizeof agreement_context);
	crypto_generichash_update(&state, blob->body, AT_NONCE);
	crypto_generichash_final(&state, kek->bytes, KEY_SIZE);
	sodium_memzero(&state, sizeof state);
	*out_kek = secret_take(&kek);
	return MORTISE_OK;
}

static enum mortise_status seal_ecdh(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct secret *h, struct pkcs11_blob *blob)
{
	CLEANUP(secret_drop) struct secret *kek = NULL;
	uint8_t header[PKCS11_HEADER_SIZE];
	struct pkcs11_key passing;

	blob->mechanism = PKCS11_ECDH;
	TRY(pkcs11_key_point(token, key, blob->body));
	TRY(pkcs11_key_make_passing(token, &passing));
	TRY(pkcs11_key_point(token, &passing, blob->body + AT_PEER));
	(void)token->module->C_DestroyObject(token->session, passing.handle);
	(void)token->module->C_DestroyObject(token->session, passing.public);
	TRY(derive(token, key, blob, &kek));
	randombytes_buf(blob->body + AT_NONCE, AT_BOX - AT_NONCE);
	pkcs11_blob_header(blob, header);
	crypto_aead_xchacha20poly1305_ietf_encrypt(blob->body + AT_BOX, NULL, h->bytes, KEY_SIZE,
		header, sizeof header, NULL, blob->body + AT_NONCE, kek->bytes);
	return MORTISE_OK;
}

static enum mortise_status unseal_ecdh(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct pkcs11_blob *blob, struct secret **out_h)
{
	CLEANUP(secret_drop) struct secret *kek = NULL;
	CLEANUP(secret_drop) struct secret *h = NULL;
	uint8_t header[PKCS11_HEADER_SIZE];

	TRY(derive(token, key, blob, &kek));
	TRY(secret_new(KEY_SIZE, &h));
	pkcs11_blob_header(blob, header);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(h->bytes, NULL, NULL, blob->body + AT_BOX,
		    KEY_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES, header, sizeof header,
		    blob->body + AT_NONCE, kek->bytes) != 0)
		return pkcs11_fail(token, TOKEN_FAULT_REFUSED,
			"what was agreed on with the token opens another seal");
	*out_h = secret_take(&h);
	return MORTISE_OK;
}

enum mortise_status pkcs11_unseal(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct pkcs11_blob *blob, struct secret **out_h)
{
	size_t iv_size = blob->mechanism == PKCS11_AES_GCM ? PKCS11_GCM_IV_SIZE : 0;
	struct cipher cipher;

	if (blob->mechanism == PKCS11_ECDH)
		return unseal_ecdh(token, key, blob, out_h);
	set_cipher(&cipher, blob);
	return decrypt(token, key->handle, &cipher, blob->body + iv_size,
		pkcs11_body_size(blob->mechanism) - iv_size, out_h);
}

/* That it opens is proved later and anew; here the question is whether to try another way. */
static enum mortise_status try_out(struct pkcs11 *token, const struct pkcs11_key *key,
	const struct secret *h, const struct pkcs11_blob *blob)
{
	CLEANUP(secret_drop) struct secret *again = NULL;
	enum mortise_status status = pkcs11_unseal(token, key, blob, &again);

	if (status == MORTISE_HARDWARE && token->failure->fault == TOKEN_FAULT_REFUSED)
		token->failure->fault = TOKEN_FAULT_UNSUPPORTED;
	TRY(status);
	if (!secret_equals(h, again))
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED,
			"the token gives back other bytes than were sealed a moment ago");
	return MORTISE_OK;
}

enum mortise_status pkcs11_seal(struct pkcs11 *token, const struct pkcs11_key *key,
	enum pkcs11_kind kind, const struct secret *h, struct pkcs11_blob *blob)
{
	enum mortise_status status;

	if (kind == PKCS11_AES) {
		TRY(seal_gcm(token, key, h, blob));
		return try_out(token, key, h, blob);
	}
	if (kind == PKCS11_EC) {
		TRY(seal_ecdh(token, key, h, blob));
		return try_out(token, key, h, blob);
	}
	status = seal_oaep(token, key, PKCS11_OAEP_SHA256, h, blob);
	if (status == MORTISE_OK)
		status = try_out(token, key, h, blob);
	if (status != MORTISE_HARDWARE || token->failure->fault != TOKEN_FAULT_UNSUPPORTED)
		return status;
	TRY(seal_oaep(token, key, PKCS11_OAEP_SHA1, h, blob));
	return try_out(token, key, h, blob);
}
