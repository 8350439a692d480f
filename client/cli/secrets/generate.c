/* SPDX-License-Identifier: ISC */
#include "generate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "args.h"

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

#define UUID_BITS      122
#define SYLLABLE_WORDS 102400 /* consonant, vowel, consonant, vowel, consonant */

/* A comma ends an option; quotes, backslash and blank are a trouble in too many files. */
static const char *const class_characters[GENERATE_CLASSES] = {
	"abcdefghijklmnopqrstuvwxyz",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	"0123456789",
	"!#$%&()*+-./:;<=>?@[]^_{|}~",
};

static const char *const class_refusals[GENERATE_CLASSES] = {
	"no-lower", "no-upper", "no-digits", "no-symbols"};

static const struct {
	const char *name, *unit;
	unsigned count; /* where none is given; 0: it takes none */
} kinds[] = {
	[GENERATE_PASSWORD] = {"password", "characters", 32},
	[GENERATE_HEX] = {"hex", "bytes as hex digits", 32},
	[GENERATE_BASE64] = {"base64", "bytes in base64", 48},
	[GENERATE_UUID] = {"uuid", "a UUID", 0},
	[GENERATE_WORDS] = {"words", "words", 6},
};

/* What the options of a specification say. */
struct wish {
	const char *text, *exclude, *symbols;
	size_t exclude_size, symbols_size;
	bool is_left_out[GENERATE_CLASSES];
};

static double log2_of(double number)
{
	double result = 0, step = 1;

	for (; number >= 2; number /= 2)
		result++;
	for (; number < 1; number *= 2)
		result--;
	for (int i = 0; i < 30; i++) {
		step /= 2;
		number *= number;
		if (number >= 2) {
			number /= 2;
			result += step;
		}
	}
	return result;
}

/* Of all strings, the share that has every class in it, by inclusion and exclusion. */
static double share_with_all(const struct generate *generate)
{
	double all = (double)strlen(generate->alphabet), share = 0;

	for (unsigned missing = 0; missing < 1U << GENERATE_CLASSES; missing++) {
		double left = all, part = 1;

		for (unsigned i = 0; i < GENERATE_CLASSES; i++)
			if ((missing >> i & 1) != 0 && generate->class_size[i] == 0)
				part = 0;
			else if ((missing >> i & 1) != 0) {
				left -= generate->class_size[i];
				part = -part;
			}
		for (unsigned i = 0; i < generate->count; i++)
			part *= left / all;
		share += part;
	}
	return share;
}

static unsigned bits_of(const struct generate *generate)
{
	switch (generate->kind) {
	case GENERATE_PASSWORD:
		return (unsigned)(generate->count * log2_of((double)strlen(generate->alphabet)) +
				  log2_of(share_with_all(generate)));
	case GENERATE_WORDS:
		return (unsigned)(generate->count * log2_of(SYLLABLE_WORDS));
	case GENERATE_UUID:
		return UUID_BITS;
	default:
		return generate->count * 8;
	}
}

static bool is_word(const char *text, size_t size, const char *word)
{
	return strlen(word) == size && memcmp(text, word, size) == 0;
}

static bool begins(const char *text, size_t size, const char *word)
{
	return size > strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

static const char *take_password_option(const char *text, size_t size, struct wish *wish)
{
	for (int i = 0; i < GENERATE_CLASSES; i++)
		if (is_word(text, size, class_refusals[i])) {
			wish->is_left_out[i] = true;
			return NULL;
		}
	if (begins(text, size, "exclude=")) {
		wish->exclude = text + 8;
		wish->exclude_size = size - 8;
		return NULL;
	}
	if (begins(text, size, "symbols=") && is_printable(text + 8, size - 8)) {
		wish->symbols = text + 8;
		wish->symbols_size = size - 8;
		return NULL;
	}
	return "password takes no-lower, no-upper, no-digits, no-symbols, symbols=CHARS and "
	       "exclude=CHARS";
}

static const char *take_option(
	const char *text, size_t size, struct generate *generate, struct wish *wish)
{
	if (generate->kind == GENERATE_PASSWORD)
		return take_password_option(text, size, wish);
	if (generate->kind != GENERATE_WORDS)
		return "options are for password and words only";
	if (!begins(text, size, "separator=") || size != 11 || text[10] < ' ' || text[10] > '~')
		return "words takes separator=C, one printable character";
	generate->separator = text[10];
	return NULL;
}

/* A character stands once, whatever is said twice. */
static void add_class(struct generate *generate, const struct wish *wish, int class)
{
	const char *from = class_characters[class];
	size_t size = strlen(from), end = strlen(generate->alphabet);

	if (class == GENERATE_CLASSES - 1 && wish->symbols) {
		from = wish->symbols;
		size = wish->symbols_size;
	}
	for (size_t i = 0; i < size && !wish->is_left_out[class]; i++) {
		if (strchr(generate->alphabet, from[i]) ||
			(wish->exclude && memchr(wish->exclude, from[i], wish->exclude_size)))
			continue;
		generate->alphabet[end++] = from[i];
		generate->class_size[class]++;
	}
}

static const char *settle_alphabet(struct generate *generate, const struct wish *wish)
{
	unsigned classes = 0;

	for (int i = 0; i < GENERATE_CLASSES; i++) {
		add_class(generate, wish, i);
		classes += generate->class_size[i] > 0;
	}
	if (strlen(generate->alphabet) < 2)
		return "fewer than two characters are left to choose from";
	if (generate->count < classes)
		return "a password has a character of each class: make it longer, or leave out "
		       "classes";
	return NULL;
}

static const char *take_kind(const char *text, size_t size, struct generate *generate)
{
	size_t name_size = strcspn(text, ":,"), digits_size;
	char digits[8] = "";
	uint64_t count;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (!is_word(text, name_size, kinds[i].name))
			continue;
		generate->kind = (enum generate_kind)i;
		generate->count = kinds[i].count;
		if (name_size == size)
			return NULL;
		digits_size = size - name_size - 1;
		if (kinds[i].count == 0)
			return "uuid takes no number";
		if (digits_size < sizeof digits)
			memcpy(digits, text + name_size + 1, digits_size);
		if (!args_number(digits, &count) || count == 0 || count > GENERATE_COUNT_MAX)
			return "the number behind the ':' is 1 to 1024";
		generate->count = (unsigned)count;
		return NULL;
	}
	return "the kinds are password, hex, base64, uuid and words";
}

const char *generate_parse(const char *text, struct generate *out_generate)
{
	struct generate generate = {.separator = '-'};
	size_t size = strcspn(text, ",");
	struct wish wish = {.text = text};
	const char *wrong = take_kind(text, size, &generate);

	while (!wrong && text[size] == ',') {
		text += size + 1;
		size = strcspn(text, ",");
		wrong = take_option(text, size, &generate, &wish);
	}
	if (!wrong && generate.kind == GENERATE_PASSWORD)
		wrong = settle_alphabet(&generate, &wish);
	if (wrong)
		return wrong;
	generate.bits = bits_of(&generate);
	*out_generate = generate;
	return NULL;
}

void generate_describe(const struct generate *generate, char *buffer, size_t buffer_size)
{
	if (kinds[generate->kind].count == 0)
		(void)snprintf(buffer, buffer_size, "%s, %u bits", kinds[generate->kind].unit,
			generate->bits);
	else
		(void)snprintf(buffer, buffer_size, "%u %s, %u bits", generate->count,
			kinds[generate->kind].unit, generate->bits);
}
