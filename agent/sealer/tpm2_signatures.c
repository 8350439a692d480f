/* SPDX-License-Identifier: ISC */
#include "tpm2_signatures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>

#define BANK      "sha256"
#define FILE_NAME "tpm2-pcr-signature.json"

/* As many as systemd's own programs look in, in their order. */
static const char *const places[] = {
	"/etc/systemd/" FILE_NAME,
	"/run/systemd/" FILE_NAME,
	"/usr/local/lib/systemd/" FILE_NAME,
	"/usr/lib/systemd/" FILE_NAME,
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

/* All entries of a bank that are by our key; NULL without memory. */
static struct tpm2_signature *read_bank(
	const json_t *bank, const uint8_t print[TPM2_PRINT_SIZE], size_t *out_count)
{
	size_t size = json_array_size(bank), count = 0, next = 0;
	struct tpm2_signature *list, entry;

	/* Counted first: a file of a MiB has half a million entries that are none. */
	for (size_t i = 0; i < size; i++)
		count += read_entry(json_array_get(bank, i), print, &entry);
	list = calloc(count > 0 ? count : 1, sizeof *list);
	for (size_t i = 0; i < size && list; i++)
		if (read_entry(json_array_get(bank, i), print, &entry))
			list[next++] = entry;
	*out_count = next;
	return list;
}

/* The name of another bank, in which the key has signed; NULL: there is none. */
static const char *find_other_bank(json_t *root, const uint8_t print[TPM2_PRINT_SIZE])
{
	struct tpm2_signature entry;
	const char *name;
	json_t *bank;

	json_object_foreach(root, name, bank)
	{
		for (size_t i = 0; i < json_array_size(bank); i++)
			if (read_entry(json_array_get(bank, i), print, &entry))
				return name;
	}
	return NULL;
}

__attribute__((format(printf, 2, 3))) static void complain(
	struct tpm2_signatures *signatures, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(signatures->trouble, sizeof signatures->trouble, format, arguments);
	va_end(arguments);
}

void tpm2_signatures_parse(const char *text, size_t size, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures)
{
	CLEANUP(drop_json) json_t *root = NULL;
	json_error_t error = {.text = "no object"};
	const char *other;

	out_signatures->count = 0;
	out_signatures->list = NULL;
	out_signatures->trouble[0] = '\0';
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		complain(
			out_signatures, "not JSON as systemd-measure writes it: %.80s", error.text);
		return;
	}
	out_signatures->list =
		read_bank(json_object_get(root, BANK), print, &out_signatures->count);
	if (!out_signatures->list)
		complain(out_signatures, "out of memory");
	if (!out_signatures->list || out_signatures->count > 0)
		return;
	other = find_other_bank(root, print);
	if (other)
		complain(out_signatures,
			"signed by the PCR key, but for the bank %.16s only: have it sign "
			"--bank=sha256",
			other);
	else
		complain(out_signatures, "nothing signed by the PCR key");
}

/* Neither a FIFO nor a device may hold us up, nor a file fill the memory. */
static bool read_file(int fd, char *text, size_t *out_size, struct tpm2_signatures *signatures)
{
	size_t size = 0;
	struct stat info;

	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
		complain(signatures, "no regular file");
		return false;
	}
	for (;;) {
		ssize_t got = read(fd, text + size, TPM2_SIGNATURES_FILE_MAX + 1 - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			complain(signatures, "cannot be read: %s", strerror(errno));
			return false;
		}
		if (got == 0)
			break;
		size += (size_t)got;
	}
	if (size > TPM2_SIGNATURES_FILE_MAX) {
		complain(signatures, "larger than 1 MiB");
		return false;
	}
	*out_size = size;
	return true;
}

/* One that is there and cannot be opened is not passed over for the next. */
static int open_first(const char *path, struct tpm2_signatures *signatures)
{
	const char *const *candidates = path ? &path : places;
	size_t count = path ? 1 : PLACES;
	int fd = -1;

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(signatures->path, sizeof signatures->path, "%s", candidates[i]);
		fd = open(candidates[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 || errno != ENOENT)
			break;
	}
	if (fd >= 0)
		return fd;
	if (errno != ENOENT || path) {
		complain(signatures, "cannot be read: %s", strerror(errno));
		return -1;
	}
	(void)snprintf(signatures->path, sizeof signatures->path, FILE_NAME);
	complain(signatures, "it is in none of /etc/systemd, /run/systemd, /usr/local/lib/systemd, "
			     "/usr/lib/systemd");
	return -1;
}

void tpm2_signatures_load(const char *path, const uint8_t print[TPM2_PRINT_SIZE],
	struct tpm2_signatures *out_signatures)
{
	CLEANUP(close_file) int fd = -1;
	CLEANUP(drop_text) char *text = NULL;
	size_t size = 0;

	*out_signatures = (struct tpm2_signatures){0};
	fd = open_first(path, out_signatures);
	if (fd < 0)
		return;
	text = malloc(TPM2_SIGNATURES_FILE_MAX + 1);
	if (!text)
		complain(out_signatures, "out of memory");
	else if (read_file(fd, text, &size, out_signatures))
		tpm2_signatures_parse(text, size, print, out_signatures);
}

void tpm2_signatures_free(struct tpm2_signatures *signatures)
{
	free(signatures->list);
	signatures->list = NULL;
	signatures->count = 0;
}
