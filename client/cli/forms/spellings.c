/* SPDX-License-Identifier: ISC */
/* spellings: rows say what is written for a character; what a row does not name stays as it is. */
#include "spellings.h"

#include <stdbool.h>
#include <string.h>

#define FRAGMENTS_MAX 4

/* What stands for a character that no fragment names. */
enum style {
	KEEP,
	OCTAL,       /* \303\244, of each byte */
	HEX_LOWER,   /* \xc3\xa4, of each byte */
	HEX_UPPER,   /* \xC3\xA4 */
	UNITS_LOWER, /* \u00e4, \ud83d\ude00: UTF-16 */
	UNITS_UPPER, /* \u00E4 */
	CODE_YAML,   /* \xE4, \u20AC, \U0001F600 */
	ASTRAL_YAML, /* \U0001F600, and what has up to 16 bits as it is */
	CODE_GO,     /* \u00e4, \U0001f600 */
	ENTITY,      /* &#228; */
	ENTITY_HEX,  /* &#xE4; */
};

/* A character and what is written for it; NULL ends a fragment. */
typedef const char *const fragment[];

/* XML and HTML */
static fragment markup = {"&&amp;", "<&lt;", NULL};
static fragment greater = {">&gt;", NULL};
static fragment quote_name = {"\"&quot;", NULL};
static fragment quote_code = {"\"&#34;", NULL};
static fragment apostrophe_name = {"'&apos;", NULL};
static fragment apostrophe_code = {"'&#39;", NULL};
static fragment apostrophe_padded = {"'&#039;", NULL};
static fragment apostrophe_hex = {"'&#x27;", NULL};
static fragment lines_code = {"\n&#10;", "\r&#13;", "\t&#9;", NULL};
static fragment lines_padded = {"\n&#10;", "\r&#13;", "\t&#09;", NULL};
static fragment lines_hex = {"\n&#xA;", "\r&#xD;", "\t&#x9;", NULL};
static fragment quotes_both_code = {"\"&#34;", "'&#39;", NULL};
static fragment quotes_html = {"\"&quot;", "'&#39;", NULL};
static fragment quotes_xml = {"\"&quot;", "'&apos;", NULL};

/* JSON */
static fragment json = {"\"\\\"", "\\\\\\", "\b\\b", "\f\\f", "\n\\n", "\r\\r", "\t\\t", NULL};
static fragment slash = {"/\\/", NULL};
static fragment tags_lower = {"<\\u003c", ">\\u003e", "&\\u0026", NULL};
static fragment tags_upper = {"<\\u003C", ">\\u003E", "&\\u0026", NULL};
static fragment more_lower = {"=\\u003d", "'\\u0027", NULL};
static fragment quotes_upper = {"'\\u0027", "\"\\u0022", NULL};
static fragment more_upper = {"'\\u0027", "\"\\u0022", "+\\u002B", "`\\u0060", NULL};
static fragment delete_lower = {"\x7f\\u007f", NULL};
static fragment delete_upper = {"\x7f\\u007F", NULL};

/* C, Python, Go, YAML's "..." */
static fragment backslash = {"\\\\\\", NULL};
static fragment lines = {"\n\\n", "\r\\r", "\t\\t", NULL};
static fragment quote_backslash = {"\"\\\"", NULL};
static fragment apostrophe_backslash = {"'\\'", NULL};
static fragment quotes_backslash = {"'\\'", "\"\\\"", NULL};
static fragment c_letters = {"\a\\a", "\b\\b", "\f\\f", "\v\\v", NULL};
static fragment b_and_f = {"\b\\b", "\f\\f", NULL};
static fragment yaml_letters = {"\a\\a", "\b\\b", "\f\\f", "\v\\v", "\x1b\\e", NULL};

/* SQL and CSV */
static fragment apostrophe_twice = {"'''", NULL};
static fragment quote_twice = {"\"\"\"", NULL};
static fragment lines_only = {"\n\\n", "\r\\r", NULL};
static fragment control_z = {"\x1a\\Z", NULL};

