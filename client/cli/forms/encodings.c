/* SPDX-License-Identifier: ISC */
/* encodings: RFC 4648 (base64, base64url, hex), RFC 3986 2.1 (percent), YAML 1.2 (indentation). */
#include "encodings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "spellings.h"

#define INDENTED_MAX 16 /* columns */

struct maker {
	const uint8_t *value;
	size_t size;
	uint8_t *form;
	size_t form_size;
	encodings_take take;
	void *context;
};

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

/* What encoders leave as it is besides letters and digits, each its own way. */
static const char *const kept_by_percent[] = {"-._~", "-._~/", "-._~!*'()", "-._*", ""};

static void put(struct maker *maker, uint8_t byte)
{
	maker->form[maker->form_size++] = byte;
}

static enum mortise_status deliver(struct maker *maker, const char *name)
{
	const struct encodings_form form = {name, maker->form, maker->form_size};

	maker->form_size = 0;
	return maker->take(maker->context, &form);
}

/* The value's byte behind shift others, that are not known. */
static unsigned byte_at(const struct maker *maker, size_t shift, size_t at)
{
	return at >= shift && at < shift + maker->size ? maker->value[at - shift] : 0;
}

static uint8_t digit_at(const struct maker *maker, const char *digits, size_t shift, size_t at)
{
	size_t first = at * 6 / 8, skipped = at * 6 % 8;
	unsigned pair = byte_at(maker, shift, first) << 8 | byte_at(maker, shift, first + 1);

	return (uint8_t)digits[pair >> (10 - skipped) & 63];
}

/*
 * The value as part of something longer: only digits that are made of nothing else. Where it
 * is the end, the last digit is known too, and there may be padding.
 */
static enum mortise_status make_base64(
	struct maker *maker, const char *name, const char *digits, size_t shift)
{
	size_t begin = (shift * 8 + 5) / 6, bits = (shift + maker->size) * 8;

	for (size_t at = begin; at < bits / 6; at++)
		put(maker, digit_at(maker, digits, shift, at));
	TRY(deliver(maker, name));
	if (bits % 6 == 0)
		return MORTISE_OK;
	for (int padding = 0; padding < 2; padding++) {
		for (size_t at = begin; at <= bits / 6; at++)
			put(maker, digit_at(maker, digits, shift, at));
		for (size_t at = bits / 6 + 1; padding == 1 && at % 4 != 0; at++)
			put(maker, '=');
		TRY(deliver(maker, name));
	}
	return MORTISE_OK;
}

/* As base64(1) and PEM write it, from the beginning of a line. */
static enum mortise_status make_wrapped(struct maker *maker, size_t columns, const char *newline)
{
	size_t digits = (maker->size * 8 + 5) / 6, whole = (maker->size + 2) / 3 * 4;

	if (whole <= columns)
		return MORTISE_OK;
	for (size_t at = 0; at < whole; at++) {
		for (const char *end = newline; at > 0 && at % columns == 0 && *end != '\0'; end++)
			put(maker, (uint8_t)*end);
		put(maker, at < digits ? digit_at(maker, base64, 0, at) : '=');
	}
	return deliver(maker, "base64 in lines");
}

static enum mortise_status make_all_base64(struct maker *maker)
{
	for (size_t shift = 0; shift < 3; shift++) {
		TRY(make_base64(maker, "base64", base64, shift));
		TRY(make_base64(maker, "base64url", base64url, shift));
	}
	for (size_t columns = 64; columns <= 76; columns += 12) {
		TRY(make_wrapped(maker, columns, "\n"));
		TRY(make_wrapped(maker, columns, "\r\n"));
	}
	return MORTISE_OK;
}

static void put_hex(struct maker *maker, const char *digits, unsigned byte)
{
	put(maker, (uint8_t)digits[byte >> 4]);
	put(maker, (uint8_t)digits[byte & 15]);
}

static enum mortise_status make_hex(struct maker *maker, const char *digits)
{
	for (size_t i = 0; i < maker->size; i++)
		put_hex(maker, digits, maker->value[i]);
	return deliver(maker, "hex");
}

static bool is_alphanumeric(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= 'a' && byte <= 'z');
}

