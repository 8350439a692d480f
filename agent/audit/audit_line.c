/* SPDX-License-Identifier: ISC */
/*
 * Every put_ function writes at a place that has room and returns the place behind it. All
 * that stands before a note has at most 1,859 bytes, 1,530 of them a path; only the note has
 * to look how much of AUDIT_LINE_MAX is left.
 */
#include "audit_line.h"

#include <sodium.h>
#include <string.h>

#include "text.h"

/*
 * The strict reader of audit_line.h. Each take_ function either moves over what it wants or says no
 * and leaves the reader anywhere; nobody goes on after a no.
 */

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

static bool take_facts(struct reader *reader)
{
	return (!TAKE(reader, ",\"unit\":\"") || skip_text(reader)) &&
	       (!TAKE(reader, ",\"exe\":\"") || skip_text(reader)) &&
	       (!TAKE(reader, ",\"label\":\"") || skip_text(reader));
}

static bool take_result(struct reader *reader, struct audit_line *line)
{
	const char *word;
	unsigned status = 0;

	if (!TAKE(reader, ",\"result\":\""))
		return false;
	while ((word = audit_result_word(status)) && !take_bytes(reader, word, strlen(word)))
		status++;
	if (!word || !TAKE(reader, "\""))
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
		!take_facts(&reader) || !take_result(&reader, &line) ||
		!take_proof(&reader, &line) || !TAKE(&reader, ",\"prev\":\"") ||
		!take_hex(&reader, line.prev, AUDIT_HASH_SIZE) || !TAKE(&reader, "\"}"))
		return MORTISE_INTEGRITY;
	if (room(&reader) > 0)
		return MORTISE_INTEGRITY;
	*out_line = line;
	return MORTISE_OK;
}

#define PATH_MAX_BYTES 255
#define RULE_MAX_BYTES 64  /* escaped too: a title of a rule needs no escapes */
#define FACT_MAX_BYTES 255 /* escaped too */
#define FACT_MIN_BYTES 16  /* of less nobody learns anything */
#define NOTE_MIN_BYTES 70  /* that facts leave to a note */
#define PROOF_MAX      336 /* store, key, next, sig */
#define REST_MAX       112 /* result, prev, newline, and what stands around a note */

#define LAST_SECOND    UINT64_C(253402300799)
#define SECONDS_A_DAY  86400
#define MICROS         1000000
#define PUT(at, chars) put_bytes((at), (chars), sizeof(chars) - 1)

static const char hex_digits[] = "0123456789abcdef";

static const char *const result_words[] = {
	[MORTISE_OK] = "ok",
	[MORTISE_INVALID] = "invalid",
	[MORTISE_DENIED] = "denied",
	[MORTISE_NOT_FOUND] = "not-found",
	[MORTISE_CONFLICT] = "conflict",
	[MORTISE_SEALED] = "sealed",
	[MORTISE_BUSY] = "busy",
	[MORTISE_INTEGRITY] = "integrity",
	[MORTISE_IO] = "io",
	[MORTISE_HARDWARE] = "hardware",
	[MORTISE_UNREACHABLE] = "unreachable",
	[MORTISE_REJECTED] = "rejected",
};

const char *audit_result_word(unsigned status)
{
	return status < sizeof result_words / sizeof *result_words ? result_words[status] : NULL;
}

size_t audit_character_size(const char *text, size_t room)
{
	uint32_t point = 0;
	size_t size = text_character(text, room, &point);

	return point < 0x20 || (point >= 0x7f && point < 0xa0) ? 0 : size;
}