/* Shells */
static fragment apostrophe_shell = {"''\\''", NULL};
static fragment apostrophe_quoted = {"''\"'\"'", NULL};
static fragment in_double = {"\"\\\"", "\\\\\\", "$\\$", "`\\`", NULL};
static fragment bang = {"!\\!", NULL};
static fragment bash_letters = {"\a\\a", "\b\\b", "\f\\f", "\v\\v", "\x1b\\E", NULL};
static fragment bash_words = {" \\ ", "!\\!", "\"\\\"", "$\\$", "&\\&", "'\\'", "(\\(", ")\\)",
	"*\\*", ",\\,", ";\\;", "<\\<", ">\\>", "?\\?", "[\\[", "\\\\\\", "]\\]", "^\\^", "`\\`",
	"{\\{", "|\\|", "}\\}", NULL};
static fragment zsh_words = {" \\ ", "\"\\\"", "#\\#", "$\\$", "&\\&", "'\\'", "(\\(", ")\\)",
	"*\\*", ";\\;", "<\\<", ">\\>", "?\\?", "[\\[", "\\\\\\", "]\\]", "^\\^", "`\\`", "{\\{",
	"|\\|", "}\\}", NULL};
static fragment zsh_lines = {"\n$'\\n'", "\r$'\\r'", "\t$'\\t'", NULL};
static fragment all_words = {" \\ ", "!\\!", "\"\\\"", "#\\#", "$\\$", "%\\%", "&\\&", "'\\'",
	"(\\(", ")\\)", "*\\*", ";\\;", "<\\<", "=\\=", ">\\>", "?\\?", "[\\[", "\\\\\\", "]\\]",
	"^\\^", "`\\`", "{\\{", "|\\|", "}\\}", "~\\~", NULL};
static fragment marks = {"+\\+", ",\\,", "-\\-", ".\\.", "/\\/", ":\\:", "@\\@", NULL};
static fragment lines_in_quotes = {"\n'$'\\n''", "\r'$'\\r''", "\t'$'\\t''", NULL};
static fragment lines_escaped = {"\n\\\n", "\r\\\r", "\t\\\t", NULL};

/* Files with signs of their own */
static fragment crontab = {"%\\%", NULL};
static fragment percent_twice = {"%%%", NULL};
static fragment dollar_twice = {"$$$", NULL};
static fragment pgpass = {":\\:", "\\\\\\", NULL};
static fragment properties = {
	"\\\\\\", "\t\\t", "\n\\n", "\r\\r", "\f\\f", "=\\=", ":\\:", "#\\#", "!\\!", NULL};

/* What is written for a character between two others, each of which may be any one or none. */
struct beside {
	int before;
	char byte;
	int after;
	const char *as;
};

#define ANY  (-1)
#define NONE (-2)

static const struct beside bash_beside[] = {{NONE, '~', ANY, "\\~"}, {NONE, '#', ANY, "\\#"},
	{':', '~', ANY, "\\~"}, {'=', '~', ANY, "\\~"}, {0}};
static const struct beside zsh_beside[] = {{NONE, '~', ANY, "\\~"}, {NONE, '=', ANY, "\\="}, {0}};
static const struct beside zsh_double_beside[] = {{ANY, '$', '\'', "$"}, {0}};
static const struct beside properties_beside[] = {{NONE, ' ', ANY, "\\ "}, {0}};

/*
 * Who writes so. The rows of one name stand together, what is written most often first: of two
 * that write a value alike, the first gives the form its name.
 */