static enum mortise_status make_percent(
	struct maker *maker, const char *kept, const char *digits, bool has_plus)
{
	for (size_t i = 0; i < maker->size; i++) {
		uint8_t byte = maker->value[i];

		if (is_alphanumeric(byte) || (byte != 0 && strchr(kept, byte)))
			put(maker, byte);
		else if (byte == ' ' && has_plus)
			put(maker, '+');
		else {
			put(maker, '%');
			put_hex(maker, digits, byte);
		}
	}
	return deliver(maker, "percent");
}

static enum mortise_status make_all_percent(struct maker *maker)
{
	for (size_t i = 0; i < sizeof kept_by_percent / sizeof kept_by_percent[0]; i++)
		for (int has_plus = 0; has_plus < 2; has_plus++) {
			TRY(make_percent(maker, kept_by_percent[i], upper, has_plus));
			TRY(make_percent(maker, kept_by_percent[i], lower, has_plus));
		}
	return MORTISE_OK;
}

static enum mortise_status make_plain(struct maker *maker, bool has_crlf)
{
	for (size_t i = 0; i < maker->size; i++) {
		if (has_crlf && maker->value[i] == '\n')
			put(maker, '\r');
		put(maker, maker->value[i]);
	}
	return deliver(maker, has_crlf ? "with CRLF" : "as it is");
}

/*
 * '...' for what is between quotes, and several of those together as one: in "..." as dash does it,
 * or each behind a backslash (zsh's export -p).
 */
static enum mortise_status make_quote_runs(struct maker *maker, bool in_double)
{
	if (!memchr(maker->value, '\'', maker->size))
		return MORTISE_OK;
	for (size_t i = 0; i < maker->size; i++) {
		bool is_quote = maker->value[i] == '\'';
		bool begins = is_quote && (i == 0 || maker->value[i - 1] != '\'');
		bool ends = is_quote && (i + 1 == maker->size || maker->value[i + 1] != '\'');

		if (begins && i > 0)
			put(maker, '\'');
		if (begins && in_double)
			put(maker, '"');
		if (is_quote && !in_double)
			put(maker, '\\');
		put(maker, maker->value[i]);
		if (ends && in_double)
			put(maker, '"');
		if (ends && i + 1 < maker->size)
			put(maker, '\'');
	}
	return deliver(maker, "shell");
}

/* The name of a unit: systemd-escape(1). */
static enum mortise_status make_unit_name(struct maker *maker)
{
	for (size_t i = 0; i < maker->size; i++) {
		uint8_t byte = maker->value[i];

		if (byte == '/')
			put(maker, '-');
		else if (is_alphanumeric(byte) || byte == ':' || byte == '_' ||
			 (byte == '.' && i > 0))
			put(maker, byte);
		else {
			put(maker, '\\');
			put(maker, 'x');
			put_hex(maker, lower, byte);
		}
	}
	return deliver(maker, "systemd");
}

static void put_unit(struct maker *maker, uint32_t unit, bool is_big)
{
	put(maker, (uint8_t)(is_big ? unit >> 8 : unit));
	put(maker, (uint8_t)(is_big ? unit : unit >> 8));
}

/* Of what is text. Windows ends lines with CRLF. */
static enum mortise_status make_utf16(struct maker *maker, bool is_big, bool has_crlf)
{
	uint32_t code = 0;

	for (size_t at = 0, size; at < maker->size; at += size) {
		size = spellings_decode(maker->value + at, maker->size - at, &code);
		if (size == 0) {
			maker->form_size = 0;
			return MORTISE_OK;
		}
		if (code == '\n' && has_crlf)
			put_unit(maker, '\r', is_big);
		if (code >= 0x10000) {
			put_unit(maker, 0xd800 + ((code - 0x10000) >> 10), is_big);
			code = 0xdc00 + ((code - 0x10000) & 0x3ff);
		}
		put_unit(maker, code, is_big);
	}
	return deliver(maker, "UTF-16");
}

static bool is_ascii(const struct maker *maker)
{
	for (size_t i = 0; i < maker->size; i++)
		if (maker->value[i] >= 0x80)
			return false;
	return true;
}

/* Of ASCII both orders are the same bytes but for the zero at an end: without that it is one form.
 */