static bool is_leap(uint64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static void set_digits(char *text, size_t count, uint64_t number)
{
	while (count > 0) {
		text[--count] = (char)('0' + number % 10);
		number /= 10;
	}
}

/* By hand, since gmtime() would read the time zone's files, which the sandbox hides. */
static void set_date(char *text, uint64_t days)
{
	uint64_t days_of_month[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t year = 1970, month = 0;

	for (; days >= 365u + is_leap(year); year++)
		days -= 365u + is_leap(year);
	days_of_month[1] += is_leap(year);
	for (; days >= days_of_month[month]; month++)
		days -= days_of_month[month];
	set_digits(text, 4, year);
	set_digits(text + 5, 2, month + 1);
	set_digits(text + 8, 2, days + 1);
}

void audit_clock_set(struct audit_clock *clock, uint64_t time_us)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z";
	uint64_t second;

	if (time_us > LAST_SECOND * MICROS + MICROS - 1)
		time_us = LAST_SECOND * MICROS + MICROS - 1;
	second = time_us / MICROS;
	if (clock->next_second != second + 1) {
		memcpy(clock->text, shape, AUDIT_TIME_SIZE);
		set_date(clock->text, second / SECONDS_A_DAY);
		set_digits(clock->text + 11, 2, second / 3600 % 24);
		set_digits(clock->text + 14, 2, second / 60 % 60);
		set_digits(clock->text + 17, 2, second % 60);
		clock->next_second = second + 1;
	}
	set_digits(clock->text + 20, 6, time_us % MICROS);
}

static char *put_bytes(char *at, const char *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static char *put_number(char *at, uint64_t number)
{
	char digits[20];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

static char *put_hex(char *at, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		*at++ = hex_digits[bytes[i] >> 4];
		*at++ = hex_digits[bytes[i] & 15];
	}
	return at;
}

static bool is_plain(char character)
{
	return character >= 0x20 && character < 0x7f && character != '"' && character != '\\';
}

/* At most 6 bytes, not even in part if they do not fit before limit: then NULL. */
static char *put_character(char *at, const char *limit, const char *text, size_t size)
{
	char escape[6] = "\\u00";

	if (size > 0 && text[0] != '"' && text[0] != '\\')
		return size <= (size_t)(limit - at) ? put_bytes(at, text, size) : NULL;
	if (size > 0) {
		escape[1] = text[0];
		return limit - at >= 2 ? put_bytes(at, escape, 2) : NULL;
	}
	escape[4] = hex_digits[(unsigned char)text[0] >> 4];
	escape[5] = hex_digits[text[0] & 15];
	return limit - at >= 6 ? put_bytes(at, escape, 6) : NULL;
}

/* As much of text as fits into budget bytes once escaped. */
static char *put_text(char *at, const char *text, size_t size, size_t budget)
{
	const char *limit = at + budget, *end = text + size;

	for (;;) {
		size_t character;
		char *next;

		while (text < end && at < limit && is_plain(*text))
			*at++ = *text++;
		if (text == end)
			return at;
		character = audit_character_size(text, (size_t)(end - text));
		next = put_character(at, limit, text, character);
		if (!next)
			return at;
		at = next;
		text += character > 0 ? character : 1;
	}
}

static char *put_caller(char *at, const struct audit_event *event, enum audit_role role)
{
	at = put_number(PUT(at, ",\"uid\":"), event->uid);
	if (role == AUDIT_DENIALS)
		return at;
	at = put_number(PUT(at, ",\"gid\":"), event->gid);
	at = put_number(PUT(at, ",\"pid\":"), event->pid);
	if (event->login_uid != UINT32_MAX)
		at = put_number(PUT(at, ",\"auid\":"), event->login_uid);
	if (event->session != UINT32_MAX)
		at = put_number(PUT(at, ",\"session\":"), event->session);
	return at;
}

static char *put_request(char *at, const struct audit_event *event)
{
	if (event->path) {
		size_t size = event->path_size < PATH_MAX_BYTES ? event->path_size : PATH_MAX_BYTES;

		at = put_text(PUT(at, ",\"path\":\""), event->path, size, 6 * PATH_MAX_BYTES);
		*at++ = '"';
	}
	if (event->version != 0)
		at = put_number(PUT(at, ",\"version\":"), event->version);
	if (event->rule) {
		at = put_text(PUT(at, ",\"rule\":\""), event->rule,
			strnlen(event->rule, RULE_MAX_BYTES), RULE_MAX_BYTES);
		*at++ = '"';
	}
	return at;
}

/* A fact takes no more than is left before limit, and is left out where that is little. */
static char *put_fact(char *at, const char *limit, const char *name, const char *text)
{
	size_t size = strlen(name) + sizeof ",\"\":\"\"" - 1;

	if (!text || limit - at < (ptrdiff_t)(size + FACT_MIN_BYTES))
		return at;
	size_t left = (size_t)(limit - at) - size;
	at = PUT(put_bytes(PUT(at, ",\""), name, strlen(name)), "\":\"");
	at = put_text(at, text, strnlen(text, FACT_MAX_BYTES),
		left < FACT_MAX_BYTES ? left : FACT_MAX_BYTES);
	*at++ = '"';
	return at;
}

static char *put_facts(char *at, const char *limit, const struct audit_facts *facts)
{
	at = put_fact(at, limit, "unit", facts->unit);
	at = put_fact(at, limit, "exe", facts->exe);
	return put_fact(at, limit, "label", facts->label);
}

static char *put_result(char *at, const struct audit_event *event, size_t note_budget)
{
	const char *word = audit_result_word(event->result);

	if (!word)
		word = result_words[MORTISE_INTEGRITY];
	at = put_bytes(PUT(at, ",\"result\":\""), word, strlen(word));
	*at++ = '"';
	if (event->note) {
		at = put_text(PUT(at, ",\"note\":\""), event->note,
			strnlen(event->note, AUDIT_LINE_MAX), note_budget);
		*at++ = '"';
	}
	return at;
}

/* RFC 9562, 4: 8-4-4-4-12 */
static char *put_uuid(char *at, const uint8_t *uuid)
{
	for (size_t i = 0; i < AUDIT_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at = put_hex(at, uuid + i, 1);
	}
	return at;
}

static char *put_proof(char *at, const struct audit_proof *proof)
{
	if (proof->uuid)
		at = PUT(put_uuid(PUT(at, ",\"store\":\""), proof->uuid), "\"");
	if (proof->key)
		at = PUT(put_hex(PUT(at, ",\"key\":\""), proof->key, AUDIT_KEY_SIZE), "\"");
	if (proof->next)
		at = PUT(put_hex(PUT(at, ",\"next\":\""), proof->next, AUDIT_KEY_SIZE), "\"");
	if (proof->signature)
		at = PUT(put_hex(PUT(at, ",\"sig\":\""), proof->signature, AUDIT_SIGNATURE_SIZE),
			"\"");
	return at;
}

static bool is_operation(const char *operation, size_t size)
{
	if (size == 0 || size > AUDIT_OPERATION_MAX || operation[0] < 'a' || operation[0] > 'z')
		return false;
	for (const char *at = operation; at < operation + size; at++)
		if (!(*at >= 'a' && *at <= 'z') && !(*at >= '0' && *at <= '9') && *at != '-')
			return false;
	return true;
}

size_t audit_line_format(char buffer[AUDIT_LINE_MAX], const struct audit_clock *clock,
	uint64_t sequence, const struct audit_event *event, const struct audit_proof *proof,
	const uint8_t prev[AUDIT_HASH_SIZE])
{
	size_t size = strlen(event->operation);
	enum audit_role role = audit_role_of(event->operation, size);
	size_t rest = REST_MAX + (proof ? PROOF_MAX : 0);
	char *at = buffer;

	if (!is_operation(event->operation, size))
		return 0;
	at = put_number(PUT(at, "{\"seq\":"), sequence);
	at = put_bytes(PUT(at, ",\"time\":\""), clock->text, AUDIT_TIME_SIZE);
	if (clock->is_doubtful)
		at = PUT(at, "\",\"clock\":\"doubtful");
	at = put_bytes(PUT(at, "\",\"op\":\""), event->operation, size);
	*at++ = '"';
	if (event->has_caller)
		at = put_caller(at, event, role);
	at = put_request(at, event);
	at = put_facts(at, buffer + AUDIT_LINE_MAX - rest - NOTE_MIN_BYTES, &event->facts);
	at = put_result(at, event, AUDIT_LINE_MAX - (size_t)(at - buffer) - rest);
	if (proof)
		at = put_proof(at, proof);
	at = put_hex(PUT(at, ",\"prev\":\""), prev, AUDIT_HASH_SIZE);
	at = PUT(at, "\"}\n");
	return (size_t)(at - buffer);
}

void audit_line_hash(const char *line, size_t size, uint8_t out_hash[AUDIT_HASH_SIZE])
{
	(void)crypto_generichash(
		out_hash, AUDIT_HASH_SIZE, (const unsigned char *)line, size, NULL, 0);
}

void audit_statement_pack(
	const struct audit_statement *statement, uint8_t out_bytes[AUDIT_STATEMENT_SIZE])
{
	static const char domain[] = "mortise audit checkpoint 1";
	uint8_t *at = out_bytes;

	at = mempcpy(at, domain, sizeof domain);
	at = mempcpy(at, statement->uuid, AUDIT_UUID_SIZE);
	for (unsigned shift = 0; shift < 64; shift += 8)
		*at++ = (uint8_t)(statement->sequence >> shift);
	at = mempcpy(at, statement->prev, AUDIT_HASH_SIZE);
	at = mempcpy(at, statement->time, AUDIT_TIME_SIZE);
	(void)mempcpy(at, statement->next, AUDIT_KEY_SIZE);
}