static const struct spelling {
	const char *name;
	const char *const *fragments[FRAGMENTS_MAX];
	enum style controls, wide;   /* below a blank; beyond ASCII */
	const struct beside *beside; /* up to one of which the byte is 0 */
} table[] = {
	{"JSON", {json}, UNITS_LOWER, KEEP, NULL},
	{"JSON", {json}, UNITS_UPPER, KEEP, NULL},
	{"JSON", {json, delete_lower}, UNITS_LOWER, KEEP, NULL}, /* jq */
	{"JSON", {json, delete_lower}, UNITS_LOWER, UNITS_LOWER, NULL},
	{"JSON", {json}, UNITS_LOWER, UNITS_LOWER, NULL},
	{"JSON", {json, delete_upper}, UNITS_UPPER, UNITS_UPPER, NULL},
	{"JSON", {json, slash}, UNITS_LOWER, KEEP, NULL},
	{"JSON", {json, slash}, UNITS_LOWER, UNITS_LOWER, NULL}, /* PHP */
	{"JSON", {json, slash}, UNITS_UPPER, UNITS_UPPER, NULL},
	{"JSON", {json, tags_lower}, UNITS_LOWER, KEEP, NULL}, /* Go */
	{"JSON", {json, tags_lower, delete_lower}, UNITS_LOWER, UNITS_LOWER, NULL},
	{"JSON", {json, tags_lower, more_lower}, UNITS_LOWER, KEEP, NULL}, /* Gson */
	{"JSON", {json, tags_upper}, UNITS_LOWER, KEEP, NULL},
	{"JSON", {json, tags_upper, slash}, UNITS_LOWER, UNITS_LOWER, NULL},
	{"JSON", {json, tags_upper, quotes_upper, slash}, UNITS_LOWER, UNITS_LOWER, NULL},
	{"JSON", {json, tags_upper, more_upper, delete_upper}, UNITS_UPPER, UNITS_UPPER, NULL},

	{"XML", {markup, greater}, KEEP, KEEP, NULL},
	{"XML", {markup}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quotes_xml}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quotes_html}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name, apostrophe_hex}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name, apostrophe_padded}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quotes_both_code}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quotes_both_code, lines_hex}, KEEP, KEEP, NULL},
	{"XML", {markup, quote_name}, KEEP, KEEP, NULL},
	{"XML", {markup, apostrophe_name}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, apostrophe_name}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, apostrophe_code}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_code}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, lines_code}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name, lines_code}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name, lines_padded}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quote_name, lines_hex}, KEEP, KEEP, NULL},
	{"XML", {markup, greater, quotes_xml, lines_hex}, KEEP, KEEP, NULL},
	{"XML", {markup, greater}, KEEP, ENTITY, NULL},
	{"XML", {markup, greater}, KEEP, ENTITY_HEX, NULL},
	{"XML", {markup, greater, quote_name, lines_code}, KEEP, ENTITY, NULL},
	{"XML", {markup, greater, quote_name, lines_padded}, KEEP, ENTITY, NULL},
	{"XML", {markup, greater, quote_name, lines_code}, KEEP, ENTITY_HEX, NULL},

	{"YAML", {json, yaml_letters}, CODE_YAML, CODE_YAML, NULL},
	{"YAML", {json, yaml_letters}, CODE_YAML, KEEP, NULL},
	{"YAML", {json, yaml_letters}, CODE_YAML, ASTRAL_YAML, NULL},
	{"YAML", {quote_backslash, backslash}, KEEP, KEEP, NULL},

	{"quotes doubled", {apostrophe_twice}, KEEP, KEEP, NULL}, /* SQL, YAML */
	{"quotes doubled", {quote_twice}, KEEP, KEEP, NULL},      /* CSV, SQL's names */
	{"SQL", {apostrophe_twice, backslash, lines}, KEEP, KEEP, NULL},
	{"SQL", {apostrophe_twice, backslash}, KEEP, KEEP, NULL},
	{"SQL", {apostrophe_twice, lines_only}, KEEP, KEEP, NULL}, /* sqlite3 .dump */
	{"SQL", {quotes_backslash, backslash, lines_only, control_z}, KEEP, KEEP, NULL},
	{"SQL", {quotes_backslash, backslash}, KEEP, KEEP, NULL},
	{"SQL", {backslash, lines, c_letters}, KEEP, KEEP, NULL}, /* COPY */

	{"shell", {apostrophe_shell}, KEEP, KEEP, NULL},
	{"shell", {apostrophe_quoted}, KEEP, KEEP, NULL},
	{"shell", {apostrophe_shell, lines_in_quotes}, KEEP, KEEP, NULL},
	{"shell", {in_double}, KEEP, KEEP, NULL},
	{"shell", {in_double}, KEEP, KEEP, zsh_double_beside},
	{"shell", {bash_words}, KEEP, KEEP, bash_beside},
	{"shell", {zsh_words, zsh_lines}, KEEP, KEEP, zsh_beside},
	{"shell", {all_words}, KEEP, KEEP, NULL},
	{"shell", {all_words, marks, lines_escaped}, KEEP, KEEP, NULL}, /* Perl's quotemeta() */
	{"shell", {backslash, apostrophe_backslash, lines, bash_letters}, OCTAL, KEEP, NULL},
	{"shell", {backslash, apostrophe_backslash, lines, bash_letters}, OCTAL, OCTAL, NULL},
	{"shell", {backslash, apostrophe_backslash, lines, bang}, OCTAL, KEEP, NULL},

	{"crontab", {crontab}, KEEP, KEEP, NULL},
	{"crontab", {crontab, apostrophe_shell}, KEEP, KEEP, NULL},
	{"crontab", {crontab, apostrophe_quoted}, KEEP, KEEP, NULL},
	{"crontab", {crontab, in_double}, KEEP, KEEP, NULL},
	{"crontab", {crontab, bash_words}, KEEP, KEEP, bash_beside},

	{"systemd", {percent_twice}, KEEP, KEEP, NULL}, /* and configparser's files */
	{"systemd", {percent_twice, quote_backslash, backslash}, KEEP, KEEP, NULL},
	{"systemd", {percent_twice, apostrophe_backslash, backslash}, KEEP, KEEP, NULL},
	{"systemd", {percent_twice, quotes_backslash, backslash, lines}, HEX_LOWER, KEEP, NULL},
	{"systemd", {percent_twice, quotes_backslash, backslash, lines}, OCTAL, OCTAL, NULL},
	{"systemd", {percent_twice, in_double, apostrophe_backslash}, KEEP, KEEP, NULL},
	{"systemd", {percent_twice, dollar_twice}, KEEP, KEEP, NULL},
	{"systemd", {percent_twice, dollar_twice, quotes_backslash, backslash}, KEEP, KEEP, NULL},
	{"systemd", {percent_twice, dollar_twice, quote_backslash, backslash}, KEEP, KEEP, NULL},

	{"compose", {dollar_twice}, KEEP, KEEP, NULL}, /* and make's files */
	{"compose", {dollar_twice, json}, UNITS_LOWER, KEEP, NULL},
	{"compose", {dollar_twice, apostrophe_twice}, KEEP, KEEP, NULL},
	{"compose", {dollar_twice, apostrophe_shell}, KEEP, KEEP, NULL},

	{"pgpass", {pgpass}, KEEP, KEEP, NULL},
	{"properties", {properties, delete_upper}, UNITS_UPPER, UNITS_UPPER, properties_beside},
	{"properties", {properties, delete_lower}, UNITS_LOWER, UNITS_LOWER, properties_beside},
	{"properties", {properties}, KEEP, KEEP, properties_beside},

	{"backslashes", {backslash}, KEEP, KEEP, NULL},
	{"backslashes", {backslash, lines}, HEX_LOWER, KEEP, NULL}, /* Python */
	{"backslashes", {backslash, lines, apostrophe_backslash}, HEX_LOWER, KEEP, NULL},
	{"backslashes", {backslash, lines}, HEX_LOWER, HEX_LOWER, NULL},
	{"backslashes", {backslash, lines, apostrophe_backslash}, HEX_LOWER, HEX_LOWER, NULL},
	{"backslashes", {backslash, apostrophe_backslash}, KEEP, KEEP, NULL}, /* PHP, Perl */
	{"backslashes", {backslash, lines, apostrophe_backslash, b_and_f}, HEX_UPPER, KEEP, NULL},
	{"backslashes", {backslash, lines, quote_backslash, c_letters}, HEX_LOWER, KEEP, NULL},
	{"backslashes", {backslash, lines, quote_backslash, c_letters}, HEX_LOWER, CODE_GO, NULL},
	{"backslashes", {backslash, lines, quote_backslash}, OCTAL, OCTAL, NULL}, /* C, strace */
	{"backslashes", {backslash, lines, quote_backslash, c_letters}, OCTAL, OCTAL, NULL},
};

