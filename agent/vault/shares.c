/* SPDX-License-Identifier: ISC */
#include "shares.h"

#include <libgfshare.h>
#include <sodium.h>
#include <string.h>

#define HEAD_GROUPS 2

static const struct groups_form form = {SHARE_HEAD + KEY_SIZE, HEAD_GROUPS};

void share_done(struct share *share)
{
	secret_drop(&share->part);
}

/* Four digits of five bits in three bytes; the last four bits are 0. */
static void pack_id(const char id[RECOVERY_ID_SIZE], uint8_t out[3])
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < RECOVERY_ID_SIZE - 1; i++)
		bits = bits << 5 | ((uint32_t)groups_digit(id[i]) & 31);
	bits <<= 4;
	out[0] = (uint8_t)(bits >> 16);
	out[1] = (uint8_t)(bits >> 8);
	out[2] = (uint8_t)bits;
}

static void unpack_id(const uint8_t in[3], char out_id[RECOVERY_ID_SIZE])
{
	uint32_t bits = ((uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2]) >> 4;

	for (unsigned i = RECOVERY_ID_SIZE - 1; i > 0; i--, bits >>= 5)
		out_id[i - 1] = GROUPS_ALPHABET[bits & 31];
	out_id[RECOVERY_ID_SIZE - 1] = '\0';
}

enum mortise_status share_print(const struct share *share, struct secret **out_text)
{
	CLEANUP(secret_drop) struct secret *bytes = NULL;
	CLEANUP(secret_drop) struct secret *text = NULL;

	TRY(secret_new(SHARE_HEAD + KEY_SIZE, &bytes));
	TRY(secret_new(SHARE_TEXT_SIZE, &text));
	bytes->bytes[0] = (uint8_t)share->number;
	bytes->bytes[1] = (uint8_t)share->threshold;
	pack_id(share->key_id, bytes->bytes + 2);
	memcpy(bytes->bytes + SHARE_HEAD, share->part->bytes, KEY_SIZE);
	groups_print(&form, bytes->bytes, (char *)text->bytes);
	*out_text = secret_take(&text);
	return MORTISE_OK;
}

/* A share has a number and a threshold, the public half of an escrow key neither. */
static bool has_head(const uint8_t *bytes)
{
	unsigned number = bytes[0], threshold = bytes[1];

	if ((bytes[4] & 15) != 0)
		return false;
	return number ? number <= SHARES_MAX && threshold >= 2 && threshold <= SHARES_MAX
		      : threshold == 0;
}

enum mortise_status share_read(
	const char *text, size_t size, struct share *out_share, unsigned *out_group)
{
	CLEANUP(secret_drop) struct secret *bytes = NULL;
	struct share share = {0};

	TRY(groups_parse(&form, text, size, &bytes, out_group));
	if (!has_head(bytes->bytes)) {
		*out_group = 1;
		return MORTISE_INVALID;
	}
	share.number = bytes->bytes[0];
	share.threshold = bytes->bytes[1];
	unpack_id(bytes->bytes + 2, share.key_id);
	TRY(secret_copy(bytes->bytes + SHARE_HEAD, KEY_SIZE, &share.part));
	*out_share = share;
	return MORTISE_OK;
}

static void fill_random(unsigned char *bytes, unsigned int size)
{
	randombytes_buf(bytes, size);
}

static enum mortise_status new_shares(
	unsigned count, unsigned threshold, const char *key_id, struct share *shares)
{
	for (unsigned i = 0; i < count; i++) {
		shares[i] = (struct share){.number = i + 1, .threshold = threshold};
		memcpy(shares[i].key_id, key_id, RECOVERY_ID_SIZE);
		TRY(secret_new(KEY_SIZE, &shares[i].part));
	}
	return MORTISE_OK;
}

/* libgfshare overwrites its own copies with random bytes when a context is freed. */
enum mortise_status shares_split(
	const struct secret *key, unsigned count, unsigned threshold, struct share *out_shares)
{
	unsigned char numbers[SHARES_MAX];
	struct share shares[SHARES_MAX] = {0};
	char key_id[RECOVERY_ID_SIZE];

	if (key->size != KEY_SIZE || threshold < 2 || threshold > count || count > SHARES_MAX)
		return MORTISE_INVALID;
	for (unsigned i = 0; i < count; i++)
		numbers[i] = (unsigned char)(i + 1);
	recovery_id(key, key_id);
	gfshare_fill_rand = fill_random;
	gfshare_ctx *context =
		gfshare_ctx_init_enc(numbers, count, (unsigned char)threshold, KEY_SIZE);
	enum mortise_status status =
		context ? new_shares(count, threshold, key_id, shares) : MORTISE_BUSY;
	if (status == MORTISE_OK) {
		gfshare_ctx_enc_setsecret(context, (unsigned char *)(uintptr_t)key->bytes);
		for (unsigned i = 0; i < count; i++)
			gfshare_ctx_enc_getshare(context, (unsigned char)i, shares[i].part->bytes);
	}
	if (context)
		gfshare_ctx_free(context);
	for (unsigned i = 0; i < count; i++)
		if (status != MORTISE_OK)
			share_done(&shares[i]);
	if (status == MORTISE_OK)
		memcpy(out_shares, shares, count * sizeof *shares);
	return status;
}

/* Do the shares belong together, and are there enough? */
static bool are_a_set(const struct share *shares, size_t count)
{
	if (count == 0 || count > SHARES_MAX || count < shares[0].threshold)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (shares[i].number == 0 || shares[i].threshold != shares[0].threshold ||
			strcmp(shares[i].key_id, shares[0].key_id) != 0)
			return false;
		for (size_t other = 0; other < i; other++)
			if (shares[other].number == shares[i].number)
				return false;
	}
	return true;
}

enum mortise_status shares_join(const struct share *shares, size_t count, struct secret **out_key)
{
	CLEANUP(secret_drop) struct secret *key = NULL;
	unsigned char numbers[SHARES_MAX];
	char key_id[RECOVERY_ID_SIZE];

	if (!are_a_set(shares, count))
		return MORTISE_INVALID;
	TRY(secret_new(KEY_SIZE, &key));
	for (size_t i = 0; i < count; i++)
		numbers[i] = (unsigned char)shares[i].number;
	gfshare_fill_rand = fill_random;
	gfshare_ctx *context = gfshare_ctx_init_dec(numbers, (unsigned)count, KEY_SIZE);
	if (!context)
		return MORTISE_BUSY;
	for (size_t i = 0; i < count; i++)
		gfshare_ctx_dec_giveshare(context, (unsigned char)i, shares[i].part->bytes);
	gfshare_ctx_dec_extract(context, key->bytes);
	gfshare_ctx_free(context);
	recovery_id(key, key_id);
	if (sodium_memcmp(key_id, shares[0].key_id, RECOVERY_ID_SIZE) != 0)
		return MORTISE_DENIED;
	*out_key = secret_take(&key);
	return MORTISE_OK;
}
