/* SPDX-License-Identifier: ISC */
/*
 * The strict reader of audit_line.h. Each take_ function either moves over what it wants or
 * says no and leaves the reader anywhere; nobody goes on after a no.
 */
#include "audit_line.h"

#include <string.h>

struct reader {
	const char *at, *end;
};

#define TAKE(reader, chars) take_bytes((reader), (chars), sizeof(chars) - 1)

static bool is_word(const char *text, size_t size, const char *word)
{
	return size == strlen(word) && memcmp(text, word, size) == 0;
}

enum audit_role audit_role_of(const char *operation, size_t size)
{
	if (is_word(operation, size, "checkpoint"))
		return AUDIT_CHECKPOINT;
	if (is_word(operation, size, "genesis"))
		return AUDIT_GENESIS;
	if (is_word(operation, size, "joint"))
		return AUDIT_JOINT;
	if (is_word(operation, size, "denials"))
		return AUDIT_DENIALS;
	return AUDIT_EVENT;
}

static size_t room(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

/* Moves only if it says yes, so that it can ask for what need not be there. */
static bool take_bytes(struct reader *reader, const char *bytes, size_t size)
{
	if (room(reader) < size || memcmp(reader->at, bytes, size) != 0)
		return false;
	reader->at += size;
	return true;
}

static bool is_digit(char character)
{
	return character >= '0' && character <= '9';
}

static bool take_number(struct reader *reader, uint64_t limit, uint64_t *out_number)
{
	const char *start = reader->at;
	uint64_t number = 0;

	for (; room(reader) > 0 && is_digit(*reader->at); reader->at++) {
		uint64_t digit = (uint64_t)(*reader->at - '0');

		if (number > (limit - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*out_number = number;
	return reader->at > start && (*start != '0' || reader->at == start + 1);
}

static int hex_value(char character)
{
	if (is_digit(character))
		return character - '0';
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

static bool take_hex(struct reader *reader, uint8_t *out_bytes, size_t size)
{
	if (room(reader) < 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_value(reader->at[0]), low = hex_value(reader->at[1]);

		if (high < 0 || low < 0)
			return false;
		out_bytes[i] = (uint8_t)(high << 4 | low);
		reader->at += 2;
	}
	return true;
}

/* A \u00xx that could not stand for itself. */
static bool take_escape(struct reader *reader)
{
	uint8_t code;

	if (TAKE(reader, "\\\"") || TAKE(reader, "\\\\"))
		return true;
	return TAKE(reader, "\\u00") && take_hex(reader, &code, 1) && (code < 0x20 || code >= 0x7f);
}

/* Up to the closing quote, which it takes. */
static bool take_text(struct reader *reader, const char **out_text, size_t *out_size)
{
	const char *start = reader->at;

	while (room(reader) > 0 && *reader->at != '"') {
		if (*reader->at == '\\') {
			if (!take_escape(reader))
				return false;
		} else {
			size_t size = audit_character_size(reader->at, room(reader));

			if (size == 0)
				return false;
			reader->at += size;
		}
	}
	*out_text = start;
	*out_size = (size_t)(reader->at - start);
	return TAKE(reader, "\"");
}

static bool skip_text(struct reader *reader)
{
	const char *text;
	size_t size;

	return take_text(reader, &text, &size);
}

static bool skip_number(struct reader *reader, uint64_t limit)
{
	uint64_t number;

	return take_number(reader, limit, &number);
}

static unsigned two_digits(const char *text)
{
	return (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
}

/* RFC 3339 in UTC. The day is not held against the month: nothing computes with it. */
static bool take_time(struct reader *reader, const char **out_time)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z";
	const char *text = reader->at;

	if (room(reader) < AUDIT_TIME_SIZE)
		return false;
	for (size_t i = 0; i < AUDIT_TIME_SIZE; i++)
		if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i])
			return false;
	if (two_digits(text + 5) - 1 >= 12 || two_digits(text + 8) - 1 >= 31 ||
		two_digits(text + 11) >= 24 || two_digits(text + 14) >= 60 ||
		two_digits(text + 17) >= 60)
		return false;
	reader->at += AUDIT_TIME_SIZE;
	*out_time = text;
	return true;
}

/* Whether the clock was believed. */
static bool take_doubt(struct reader *reader)
{
	return !TAKE(reader, "\",\"clock\":\"") || TAKE(reader, "doubtful");
}

static bool take_operation(struct reader *reader, enum audit_role *out_role)
{
	const char *start = reader->at;
	size_t size;

	while (room(reader) > 0 && ((*reader->at >= 'a' && *reader->at <= 'z') ||
					   *reader->at == '-' || is_digit(*reader->at)))
		reader->at++;
	size = (size_t)(reader->at - start);
	if (size == 0 || size > AUDIT_OPERATION_MAX || *start < 'a')
		return false;
	*out_role = audit_role_of(start, size);
	return true;
}

static bool take_caller(struct reader *reader, enum audit_role role)
{
	if (!TAKE(reader, ",\"uid\":"))
		return true;
	if (!skip_number(reader, UINT32_MAX))
		return false;
	if (role == AUDIT_DENIALS)
		return true;
	if (!TAKE(reader, ",\"gid\":") || !skip_number(reader, UINT32_MAX) ||
		!TAKE(reader, ",\"pid\":") || !skip_number(reader, UINT32_MAX))
		return false;
	if (TAKE(reader, ",\"auid\":") && !skip_number(reader, UINT32_MAX - 1))
		return false;
	return !TAKE(reader, ",\"session\":") || skip_number(reader, UINT32_MAX - 1);
}

static bool take_request(struct reader *reader)
{
	uint64_t version = 1;

	if (TAKE(reader, ",\"path\":\"") && !skip_text(reader))
		return false;
	if (TAKE(reader, ",\"version\":") && !take_number(reader, UINT64_MAX, &version))
		return false;
	return version != 0 && (!TAKE(reader, ",\"rule\":\"") || skip_text(reader));
}

static bool take_result(struct reader *reader, struct audit_line *line)
{
	const char *word;
	unsigned status = 0;

	if (!TAKE(reader, ",\"result\":\""))
		return false;
	while ((word = audit_result_word(status)) && !take_bytes(reader, word, strlen(word)))
		status++;
	if (word == NULL || !TAKE(reader, "\""))
		return false;
	return !TAKE(reader, ",\"note\":\"") || take_text(reader, &line->note, &line->note_size);
}

static bool take_uuid(struct reader *reader, uint8_t *out_uuid)
{
	for (size_t i = 0; i < AUDIT_UUID_SIZE; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && !TAKE(reader, "-"))
			return false;
		if (!take_hex(reader, out_uuid + i, 1))
			return false;
	}
	return TAKE(reader, "\"");
}

static bool take_proof(struct reader *reader, struct audit_line *line)
{
	if (line->role == AUDIT_GENESIS)
		return TAKE(reader, ",\"store\":\"") && take_uuid(reader, line->uuid) &&
		       TAKE(reader, ",\"key\":\"") && take_hex(reader, line->key, AUDIT_KEY_SIZE) &&
		       TAKE(reader, "\"");
	if (line->role != AUDIT_CHECKPOINT)
		return true;
	return TAKE(reader, ",\"key\":\"") && take_hex(reader, line->key, AUDIT_KEY_SIZE) &&
	       TAKE(reader, "\",\"next\":\"") && take_hex(reader, line->next, AUDIT_KEY_SIZE) &&
	       TAKE(reader, "\",\"sig\":\"") &&
	       take_hex(reader, line->signature, AUDIT_SIGNATURE_SIZE) && TAKE(reader, "\"");
}

enum mortise_status audit_line_parse(const char *text, size_t size, struct audit_line *out_line)
{
	struct reader reader = {text, text + size};
	struct audit_line line = {0};

	if (size >= AUDIT_LINE_MAX)
		return MORTISE_INTEGRITY;
	if (!TAKE(&reader, "{\"seq\":") || !take_number(&reader, UINT64_MAX, &line.sequence) ||
		!TAKE(&reader, ",\"time\":\"") || !take_time(&reader, &line.time) ||
		!take_doubt(&reader) || !TAKE(&reader, "\",\"op\":\"") ||
		!take_operation(&reader, &line.role) || !TAKE(&reader, "\"") ||
		!take_caller(&reader, line.role) || !take_request(&reader) ||
		!take_result(&reader, &line) || !take_proof(&reader, &line) ||
		!TAKE(&reader, ",\"prev\":\"") || !take_hex(&reader, line.prev, AUDIT_HASH_SIZE) ||
		!TAKE(&reader, "\"}"))
		return MORTISE_INTEGRITY;
	if (room(&reader) > 0)
		return MORTISE_INTEGRITY;
	*out_line = line;
	return MORTISE_OK;
}