#define WAYS (sizeof table / sizeof table[0])

/* The value, and what of it matters to a row. */
struct speller {
	const uint8_t *value;
	size_t size;
	uint8_t used[256]; /* the different bytes in it */
	size_t used_count;
	bool is_text, has_wide;
	const struct spelling *way;
	const char *as[256]; /* what that writes for a character; NULL: see its styles */
	uint8_t *form;
	size_t form_size;
};

static void put(struct speller *speller, uint8_t byte)
{
	speller->form[speller->form_size++] = byte;
}

static void put_text(struct speller *speller, const char *text)
{
	while (*text != '\0')
		put(speller, (uint8_t)*text++);
}

static void put_digits(
	struct speller *speller, uint32_t number, unsigned base, int least, const char *digits)
{
	char text[12];
	int at = sizeof text;

	for (; number > 0 || least > 0; number /= base, least--)
		text[--at] = digits[number % base];
	while (at < (int)sizeof text)
		put(speller, (uint8_t)text[at++]);
}

size_t spellings_decode(const uint8_t *bytes, size_t size, uint32_t *out_code)
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

static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

static void put_units(struct speller *speller, uint32_t code, const char *digits)
{
	if (code >= 0x10000) {
		put_text(speller, "\\u");
		put_digits(speller, 0xd800 + ((code - 0x10000) >> 10), 16, 4, digits);
		code = 0xdc00 + ((code - 0x10000) & 0x3ff);
	}
	put_text(speller, "\\u");
	put_digits(speller, code, 16, 4, digits);
}

