/* SPDX-License-Identifier: ISC */
#include "tpm2_blob.h"

#include <string.h>

#include <tss2/tss2_mu.h>

#define HAS_PIN 1
#define HAS_KEY 2

/* Where in the bytes; once something did not fit or was not there, it stays so. */
struct cursor {
	const uint8_t *bytes;
	uint8_t *room; /* NULL when reading */
	size_t size;
	size_t at;
	bool is_off;
};

static void put(struct cursor *cursor, const void *bytes, size_t size)
{
	if (cursor->is_off || size > cursor->size - cursor->at) {
		cursor->is_off = true;
		return;
	}
	memcpy(cursor->room + cursor->at, bytes, size);
	cursor->at += size;
}

static void get(struct cursor *cursor, void *out_bytes, size_t size)
{
	if (cursor->is_off || size > cursor->size - cursor->at) {
		cursor->is_off = true;
		return;
	}
	memcpy(out_bytes, cursor->bytes + cursor->at, size);
	cursor->at += size;
}

/* Of a marshalling with cursor->at as its offset. */
static void note(struct cursor *cursor, TSS2_RC rc)
{
	if (rc != TSS2_RC_SUCCESS)
		cursor->is_off = true;
}

static void put_public(struct cursor *cursor, const TPM2B_PUBLIC *public)
{
	note(cursor, Tss2_MU_TPM2B_PUBLIC_Marshal(public, cursor->room, cursor->size, &cursor->at));
}

static void get_public(struct cursor *cursor, TPM2B_PUBLIC *out_public)
{
	note(cursor, Tss2_MU_TPM2B_PUBLIC_Unmarshal(
			     cursor->bytes, cursor->size, &cursor->at, out_public));
}

static void put_version(struct cursor *cursor)
{
	put(cursor, (const uint8_t[]){TPM2_BLOB_VERSION, 0}, 2);
}

/* The value is checked by writing the whole anew. */
static void get_version(struct cursor *cursor)
{
	uint8_t version[2];

	get(cursor, version, sizeof version);
}

static void put_policy(struct cursor *cursor, const struct tpm2_policy *policy)
{
	const uint32_t pcrs = policy->pcrs;
	const uint8_t head[] = {
		(uint8_t)((policy->has_pin ? HAS_PIN : 0) | (policy->has_key ? HAS_KEY : 0)),
		(uint8_t)pcrs, (uint8_t)(pcrs >> 8), (uint8_t)(pcrs >> 16), (uint8_t)(pcrs >> 24)};

	put(cursor, head, sizeof head);
	for (unsigned i = 0; i < TPM2_PCRS; i++) {
		if ((pcrs >> i & 1) != 0)
			put(cursor, policy->values.value[i], TPM2_DIGEST_SIZE);
	}
	if (policy->has_key) {
		put(cursor, policy->key.print, TPM2_PRINT_SIZE);
		put_public(cursor, &policy->key.public);
	}
}

static void get_policy(struct cursor *cursor, struct tpm2_policy *out_policy)
{
	uint8_t head[5] = {0};

	get(cursor, head, sizeof head);
	out_policy->has_pin = (head[0] & HAS_PIN) != 0;
	out_policy->has_key = (head[0] & HAS_KEY) != 0;
	out_policy->pcrs = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16;
	for (unsigned i = 0; i < TPM2_PCRS; i++) {
		if ((out_policy->pcrs >> i & 1) != 0)
			get(cursor, out_policy->values.value[i], TPM2_DIGEST_SIZE);
	}
	if (out_policy->has_key) {
		get(cursor, out_policy->key.print, TPM2_PRINT_SIZE);
		get_public(cursor, &out_policy->key.public);
	}
}

bool tpm2_blob_pack(const struct tpm2_blob *blob, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size)
{
	struct cursor cursor = {.room = bytes, .size = TOKEN_BLOB_MAX};

	put_version(&cursor);
	put_public(&cursor, &blob->public);
	note(&cursor, Tss2_MU_TPM2B_PRIVATE_Marshal(
			      &blob->private, cursor.room, cursor.size, &cursor.at));
	put_public(&cursor, &blob->srk);
	put_policy(&cursor, &blob->policy);
	if (cursor.is_off)
		return false;
	*out_size = cursor.at;
	return true;
}

