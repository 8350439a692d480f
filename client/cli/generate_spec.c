/* SPDX-License-Identifier: ISC */
/* What a specification says, and how much a value after it is worth. */
#include "generate.h"

#include <stdio.h>
#include <string.h>

#include "args.h"

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

	if (class == GENERATE_CLASSES - 1 && wish->symbols != NULL) {
		from = wish->symbols;
		size = wish->symbols_size;
	}
	for (size_t i = 0; i < size && !wish->is_left_out[class]; i++) {
		if (strchr(generate->alphabet, from[i]) != NULL ||
			(wish->exclude != NULL &&
				memchr(wish->exclude, from[i], wish->exclude_size) != NULL))
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

	while (wrong == NULL && text[size] == ',') {
		text += size + 1;
		size = strcspn(text, ",");
		wrong = take_option(text, size, &generate, &wish);
	}
	if (wrong == NULL && generate.kind == GENERATE_PASSWORD)
		wrong = settle_alphabet(&generate, &wish);
	if (wrong != NULL)
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