static void put_code(struct speller *speller, uint32_t code, enum style style)
{
	const char *digits = style == CODE_GO ? lower : upper;

	if (code < 0x100 && style == CODE_YAML) {
		put_text(speller, "\\x");
		put_digits(speller, code, 16, 2, digits);
	} else if (code < 0x10000) {
		put_text(speller, "\\u");
		put_digits(speller, code, 16, 4, digits);
	} else {
		put_text(speller, "\\U");
		put_digits(speller, code, 16, 8, digits);
	}
}

static bool is_of_bytes(enum style style)
{
	return style == KEEP || style == OCTAL || style == HEX_LOWER || style == HEX_UPPER;
}

static void put_byte(struct speller *speller, uint8_t byte, enum style style)
{
	if (style == KEEP) {
		put(speller, byte);
	} else if (style == OCTAL) {
		put(speller, '\\');
		put_digits(speller, byte, 8, 3, upper);
	} else {
		put_text(speller, "\\x");
		put_digits(speller, byte, 16, 2, style == HEX_LOWER ? lower : upper);
	}
}

static void put_character(struct speller *speller, uint32_t code, enum style style)
{
	switch (style) {
	case UNITS_LOWER:
		put_units(speller, code, lower);
		break;
	case UNITS_UPPER:
		put_units(speller, code, upper);
		break;
	case ENTITY:
		put_text(speller, "&#");
		put_digits(speller, code, 10, 1, upper);
		put(speller, ';');
		break;
	case ENTITY_HEX:
		put_text(speller, "&#x");
		put_digits(speller, code, 16, 1, upper);
		put(speller, ';');
		break;
	default:
		put_code(speller, code, style);
	}
}

/* Of a character that no fragment names. DEL is a control character, but not to JSON. */
static enum style style_of(const struct spelling *way, uint8_t byte)
{
	bool is_json = way->controls == UNITS_LOWER || way->controls == UNITS_UPPER;

	if (byte < ' ' || (byte == 0x7f && !is_json))
		return way->controls;
	return byte < 0x80 ? KEEP : way->wide;
}

/* The character at a place; how many bytes it has. */
static size_t spell(struct speller *speller, size_t at, const char *as)
{
	uint8_t byte = speller->value[at];
	enum style style = style_of(speller->way, byte);
	uint32_t code = byte;
	size_t size = 1;

	if (as) {
		put_text(speller, as);
		return 1;
	}
	if (!is_of_bytes(style) && byte >= 0x80)
		size = spellings_decode(speller->value + at, speller->size - at, &code);
	if (is_of_bytes(style) || (style == ASTRAL_YAML && code < 0x10000))
		for (size_t i = 0; i < size; i++)
			put_byte(speller, speller->value[at + i],
				style == ASTRAL_YAML ? KEEP : style);
	else
		put_character(speller, code, style);
	return size;
}

static bool is_there(int wanted, const struct speller *speller, size_t at, bool is_inside)
{
	return wanted == ANY || wanted == (is_inside ? speller->value[at] : NONE);
}