static enum mortise_status make_all_utf16(struct maker *maker, bool has_crlf)
{
	if (!is_ascii(maker)) {
		TRY(make_utf16(maker, false, has_crlf));
		return make_utf16(maker, true, has_crlf);
	}
	for (size_t i = 0; i < maker->size; i++) {
		if (maker->value[i] == '\n' && has_crlf)
			put_unit(maker, '\r', false);
		put_unit(maker, maker->value[i], false);
	}
	maker->form_size--;
	return deliver(maker, "UTF-16");
}

static void put_blanks(struct maker *maker, size_t count)
{
	while (count-- > 0)
		put(maker, ' ');
}

/* Several lines in a block of YAML, or where somebody has indented them. Empty ones stay empty. */
static enum mortise_status make_indented(struct maker *maker, size_t columns)
{
	for (size_t i = 0; i < maker->size; i++) {
		put(maker, maker->value[i]);
		if (maker->value[i] == '\n' && i + 1 < maker->size && maker->value[i + 1] != '\n')
			put_blanks(maker, columns);
	}
	return deliver(maker, "YAML");
}

/* Several lines between single quotes of YAML: an empty line stands for the end of one. */
static enum mortise_status make_quoted_lines(struct maker *maker, size_t columns)
{
	for (size_t i = 0; i < maker->size; i++) {
		bool is_first = maker->value[i] == '\n' && (i == 0 || maker->value[i - 1] != '\n');

		if (maker->value[i] == '\'' || is_first)
			put(maker, maker->value[i]);
		put(maker, maker->value[i]);
		if (maker->value[i] == '\n' && i + 1 < maker->size && maker->value[i + 1] != '\n')
			put_blanks(maker, columns);
	}
	return deliver(maker, "YAML");
}

static size_t count_lines(const struct maker *maker)
{
	size_t count = 0;

	for (size_t i = 0; i < maker->size; i++)
		count += maker->value[i] == '\n';
	return count;
}

/* No indentation that would be most of the form: nobody writes so, and there is no room. */
static enum mortise_status make_all_lines(struct maker *maker)
{
	size_t lines = count_lines(maker);

	if (lines == 0)
		return MORTISE_OK;
	TRY(make_plain(maker, true));
	TRY(make_all_utf16(maker, true));
	for (size_t columns = 1; columns <= INDENTED_MAX; columns++) {
		if (lines * columns > maker->size * (SPELLINGS_GROWTH - 3))
			return MORTISE_OK;
		TRY(make_indented(maker, columns));
		if (columns % 2 == 0)
			TRY(make_quoted_lines(maker, columns));
	}
	return MORTISE_OK;
}

static enum mortise_status make_all(struct maker *maker)
{
	TRY(make_plain(maker, false));
	TRY(make_all_base64(maker));
	TRY(make_hex(maker, lower));
	TRY(make_hex(maker, upper));
	TRY(make_all_percent(maker));
	TRY(spellings_each(maker->value, maker->size, maker->form, maker->take, maker->context));
	TRY(make_all_lines(maker));
	TRY(make_quote_runs(maker, true));
	TRY(make_quote_runs(maker, false));
	TRY(make_unit_name(maker));
	return make_all_utf16(maker, false);
}

enum mortise_status encodings_each(
	const uint8_t *value, size_t size, encodings_take take, void *context)
{
	struct maker maker = {value, size, NULL, 0, take, context};
	enum mortise_status status;
	size_t trimmed = size;

	if (size < ENCODINGS_VALUE_MIN)
		return MORTISE_OK;
	if (size > MORTISE_VALUE_MAX)
		return MORTISE_INVALID;
	maker.form = malloc(size * SPELLINGS_GROWTH);
	if (!maker.form)
		return MORTISE_IO;
	status = make_all(&maker);
	while (trimmed > 0 && (value[trimmed - 1] == '\n' || value[trimmed - 1] == '\r'))
		trimmed--;
	if (status == MORTISE_OK && trimmed < size && trimmed >= ENCODINGS_VALUE_MIN) {
		maker.size = trimmed;
		status = make_all(&maker);
	}
	mortise_wipe(maker.form, size * SPELLINGS_GROWTH);
	free(maker.form);
	return status;
}
