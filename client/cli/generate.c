/* SPDX-License-Identifier: ISC */
#include "generate.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define POOL_SIZE 256

static const char consonants[] = "bdfghklmnprstvwz", vowels[] = "aeiou";

struct pool {
	uint8_t bytes[POOL_SIZE];
	size_t left;
	bool failed;
};

static uint8_t draw_byte(struct pool *pool)
{
	if (pool->left == 0) {
		ssize_t got;

		do
			got = getrandom(pool->bytes, sizeof pool->bytes, 0);
		while (got < 0 && errno == EINTR);
		pool->failed = pool->failed || got != sizeof pool->bytes;
		pool->left = sizeof pool->bytes;
	}
	return pool->bytes[--pool->left];
}

/* 0 to limit-1, each as likely: what lies above the last whole multiple is drawn again. */
static unsigned draw(struct pool *pool, unsigned limit)
{
	unsigned end = 256 - 256 % limit, number;

	do
		number = draw_byte(pool);
	while (number >= end && !pool->failed);
	return number % limit;
}

static void append(struct input *value, char character)
{
	value->bytes[value->size++] = (uint8_t)character;
}

static bool has_all_classes(const struct generate *generate, const struct input *value)
{
	const char *class = generate->alphabet;

	for (int i = 0; i < GENERATE_CLASSES; class += generate->class_size[i++]) {
		bool is_there = generate->class_size[i] == 0;

		for (size_t at = 0; at < value->size; at++)
			is_there |=
				memchr(class, value->bytes[at], generate->class_size[i]) != NULL;
		if (!is_there)
			return false;
	}
	return true;
}

/* A draw without one of the classes is drawn again as a whole: the rest stay equally likely. */
static void make_password(
	const struct generate *generate, struct pool *pool, struct input *out_value)
{
	unsigned limit = (unsigned)strlen(generate->alphabet);

	do {
		out_value->size = 0;
		for (unsigned i = 0; i < generate->count; i++)
			append(out_value, generate->alphabet[draw(pool, limit)]);
	} while (!has_all_classes(generate, out_value) && !pool->failed);
}

static void make_hex(unsigned count, struct pool *pool, struct input *out_value)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 2 * count; i++)
		append(out_value, digits[draw(pool, 16)]);
}

static void make_base64(unsigned count, struct pool *pool, struct input *out_value)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; count >= 3; count -= 3)
		for (int i = 0; i < 4; i++)
			append(out_value, digits[draw(pool, 64)]);
	if (count == 0)
		return;
	append(out_value, digits[draw(pool, 64)]);
	append(out_value, digits[count == 1 ? draw(pool, 4) << 4 : draw(pool, 64)]);
	append(out_value, count == 1 ? '=' : digits[draw(pool, 16) << 2]);
	append(out_value, '=');
}

/* RFC 9562, 5.4: version and variant are fixed, all else is random. */
static void make_uuid(struct pool *pool, struct input *out_value)
{
	static const char form[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
	static const char digits[] = "0123456789abcdef";

	for (const char *at = form; *at != '\0'; at++)
		append(out_value, *at == 'x'   ? digits[draw(pool, 16)]
				  : *at == 'y' ? digits[8 + draw(pool, 4)]
					       : *at);
}

static void make_words(const struct generate *generate, struct pool *pool, struct input *out_value)
{
	for (unsigned i = 0; i < generate->count; i++) {
		if (i > 0)
			append(out_value, generate->separator);
		for (int letter = 0; letter < 5; letter++)
			append(out_value, letter % 2 == 0 ? consonants[draw(pool, 16)]
							  : vowels[draw(pool, 5)]);
	}
}

enum mortise_status generate_value(const struct generate *generate, struct input *out_value)
{
	struct pool pool = {.left = 0};
	bool failed;

	out_value->size = 0;
	if (generate->kind == GENERATE_PASSWORD)
		make_password(generate, &pool, out_value);
	else if (generate->kind == GENERATE_HEX)
		make_hex(generate->count, &pool, out_value);
	else if (generate->kind == GENERATE_BASE64)
		make_base64(generate->count, &pool, out_value);
	else if (generate->kind == GENERATE_UUID)
		make_uuid(&pool, out_value);
	else
		make_words(generate, &pool, out_value);
	failed = pool.failed;
	mortise_wipe(&pool, sizeof pool);
	return failed ? MORTISE_IO : MORTISE_OK;
}
