/* SPDX-License-Identifier: ISC */
/*
 * What the TPM slot reads from disks: files of signatures, PEM keys, ECDSA signatures, blobs and
 * places of counters. Neither crashes; a blob or place that is taken is written the same again.
 * The first byte chooses what the rest is: s, k, e, b, p.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tpm2_blob.h"
#include "tpm2_signatures.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_signatures(const uint8_t *bytes, size_t size)
{
	static const uint8_t print[TPM2_PRINT_SIZE];
	struct tpm2_signatures signatures;

	tpm2_signatures_parse((const char *)bytes, size, print, &signatures);
	must((signatures.count == 0) == (signatures.trouble[0] != '\0'));
	for (size_t i = 0; i < signatures.count; i++)
		must(signatures.list[i].pcrs != 0 && signatures.list[i].pcrs < 1u << TPM2_PCRS &&
			signatures.list[i].size <= TPM2_SIGNATURE_SIZE);
	tpm2_signatures_free(&signatures);
}

static void check_key(const struct token_bytes *bytes)
{
	struct tpm2_key key;

	if (tpm2_key_read(bytes, &key) == NULL)
		must(tpm2_key_is_fit(&key));
}

static void check_ecdsa(const uint8_t *bytes, size_t size)
{
	const struct tpm2_key key = {
		.public.publicArea = {.type = TPM2_ALG_ECC, .unique.ecc.x.size = 32}};
	TPMT_SIGNATURE signature;

	if (tpm2_key_signature(&key, bytes, size, &signature))
		must(signature.signature.ecdsa.signatureR.size == 32);
}

static void check_blob(const struct token_bytes *bytes)
{
	struct tpm2_blob blob;
	uint8_t again[TOKEN_BLOB_MAX];
	size_t size;

	if (tpm2_blob_unpack(bytes, &blob))
		must(tpm2_blob_pack(&blob, again, &size) && size == bytes->size &&
			memcmp(again, bytes->bytes, size) == 0);
}

static void check_place(const struct token_bytes *bytes)
{
	struct tpm2_place place;
	uint8_t again[TOKEN_BLOB_MAX];
	size_t size;

	if (tpm2_place_unpack(bytes, &place))
		must(tpm2_place_pack(&place, again, &size) && size == bytes->size &&
			memcmp(again, bytes->bytes, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct token_bytes rest = {bytes + 1, size - 1};

	if (size == 0)
		return 0;
	switch (bytes[0]) {
	case 's':
		check_signatures(rest.bytes, rest.size);
		break;
	case 'k':
		check_key(&rest);
		break;
	case 'e':
		check_ecdsa(rest.bytes, rest.size);
		break;
	case 'b':
		check_blob(&rest);
		break;
	case 'p':
		check_place(&rest);
		break;
	default:
		break;
	}
	return 0;
}
