/* SPDX-License-Identifier: ISC */
#include "tpm2_signatures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#define FILE_MAX 262144 /* systemd-measure writes about 700 bytes for each phase of a boot */

static const char *const places[] = {
	"/etc/systemd/tpm2-pcr-signature.json",
	"/run/systemd/tpm2-pcr-signature.json",
	"/usr/lib/systemd/tpm2-pcr-signature.json",
};

#define PLACES (sizeof places / sizeof *places)

static void drop_json(json_t **json)
{
	json_decref(*json);
}

static void drop_text(char **text)
{
	free(*text);
}

static void close_file(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static bool read_hex(const json_t *json, uint8_t out_bytes[TPM2_DIGEST_SIZE])
{
	size_t size = 0;

	return json_is_string(json) && json_string_length(json) == 2 * TPM2_DIGEST_SIZE &&
	       sodium_hex2bin(out_bytes, TPM2_DIGEST_SIZE, json_string_value(json),
		       2 * TPM2_DIGEST_SIZE, NULL, &size, NULL) == 0 &&
	       size == TPM2_DIGEST_SIZE;
}

static bool read_base64(const json_t *json, struct tpm2_signature *entry)
{
	return json_is_string(json) &&
	       sodium_base642bin(entry->bytes, sizeof entry->bytes, json_string_value(json),
		       json_string_length(json), NULL, &entry->size, NULL,
		       sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       entry->size > 0;
}

static bool read_pcrs(const json_t *json, uint32_t *out_pcrs)
{
	uint32_t pcrs = 0;

	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *pcr = json_array_get(json, i);
		json_int_t number = json_is_integer(pcr) ? json_integer_value(pcr) : -1;

		if (number < 0 || number >= TPM2_PCRS)
			return false;
		pcrs |= 1u << number;
	}
	*out_pcrs = pcrs;
	return pcrs != 0;
}

static bool read_entry(
	const json_t *json, const uint8_t print[TPM2_PRINT_SIZE], struct tpm2_signature *out_entry)
{
	uint8_t signer[TPM2_DIGEST_SIZE];

	return read_hex(json_object_get(json, "pkfp"), signer) &&
	       memcmp(signer, print, TPM2_PRINT_SIZE) == 0 &&
	       read_hex(json_object_get(json, "pol"), out_entry->policy) &&
	       read_pcrs(json_object_get(json, "pcrs"), &out_entry->pcrs) &&
	       read_base64(json_object_get(json, "sig"), out_entry);
}

bool tpm2_signatures_parse(const char *text, size_t size, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures)
{
	CLEANUP(drop_json) json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	const json_t *bank = json_object_get(root, "sha256");

	out_signatures->count = 0;
	if (!json_is_object(root))
		return false;
	for (size_t i = 0; i < json_array_size(bank); i++) {
		struct tpm2_signature *entry = &out_signatures->list[out_signatures->count];

		if (read_entry(json_array_get(bank, i), print, entry) &&
			++out_signatures->count == TPM2_SIGNATURES_MAX)
			break;
	}
	return true;
}

/* Neither a FIFO nor a device may hold us up, nor a file fill the memory. */
static bool read_file(int fd, char *text, size_t *out_size)
{
	size_t size = 0;
	struct stat info;

	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > FILE_MAX)
		return false;
	while (size < FILE_MAX) {
		ssize_t got = read(fd, text + size, FILE_MAX - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	*out_size = size;
	return true;
}

void tpm2_signatures_load(const char *path, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures)
{
	const char *const *candidates = path != NULL ? &path : places;
	size_t count = path != NULL ? 1 : PLACES, size = 0;
	CLEANUP(close_file) int fd = -1;
	CLEANUP(drop_text) char *text = NULL;

	*out_signatures = (struct tpm2_signatures){0};
	for (size_t i = 0; i < count && fd < 0; i++) {
		snprintf(out_signatures->path, sizeof out_signatures->path, "%s", candidates[i]);
		fd = open(candidates[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	text = malloc(FILE_MAX);
	if (fd < 0 || text == NULL || !read_file(fd, text, &size))
		return;
	out_signatures->is_there = true;
	out_signatures->is_json = tpm2_signatures_parse(text, size, print, out_signatures);
}
