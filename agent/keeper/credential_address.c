/* SPDX-License-Identifier: ISC */
#include "credential_address.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "subject.h"

#define RANDOM_DIGITS 16 /* at most: leading zeros are left out */

/* A file's name that may also be a descriptor's (systemd's credential_name_valid). */
static bool is_id(const char *id, size_t size)
{
	if (size == 0 || (id[0] == '.' && (size == 1 || (size == 2 && id[1] == '.'))))
		return false;
	for (size_t i = 0; i < size; i++)
		if (id[i] < ' ' || id[i] > '~' || id[i] == '/' || id[i] == ':')
			return false;
	return true;
}

static size_t count_digits(const char *text, const char *end)
{
	size_t count = 0;

	while (text + count < end && text[count] != '\0' &&
		strchr("0123456789abcdef", text[count]) != NULL)
		count++;
	return count;
}

enum mortise_status credential_address_read(
	const struct sockaddr_un *address, socklen_t size, struct credential_address *out_address)
{
	static const char middle[] = "/unit/";
	const size_t start = offsetof(struct sockaddr_un, sun_path), skip = sizeof middle - 1;
	const char *at = address->sun_path + 1, *end, *slash;
	size_t digits;

	if (address->sun_family != AF_UNIX || size <= start + 1 || size > sizeof *address ||
		address->sun_path[0] != '\0')
		return MORTISE_REJECTED;
	end = address->sun_path + (size - start);
	digits = count_digits(at, end);
	at += digits;
	if (digits == 0 || digits > RANDOM_DIGITS || (size_t)(end - at) <= skip ||
		memcmp(at, middle, skip) != 0)
		return MORTISE_REJECTED;
	at += skip;
	slash = memchr(at, '/', (size_t)(end - at));
	if (slash == NULL || !unit_name_is_valid(at, (size_t)(slash - at)) ||
		!is_id(slash + 1, (size_t)(end - slash - 1)))
		return MORTISE_REJECTED;
	*out_address = (struct credential_address){{0}, {0}};
	memcpy(out_address->unit, at, (size_t)(slash - at));
	memcpy(out_address->id, slash + 1, (size_t)(end - slash - 1));
	return MORTISE_OK;
}