/* The unmarshalling is lenient about inner sizes; writing the result anew is not. */
static bool is_same(const uint8_t *again, size_t size, const struct token_bytes *bytes)
{
	return size == bytes->size && memcmp(again, bytes->bytes, size) == 0;
}

static bool is_canonical(const struct tpm2_blob *blob, const struct token_bytes *bytes)
{
	uint8_t again[TOKEN_BLOB_MAX];
	size_t size;

	return tpm2_blob_pack(blob, again, &size) && is_same(again, size, bytes);
}

bool tpm2_blob_is_as_asked(const struct tpm2_blob *blob)
{
	const TPMT_PUBLIC *object = &blob->public.publicArea;
	TPM2B_DIGEST policy;

	return object->type == TPM2_ALG_KEYEDHASH && object->nameAlg == TPM2_ALG_SHA256 &&
	       object->objectAttributes == tpm2_policy_attributes(&blob->policy) &&
	       object->parameters.keyedHashDetail.scheme.scheme == TPM2_ALG_NULL &&
	       tpm2_policy_digest(&blob->policy, &policy) &&
	       object->authPolicy.size == policy.size &&
	       memcmp(object->authPolicy.buffer, policy.buffer, policy.size) == 0;
}

bool tpm2_blob_unpack(const struct token_bytes *bytes, struct tpm2_blob *out_blob)
{
	struct cursor cursor = {.bytes = bytes->bytes, .size = bytes->size};
	struct tpm2_blob blob = {0};

	if (bytes->size > TOKEN_BLOB_MAX)
		return false;
	get_version(&cursor);
	get_public(&cursor, &blob.public);
	note(&cursor, Tss2_MU_TPM2B_PRIVATE_Unmarshal(
			      cursor.bytes, cursor.size, &cursor.at, &blob.private));
	get_public(&cursor, &blob.srk);
	get_policy(&cursor, &blob.policy);
	if (cursor.is_off || !is_canonical(&blob, bytes) || !tpm2_blob_is_as_asked(&blob) ||
		(blob.policy.has_key && !tpm2_key_is_fit(&blob.policy.key)))
		return false;
	*out_blob = blob;
	return true;
}

TPM2B_NV_PUBLIC tpm2_place_counter(TPM2_HANDLE handle, bool is_written)
{
	return (TPM2B_NV_PUBLIC){
		.nvPublic =
			{
				.nvIndex = handle,
				.nameAlg = TPM2_ALG_SHA256,
				.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA |
					      TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT |
					      (is_written ? TPMA_NV_WRITTEN : 0),
				.dataSize = sizeof(uint64_t),
			},
	};
}

bool tpm2_place_pack(
	const struct tpm2_place *place, uint8_t bytes[TOKEN_BLOB_MAX], size_t *out_size)
{
	struct cursor cursor = {.room = bytes, .size = TOKEN_BLOB_MAX};

	put_version(&cursor);
	note(&cursor, Tss2_MU_TPM2B_NV_PUBLIC_Marshal(
			      &place->counter, cursor.room, cursor.size, &cursor.at));
	put_public(&cursor, &place->srk);
	if (cursor.is_off)
		return false;
	*out_size = cursor.at;
	return true;
}

/* All of the counter but its handle is known, so the handle is what is read. */
bool tpm2_place_unpack(const struct token_bytes *bytes, struct tpm2_place *out_place)
{
	struct cursor cursor = {.bytes = bytes->bytes, .size = bytes->size};
	struct tpm2_place place = {0};
	uint8_t again[TOKEN_BLOB_MAX];
	TPM2_HANDLE handle;
	size_t size;

	get_version(&cursor);
	note(&cursor, Tss2_MU_TPM2B_NV_PUBLIC_Unmarshal(
			      cursor.bytes, cursor.size, &cursor.at, &place.counter));
	get_public(&cursor, &place.srk);
	handle = place.counter.nvPublic.nvIndex;
	place.counter = tpm2_place_counter(handle, true);
	if (cursor.is_off || handle < TPM2_COUNTER_FIRST || handle > TPM2_COUNTER_LAST ||
		!tpm2_place_pack(&place, again, &size) || !is_same(again, size, bytes))
		return false;
	*out_place = place;
	return true;
}