/* What the way says of the character at a place; NULL: nothing. */
static const char *find(const struct speller *speller, size_t at)
{
	const struct beside *beside = speller->way->beside;

	for (; beside && beside->byte != '\0'; beside++)
		if ((uint8_t)beside->byte == speller->value[at] &&
			is_there(beside->before, speller, at - 1, at > 0) &&
			is_there(beside->after, speller, at + 1, at + 1 < speller->size))
			return beside->as;
	return speller->as[speller->value[at]];
}

static void take_way(struct speller *speller, const struct spelling *way)
{
	speller->way = way;
	memset(speller->as, 0, sizeof speller->as);
	for (size_t i = 0; i < FRAGMENTS_MAX && way->fragments[i]; i++)
		for (const char *const *change = way->fragments[i]; *change; change++)
			speller->as[(uint8_t) * *change] = *change + 1;
}

static void add_to(uint64_t *hash, const void *bytes, size_t size)
{
	for (const uint8_t *at = bytes; size > 0; at++, size--)
		*hash = (*hash ^ *at) * UINT64_C(0x100000001b3);
}

/* The same for two ways that write this value alike; 0: as it is. */
static uint64_t sign(const struct speller *speller)
{
	const struct spelling *way = speller->way;
	uint64_t hash = 0;

	for (size_t i = 0; i < speller->used_count; i++) {
		uint8_t byte = speller->used[i];
		const char *as = speller->as[byte];

		if (as) {
			add_to(&hash, &byte, 1);
			add_to(&hash, as, strlen(as) + 1);
		} else if (byte < 0x80 && style_of(way, byte) != KEEP) {
			add_to(&hash, &byte, 1);
			add_to(&hash, &way->controls, sizeof way->controls);
		}
	}
	if (speller->has_wide && way->wide != KEEP)
		add_to(&hash, &way->wide, sizeof way->wide);
	for (size_t at = 0; way->beside && at < speller->size; at++) {
		const char *as = find(speller, at);

		if (as != speller->as[speller->value[at]]) {
			add_to(&hash, &at, sizeof at);
			add_to(&hash, as, strlen(as));
		}
	}
	return hash;
}

static void look_at(struct speller *speller)
{
	bool is_used[256] = {false};
	uint32_t code;
	size_t size;

	for (size_t i = 0; i < speller->size; i++)
		is_used[speller->value[i]] = true;
	for (int byte = 0; byte < 256; byte++)
		if (is_used[byte])
			speller->used[speller->used_count++] = (uint8_t)byte;
	speller->has_wide =
		speller->used_count > 0 && speller->used[speller->used_count - 1] >= 0x80;
	speller->is_text = true;
	for (size_t at = 0; at < speller->size && speller->is_text; at += size) {
		size = spellings_decode(speller->value + at, speller->size - at, &code);
		speller->is_text = size > 0;
	}
}

static bool is_known(const uint64_t *signs, size_t count, uint64_t sign)
{
	for (size_t i = 0; i < count; i++)
		if (signs[i] == sign)
			return true;
	return sign == 0;
}

static void write_form(struct speller *speller)
{
	speller->form_size = 0;
	for (size_t at = 0; at < speller->size;)
		at += spell(speller, at, find(speller, at));
}

/* What is no text is written by bytes, or not at all. */
static bool can_write(const struct speller *speller)
{
	return speller->is_text || is_of_bytes(speller->way->wide);
}

enum mortise_status spellings_each(
	const uint8_t *value, size_t size, uint8_t *room, encodings_take take, void *context)
{
	struct speller speller = {.value = value, .size = size, .form = room};
	uint64_t signs[WAYS];
	size_t count = 0;

	if (size == 0)
		return MORTISE_OK;
	look_at(&speller);
	for (size_t i = 0; i < WAYS; i++) {
		struct encodings_form form = {.name = table[i].name, .bytes = room};

		take_way(&speller, &table[i]);
		signs[count] = sign(&speller);
		if (!can_write(&speller) || is_known(signs, count, signs[count]))
			continue;
		count++;
		write_form(&speller);
		form.size = speller.form_size;
		TRY(take(context, &form));
	}
	explicit_bzero(&speller, sizeof speller);
	return MORTISE_OK;
}
