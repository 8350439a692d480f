/* SPDX-License-Identifier: ISC */
#include "envelope.h"

#include <sodium.h>
#include <string.h>

#include "little_endian.h"

#define NONCE_SIZE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define BINDING_SIZE (1 + ID_SIZE + 3 * 8)

_Static_assert(ENVELOPE_OVERHEAD == NONCE_SIZE + TAG_SIZE, "the store's layout rests on it");
_Static_assert(ENVELOPE_BOX == crypto_box_SEALBYTES, "the store's layout rests on it");
_Static_assert(KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key size");

enum mortise_status keyring_derive(const struct secret *master_key, struct keyring *out_keyring)
{
	static const char context[crypto_kdf_CONTEXTBYTES] = "mortise1";
	CLEANUP(keyring_done) struct keyring keyring = {0};

	if (master_key->size != crypto_kdf_KEYBYTES)
		return MORTISE_INTEGRITY;
	TRY(secret_copy(master_key->bytes, master_key->size, &keyring.key[KEY_MASTER]));
	for (unsigned purpose = KEY_WRAP; purpose < KEY_PURPOSES; purpose++) {
		TRY(secret_new(KEY_SIZE, &keyring.key[purpose]));
		crypto_kdf_derive_from_key(
			keyring.key[purpose]->bytes, KEY_SIZE, purpose, context, master_key->bytes);
	}
	*out_keyring = keyring;
	keyring = (struct keyring){0};
	return MORTISE_OK;
}

void keyring_done(struct keyring *keyring)
{
	for (unsigned purpose = 0; purpose < KEY_PURPOSES; purpose++)
		secret_drop(&keyring->key[purpose]);
}

/* kind 1 | store 16 | row 8 | version 8 | epoch 8 */
static void write_binding(const struct envelope_binding *binding, uint8_t out[BINDING_SIZE])
{
	memset(out, 0, BINDING_SIZE);
	out[0] = (uint8_t)binding->kind;
	memcpy(out + 1, binding->store, ID_SIZE);
	le64_put(out + 1 + ID_SIZE, binding->row);
	le64_put(out + 9 + ID_SIZE, binding->version);
	le64_put(out + 17 + ID_SIZE, binding->epoch);
}

void envelope_seal(const struct secret *key, const struct envelope_binding *binding,
	const uint8_t *plain, size_t size, uint8_t *out_sealed)
{
	uint8_t place[BINDING_SIZE];

	write_binding(binding, place);
	randombytes_buf(out_sealed, NONCE_SIZE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out_sealed + NONCE_SIZE, NULL, plain, size,
		place, sizeof place, NULL, out_sealed, key->bytes);
}

enum mortise_status envelope_open_into(const struct secret *key,
	const struct envelope_binding *binding, const uint8_t *sealed, size_t sealed_size,
	uint8_t *out_plain)
{
	uint8_t place[BINDING_SIZE];

	if (sealed_size < ENVELOPE_OVERHEAD)
		return MORTISE_INTEGRITY;
	write_binding(binding, place);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out_plain, NULL, NULL, sealed + NONCE_SIZE,
		    sealed_size - NONCE_SIZE, place, sizeof place, sealed, key->bytes) != 0)
		return MORTISE_INTEGRITY;
	return MORTISE_OK;
}

enum mortise_status envelope_open(const struct secret *key, const struct envelope_binding *binding,
	const uint8_t *sealed, size_t sealed_size, struct secret **out_plain)
{
	CLEANUP(secret_drop) struct secret *plain = NULL;

	if (sealed_size < ENVELOPE_OVERHEAD)
		return MORTISE_INTEGRITY;
	TRY(secret_new(sealed_size - ENVELOPE_OVERHEAD, &plain));
	TRY(envelope_open_into(key, binding, sealed, sealed_size, plain->bytes));
	*out_plain = secret_take(&plain);
	return MORTISE_OK;
}

void envelope_hash(
	const struct secret *key, const void *bytes, size_t size, uint8_t out_hash[ENVELOPE_HASH])
{
	crypto_generichash(out_hash, ENVELOPE_HASH, bytes, size, key->bytes, key->size);
}

enum mortise_status envelope_mix(
	const struct secret *a, const struct secret *b, struct secret **out_mixed)
{
	CLEANUP(secret_drop) struct secret *mixed = NULL;

	TRY(secret_new(KEY_SIZE, &mixed));
	crypto_generichash(mixed->bytes, KEY_SIZE, b->bytes, b->size, a->bytes, a->size);
	*out_mixed = secret_take(&mixed);
	return MORTISE_OK;
}

enum mortise_status envelope_pair(const struct secret *h, const uint8_t salt[ID_SIZE],
	struct secret **out_secret_key, uint8_t out_public_key[32])
{
	CLEANUP(secret_drop) struct secret *key = NULL;

	if (h->size != KEY_SIZE)
		return MORTISE_INTEGRITY;
	TRY(secret_new(crypto_box_SECRETKEYBYTES, &key));
	crypto_generichash(key->bytes, key->size, salt, ID_SIZE, h->bytes, h->size);
	crypto_scalarmult_base(out_public_key, key->bytes);
	*out_secret_key = secret_take(&key);
	return MORTISE_OK;
}

enum mortise_status envelope_box(
	const uint8_t public_key[32], const struct secret *plain, uint8_t *out_box)
{
	if (crypto_box_seal(out_box, plain->bytes, plain->size, public_key) != 0)
		return MORTISE_INTEGRITY;
	return MORTISE_OK;
}

enum mortise_status envelope_unbox(const uint8_t public_key[32], const struct secret *secret_key,
	const uint8_t *box, size_t box_size, struct secret **out_plain)
{
	CLEANUP(secret_drop) struct secret *plain = NULL;

	if (box_size < ENVELOPE_BOX)
		return MORTISE_INTEGRITY;
	TRY(secret_new(box_size - ENVELOPE_BOX, &plain));
	if (crypto_box_seal_open(plain->bytes, box, box_size, public_key, secret_key->bytes) != 0)
		return MORTISE_INTEGRITY;
	*out_plain = secret_take(&plain);
	return MORTISE_OK;
}
