/* SPDX-License-Identifier: ISC */
/* encodings: RFC 4648 (base64, base64url, hex), RFC 3986 2.1 (percent), RFC 8259 7 (JSON). */
#include "encodings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GROWTH_MAX 6 /* a byte is "\u0000" at worst */

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

enum json_style {
	JSON_ASCII = 1,
	JSON_SLASH = 2,
	JSON_HTML = 4,
	JSON_UPPER = 8,
	JSON_STYLES = 16,
};

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

		if (is_alphanumeric(byte) || (byte != 0 && strchr(kept, byte) != NULL))
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

/* The size of the UTF-8 sequence at the beginning, its character in *out_code; 0: it is none. */
static size_t decode(const uint8_t *bytes, size_t size, uint32_t *out_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : bytes[0] >= 0xc0 ? 2 : 1;
	uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0x7fU >> length);

	if (length > size || bytes[0] >= 0xf8 || (length == 1 && bytes[0] >= 0x80))
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*out_code = code;
	return length;
}

static void put_unit(struct maker *maker, int style, uint32_t unit)
{
	const char *digits = (style & JSON_UPPER) != 0 ? upper : lower;

	put(maker, '\\');
	put(maker, 'u');
	put_hex(maker, digits, unit >> 8);
	put_hex(maker, digits, unit & 0xff);
}

static void put_json_ascii(struct maker *maker, int style, uint8_t byte)
{
	static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = byte != 0 ? strchr(escaped, byte) : NULL;

	if (found != NULL || (byte == '/' && (style & JSON_SLASH) != 0)) {
		put(maker, '\\');
		put(maker, found != NULL ? (uint8_t)letters[found - escaped] : byte);
	} else if (byte < ' ' ||
		   ((style & JSON_HTML) != 0 && (byte == '<' || byte == '>' || byte == '&')))
		put_unit(maker, style, byte);
	else
		put(maker, byte);
}

static enum mortise_status make_json(struct maker *maker, int style)
{
	for (size_t at = 0, length; at < maker->size; at += length) {
		uint32_t code = 0;

		length = decode(maker->value + at, maker->size - at, &code);
		if (length == 0) { /* no text: no encoder does this */
			maker->form_size = 0;
			return MORTISE_OK;
		}
		if (length == 1)
			put_json_ascii(maker, style, maker->value[at]);
		else if ((style & JSON_ASCII) == 0)
			for (size_t i = 0; i < length; i++)
				put(maker, maker->value[at + i]);
		else if (code < 0x10000)
			put_unit(maker, style, code);
		else {
			put_unit(maker, style, 0xd800 + ((code - 0x10000) >> 10));
			put_unit(maker, style, 0xdc00 + ((code - 0x10000) & 0x3ff));
		}
	}
	return deliver(maker, "JSON");
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

static enum mortise_status make_all(struct maker *maker)
{
	TRY(make_plain(maker, false));
	if (memchr(maker->value, '\n', maker->size) != NULL)
		TRY(make_plain(maker, true));
	TRY(make_all_base64(maker));
	TRY(make_hex(maker, lower));
	TRY(make_hex(maker, upper));
	TRY(make_all_percent(maker));
	for (int style = 0; style < JSON_STYLES; style++)
		TRY(make_json(maker, style));
	return MORTISE_OK;
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
	maker.form = malloc(size * GROWTH_MAX);
	if (maker.form == NULL)
		return MORTISE_IO;
	status = make_all(&maker);
	while (trimmed > 0 && (value[trimmed - 1] == '\n' || value[trimmed - 1] == '\r'))
		trimmed--;
	if (status == MORTISE_OK && trimmed < size && trimmed >= ENCODINGS_VALUE_MIN) {
		maker.size = trimmed;
		status = make_all(&maker);
	}
	mortise_wipe(maker.form, size * GROWTH_MAX);
	free(maker.form);
	return status;
}
